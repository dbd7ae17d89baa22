// Functions of tensors that are not methods: choosing, joining, cutting, indexing, sorting, softmax.

import type { Value } from '../ir/graph.ts';
import type { UnaryOp } from '../ir/opattrs.ts';
import { takeAlong as takeAlongValues } from '../ir/ops/reduce.ts';
import { type DType, sameType } from '../ir/types.ts';
import {
  type AxesArgument,
  axesOf,
  axisOf,
  broadcastShapes,
  checkFloat,
  checkIndices,
  checkNumber,
  checkType,
  fail,
  refuse,
} from './checks.ts';
import type {
  Broadcast,
  ConcatAll,
  Concatenable,
  HasAxes,
  HasPlace,
  Inserted,
  OpenDims,
  Reduced,
  Replaced,
  Shape,
  ShapeError,
  Spliced,
  Squeezed,
} from './shape-types.ts';
import {
  type AnyTensor,
  binary,
  expectTensor,
  type Fits,
  here,
  reduceAxes,
  type ShapeOf,
  Tensor,
  unary,
} from './tensor.ts';

/**
 * Any unary elementwise operation of the operation table by its name: `elementwise('tanh', x)` is `x.tanh()`. Throws
 * UserError where the operation has no such dtype.
 */
export function elementwise<Op extends UnaryOp, S extends Shape, D extends DType>(
  op: Op,
  x: Tensor<S, D>,
): Tensor<S, Op extends 'isnan' ? 'bool' : D> {
  return unary(op, x);
}

/** x as a constant for derivatives: a target, a baseline, a shift that cancels. */
export function stopGradient<S extends Shape, D extends DType>(x: Tensor<S, D>): Tensor<S, D> {
  return unary('stopGradient', x);
}

type ChosenShape<C extends Shape, X, Y> =
  Broadcast<C, ShapeOf<X>> extends infer S extends Shape ? Broadcast<S, ShapeOf<Y>> : never;
type ChosenDType<X, Y> = X extends Tensor<Shape, infer D> ? D : Y extends Tensor<Shape, infer D> ? D : never;
type SameDType<X, Y> = X extends AnyTensor
  ? Y extends AnyTensor
    ? Y['dtype'] extends X['dtype']
      ? unknown
      : ShapeError<`where: values of ${X['dtype']} and ${Y['dtype']}; cast one of them`>
    : unknown
  : unknown;

/** Elements of `then` where the condition is true, else of `otherwise`; all three broadcast. */
export function where<C extends Shape, const X extends AnyTensor | number, const Y extends AnyTensor | number>(
  condition: Tensor<C, 'bool'>,
  then: X & Fits<C, X>,
  otherwise: Y & Fits<Broadcast<C, ShapeOf<X>>, Y> & SameDType<X, Y>,
): Tensor<ChosenShape<C, X, Y>, ChosenDType<X, Y>> {
  const b = here('where');
  const branches: readonly (AnyTensor | number)[] = [then as X, otherwise as Y];
  const sample = branches.find((branch): branch is AnyTensor => typeof branch !== 'number');
  if (sample === undefined) fail('where: at least one of the two values must be a tensor, so that its dtype is known');
  for (const tensor of [condition, ...branches])
    if (typeof tensor !== 'number') expectTensor('where', tensor, 'tensors or numbers');
  const { dtype } = sample.value.type;
  const asValue = (branch: AnyTensor | number): Value => {
    if (typeof branch !== 'number') return branch.value;
    checkNumber('where', dtype, branch);
    return b.fill({ dtype, shape: [] }, branch);
  };
  const values = [condition.value, ...branches.map(asValue)];
  let shape: number[] | null = [];
  for (const value of values) shape = shape && broadcastShapes(shape, value.type.shape);
  if (shape === null)
    refuse(
      'where',
      values.map((value) => new Tensor(value)),
      'shapes that broadcast expected',
    );
  const [c, x, y] = values.map((value) => b.broadcastTo(value, shape)) as [Value, Value, Value];
  return new Tensor(b.select(c, x, y));
}

type ShapesOf<T extends readonly AnyTensor[]> = { [I in keyof T]: ShapeOf<T[I]> };

