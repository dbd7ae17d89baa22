// The symbolic tensor: an immutable expression with its shape and dtype in its type. Nothing computes until a function
// of expressions is compiled. Operations broadcast as NumPy does and remember the user's line.

import type { Builder } from '../ir/builder.ts';
import { formatSource } from '../ir/errors.ts';
import type { Value } from '../ir/graph.ts';
import type { BinaryOp, ReduceKind, UnaryOp } from '../ir/opattrs.ts';
import { builder } from '../ir/ops/index.ts';
import { type DType, sameShape } from '../ir/types.ts';
import {
  type AxesArgument,
  axesOf,
  axisOf,
  broadcastShapes,
  checkFloat,
  checkNumber,
  checkType,
  describe,
  fail,
  refuse,
  resolveShape,
} from './checks.ts';
import { markCopy, otherCopy } from './copies.ts';
import type {
  Broadcast,
  Broadcastable,
  Flattened,
  HasAxes,
  HasPlace,
  MatMul,
  MatMulable,
  Permutable,
  Permuted,
  Plain,
  Reduced,
  Reshapable,
  Reversed,
  Shape,
  Stretchable,
} from './shape-types.ts';
import { callerPosition } from './source.ts';

// biome-ignore lint/suspicious/noExplicitAny: any tensor, whatever its type arguments; Tensor<Shape, DType> is not a supertype of all
export type AnyTensor = Tensor<any, any>;

/** A tensor of the same dtype, or a number that takes it. */
export type Operand<S extends Shape, D extends DType> = Tensor<S, D> | number;

export type ShapeOf<T> = T extends { readonly shape: infer S extends Shape } ? S : [];
/** S itself, in a form that the compiler prefers not to infer S from: a tensor's shape is what its property says. */
type Same<S extends Shape> = { [I in keyof S]: S[I] };
type BinaryShape<S extends Shape, T> = T extends number ? Same<S> : Broadcast<S, ShapeOf<T>>;
/** The argument of a binary operation: any tensor of dtype D that can be broadcast with S. */
export type Fits<S extends Shape, T> = T extends number ? unknown : Broadcastable<S, ShapeOf<T>>;

export interface ReduceOptions {
  /** Reduced axes stay with one element. Default false. */
  readonly keepDims?: boolean;
}
type Keeps<O> = O extends { readonly keepDims: true } ? true : false;

/** A builder whose nodes carry the user's line, and whose refusals name the function that the user called. */
export function here(callee?: string): Builder {
  return builder.at(callerPosition(), callee);
}

export class Tensor<S extends Shape = Shape, D extends DType = DType> {
  readonly value: Value;
  declare readonly shape: S;
  declare readonly dtype: D;
  constructor(value: Value) {
    this.value = value;
    this.shape = value.type.shape as unknown as S;
    this.dtype = value.type.dtype as D;
  }

  /** Number of axes. */
  get rank(): number {
    return this.shape.length;
  }

