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
import type { ConcatAll, Reduced, Shape, ShapeError } from './shape-types.ts';
import { type AnyTensor, binary, expectTensor, here, reduceAxes, Tensor, unary } from './tensor.ts';

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

/** Elements of `then` where the condition is true, else of `otherwise`; all three broadcast. */
export function where<S extends Shape, D extends DType>(
  condition: Tensor<Shape, 'bool'>,
  then: Tensor<S, D> | number,
  otherwise: Tensor<S, D> | number,
): Tensor<S, D> {
  const b = here('where');
  const sample = typeof then === 'number' ? (typeof otherwise === 'number' ? null : otherwise) : then;
  if (sample === null) fail('where: at least one of the two values must be a tensor, so that its dtype is known');
  const { dtype } = sample.value.type;
  const asValue = (x: AnyTensor | number): Value => {
    if (typeof x !== 'number') return x.value;
    checkNumber('where', dtype, x);
    return b.fill({ dtype, shape: [] }, x);
  };
  const values = [condition.value, asValue(then), asValue(otherwise)];
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

type ShapesOf<T extends readonly AnyTensor[]> = { [I in keyof T]: T[I] extends Tensor<infer S, DType> ? S : never };

/** Tensors one after another along an axis; all other axes must be equal. */
export function concat<const T extends readonly [AnyTensor, ...AnyTensor[]], const Axis extends number>(
  tensors: T &
    ([ConcatAll<ShapesOf<T>, Axis>] extends [never]
      ? ShapeError<'concat: shapes differ on another axis than the joined one'>
      : unknown),
  axis: Axis,
): Tensor<ConcatAll<ShapesOf<T>, Axis>, T[0]['dtype']> {
  const list = tensors as readonly AnyTensor[];
  if (list.length === 0) fail('concat: at least one tensor expected, none given');
  for (const tensor of list) expectTensor('concat', tensor);
  return new Tensor(here().concat(...list.map((tensor) => tensor.value), { axis: axisOf('concat', list[0]!, axis) }));
}

/** Tensors of one shape along a new axis. */
export function stack<S extends Shape, D extends DType>(
  tensors: readonly Tensor<S, D>[],
  axis = 0,
): Tensor<number[], D> {
  const [first] = tensors;
  if (first === undefined) fail('stack: at least one tensor expected, none given');
  const { shape } = first.value.type;
  const at = axisOf('stack', first, axis, shape.length + 1);
  if (!tensors.every(({ value }) => sameType(value.type, first.value.type)))
    refuse('stack', tensors, 'tensors of one shape and dtype expected');
  const b = here('stack');
  const widened = { shape: [...shape.slice(0, at), 1, ...shape.slice(at)] };
  return new Tensor(b.concat(...tensors.map(({ value }) => b.reshape(value, widened)), { axis: at }));
}

/** A new axis of one element at `axis`. */
export function expandDims<D extends DType>(x: Tensor<Shape, D>, axis: number): Tensor<number[], D> {
  const { shape } = x.value.type;
  const at = axisOf('expandDims', x, axis, shape.length + 1);
  return new Tensor(here().reshape(x.value, { shape: [...shape.slice(0, at), 1, ...shape.slice(at)] }));
}

/** Without axes of one element: those given, or all. */
export function squeeze<D extends DType>(x: Tensor<Shape, D>, axes?: AxesArgument): Tensor<number[], D> {
  const { shape } = x.value.type;
  const dropped =
    axes === undefined ? shape.flatMap((dim, axis) => (dim === 1 ? [axis] : [])) : axesOf('squeeze', x, axes);
  for (const axis of dropped)
    if (shape[axis] !== 1) refuse('squeeze', [x], `axis ${axis} of one element expected, it has ${shape[axis]}`);
  return new Tensor(here().reshape(x.value, { shape: shape.filter((_, axis) => !dropped.includes(axis)) }));
}

/** Elements `start` up to, not including, `start + length` along an axis. */
export function narrow<D extends DType>(
  x: Tensor<Shape, D>,
  axis: number,
  start: number,
  length: number,
): Tensor<number[], D> {
  const { shape } = x.value.type;
  const at = axisOf('narrow', x, axis);
  const starts = shape.map((_, i) => (i === at ? start : 0));
  const limits = shape.map((dim, i) => (i === at ? start + length : dim));
  return new Tensor(here('narrow').slice(x.value, { starts, limits, strides: shape.map(() => 1) }));
}

/** Every stride-th element from `starts` up to, not including, `limits` along each axis. */
export function slice<D extends DType>(
  x: Tensor<Shape, D>,
  starts: readonly number[],
  limits: readonly number[],
  strides?: readonly number[],
): Tensor<number[], D> {
  return new Tensor(here().slice(x.value, { starts, limits, strides: strides ?? starts.map(() => 1) }));
}

/** Equal parts along an axis. */
export function split<D extends DType>(x: Tensor<Shape, D>, parts: number, axis: number): Tensor<number[], D>[] {
  const length = x.value.type.shape[axisOf('split', x, axis)]!;
  if (!Number.isInteger(parts) || parts < 1 || length % parts !== 0)
    refuse('split', [x], `axis ${axis} of ${length} elements cannot be cut into ${parts} equal parts`);
  return Array.from({ length: parts }, (_, part) => narrow(x, axis, (part * length) / parts, length / parts));
}

/** Cells of `value` before and after each axis. */
export function pad<D extends DType>(
  x: Tensor<Shape, D>,
  widths: readonly (readonly [number, number])[],
  value = 0,
): Tensor<number[], D> {
  const attrs = {
    low: widths.map(([low]) => low),
    high: widths.map(([, high]) => high),
    interior: widths.map(() => 0),
    value,
  };
  checkNumber('pad', x.value.type.dtype, value);
  return new Tensor(here().pad(x.value, attrs));
}

export function reverse<S extends Shape, D extends DType>(x: Tensor<S, D>, axes?: AxesArgument): Tensor<S, D> {
  return new Tensor(here().reverse(x.value, { axes: axesOf('reverse', x, axes) }));
}

/** Slices at integer indices along an axis: `[P.., N, S..]`, `[I..]` → `[P.., I.., S..]`. Indices are clamped; inputs used as indices are checked at each call. */
export function gather<D extends DType>(x: Tensor<Shape, D>, indices: AnyTensor, axis = 0): Tensor<number[], D> {
  return new Tensor(here().gather(x.value, indices.value, { axis: axisOf('gather', x, axis), batch: 0 }));
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
export function oneHot<const D extends DType = 'f32'>(
  indices: AnyTensor,
  count: number,
  dtype?: D,
): Tensor<number[], D> {
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
export function topk<D extends DType>(
  x: Tensor<Shape, D>,
  k: number,
): { values: Tensor<number[], D>; indices: Tensor<number[], 'i32'> } {
  const [values, indices] = here().topk(x.value, { k });
  return { values: new Tensor(values!), indices: new Tensor(indices!) };
}

/** log Σ exp along axes, without overflow. */
export function logSumExp<S extends Shape, D extends DType, const A extends AxesArgument = undefined>(
  x: Tensor<S, D>,
  axes?: A,
): Tensor<Reduced<S, A, false>, D> {
  checkFloat('logSumExp', x);
  const top: AnyTensor = reduceAxes(x, 'max', axes, { keepDims: true }, 'logSumExp');
  const shifted: AnyTensor = binary('sub', x, top);
  const sum: AnyTensor = reduceAxes(shifted.exp(), 'sum', axes);
  return binary('add', sum.log(), new Tensor(here().reshape(top.value, { shape: sum.value.type.shape })));
}

/** x − max x along an axis: what both softmaxes begin with. */
function shiftedByMax(callee: string, x: AnyTensor, axis: number): AnyTensor {
  checkFloat(callee, x);
  return binary('sub', x, reduceAxes(x, 'max', axis, { keepDims: true }, callee));
}

/** eˣ/Σeˣ along an axis, shifted by the maximum. */
export function softmax<S extends Shape, D extends DType>(x: Tensor<S, D>, axis = -1): Tensor<S, D> {
  const exponentials: AnyTensor = shiftedByMax('softmax', x, axis).exp();
  return binary('div', exponentials, reduceAxes(exponentials, 'sum', axis, { keepDims: true }));
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
  axes?: A,
): Tensor<Reduced<S, A, false>, D> {
  checkFloat('norm', x);
  const over = axesOf('norm', x, axes);
  const sum: AnyTensor = reduceAxes(x.square(), 'sum', over);
  return sum.sqrt() as Tensor<Reduced<S, A, false>, D>;
}
