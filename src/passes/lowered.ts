// What lowering makes of a function: kernels in the order of their work, and the memory that they name.

import type { Value } from '../ir/graph.ts';
import { type Axis, axis, flatten, of } from '../ir/index-expr.ts';
import { type Buffer, type Kernel, load, type Stmt } from '../ir/kernel.ts';
import type { Step } from '../ir/steps.ts';
import { bytesPerElement } from '../ir/types.ts';
import { accessesOf, allIndices, axesIn } from './expr-rewrite.ts';
import type { Machine } from './machine.ts';

/** One kernel in the order of work. */
export interface KernelStep {
  readonly kind: 'kernel';
  readonly kernel: Kernel;
  /** Where the kernel does nothing but copy all of a buffer: the plan may put both in one place instead. */
  readonly copy: { readonly from: Buffer; readonly to: Buffer } | null;
}

export type LoweredStep = Step<KernelStep, Buffer>;

export interface Lowered {
  readonly steps: readonly LoweredStep[];
  /** Every global buffer of the kernels: the value it holds, or null for scratch between two kernels of one group. */
  readonly buffers: ReadonlyMap<Buffer, Value | null>;
  /** Of the function's own values and all constants. */
  readonly bufferOf: ReadonlyMap<Value, Buffer>;
  /** Buffers of weights and of constants that live in memory. */
  isConstant(buffer: Buffer): boolean;
}

/** The kernel of a body: the global buffers that it touches, and which numbers of the loops around it occur. */
export function kernelOf(
  body: readonly Stmt[],
  loops: readonly Axis[],
  described: Pick<Kernel, 'name' | 'summary' | 'sources' | 'flops'>,
): Kernel {
  const isGlobal = ({ buffer }: { buffer: Buffer }): boolean => buffer.space === 'global';
  const accesses = accessesOf(body);
  const [loads, stores] = [accesses.loads.filter(isGlobal), accesses.stores.filter(isGlobal)];
  const written = new Set(stores.map(({ buffer }) => buffer));
  const read = new Set(loads.map(({ buffer }) => buffer));
  const touched = [...new Set([...read, ...written])];
  const iterations = loops.length === 0 ? [] : axesIn(allIndices(body), loops);
  // Of a buffer from which each iteration takes a slice, it touches that alone.
  const slices = (buffer: Buffer): number => {
    const offsets = [...loads, ...stores].filter((access) => access.buffer === buffer).map(({ offset }) => offset);
    return axesIn(offsets, iterations).reduce((count, { extent }) => count * extent, 1);
  };
  const bytesOf = (buffer: Buffer): number =>
    (buffer.size * bytesPerElement[buffer.dtype]) / (iterations.length === 0 ? 1 : slices(buffer));
  return {
    ...described,
    parameters: touched.map((buffer) => ({
      buffer,
      access: !written.has(buffer) ? 'read' : read.has(buffer) ? 'readwrite' : 'write',
    })),
    iterations,
    body,
    bytes: touched.reduce((bytes, buffer) => bytes + bytesOf(buffer), 0),
  };
}

/** Copies all elements of a buffer to one of the same size; `shape`: with an axis for each dimension. */
export function copyStep(
  from: Buffer,
  to: Buffer,
  machine: Machine,
  shape: readonly number[] = [from.size],
): KernelStep {
  const axes = shape.map((extent) => axis('i', extent));
  const at = flatten(axes.map(of), shape);
  const store: Stmt = { kind: 'store', buffer: to, offset: at, value: load(from, at) };
  const body = machine.elementLoops(axes, [store], 1);
  const described = { name: 'copy', summary: 'copy', sources: [], flops: 0 };
  return { kind: 'kernel', kernel: kernelOf(body, [], described), copy: { from, to } };
}
