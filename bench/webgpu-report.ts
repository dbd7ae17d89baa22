// What the process of one framework answers: peers/ has the processes, webgpu.ts asks them.

/** What a framework did with a device. */
export interface Reading {
  /** Calls of dispatchWorkgroups and dispatchWorkgroupsIndirect. */
  readonly dispatches: number;
  readonly submissions: number;
  /** Bytes of every buffer range bound to a dispatch: what it reads or writes once, at most. */
  readonly boundBytes: number;
  /** Bytes copied by the queue or by encoders: uploads, downloads and copies between buffers. */
  readonly copiedBytes: number;
  /** Bytes of buffers alive now, and the most at once since the last reset. */
  readonly liveBytes: number;
  readonly peakBytes: number;
}

export const sides = ['ashlar', 'tfjs', 'jax-js'] as const;
export type Side = (typeof sides)[number];

export interface SideReport {
  /** Of one run, after the first; its kernels are counted but not executed. */
  readonly reading: Reading;
  /** The most bytes alive at once until the first output: weights on their way to where kernels read them included. */
  readonly loadPeakBytes: number;
  readonly output: Float32Array;
  /** Seconds from the model to the first output. */
  readonly firstSeconds: number;
}

/**
 * As a share of the largest element that is wanted (NaN where one is); infinite where another number of elements
 * was found.
 */
export function largestDifference(wanted: ArrayLike<number>, found: ArrayLike<number>): number {
  if (wanted.length !== found.length) return Number.POSITIVE_INFINITY;
  let [largest, difference] = [0, 0];
  for (let i = 0; i < wanted.length; i++) {
    largest = Math.max(largest, Math.abs(wanted[i]!));
    difference = Math.max(difference, Math.abs(wanted[i]! - found[i]!));
  }
  return difference / largest;
}
