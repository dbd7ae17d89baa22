// The least time that a kernel can take on this machine: its arithmetic at the peak, or its reading and writing at the
// speed of the memory that holds the operands, whichever is longer. S. Williams et al., Roofline, CACM 52(4), 2009.

import type { Launch, Program } from '../src/ir/program.ts';
import { leavesOf } from '../src/ir/steps.ts';
import { bytesPerElement, sizeOf } from '../src/ir/types.ts';
import { readBandwidth } from './bandwidth.ts';
import { fmaPeak } from './fma-peak.ts';

/** What a kernel does, without the kernel. */
export interface KernelWork {
  readonly flops: number;
  /** Weights: between two uses of one, all others are read. */
  readonly constantBytes: number;
  /** What this run has made, and therefore lies in a cache if it fits. */
  readonly freshBytes: number;
}

export interface Roofline {
  /** GFLOP/s and GB/s of all threads that are measured. */
  readonly peak: number;
  readonly constantBandwidth: number;
  freshBandwidth(bytes: number): number;
}

const constantStorages: ReadonlySet<string> = new Set(['constant', 'external', 'prepared', 'state']);

export function workOf({ kernel, args }: Launch): KernelWork {
  const constantBytes = args
    .filter(({ storage }) => constantStorages.has(storage))
    .reduce((sum, { type }) => sum + sizeOf(type.shape) * bytesPerElement[type.dtype], 0);
  // A kernel's own count knows that an iteration touches one slice of a stack.
  return { flops: kernel.flops, constantBytes, freshBytes: Math.max(0, kernel.bytes - constantBytes) };
}

/** Bytes of weights that a run reads, each weight once: the memory that they are spread over. */
export function constantBytes({ steps }: Program): number {
  const read = new Set(
    leavesOf(steps).flatMap(({ args }) => args.filter(({ storage }) => constantStorages.has(storage))),
  );
  return [...read].reduce((sum, { type }) => sum + sizeOf(type.shape) * bytesPerElement[type.dtype], 0);
}

/** Second-level cache, third-level cache, and memory: enough to tell where an operand lies. */
const freshSizes = [512e3, 8e6, 128e6] as const;

/** Measures the machine for a program with so many bytes of weights. All threads are no slower than one of them. */
export function measureRoofline(weights: number, threads: number): Roofline {
  const sizes = [Math.max(weights, freshSizes[0]), ...freshSizes];
  const counts = [...new Set([1, threads])];
  const measured = counts.map((count) => readBandwidth(sizes, count));
  const [constantBandwidth, ...fresh] = sizes.map((_, i) => Math.max(...measured.map((speeds) => speeds[i]!)));
  return {
    peak: fmaPeak() * threads,
    constantBandwidth: constantBandwidth!,
    freshBandwidth: (bytes) =>
      fresh[
        Math.max(
          0,
          freshSizes.findLastIndex((size) => size < bytes),
        )
      ]!,
  };
}

export function floorSeconds(work: KernelWork, roofline: Roofline): number {
  const reading =
    work.constantBytes / (roofline.constantBandwidth * 1e9) +
    work.freshBytes / (roofline.freshBandwidth(work.freshBytes) * 1e9);
  return Math.max(work.flops / (roofline.peak * 1e9), reading);
}
