// Every primitive operation by name with its attributes: the first of the two halves of the operation table. The
// other half (src/ir/ops) gives each name its rules; the compiler refuses a table in which a name or rule is missing.
// Elementwise operations have no attributes; their names come from their records in src/ir/ops/unary.ts and binary.ts.

import type { Func } from './graph.ts';
import type { BinaryOperations } from './ops/binary.ts';
import type { UnaryOperations } from './ops/unary.ts';
import type { DType, Shape } from './types.ts';

/** Elementwise operations take their names from their records. */
export type UnaryOp = keyof UnaryOperations;
export type BinaryOp = keyof BinaryOperations;

// biome-ignore lint/complexity/noBannedTypes: an operation without attributes has exactly the empty object
export type NoAttrs = {};

/** Sliding windows over the last `window.length` axes of `[..., spatial]`. */
export interface WindowAttrs {
  readonly window: readonly number[];
  readonly strides: readonly number[];
  /** Cells added before and after each axis (never read: they hold the reduction's identity). */
  readonly padding: readonly (readonly [number, number])[];
  readonly dilation: readonly number[];
}

export type ReduceKind = 'sum' | 'prod' | 'max' | 'min' | 'and' | 'or';

type ElementwiseAttrs = { readonly [K in UnaryOp | BinaryOp]: NoAttrs };

export interface OpAttrs extends ElementwiseAttrs {
  /** A tensor known at compile time; `data` is row-major, or one element that fills the shape. */
  readonly constant: { readonly dtype: DType; readonly shape: Shape; readonly data: ArrayLike<number> };
  /** The index along `axis`, as a tensor. */
  readonly iota: { readonly dtype: DType; readonly shape: Shape; readonly axis: number };

  /**
   * `key u32[B.., 2]`, `data u32[B..]` → `u32[B.., shape..]`: element p of a key, row-major, is word p mod 4 of the block of Philox
   * 4x32-10 at the counter of four words, ⌊p/4⌋ added to the first and data to the third.
   */
  readonly randomBits: { readonly shape: Shape; readonly counter: readonly number[] };

  /** `(bool[S], T[S], T[S]) → T[S]` */
  readonly select: NoAttrs;
  /** Floats to integers saturate, NaN becomes 0; integers wrap. */
  readonly cast: { readonly dtype: DType };
  /** Operand axis i becomes axis `axes[i]` of `shape` (strictly increasing, equal dims); the other axes are new. */
  readonly broadcast: { readonly shape: Shape; readonly axes: readonly number[] };
  readonly reshape: { readonly shape: Shape };
  /** Result axis i is operand axis `permutation[i]`. */
  readonly transpose: { readonly permutation: readonly number[] };
  readonly slice: {
    readonly starts: readonly number[];
    readonly limits: readonly number[];
    readonly strides: readonly number[];
  };
  /** `low` and `high` cells around each axis (negative ones crop), `interior` cells between elements, filled with `value`. */
  readonly pad: {
    readonly low: readonly number[];
    readonly high: readonly number[];
    readonly interior: readonly number[];
    readonly value: number;
  };
  readonly reverse: { readonly axes: readonly number[] };
  readonly concat: { readonly axis: number };

  /**
   * `operand [B.., P.., N, S..]`, `indices [B.., I..]` (integers) → `[B.., P.., I.., S..]`, where B are the first
   * `batch` axes and N is at `axis`. Indices are clamped to [0, N−1].
   */
  readonly gather: { readonly axis: number; readonly batch: number };
  /**
   * The transpose of gather: `operand [B.., P.., N, S..]`, `indices [B.., I..]`, `updates [B.., P.., I.., S..]` →
   * operand with each update added at its index; indices outside [0, N−1] add nothing.
   */
  readonly scatterAdd: { readonly axis: number; readonly batch: number };

