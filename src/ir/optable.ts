// What an entry of the operation table holds. An operation has one home: its documentation, type rule, reference
// evaluation, derivatives and lowering stand together in one entry in src/ir/ops/, and everything else (builder,
// text form, verifier, evaluator, differentiation, lowering, docs, tests) walks the table.

import type { Builder } from './builder.ts';
import type { Func, Node, Value } from './graph.ts';
import type { Axis, IndexExpr } from './index-expr.ts';
import type { Buffer, Expr, Monoid, Stmt } from './kernel.ts';
import type { NdArray } from './ndarray.ts';
import type { OpAttrs, OpName } from './opattrs.ts';
import type { TensorType } from './types.ts';

/** The differentiation that calls a rule, for what is nested in a node. */
export interface NestedRules {
  readonly table: OpTable;
  /** Σ ∂output/∂wrtᵢ · tangentᵢ for every output; null where it does not depend on any. */
  jvp(outputs: readonly Value[], wrt: readonly Value[], tangents: readonly Value[]): (Value | null)[];
}

export interface ReverseRules {
  readonly table: OpTable;
  /** Which operands' cotangents are asked for. */
  readonly wanted: readonly boolean[];
  /** Σ cotangentᵢ · ∂outputᵢ/∂wrt for every wrt; null where there is none. */
  vjp(outputs: readonly Value[], cotangents: readonly (Value | null)[], wrt: readonly Value[]): (Value | null)[];
  /** Which outputs depend on any of `wrt` through floats. */
  varying(outputs: readonly Value[], wrt: readonly Value[]): boolean[];
}

/** Tangents of the operands (null: zero) → tangents of the results. `'zero'`: the results do not vary. */
export type JvpRule<K extends OpName> =
  | 'zero'
  | ((
      b: Builder,
      node: Node<K>,
      tangents: readonly (Value | null)[],
      nested: NestedRules,
    ) => readonly (Value | null)[]);

/** Cotangents of the results (null: zero, at least one is not) → cotangents of the operands, null where there is none. */
export type VjpRule<K extends OpName> =
  | 'zero'
  | ((
      b: Builder,
      node: Node<K>,
      cotangents: readonly (Value | null)[],
      rules: ReverseRules,
    ) => readonly (Value | null)[]);

/** A node's operands where some carry a new leading axis of `size` elements, at least one. */
export interface BatchedOperands {
  readonly values: readonly Value[];
  /** Which of them carry the axis; the others are what they were. */
  readonly batched: readonly boolean[];
  readonly size: number;
  /** A nested function on parameters of which some carry the axis; results in `carry` carry it even where they do not vary. */
  func(callee: Func, batched: readonly boolean[], carry?: readonly boolean[]): BatchedFunc;
}

export interface BatchedFunc {
  readonly func: Func;
  /** Which results carry the axis. */
  readonly batched: readonly boolean[];
}

/**
 * The results that a node has for every index of the new axis: each with the axis in front, or of the node's own type
 * where it is the same for all. `'never'`: the operation has no operands.
 */
export type BatchRule<K extends OpName> =
  | 'never'
  | ((b: Builder, node: Node<K>, operands: BatchedOperands) => readonly Value[]);

/** What lowering offers to an operation's rule: its operands as scalars at any index. */
export interface ElementContext {
  /** Operand `position` at `indices`, one index per axis: a load, or the producer's expression where it is fused. */
  operand(position: number, indices: readonly IndexExpr[]): Expr;
}

/** A contraction Σ over `inner` of lhs·rhs; every axis is fresh. lhs varies with batch, rows, inner; rhs with batch, columns, inner. */
export interface ContractionForm {
  readonly batch: readonly Axis[];
  readonly rows: readonly Axis[];
  readonly columns: readonly Axis[];
  readonly inner: readonly Axis[];
  lhs(s: ElementContext): Expr;
  rhs(s: ElementContext): Expr;
  /**
   * The result's index, one per axis of the result, in terms of batch, rows and columns. Where one may lie beyond the
   * result's shape, there is nothing to store.
   */
  readonly result: readonly IndexExpr[];
  /** Where rhs is a window over a padded array: rhs is `element` at `index`. */
  readonly window?: PaddedWindow;
}

