// What each kernel of a call takes on the device, by its own clock.

import type { Dispatch } from '../../codegen/wgsl/program.ts';
import { LimitationError, type SourcePosition } from '../../ir/errors.ts';
import type { WebGpuDevice } from './device.ts';

/** A kernel's time, in the order of the program. */
export interface KernelTime {
  readonly kernel: string;
  /** The first of the lines of the user's program that the kernel computes; null where none is known. */
  readonly source: SourcePosition | null;
  readonly nanoseconds: number;
}

export const hasTimestamps = ({ device }: WebGpuDevice): boolean => device.features.has('timestamp-query');

/** Most timestamps of a query set, by the standard. */
const mostQueries = 4096;

/**
 * Encodes steps as passes of their own with a timestamp at both ends, submits them and reads the times. Browsers round
 * them to a tenth of a millisecond. Throws LimitationError where the device has no timestamps or the program too many
 * kernels.
 */
export async function timedSteps(
  gpu: WebGpuDevice,
  steps: readonly Pick<Dispatch, 'kernel' | 'source'>[],
  encode: (pass: GPUComputePassEncoder, step: number) => void,
): Promise<KernelTime[]> {
  const count = 2 * steps.length;
  if (!hasTimestamps(gpu))
    throw new LimitationError('this device has no timestamps (feature timestamp-query): kernels cannot be timed');
  if (count > mostQueries)
    throw new LimitationError(`${count} timestamps needed, a query set holds ${mostQueries}: kernels cannot be timed`);
  const times = await timestamps(gpu, Math.max(1, count), (encoder, querySet) => {
    steps.forEach((_, step) => {
      const pass = encoder.beginComputePass({
        timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * step, endOfPassWriteIndex: 2 * step + 1 },
      });
      encode(pass, step);
      pass.end();
    });
  });
  return steps.map(({ kernel, source }, step) => ({
    kernel,
    source,
    nanoseconds: Number(times[2 * step + 1]! - times[2 * step]!),
  }));
}

/**
 * Seconds of one pass: by the device's clock, or, where it has no timestamps, from submission to the answer that all is done,
 * which takes some tenths of a millisecond by itself.
 */
export async function timedPass(gpu: WebGpuDevice, encode: (pass: GPUComputePassEncoder) => void): Promise<number> {
  const { device } = gpu;
  if (hasTimestamps(gpu)) {
    const [begin, end] = await timestamps(gpu, 2, (encoder, querySet) => {
      const timestampWrites = { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 };
      const pass = encoder.beginComputePass({ timestampWrites });
      encode(pass);
      pass.end();
    });
    return Number(end! - begin!) / 1e9;
  }
  const start = performance.now();
  await gpu.guarded('timing kernels', () => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    encode(pass);
    pass.end();
    device.queue.submit([encoder.finish()]);
  });
  await gpu.finished();
  return (performance.now() - start) / 1000;
}

/** The timestamps that commands write. */
async function timestamps(
  gpu: WebGpuDevice,
  count: number,
  encode: (encoder: GPUCommandEncoder, querySet: GPUQuerySet) => void,
): Promise<BigUint64Array> {
  const { device } = gpu;
  const bytes = count * 8;
  let readback: GPUBuffer | undefined;
  await gpu.guarded('timing kernels', () => {
    readback = gpu.readbackBuffer(bytes);
    const querySet = device.createQuerySet({ type: 'timestamp', count });
    const resolved = device.createBuffer({ size: bytes, usage: 0x200 | 0x4 });
    const encoder = device.createCommandEncoder();
    encode(encoder, querySet);
    encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, readback, 0, bytes);
    device.queue.submit([encoder.finish()]);
    querySet.destroy();
    resolved.destroy();
  });
  const times = new BigUint64Array((await gpu.mapped(readback!, 'times of kernels')).slice(0));
  readback!.destroy();
  return times;
}
