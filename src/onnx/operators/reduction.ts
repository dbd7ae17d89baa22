// Operators that combine elements along axes: sums and their kin, positions of extremes, softmax.

import type { ReduceKind } from '../../ir/opattrs.ts';
import { sizeOf } from '../../ir/types.ts';
import { logSoftmax, oneHot, reverse, softmax } from '../../lang/functions.ts';
import { type AnyTensor, reduceAxes } from '../../lang/tensor.ts';
import { isFloatType } from '../element-types.ts';
import { like, type NodeContext, type OnnxValue, type Operator, shapeOf, typed } from '../node-context.ts';
import { attributeOrInput, axisOf, wholeRange } from './axes.ts';
import { choose, converted, extremeOfUnsigned, wrap } from './values.ts';

interface Reduced {
  readonly x: OnnxValue;
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

/** What a reduction is over; null where it is over nothing by request. The axes are inputs since version `since`. */
function reducedAxes(node: NodeContext, since: number): Reduced | null {
  const x = node.input(0);
  const rank = shapeOf(x).length;
  const given = attributeOrInput(node, 'axes', 1, since) ?? [];
  if (given.length === 0 && node.int('noop_with_empty_axes', 0) !== 0) return null;
  const axes = given.length === 0 ? wholeRange(rank) : given.map((axis) => axisOf(node, axis, rank));
  return { x, axes, keepDims: node.int('keepdims', 1) !== 0 };
}

/** A reduction whose axes have been kept as one element each, in the shape that is asked for. */
function withoutAxes(kept: AnyTensor, { x, axes, keepDims }: Reduced): AnyTensor {
  return keepDims ? kept : kept.reshape(shapeOf(x).filter((_, axis) => !axes.includes(axis)));
}

/** A reduction of the table, between functions of the elements and of the result. */
function reduction(
  kind: ReduceKind,
  since: number,
  before: (x: AnyTensor) => AnyTensor = (x) => x,
  after: (x: AnyTensor, count: number) => AnyTensor = (x) => x,
): Operator {
  return (node) => {
    const over = reducedAxes(node, since);
    if (over === null) return like(node.input(0), after(before(node.input(0).tensor), 1));
    const { x, axes, keepDims } = over;
    if (x.type === 'uint64' && (kind === 'max' || kind === 'min'))
      return like(x, withoutAxes(extremeOfUnsigned(x.tensor, kind, axes).extreme, over));
    const count = axes.reduce((product, axis) => product * shapeOf(x)[axis]!, 1);
    const reduced: AnyTensor = reduceAxes(before(x.tensor), kind, axes, { keepDims });
    return wrap(x.type, after(reduced, count));
  };
}

/** Booleans since version 20: the greatest is any, the least all. */
const extreme =
  (kind: 'max' | 'min'): Operator =>
  (node) =>
    reduction(node.input(0).type !== 'bool' ? kind : kind === 'max' ? 'or' : 'and', 18)(node);

/** A reduction that ends in a function of floats: integers pass through float and are truncated. */
const throughFloat =
  (reduce: Operator, after: (x: AnyTensor) => AnyTensor): Operator =>
  (node) => {
    const reduced = reduce(node) as OnnxValue;
    const real = isFloatType(reduced.type) ? reduced : converted(reduced, 'float');
    return converted(like(real, after(real.tensor)), reduced.type);
  };

const sumOfSquares = reduction('sum', 18, (x) => x.mul(x));

/** log Σ exp, shifted by the greatest where that is finite; of integers in float. */
const logSumExp: Operator = (node) => {
  const over = reducedAxes(node, 18);
  const x = node.input(0);
  if (over === null) return x;
  const real = isFloatType(x.type) ? x : converted(x, 'float');
  const top: AnyTensor = reduceAxes(real.tensor, 'max', over.axes, { keepDims: true });
  const shift = choose(top.abs().eq(Number.POSITIVE_INFINITY), 0, top);
  const sum: AnyTensor = reduceAxes(real.tensor.sub(shift).exp(), 'sum', over.axes, { keepDims: true });
  return converted(like(real, withoutAxes(sum.log().add(shift), over)), x.type);
};

const argExtreme =
  (kind: 'argmax' | 'argmin'): Operator =>
  (node) => {
    const x = node.input(0);
    const shape = shapeOf(x);
    const axis = axisOf(node, node.int('axis', 0), shape.length);
    const last = node.int('select_last_index', 0) !== 0;
    const compared =
      x.type === 'uint64' ? extremeOfUnsigned(x.tensor, kind === 'argmax' ? 'max' : 'min', [axis]).last : x.tensor;
    const turned: AnyTensor = last ? reverse(compared, axis) : compared;
    const found: AnyTensor = turned[kind](axis);
    const position: AnyTensor = last ? found.neg().add(shape[axis]! - 1) : found;
    const kept = shape.map((dim, i) => (i === axis ? 1 : dim));
    return typed(node.int('keepdims', 1) !== 0 ? position.cast('i64').reshape(kept) : position.cast('i64'));
  };

/** Before version 13 axes from `axis` on are one, and the default axis is 1. */
function alongAxis(compute: (x: AnyTensor, axis: number) => AnyTensor): Operator {
  return (node) => {
    const x = node.input(0);
    const shape = shapeOf(x);
    const axis = axisOf(node, node.int('axis', node.opset < 13 ? 1 : -1), shape.length, Math.max(1, shape.length));
    if (node.opset >= 13)
      return like(x, shape.length === 0 ? compute(x.tensor.reshape([1]), 0).reshape([]) : compute(x.tensor, axis));
    const flat = x.tensor.reshape([sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis))]);
    return like(x, compute(flat, 1).reshape([...shape]));
  };
}

/** 1 at the first greatest element along an axis, else 0. */
function hardmax(x: AnyTensor, axis: number): AnyTensor {
  const ones: AnyTensor = oneHot(x.argmax(axis) as AnyTensor, x.shape[axis] as number, x.dtype);
  const rank = x.rank;
  return ones.transpose(wholeRange(rank).map((i) => (i < axis ? i : i === axis ? rank - 1 : i - 1)));
}

export const reductionOperators: Readonly<Record<string, Operator>> = {
  ReduceSum: reduction('sum', 13),
  ReduceProd: reduction('prod', 18),
  ReduceMax: extreme('max'),
  ReduceMin: extreme('min'),
  ReduceMean: reduction(
    'sum',
    18,
    (x) => x,
    (sum, count) => sum.div(count),
  ),
  ReduceL1: reduction('sum', 18, (x) => x.abs()),
  ReduceSumSquare: sumOfSquares,
  ReduceL2: throughFloat(sumOfSquares, (x) => x.sqrt()),
  ReduceLogSum: throughFloat(reduction('sum', 18), (x) => x.log()),
  ReduceLogSumExp: logSumExp,
  ArgMax: argExtreme('argmax'),
  ArgMin: argExtreme('argmin'),
  Softmax: alongAxis((x, axis) => softmax(x, axis) as AnyTensor),
  LogSoftmax: alongAxis((x, axis) => logSoftmax(x, axis) as AnyTensor),
  Hardmax: alongAxis(hardmax),
};
