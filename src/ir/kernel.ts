// The Kernel: one fused loop nest over scalar expressions. C, WGSL and JavaScript are printed from this form; which
// axis is parallel, vectorised or unrolled is a schedule's decision and stands here as data. An interpreter
// (kernel-interpreter.ts) runs every kind of axis, so that most of it is tested without a compiler.

import type { SourcePosition } from './errors.ts';
import type { Axis, IndexExpr } from './index-expr.ts';
import type { DType } from './types.ts';

/** Scalar functions that cost as much as ten additions or more. */
export const slowOps = [
  'exp',
  'expm1',
  'log',
  'log1p',
  'sin',
  'cos',
  'tan',
  'asin',
  'acos',
  'atan',
  'sinh',
  'cosh',
  'tanh',
  'asinh',
  'acosh',
  'atanh',
  'erf',
  'pow',
  'atan2',
  'rem',
  'philox',
] as const;

/**
 * Scalar functions that every printer spells. Graph operations are written in terms of these. `dot4` is none of them: the sum of
 * four products of the bytes of an i32 without sign by those of another with sign, which only kernels in C have.
 */
export const scalarOps = [
  'neg',
  'abs',
  'sign',
  'floor',
  'ceil',
  'round',
  'sqrt',
  'not',
  'add',
  'sub',
  'mul',
  'div',
  'max',
  'min',
  'and',
  'or',
  'xor',
  'shl',
  'shr',
  'eq',
  'ne',
  'lt',
  'le',
  'gt',
  'ge',
  'dot4',
  ...slowOps,
] as const;
export type ScalarOp = (typeof scalarOps)[number];

/** How partial results combine. argmax and argmin keep the first position of the best value. */
export type Monoid = 'sum' | 'prod' | 'max' | 'min' | 'and' | 'or';

/** Where a buffer lives: the program's memory, one iteration's stack or workgroup, or registers (fully unrolled access). */
export type BufferSpace = 'global' | 'stack' | 'shared' | 'register';

export interface Buffer {
  readonly name: string;
  readonly dtype: DType;
  /** In elements. */
  readonly size: number;
  readonly space: BufferSpace;
}

/** A scalar (or, after vectorisation, a vector of `lanes`) held in a register. */
export interface Local {
  readonly name: string;
  readonly dtype: DType;
  readonly lanes: number;
}

export type Expr =
  | { readonly kind: 'literal'; readonly dtype: DType; readonly value: number }
  | { readonly kind: 'index'; readonly dtype: 'i32'; readonly value: IndexExpr }
  | {
      readonly kind: 'load';
      readonly dtype: DType;
      readonly buffer: Buffer;
      readonly offset: IndexExpr;
      readonly lanes: number;
    }
  | { readonly kind: 'local'; readonly dtype: DType; readonly local: Local }
  | { readonly kind: 'apply'; readonly dtype: DType; readonly op: ScalarOp; readonly args: readonly Expr[] }
  | { readonly kind: 'cast'; readonly dtype: DType; readonly value: Expr }
  /** Lazy: only the chosen branch is evaluated, so a branch may guard an access. */
  | {
      readonly kind: 'select';
      readonly dtype: DType;
      readonly condition: Expr;
      readonly then: Expr;
      readonly otherwise: Expr;
    }
  /** One scalar in every lane. */
  | { readonly kind: 'splat'; readonly dtype: DType; readonly value: Expr; readonly lanes: number }
  /** Scalars side by side. */
  | { readonly kind: 'vector'; readonly dtype: DType; readonly elements: readonly Expr[] }
  /** One lane of a vector. */
  | { readonly kind: 'component'; readonly dtype: DType; readonly value: Expr; readonly lane: number };

/** Four bytes that lie together, the first the lowest of an i32. */
export function loadWord(buffer: Buffer, offset: IndexExpr): LoadExpr {
  return { kind: 'load', dtype: 'i32', buffer, offset, lanes: 1 };
}

/** True where a load takes four bytes as a word. */
export const isWord = ({ dtype, buffer }: LoadExpr): boolean => dtype === 'i32' && buffer.dtype === 'u8';

/** A scalar or vector read from memory. */
export type LoadExpr = Extract<Expr, { kind: 'load' }>;

export type AxisKind = 'serial' | 'parallel' | 'vector' | 'unroll' | 'workgroup' | 'invocation';