/** Tensors one after another along an axis; all other axes must be equal. */
export function concat<const T extends readonly [AnyTensor, ...AnyTensor[]], const Axis extends number>(
  tensors: T & Concatenable<ShapesOf<T>, Axis>,
  axis: Axis & HasAxes<ShapeOf<T[0]>, Axis>,
): Tensor<ConcatAll<ShapesOf<T>, Axis>, T[0]['dtype']> {
  const list = tensors as readonly AnyTensor[];
  if (list.length === 0) fail('concat: at least one tensor expected, none given');
  for (const tensor of list) expectTensor('concat', tensor);
  return new Tensor(here().concat(...list.map((tensor) => tensor.value), { axis: axisOf('concat', list[0]!, axis) }));
}

/** Tensors of one shape along a new axis. */
export function stack<S extends Shape, D extends DType, const A extends number = 0>(
  tensors: readonly Tensor<S, D>[],
  axis?: A & HasPlace<S, A>,
): Tensor<Inserted<S, A, [number]>, D> {
  const [first] = tensors;
  if (first === undefined) fail('stack: at least one tensor expected, none given');
  const { shape } = first.value.type;
  const at = axisOf('stack', first, axis ?? 0, shape.length + 1);
  if (!tensors.every(({ value }) => sameType(value.type, first.value.type)))
    refuse('stack', tensors, 'tensors of one shape and dtype expected');
  const b = here('stack');
  const widened = { shape: [...shape.slice(0, at), 1, ...shape.slice(at)] };
  return new Tensor(b.concat(...tensors.map(({ value }) => b.reshape(value, widened)), { axis: at }));
}

/** A new axis of one element at `axis`. */
export function expandDims<S extends Shape, D extends DType, const A extends number>(
  x: Tensor<S, D>,
  axis: A & HasPlace<S, A>,
): Tensor<Inserted<S, A, [1]>, D> {
  const { shape } = x.value.type;
  const at = axisOf('expandDims', x, axis, shape.length + 1);
  return new Tensor(here().reshape(x.value, { shape: [...shape.slice(0, at), 1, ...shape.slice(at)] }));
}

/** Without axes of one element: those given, or all. */
export function squeeze<S extends Shape, D extends DType, const A extends AxesArgument = undefined>(
  x: Tensor<S, D>,
  axes?: A & HasAxes<S, A>,
): Tensor<Squeezed<S, A>, D> {
  const { shape } = x.value.type;
  const dropped =
    axes === undefined ? shape.flatMap((dim, axis) => (dim === 1 ? [axis] : [])) : axesOf('squeeze', x, axes);
  for (const axis of dropped)
    if (shape[axis] !== 1) refuse('squeeze', [x], `axis ${axis} of one element expected, it has ${shape[axis]}`);
  return new Tensor(here().reshape(x.value, { shape: shape.filter((_, axis) => !dropped.includes(axis)) }));
}

/** Elements `start` up to, not including, `start + length` along an axis. */
export function narrow<S extends Shape, D extends DType, const A extends number, const N extends number>(
  x: Tensor<S, D>,
  axis: A & HasAxes<S, A>,
  start: number,
  length: N,
): Tensor<Replaced<S, A, N>, D> {
  const { shape } = x.value.type;
  const at = axisOf('narrow', x, axis);
  const starts = shape.map((_, i) => (i === at ? start : 0));
  const limits = shape.map((dim, i) => (i === at ? start + length : dim));
  return new Tensor(here('narrow').slice(x.value, { starts, limits, strides: shape.map(() => 1) }));
}

/** Every stride-th element from `starts` up to, not including, `limits` along each axis. */
export function slice<S extends Shape, D extends DType>(
  x: Tensor<S, D>,
  starts: readonly number[],
  limits: readonly number[],
  strides?: readonly number[],
): Tensor<OpenDims<S>, D> {
  return new Tensor(here().slice(x.value, { starts, limits, strides: strides ?? starts.map(() => 1) }));
}

/** Equal parts along an axis. */
export function split<S extends Shape, D extends DType, const A extends number>(
  x: Tensor<S, D>,
  parts: number,
  axis: A & HasAxes<S, A>,
): Tensor<Replaced<S, A, number>, D>[] {
  const length = x.value.type.shape[axisOf('split', x, axis)]!;
  if (!Number.isInteger(parts) || parts < 1 || length % parts !== 0)
    refuse('split', [x], `axis ${axis} of ${length} elements cannot be cut into ${parts} equal parts`);
  const cut = (part: number): AnyTensor => narrow(x, axis as number, (part * length) / parts, length / parts);
  return Array.from({ length: parts }, (_, part) => cut(part));
}

