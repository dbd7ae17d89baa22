// The device that functions of this process share where none is named.

import { UserError } from '../../ir/errors.ts';
import { openDevice, type WebGpuDevice } from './device.ts';
import { nodeGpu } from './node-gpu.ts';

let shared: Promise<WebGpuDevice> | undefined;

/** The shared device, opened when it is first asked for, and anew after it was lost. Throws UserError where there is none. */
export function defaultDevice(): Promise<WebGpuDevice> {
  shared = usable(shared);
  return shared;
}

async function usable(known: Promise<WebGpuDevice> | undefined): Promise<WebGpuDevice> {
  const device = await known?.catch(() => undefined);
  return device === undefined || device.isLost ? openDevice(await nodeGpu()) : device;
}

/** Whether there is a graphics card, and not only a driver that computes on the processor. */
export async function hasHardware(): Promise<boolean> {
  try {
    const adapter = await (await nodeGpu()).requestAdapter({ powerPreference: 'high-performance' });
    return adapter !== null && !adapter.info.isFallbackAdapter;
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}