export type Stmt =
  | { readonly kind: 'loop'; readonly axis: Axis; readonly axisKind: AxisKind; readonly body: readonly Stmt[] }
  /** Names a value; never assigned again. */
  | { readonly kind: 'let'; readonly local: Local; readonly value: Expr }
  /** Declares a mutable register with its first value. */
  | { readonly kind: 'accumulator'; readonly local: Local; readonly initial: Expr }
  /** `local = local ⊕ value` */
  | { readonly kind: 'accumulate'; readonly local: Local; readonly monoid: Monoid; readonly value: Expr }
  /** `local = value` */
  | { readonly kind: 'assign'; readonly local: Local; readonly value: Expr }
  | { readonly kind: 'store'; readonly buffer: Buffer; readonly offset: IndexExpr; readonly value: Expr }
  /** `buffer[offset] = buffer[offset] ⊕ value` */
  | {
      readonly kind: 'update';
      readonly buffer: Buffer;
      readonly offset: IndexExpr;
      readonly monoid: Monoid;
      readonly value: Expr;
    }
  /** A stack, shared or register buffer, alive to the end of the enclosing block; its contents are undefined. */
  | { readonly kind: 'allocate'; readonly buffer: Buffer }
  | {
      readonly kind: 'if';
      readonly condition: Expr;
      readonly then: readonly Stmt[];
      readonly otherwise: readonly Stmt[];
    }
  /**
   * Independent tasks, one for every combination of indices, which threads share in any order, `grain` of them at a time;
   * a single task where there are no axes. Only at the top of a kernel's body, where all threads walk it.
   */
  | {
      readonly kind: 'tasks';
      readonly axes: readonly Axis[];
      readonly grain: number;
      readonly body: readonly Stmt[];
    }
  /**
   * All invocations of a workgroup meet here. At the top of a kernel's body: what stands before is over. Statements at the
   * top that no barrier separates do not depend on one another, unless one names a local or stack buffer of the other.
   */
  | { readonly kind: 'barrier' }
  /** `local` = the values of all invocations of a subgroup, combined; all of them come here together. Names the result. */
  | { readonly kind: 'subgroup'; readonly local: Local; readonly monoid: Monoid; readonly value: Expr }
  /** `local` = an element of memory that the workgroup shares: all invocations meet here, and all get the same. */
  | { readonly kind: 'uniform'; readonly local: Local; readonly buffer: Buffer; readonly offset: IndexExpr }
  /** Leaves the loop around where the condition is false, which is the same for all invocations of a workgroup. */
  | { readonly kind: 'leave'; readonly condition: Expr }
  /** Statements with what they compute and the user's lines, for a comment: a kernel made of several has one for each. */
  | {
      readonly kind: 'part';
      readonly summary: string;
      readonly sources: readonly SourcePosition[];
      readonly body: readonly Stmt[];
    };

/**
 * Where an invocation stands: among the subgroups of its workgroup (some number of invocations, 4 to 128 of them, that a device
 * runs together and that combine values without memory), and in its own. They have values in every kernel for a GPU.
 */
export const subgroupPlace = {
  id: { name: 'subgroup', dtype: 'i32', lanes: 1 },
  count: { name: 'subgroups', dtype: 'i32', lanes: 1 },
  lane: { name: 'subgroup_lane', dtype: 'i32', lanes: 1 },
  size: { name: 'subgroup_size', dtype: 'i32', lanes: 1 },
} as const satisfies Readonly<Record<string, Local>>;

export interface KernelParameter {
  readonly buffer: Buffer;
  readonly access: 'read' | 'write' | 'readwrite';
}

export interface Kernel {
  readonly name: string;
  readonly parameters: readonly KernelParameter[];
  /** The numbers of the program's loops around it that the body reads, outermost first; empty outside of loops. */
  readonly iterations: readonly Axis[];
  readonly body: readonly Stmt[];
  /** What it computes, for a comment: the graph operations fused into it. */
  readonly summary: string;
  readonly sources: readonly SourcePosition[];
  /** Floating-point operations and bytes touched once, for cost models and summaries. */
  readonly flops: number;
  readonly bytes: number;
}

export function literal(dtype: DType, value: number): Expr {
  return { kind: 'literal', dtype, value };
}

/** One scalar in all lanes of a vector; the scalar itself where there is one lane. */
export function splat(value: Expr, lanes: number): Expr {
  return lanes === 1 ? value : { kind: 'splat', dtype: value.dtype, value, lanes };
}

export function localValue(local: Local): Expr {
  return { kind: 'local', dtype: local.dtype, local };
}

export function indexValue(value: IndexExpr): Expr {
  return { kind: 'index', dtype: 'i32', value };
}

const boolOps: ReadonlySet<ScalarOp> = new Set(['eq', 'ne', 'lt', 'le', 'gt', 'ge']);

/** Applies a scalar operation; comparisons give bool, all others the dtype of the first argument. */
export function apply(op: ScalarOp, ...args: readonly Expr[]): Expr {
  return { kind: 'apply', dtype: boolOps.has(op) ? 'bool' : args[0]!.dtype, op, args };
}

export function castTo(dtype: DType, value: Expr): Expr {
  return value.dtype === dtype ? value : { kind: 'cast', dtype, value };
}

export function choose(condition: Expr, then: Expr, otherwise: Expr): Expr {
  if (condition.kind === 'literal') return condition.value !== 0 ? then : otherwise;
  return { kind: 'select', dtype: then.dtype, condition, then, otherwise };
}

export function load(buffer: Buffer, offset: IndexExpr): Expr {
  return { kind: 'load', dtype: buffer.dtype, buffer, offset, lanes: 1 };
}

export function lanesOf(expr: Expr): number {
  switch (expr.kind) {
    case 'literal':
    case 'index':
      return 1;
    case 'load':
    case 'splat':
      return expr.lanes;
    case 'local':
      return expr.local.lanes;
    case 'vector':
      return expr.elements.length;
    case 'component':
      return 1;
    case 'cast':
      return lanesOf(expr.value);
    case 'apply':
      return Math.max(...expr.args.map(lanesOf));
    case 'select':
      return Math.max(lanesOf(expr.condition), lanesOf(expr.then), lanesOf(expr.otherwise));
  }
}
