// A kind of machine, as lowering sees it: how a fused group becomes kernels, and how memory is laid out for them.

import type { Axis } from '../ir/index-expr.ts';
import type { Buffer, Stmt } from '../ir/kernel.ts';
import type { Program } from '../ir/program.ts';
import type { Loop, LoopForm } from '../ir/steps.ts';
import type { DType } from '../ir/types.ts';
import type { KernelBody, LoweringContext } from './group.ts';
import type { KernelStep, LoweredStep } from './lowered.ts';

export interface Machine {
  /** True where a convolution over a spread image is better as a graph of plain ones (phases.ts) than as one contraction. */
  readonly splitsPhases: boolean;
  /** True where so many rows of a length are better one group by rows (row-groups.ts) than a group for each step. */
  rowsPay(length: number, count: number): boolean;
  /** True where attention over so many elements is one group (attention.ts) instead of three; `isSoftmax`: keys may come in tiles. */
  attentionPays(queries: number, keys: number, depth: number, channels: number, isSoftmax: boolean): boolean;
  /** True where a contraction is better computed by the group that reads its results `window` at a time (windows.ts). */
  windowPays(window: number, problem: WindowedProblem): boolean;
  /** True where each workgroup of a contraction may compute all of an operand, of so many values of so much work, itself. */
  operandPays(values: number, work: number, problem: WindowedProblem): boolean;
  /** The kernels of one fused group, in order. */
  lowerGroup(context: LoweringContext): readonly KernelBody[];
  /** Runs a body for every element of some axes; `work` is the cost of one element in additions. */
  elementLoops(axes: readonly Axis[], body: readonly Stmt[], work: number): Stmt[];
  readonly memory: MemoryRules;
  /** True where copies of carries at the end of iterations are worth avoiding (swap-carries.ts). */
  readonly swapsCarries: boolean;
  /** True for what lowers to phases of a loop's kernel. */
  readonly isPhases: boolean;
  /** Loops as one kernel each; null where none is. */
  readonly loopKernels: LoopKernels | null;
  /** The last pass over a planned program. */
  finish(program: Program): Program;
}

/** How a machine makes one kernel of a loop. */
export interface LoopKernels {
  /** Lowers what is in such a loop to phases: parallel loops around elements, one kernel step each. */
  readonly phases: Machine;
  /** Null where it is better a loop of the program. */
  choose(loop: LoopInPhases): LoopForm | null;
  /** The kernel of a loop that has a form. */
  kernel(loop: Loop<KernelStep, Buffer>, form: LoopForm): KernelStep;
}

export interface LoopInPhases {
  readonly name: string;
  /** What fills the carries, the loop, and what stores its results. */
  readonly steps: readonly LoweredStep[];
  /** Where results go. */
  readonly results: ReadonlySet<Buffer>;
  /** The carries' first extents. */
  readonly rows: ReadonlySet<number>;
  /** Kernels that it would take otherwise, each as often as it runs. */
  readonly dispatches: number;
}

/** The extents of a contraction: `windowed` is the side of which windows are made, `others` the other one. */
export interface WindowedProblem {
  readonly batch: number;
  readonly windowed: number;
  readonly others: number;
  readonly inner: number;
  readonly dtype: DType;
}

export interface MemoryRules {
  /** Every offset in the arena and in the prepared block is a multiple of this. */
  readonly alignment: number;
  /** Bytes that an element takes in the memory of kernels. */
  readonly bytesPerElement: Readonly<Record<DType, number>>;
}