/** Cells of `value` before and after each axis. */
export function pad<S extends Shape, D extends DType>(
  x: Tensor<S, D>,
  widths: readonly (readonly [number, number])[],
  value = 0,
): Tensor<OpenDims<S>, D> {
  const attrs = {
    low: widths.map(([low]) => low),
    high: widths.map(([, high]) => high),
    interior: widths.map(() => 0),
    value,
  };
  checkNumber('pad', x.value.type.dtype, value);
  return new Tensor(here().pad(x.value, attrs));
}

export function reverse<S extends Shape, D extends DType, const A extends AxesArgument = undefined>(
  x: Tensor<S, D>,
  axes?: A & HasAxes<S, A>,
): Tensor<S, D> {
  return new Tensor(here().reverse(x.value, { axes: axesOf('reverse', x, axes) }));
}

/** Slices at integer indices along an axis: `[P.., N, S..]`, `[I..]` → `[P.., I.., S..]`. Indices are clamped; inputs used as indices are checked at each call. */
export function gather<S extends Shape, D extends DType, const I extends AnyTensor, const A extends number = 0>(
  x: Tensor<S, D>,
  indices: I,
  axis?: A & HasAxes<S, A>,
): Tensor<Spliced<S, A, ShapeOf<I>>, D> {
  return new Tensor(here().gather(x.value, indices.value, { axis: axisOf('gather', x, axis ?? 0), batch: 0 }));
}

/** One element per index along an axis, all other axes paired: `[P.., N, S..]`, `[P.., K, S..]` → `[P.., K, S..]`. */
export function takeAlong<S extends Shape, D extends DType>(
  x: Tensor<Shape, D>,
  indices: Tensor<S, DType>,
  axis: number,
): Tensor<S, D> {
  const at = axisOf('takeAlong', x, axis);
  const [from, to] = [x.value.type.shape, indices.value.type.shape];
  checkIndices('takeAlong', [x, indices], indices);
  if (from.length !== to.length || !from.every((dim, i) => i === at || dim === to[i]))
    refuse('takeAlong', [x, indices], `shapes that differ on axis ${axis} only expected`);
  return new Tensor(takeAlongValues(here('takeAlong'), x.value, indices.value, at));
}

/** `operand` with each update added at its index along an axis: the transpose of gather. */
export function scatterAdd<S extends Shape, D extends DType>(
  operand: Tensor<S, D>,
  indices: AnyTensor,
  updates: Tensor<Shape, D>,
  axis = 0,
): Tensor<S, D> {
  return new Tensor(
    here().scatterAdd(operand.value, indices.value, updates.value, {
      axis: axisOf('scatterAdd', operand, axis),
      batch: 0,
    }),
  );
}

/** `[I..]` → `[I.., count]`: 1 at the index, else 0; a row of zeros for an index out of range. */
export function oneHot<const I extends AnyTensor, const N extends number, const D extends DType = 'f32'>(
  indices: I,
  count: N,
  dtype?: D,
): Tensor<Inserted<ShapeOf<I>, -1, [N]>, D> {
  checkIndices('oneHot', [indices], indices);
  checkType('oneHot', dtype ?? 'f32', [count]);
  const b = here('oneHot');
  const { shape } = indices.value.type;
  const wide = [...shape, count];
  const position = b.iota({ dtype: indices.value.type.dtype, shape: wide, axis: shape.length });
  const spread = b.broadcast(indices.value, { shape: wide, axes: shape.map((_: number, axis: number) => axis) });
  return new Tensor(b.castTo(b.eq(position, spread), dtype ?? 'f32'));
}

type CumulativeKind = 'sum' | 'prod' | 'max' | 'min';
interface CumulativeOptions {
  readonly reverse?: boolean;
  readonly exclusive?: boolean;
}