/** An operand with its padding and the zeros between its elements, as an array of its own. */
export interface PaddedWindow {
  readonly shape: readonly number[];
  element(s: ElementContext, index: readonly IndexExpr[]): Expr;
  /** Where the contraction reads it: linear in the contraction's axes. */
  readonly index: readonly IndexExpr[];
  /** The axis that a copy may put side by side: channels. */
  readonly channels?: number;
}

/** Results as buffers for operations that write their own loop nest. */
export interface NestContext extends ElementContext {
  readonly results: readonly Buffer[];
  readonly machine: NestMachine;
}

/** What the form of such a nest depends on. */
export interface NestMachine {
  /** True where a task may run vector lanes inside its own loops; on a GPU the tasks are the lanes. */
  readonly lanes: boolean;
  /** Parallel tasks without which the machine idles. */
  readonly tasks: number;
}

export type Lowering<K extends OpName> =
  /** Any element of the one result by its index. `cost`: free moves or renames elements only; cheap is a few instructions. */
  | {
      readonly class: 'element';
      readonly cost: 'free' | 'cheap' | 'expensive';
      readonly element: (s: ElementContext, index: readonly IndexExpr[], node: Node<K>) => Expr;
    }
  /**
   * The one result's element is a monoid over extra axes of these extents. `position` makes it an arg-reduction: the
   * result is the row-major position (i32) of the first max or min in the reduced axes.
   */
  | {
      readonly class: 'reduction';
      readonly extents: (node: Node<K>) => readonly number[];
      readonly monoid: (node: Node<K>) => Monoid;
      readonly position: boolean;
      readonly element: (
        s: ElementContext,
        index: readonly IndexExpr[],
        reduced: readonly IndexExpr[],
        node: Node<K>,
      ) => Expr;
    }
  | { readonly class: 'contraction'; readonly form: (node: Node<K>) => ContractionForm }
  /** The operation's own loops, outermost parallel where it can be. */
  | { readonly class: 'nest'; readonly nest: (s: NestContext, node: Node<K>) => readonly Stmt[] }
  /** Runs nested functions, as steps of the program. */
  | { readonly class: 'loop' }
  /** Replaced by other operations before lowering. */
  | { readonly class: 'expanded' };

/** Evaluates a function, one array per parameter. */
export type ApplyFunc = (func: Func, operands: readonly NdArray[]) => readonly NdArray[];

export interface OpDef<K extends OpName> {
  /** One or two sentences for the reference page. */
  readonly doc: string;
  /** The result types. Throws TypeMismatch with a sentence that names expected and given. */
  readonly infer: (operands: readonly TensorType[], attrs: OpAttrs[K]) => readonly TensorType[];
  /** The float64 reference. `results` are the inferred types; `apply` evaluates nested functions. */
  readonly evaluate: (
    operands: readonly NdArray[],
    attrs: OpAttrs[K],
    results: readonly TensorType[],
    apply: ApplyFunc,
  ) => readonly NdArray[];
  readonly jvp: JvpRule<K>;
  readonly vjp: VjpRule<K>;
  readonly batch: BatchRule<K>;
  readonly lowering: Lowering<K>;
  /**
   * Functions in text form for the table-walking tests: between them they reach every branch of the rules. `domain` is
   * the interval that float operands are drawn from (default [−2, 2]) where the operation is smooth.
   */
  readonly examples: readonly OpExample[];
}

export interface OpExample {
  readonly text: string;
  readonly domain?: readonly [number, number];
  /** False where finite differences mean nothing (a step, an integer result). Default true for float results. */
  readonly differentiable?: boolean;
}

/** Thrown by type rules; the builder adds the operation's name, operand names and the user's line. */
export class TypeMismatch extends Error {}

/** The second half of the operation table: total, so a missing entry does not compile. */
export type OpTable = { readonly [K in OpName]: OpDef<K> };