  /** Removes `axes`. sum/prod/max/min on numbers, and/or on bool. */
  readonly reduce: { readonly kind: ReduceKind; readonly axes: readonly number[] };
  /** Index (i32) of the first greatest or least element along `axis`, which is removed. NaN counts as greatest/least. */
  readonly argreduce: { readonly kind: 'max' | 'min'; readonly axis: number };
  readonly cumulative: {
    readonly kind: 'sum' | 'prod' | 'max' | 'min';
    readonly axis: number;
    readonly reverse: boolean;
    readonly exclusive: boolean;
  };
  /** Two results: values sorted along `axis` (stable; NaN last), and their old indices (i32). */
  readonly sort: { readonly axis: number; readonly descending: boolean };
  /** Two results: the `k` greatest along the last axis in descending order, and their indices (i32). */
  readonly topk: { readonly k: number };

  /** Batch axes first, then lhs free axes, then rhs free axes. Contracted and batch axes pair up in order. */
  readonly dot: {
    readonly contract: readonly [lhs: readonly number[], rhs: readonly number[]];
    readonly batch: readonly [lhs: readonly number[], rhs: readonly number[]];
  };
  /**
   * `lhs [N, G·C, S..]`, `rhs [G·O, C, K..]` → `[N, G·O, S'..]`: cross-correlation. `padding` counts cells of the
   * dilated lhs and may be negative; `lhsDilation` puts d−1 zeros between the elements of lhs, `rhsDilation` between taps.
   */
  readonly conv: {
    readonly strides: readonly number[];
    readonly padding: readonly (readonly [number, number])[];
    readonly lhsDilation: readonly number[];
    readonly rhsDilation: readonly number[];
    readonly groups: number;
  };

  readonly reduceWindow: WindowAttrs & { readonly kind: 'sum' | 'max' | 'min' };
  /** i32: which tap (row-major in the window) holds the window's first greatest or least element. */
  readonly windowArg: WindowAttrs & { readonly kind: 'max' | 'min' };
  /** `(x [..., S], tap i32 [..., S'])` → `[..., S']`: the window's element at the given tap; zero in padding. Linear in x. */
  readonly windowTake: WindowAttrs;
  /** The transpose of windowTake: `(dy [..., S'], tap i32 [..., S'])` → `[..., S]` where S is `spatial`. */
  readonly windowPut: WindowAttrs & { readonly spatial: readonly number[] };

  /** Applies a nested function to the operands; one result per result of the callee. */
  readonly call: { readonly callee: Func };
  /**
   * Operands and results as those of `callee`, with derivatives of its own: `jvp(operands.., results.., tangent of each
   * float operand..)` gives the tangent of each float result, `vjp(operands.., results.., cotangent of each float result..)` the
   * cotangent of each float operand. Null: there is none in that direction.
   */
  readonly custom: { readonly callee: Func; readonly jvp: Func | null; readonly vjp: Func | null };
  /** `(x, others..)` → x, in a place of the order in which the others are computed. */
  readonly after: NoAttrs;

  /**
   * Operands: constants.., first carries.., sequences `[length, ..]`..; `body(constants.., carries.., slices..)` gives the
   * next carries.., then slices of the outputs... Results: last carries.., outputs `[length, ..]`... With `reverse` it walks
   * from the last slice to the first, and outputs stand at their slice's place.
   */
  readonly scan: {
    readonly body: Func;
    readonly length: number;
    readonly reverse: boolean;
    /** How many operands all steps read as they are. */
    readonly consts: number;
    readonly carries: number;
    /** What reverse mode keeps of every step: what is costly to compute again, or the carries alone. */
    readonly residuals: 'keep' | 'recompute';
  };
  /**
   * Operands: constants.., first carries..; `condition(constants.., carries..)` gives bool[], `body(constants.., carries..)`
   * the next carries. Results: the carries when the condition is false, or after `limit` steps (null: without bound).
   */
  readonly while: {
    readonly condition: Func;
    readonly body: Func;
    readonly consts: number;
    readonly limit: number | null;
  };
  /** `(bool[], arguments..)`: what `then` gives of the arguments where the predicate is true, else `otherwise`; only that runs. */
  readonly cond: {
    readonly then: Func;
    readonly otherwise: Func;
    /** What reverse mode keeps of the one that ran: what is costly to compute again, or nothing. */
    readonly residuals: 'keep' | 'recompute';
  };
}

export type OpName = keyof OpAttrs;