  /** `this + other`. Throws UserError where shapes do not broadcast or dtypes differ, as all binary operations do. */
  add<const T extends Operand<Shape, D>>(other: T & Fits<S, T>): Tensor<BinaryShape<S, T>, D> {
    return binary('add', this, other);
  }
  sub<const T extends Operand<Shape, D>>(other: T & Fits<S, T>): Tensor<BinaryShape<S, T>, D> {
    return binary('sub', this, other);
  }
  mul<const T extends Operand<Shape, D>>(other: T & Fits<S, T>): Tensor<BinaryShape<S, T>, D> {
    return binary('mul', this, other);
  }
  /** `this / other`; integers truncate, and x / 0 is 0. */
  div<const T extends Operand<Shape, D>>(other: T & Fits<S, T>): Tensor<BinaryShape<S, T>, D> {
    return binary('div', this, other);
  }
  /** The remainder of truncated division. */
  rem<const T extends Operand<Shape, D>>(other: T & Fits<S, T>): Tensor<BinaryShape<S, T>, D> {
    return binary('rem', this, other);
  }
  pow<const T extends Operand<Shape, D>>(other: T & Fits<S, T>): Tensor<BinaryShape<S, T>, D> {
    return binary('pow', this, other);
  }
  /** The angle of the point (other, this), in radians. */
  atan2<const T extends Operand<Shape, D>>(other: T & Fits<S, T>): Tensor<BinaryShape<S, T>, D> {
    return binary('atan2', this, other);
  }
  /** The greater of both, elementwise; NaN if either is. */
  maximum<const T extends Operand<Shape, D>>(other: T & Fits<S, T>): Tensor<BinaryShape<S, T>, D> {
    return binary('max', this, other, 'maximum');
  }
  minimum<const T extends Operand<Shape, D>>(other: T & Fits<S, T>): Tensor<BinaryShape<S, T>, D> {
    return binary('min', this, other, 'minimum');
  }
  /** Logical and of bools, bitwise and of integers. */
  and<const T extends Operand<Shape, D>>(other: T & Fits<S, T>): Tensor<BinaryShape<S, T>, D> {
    return binary('and', this, other);
  }
  or<const T extends Operand<Shape, D>>(other: T & Fits<S, T>): Tensor<BinaryShape<S, T>, D> {
    return binary('or', this, other);
  }
  xor<const T extends Operand<Shape, D>>(other: T & Fits<S, T>): Tensor<BinaryShape<S, T>, D> {
    return binary('xor', this, other);
  }
  shl<const T extends Operand<Shape, D>>(other: T & Fits<S, T>): Tensor<BinaryShape<S, T>, D> {
    return binary('shl', this, other);
  }
  shr<const T extends Operand<Shape, D>>(other: T & Fits<S, T>): Tensor<BinaryShape<S, T>, D> {
    return binary('shr', this, other);
  }
  eq<const T extends Operand<Shape, D>>(other: T & Fits<S, T>): Tensor<BinaryShape<S, T>, 'bool'> {
    return binary('eq', this, other);
  }
  ne<const T extends Operand<Shape, D>>(other: T & Fits<S, T>): Tensor<BinaryShape<S, T>, 'bool'> {
    return binary('ne', this, other);
  }
  lt<const T extends Operand<Shape, D>>(other: T & Fits<S, T>): Tensor<BinaryShape<S, T>, 'bool'> {
    return binary('lt', this, other);
  }
  le<const T extends Operand<Shape, D>>(other: T & Fits<S, T>): Tensor<BinaryShape<S, T>, 'bool'> {
    return binary('le', this, other);
  }
  gt<const T extends Operand<Shape, D>>(other: T & Fits<S, T>): Tensor<BinaryShape<S, T>, 'bool'> {
    return binary('gt', this, other);
  }
  ge<const T extends Operand<Shape, D>>(other: T & Fits<S, T>): Tensor<BinaryShape<S, T>, 'bool'> {
    return binary('ge', this, other);
  }

