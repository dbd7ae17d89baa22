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
  const { device } = gpu;
  const count = 2 * steps.length;
  if (!device.features.has('timestamp-query'))
    throw new LimitationError('this device has no timestamps (feature timestamp-query): kernels cannot be timed');
  if (count > mostQueries)
    throw new LimitationError(`${count} timestamps needed, a query set holds ${mostQueries}: kernels cannot be timed`);
  const bytes = Math.max(1, count) * 8;
  let readback: GPUBuffer | undefined;
  await gpu.guarded('timing kernels', () => {
    readback = gpu.readbackBuffer(bytes);
    const querySet = device.createQuerySet({ type: 'timestamp', count: Math.max(1, count) });
    const resolved = device.createBuffer({ size: bytes, usage: 0x200 | 0x4 });
    const encoder = device.createCommandEncoder();
    steps.forEach((_, step) => {
      const pass = encoder.beginComputePass({
        timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * step, endOfPassWriteIndex: 2 * step + 1 },
      });
      encode(pass, step);
      pass.end();
    });
    encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, readback, 0, bytes);
    device.queue.submit([encoder.finish()]);
    querySet.destroy();
    resolved.destroy();
  });
  const times = new BigUint64Array((await gpu.mapped(readback!, 'times of kernels')).slice(0));
  readback!.destroy();
  return steps.map(({ kernel, source }, step) => ({
    kernel,
    source,
    nanoseconds: Number(times[2 * step + 1]! - times[2 * step]!),
  }));
}
