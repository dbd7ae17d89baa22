// A WebGPU device for tests of the kernels for cards, on whatever adapter there is: one for each file. In CI, which installs a software driver, there has to be one.

import { UserError } from '../../src/ir/errors.ts';
import { openDevice, type WebGpuDevice } from '../../src/runtime/webgpu/device.ts';
import { nodeGpu } from '../../src/runtime/webgpu/node-gpu.ts';

let opened: Promise<WebGpuDevice | string> | undefined;

async function open(): Promise<WebGpuDevice | string> {
  try {
    return await openDevice(await nodeGpu(), { kernels: 'card' });
  } catch (error) {
    if (process.env.CI !== undefined || !(error instanceof UserError)) throw error;
    return error.message;
  }
}

/** The device, or why there is none. */
export function testDevice(): Promise<WebGpuDevice | string> {
  opened ??= open();
  return opened;
}

/** A suite's title, which says why it is skipped where it is. */
export function titleOf(what: string, device: WebGpuDevice | string): string {
  return typeof device === 'string' ? `${what} (skipped: ${device})` : what;
}