  neg(): Tensor<S, D> {
    return unary('neg', this);
  }
  abs(): Tensor<S, D> {
    return unary('abs', this);
  }
  sign(): Tensor<S, D> {
    return unary('sign', this);
  }
  floor(): Tensor<S, D> {
    return unary('floor', this);
  }
  ceil(): Tensor<S, D> {
    return unary('ceil', this);
  }
  /** The nearest integer, ties to even. */
  round(): Tensor<S, D> {
    return unary('round', this);
  }
  sqrt(): Tensor<S, D> {
    return unary('sqrt', this);
  }
  /** 1/√x. */
  rsqrt(): Tensor<S, D> {
    return unary('rsqrt', this);
  }
  square(): Tensor<S, D> {
    return new Tensor(here('square').mul(this.value, this.value));
  }
  exp(): Tensor<S, D> {
    return unary('exp', this);
  }
  expm1(): Tensor<S, D> {
    return unary('expm1', this);
  }
  log(): Tensor<S, D> {
    return unary('log', this);
  }
  log1p(): Tensor<S, D> {
    return unary('log1p', this);
  }
  sin(): Tensor<S, D> {
    return unary('sin', this);
  }
  cos(): Tensor<S, D> {
    return unary('cos', this);
  }
  tan(): Tensor<S, D> {
    return unary('tan', this);
  }
  /** Inverse sine, in radians. */
  asin(): Tensor<S, D> {
    return unary('asin', this);
  }
  /** Inverse cosine, in radians. */
  acos(): Tensor<S, D> {
    return unary('acos', this);
  }
  /** Inverse tangent, in radians. */
  atan(): Tensor<S, D> {
    return unary('atan', this);
  }
  sinh(): Tensor<S, D> {
    return unary('sinh', this);
  }
  cosh(): Tensor<S, D> {
    return unary('cosh', this);
  }
  tanh(): Tensor<S, D> {
    return unary('tanh', this);
  }
  asinh(): Tensor<S, D> {
    return unary('asinh', this);
  }
  acosh(): Tensor<S, D> {
    return unary('acosh', this);
  }
  atanh(): Tensor<S, D> {
    return unary('atanh', this);
  }
  sigmoid(): Tensor<S, D> {
    return unary('sigmoid', this);
  }
  /** log(1 + eˣ). */
  softplus(): Tensor<S, D> {
    return unary('softplus', this);
  }
  erf(): Tensor<S, D> {
    return unary('erf', this);
  }
  not(): Tensor<S, D> {
    return unary('not', this);
  }
  isNaN(): Tensor<S, 'bool'> {
    return unary('isnan', this, 'isNaN');
  }
  /** max(x, 0); NaN stays NaN, and the derivative at 0 is 0. */
  relu(): Tensor<S, D> {
    return unary('relu', this);
  }

  /** Floats to integers saturate and NaN becomes 0; integers wrap. */
  cast<const E extends DType>(dtype: E): Tensor<S, E> {
    checkType('cast', dtype, []);
    return new Tensor(here().castTo(this.value, dtype));
  }

  /** Sum over `axes` (default: all), counted from either end. */
  sum<const A extends AxesArgument = undefined, const O extends ReduceOptions = object>(
    axes?: A & HasAxes<S, A>,
    options?: O,
  ): Tensor<Reduced<S, A, Keeps<O>>, D> {
    return reduceAxes(this, 'sum', axes, options);
  }
  prod<const A extends AxesArgument = undefined, const O extends ReduceOptions = object>(
    axes?: A & HasAxes<S, A>,
    options?: O,
  ): Tensor<Reduced<S, A, Keeps<O>>, D> {
    return reduceAxes(this, 'prod', axes, options);
  }
  max<const A extends AxesArgument = undefined, const O extends ReduceOptions = object>(
    axes?: A & HasAxes<S, A>,
    options?: O,
  ): Tensor<Reduced<S, A, Keeps<O>>, D> {
    return reduceAxes(this, 'max', axes, options);
  }
  min<const A extends AxesArgument = undefined, const O extends ReduceOptions = object>(
    axes?: A & HasAxes<S, A>,
    options?: O,
  ): Tensor<Reduced<S, A, Keeps<O>>, D> {
    return reduceAxes(this, 'min', axes, options);
  }
  /** True where all elements are; bool only. */
  all<const A extends AxesArgument = undefined, const O extends ReduceOptions = object>(
    axes?: A & HasAxes<S, A>,
    options?: O,
  ): Tensor<Reduced<S, A, Keeps<O>>, D> {
    return reduceAxes(this, 'and', axes, options, 'all');
  }
  any<const A extends AxesArgument = undefined, const O extends ReduceOptions = object>(
    axes?: A & HasAxes<S, A>,
    options?: O,
  ): Tensor<Reduced<S, A, Keeps<O>>, D> {
    return reduceAxes(this, 'or', axes, options, 'any');
  }
  /** Arithmetic mean; floats only. */
  mean<const A extends AxesArgument = undefined, const O extends ReduceOptions = object>(
    axes?: A & HasAxes<S, A>,
    options?: O,
  ): Tensor<Reduced<S, A, Keeps<O>>, D> {
    return meanOver(this, axes, options);
  }
  /** Mean of squared deviations (divisor N). */
  variance<const A extends AxesArgument = undefined, const O extends ReduceOptions = object>(
    axes?: A & HasAxes<S, A>,
    options?: O,
  ): Tensor<Reduced<S, A, Keeps<O>>, D> {
    const centre = meanOver(this, axes, { keepDims: true }, 'variance');
    const b = here('variance');
    const deviation = b.sub(this.value, b.broadcastTo(centre.value, this.value.type.shape));
    return meanOver(new Tensor(b.mul(deviation, deviation)), axes, options, 'variance');
  }