/** Running results along an axis. */
export function cumulative<S extends Shape, D extends DType>(
  x: Tensor<S, D>,
  kind: CumulativeKind,
  axis: number,
  options: CumulativeOptions = {},
): Tensor<S, D> {
  return running('cumulative', x, kind, axis, options);
}
export function cumsum<S extends Shape, D extends DType>(x: Tensor<S, D>, axis: number): Tensor<S, D> {
  return running('cumsum', x, 'sum', axis, {});
}

function running<S extends Shape, D extends DType>(
  callee: string,
  x: Tensor<S, D>,
  kind: CumulativeKind,
  axis: number,
  { reverse = false, exclusive = false }: CumulativeOptions,
): Tensor<S, D> {
  const attrs = { kind, axis: axisOf(callee, x, axis), reverse, exclusive };
  return new Tensor(here(callee).cumulative(x.value, attrs));
}

/** Values sorted along an axis (stable, NaN greatest) and their old positions. */
export function sort<S extends Shape, D extends DType>(
  x: Tensor<S, D>,
  axis = -1,
  descending = false,
): { values: Tensor<S, D>; indices: Tensor<S, 'i32'> } {
  const [values, indices] = here().sort(x.value, { axis: axisOf('sort', x, axis), descending });
  return { values: new Tensor(values!), indices: new Tensor(indices!) };
}

/** The k greatest along the last axis, in descending order, and their positions. */
export function topk<S extends Shape, D extends DType, const K extends number>(
  x: Tensor<S, D>,
  k: K,
): { values: Tensor<Replaced<S, -1, K>, D>; indices: Tensor<Replaced<S, -1, K>, 'i32'> } {
  const [values, indices] = here().topk(x.value, { k });
  return { values: new Tensor(values!), indices: new Tensor(indices!) };
}

/** log Σ exp along axes, without overflow. */
export function logSumExp<S extends Shape, D extends DType, const A extends AxesArgument = undefined>(
  x: Tensor<S, D>,
  axes?: A & HasAxes<S, A>,
): Tensor<Reduced<S, A, false>, D> {
  checkFloat('logSumExp', x);
  const top = stopGradient(reduceAxes<AnyTensor>(x, 'max', axes, { keepDims: true }, 'logSumExp'));
  const shifted: AnyTensor = binary('sub', x, top);
  const sum: AnyTensor = reduceAxes(shifted.exp(), 'sum', axes);
  return binary('add', sum.log(), new Tensor(here().reshape(top.value, { shape: sum.value.type.shape })));
}

/** x − max x along an axis: what both softmaxes begin with. The shift cancels, so derivatives need not know of it. */
function shiftedByMax(callee: string, x: AnyTensor, axis: number): AnyTensor {
  checkFloat(callee, x);
  return binary('sub', x, stopGradient(reduceAxes<AnyTensor>(x, 'max', axis, { keepDims: true }, callee)));
}

/** eˣ·(1/Σeˣ) along an axis, shifted by the maximum, so that the sum is at least 1: one division for each row. */
export function softmax<S extends Shape, D extends DType>(x: Tensor<S, D>, axis = -1): Tensor<S, D> {
  const exponentials: AnyTensor = shiftedByMax('softmax', x, axis).exp();
  const sum: AnyTensor = reduceAxes(exponentials, 'sum', axis, { keepDims: true });
  return binary('mul', exponentials, new Tensor(here().div(here().like(sum.value, 1), sum.value)));
}

/** x − log Σeˣ along an axis, shifted by the maximum. */
export function logSoftmax<S extends Shape, D extends DType>(x: Tensor<S, D>, axis = -1): Tensor<S, D> {
  const shifted = shiftedByMax('logSoftmax', x, axis);
  const sum: AnyTensor = reduceAxes(shifted.exp(), 'sum', axis, { keepDims: true });
  return binary('sub', shifted, sum.log());
}

/** √Σx² over axes. */
export function norm<S extends Shape, D extends DType, const A extends AxesArgument = undefined>(
  x: Tensor<S, D>,
  axes?: A & HasAxes<S, A>,
): Tensor<Reduced<S, A, false>, D> {
  checkFloat('norm', x);
  const over = axesOf('norm', x, axes);
  const sum: AnyTensor = reduceAxes(x.square(), 'sum', over);
  return sum.sqrt() as Tensor<Reduced<S, A, false>, D>;
}