  /** Position (i32) of the first greatest element along an axis. */
  argmax<const A extends number>(axis: A & HasAxes<S, A>): Tensor<Reduced<S, A, false>, 'i32'> {
    return new Tensor(here('argmax').argreduce(this.value, { kind: 'max', axis: axisOf('argmax', this, axis) }));
  }
  argmin<const A extends number>(axis: A & HasAxes<S, A>): Tensor<Reduced<S, A, false>, 'i32'> {
    return new Tensor(here('argmin').argreduce(this.value, { kind: 'min', axis: axisOf('argmin', this, axis) }));
  }

  /** Matrix product with NumPy's rules: `[.., M, K] · [.., K, N] → [.., M, N]`; vectors lose their axis. */
  matmul<const T extends Tensor<Shape, D>>(other: T & MatMulable<S, ShapeOf<T>>): Tensor<MatMul<S, ShapeOf<T>>, D> {
    return new Tensor(matmulValues(this, other as AnyTensor));
  }

  /** The same elements under another shape; one dimension may be −1. */
  reshape<const T extends readonly number[]>(
    shape: T & Reshapable<S, T>,
  ): Tensor<{ -readonly [I in keyof T]: T[I] extends -1 ? number : T[I] }, D> {
    return new Tensor(here().reshape(this.value, { shape: resolveShape(this, shape) }));
  }
  /** Axes from `from` on become one. */
  flatten<const F extends number = 0>(axis?: F & HasPlace<S, F>): Tensor<Flattened<S, F>, D> {
    const from = axis ?? 0;
    const { shape } = this.value.type;
    const start = from === shape.length ? from : axisOf('flatten', this, from);
    const size = shape.slice(start).reduce((product, dim) => product * dim, 1);
    return new Tensor(here().reshape(this.value, { shape: [...shape.slice(0, start), size] }));
  }
  /** Axes in another order: result axis i is axis `permutation[i]`. Default: reversed. */
  transpose(): Tensor<Reversed<S>, D>;
  transpose<const P extends readonly number[]>(permutation: P & Permutable<S, P>): Tensor<Permuted<S, P>, D>;
  transpose(permutation?: readonly number[]): AnyTensor {
    const order =
      permutation?.map((axis) => axisOf('transpose', this, axis)) ??
      this.value.type.shape.map((_, axis) => this.rank - 1 - axis);
    return new Tensor(here().transpose(this.value, { permutation: order }));
  }
  /** The transposed tensor: axes reversed. */
  get T(): Tensor<Reversed<S>, D> {
    return this.transpose();
  }
  broadcastTo<const T extends readonly number[]>(shape: T & Stretchable<S, T>): Tensor<Plain<T>, D> {
    const from = this.value.type.shape;
    checkType('broadcastTo', this.dtype, shape);
    const fits =
      from.length <= shape.length && from.every((dim, i) => dim === 1 || dim === shape[i + shape.length - from.length]);
    if (!fits) refuse('broadcastTo', [this], `axes of one element expected where [${shape}] differs from it`);
    return new Tensor(here().broadcastTo(this.value, shape));
  }

  /** The expression in the text form's spelling of its type; `format` prints the whole expression. */
  toString(): string {
    const { producer } = this.value;
    return `Tensor(${describe(this)}${producer?.source ? ` at ${formatSource(producer.source)}` : ''})`;
  }
}

markCopy(Tensor.prototype);

export function unary<T extends AnyTensor>(op: UnaryOp, x: AnyTensor, callee: string = op): T {
  return new Tensor(here(callee)[op](x.value)) as unknown as T;
}

/** Refuses what is no tensor, which only callers without types can pass. */
export function expectTensor(callee: string, given: unknown, expected = 'a tensor'): void {
  if (!(given instanceof Tensor))
    fail(`${callee}: ${otherCopy(given) ?? `${expected} expected, ${given === null ? 'null' : typeof given} given`}`);
}

export function binary<T extends AnyTensor>(
  op: BinaryOp,
  x: AnyTensor,
  other: AnyTensor | number,
  callee: string = op,
): T {
  const b = here(callee);
  if (typeof other === 'number') {
    checkNumber(`${callee}(${describe(x)}, ${other})`, x.value.type.dtype, other);
    return new Tensor(b[op](x.value, b.like(x.value, other))) as unknown as T;
  }
  expectTensor(`${callee}(${describe(x)}, ..)`, other, 'a tensor or a number');
  if (x.value.type.dtype !== other.value.type.dtype)
    refuse(
      callee,
      [x, other],
      `operands of one dtype expected; cast one of them, for example with .cast('${x.value.type.dtype}')`,
    );
  const shape = broadcastShapes(x.value.type.shape, other.value.type.shape);
  if (shape === null)
    refuse(callee, [x, other], 'shapes that broadcast expected: aligned at the last axis, dimensions equal or 1');
  return new Tensor(b[op](b.broadcastTo(x.value, shape), b.broadcastTo(other.value, shape))) as unknown as T;
}

export function reduceAxes<T extends AnyTensor>(
  x: AnyTensor,
  kind: ReduceKind,
  axes: AxesArgument,
  options: ReduceOptions = {},
  callee: string = kind,
): T {
  const b = here(callee);
  const resolved = axesOf(callee, x, axes);
  const reduced = b.reduce(x.value, { kind, axes: resolved });
  if (options.keepDims !== true) return new Tensor(reduced) as unknown as T;
  const shape = x.value.type.shape.map((dim: number, axis: number) => (resolved.includes(axis) ? 1 : dim));
  return new Tensor(b.reshape(reduced, { shape })) as unknown as T;
}

function meanOver<T extends AnyTensor>(
  x: AnyTensor,
  axes: AxesArgument,
  options: ReduceOptions = {},
  callee = 'mean',
): T {
  const { shape } = x.value.type;
  checkFloat(callee, x);
  const sum = reduceAxes(x, 'sum', axes, options, callee);
  const count = axesOf(callee, x, axes).reduce((product, axis) => product * shape[axis]!, 1);
  return binary('div', sum, count);
}

function matmulValues(x: AnyTensor, y: AnyTensor): Value {
  expectTensor(`matmul(${describe(x)}, ..)`, y);
  const b = here('matmul');
  const [a, c] = [x.value.type.shape, y.value.type.shape];
  if (x.value.type.dtype !== y.value.type.dtype)
    refuse('matmul', [x, y], 'operands of one dtype expected; cast one of them');
  if (a.length === 0 || c.length === 0) refuse('matmul', [x, y], 'at least one axis on both sides expected');
  const inner = c.length === 1 ? 0 : c.length - 2;
  if (a[a.length - 1] !== c[inner]) {
    refuse(
      'matmul',
      [x, y],
      `the last axis of the first (${a[a.length - 1]}) must equal ${c.length === 1 ? 'the length' : 'the last but one axis'} of the second (${c[inner]})`,
    );
  }
  const [lead, tail] = [a.slice(0, -2), c.slice(0, -2)];
  if (tail.length === 0) return b.dot(x.value, y.value, { contract: [[a.length - 1], [inner]], batch: [[], []] });
  const batch = broadcastShapes(lead, tail);
  if (batch === null) refuse('matmul', [x, y], `batch axes that broadcast expected, [${lead}] and [${tail}] given`);
  const stretched = (value: Value, shape: Shape): Value => {
    const wanted = [...batch, ...shape.slice(-2)];
    return sameShape(shape, wanted) ? value : b.broadcastTo(value, wanted);
  };
  const axes = batch.map((_, i) => i);
  const rhs = stretched(y.value, c);
  if (a.length === 1) {
    const spread = b.broadcastTo(x.value, [...batch, a[0]!]);
    return b.dot(spread, rhs, { contract: [[batch.length], [batch.length]], batch: [axes, axes] });
  }
  return b.dot(stretched(x.value, a), rhs, { contract: [[batch.length + 1], [batch.length]], batch: [axes, axes] });
}
