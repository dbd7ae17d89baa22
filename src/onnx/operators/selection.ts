// Operators that order, count or choose elements: TopK, CumSum, and those whose number of results depends on values, which must be known.

import { sizeOf } from '../../ir/types.ts';
import { cumulative, narrow, sort, takeAlong, topk } from '../../lang/functions.ts';
import type { AnyTensor } from '../../lang/tensor.ts';
import { like, type NodeContext, type OnnxValue, type Operator, shapeOf, typed } from '../node-context.ts';
import { axisOf, wholeRange } from './axes.ts';
import { suppressed } from './box-suppression.ts';
import { orderOfUnsigned, wrap } from './values.ts';

const topK: Operator = (node) => {
  const x = node.input(0);
  const shape = shapeOf(x);
  const axis = axisOf(node, node.int('axis', -1), shape.length);
  const [k] = (node.opset < 10 ? [node.int('k')] : node.expectKnown(node.input(1), 'k')) as [number];
  if (!(k >= 0 && k <= shape[axis]!)) node.invalid(`${k} of ${shape[axis]} elements asked for`);
  const order = wholeRange(shape.length).map((i) =>
    i === axis ? shape.length - 1 : i === shape.length - 1 ? axis : i,
  );
  const turned = (tensor: AnyTensor): AnyTensor => tensor.transpose(order);
  const isLargest = node.opset < 11 || node.int('largest', 1) !== 0;
  const { values, indices } =
    x.type === 'uint64'
      ? firstUnsigned(turned(x.tensor), k, isLargest)
      : isLargest && k > 0
        ? topk(turned(x.tensor), k)
        : smallest(turned(x.tensor), k);
  return [like(x, turned(values)), typed(turned(indices).cast('i64'), 'int64')];
};

const first = (tensor: AnyTensor, k: number): AnyTensor => narrow(tensor, tensor.rank - 1, 0, k);

function smallest(x: AnyTensor, k: number): { values: AnyTensor; indices: AnyTensor } {
  const sorted = sort(x, -1);
  return { values: first(sorted.values, k), indices: first(sorted.indices, k) };
}

/** uint64 ordered by the last bit and then, keeping that order among equal ones, by the others. */
function firstUnsigned(x: AnyTensor, k: number, isLargest: boolean): { values: AnyTensor; indices: AnyTensor } {
  const axis = x.rank - 1;
  const { upper, last } = orderOfUnsigned(x);
  const byLast: AnyTensor = sort(last, -1, isLargest).indices;
  const order: AnyTensor = sort(takeAlong(upper, byLast, axis), -1, isLargest).indices;
  const indices = first(takeAlong(byLast, order, axis), k);
  return { values: takeAlong(x, indices, axis), indices };
}

const cumulativeSum: Operator = (node) => {
  const x = node.input(0);
  const [given] = node.expectKnown(node.input(1), 'axis') as [number];
  const options = { exclusive: node.int('exclusive', 0) !== 0, reverse: node.int('reverse', 0) !== 0 };
  return wrap(x.type, cumulative(x.tensor, 'sum', axisOf(node, given, shapeOf(x).length), options));
};

/** The index of every element that is not 0, one column for each: int64 [axes, count]. */
const nonZero: Operator = (node) => {
  const x = node.input(0);
  const shape = shapeOf(x);
  const found = node.expectKnown(x, 'the elements').flatMap((element, at) => (element !== 0 ? [at] : []));
  const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
  const rows = strides.flatMap((stride, axis) => found.map((at) => Math.floor(at / stride) % shape[axis]!));
  return node.numbers('int64', [shape.length, found.length], rows);
};

/** Distinct elements, or distinct slices along an axis, with their first places, the place of each, and their numbers. */
const unique: Operator = (node) => {
  const x = node.input(0);
  const elements = exactly(node, x);
  const shape = shapeOf(x);
  const axis = node.has('axis') ? axisOf(node, node.int('axis'), shape.length) : null;
  const [length, inner] = axis === null ? [sizeOf(shape), 1] : [shape[axis]!, sizeOf(shape.slice(axis + 1))];
  const outer = sizeOf(shape) / (length * inner || 1);
  const slices = wholeRange(length).map((i) =>
    wholeRange(outer * inner).map((j) => elements[(Math.floor(j / inner) * length + i) * inner + (j % inner)]!),
  );
  const places = new Map<string, number[]>();
  slices.forEach((elementsOf, i) => {
    const key = elementsOf.map((element) => (element === 0 ? 0 : element)).join();
    places.set(key, [...(places.get(key) ?? []), i]);
  });
  const groups = [...places.values()];
  if (node.int('sorted', 1) !== 0) groups.sort(([a], [b]) => inOrder(slices[a!]!, slices[b!]!));
  const inverse = new Array<number>(length);
  groups.forEach((group, at) => {
    for (const i of group) inverse[i] = at;
  });
  const firsts = groups.map(([first]) => first!);
  const dims = axis === null ? [firsts.length] : shape.map((dim, i) => (i === axis ? firsts.length : dim));
  const chosen = wholeRange(outer).flatMap((o) =>
    firsts.flatMap((i) => elements.slice((o * length + i) * inner, (o * length + i + 1) * inner)),
  );
  return [
    node.numbers(x.type, dims, chosen),
    node.numbers('int64', [firsts.length], firsts),
    node.numbers('int64', [length], inverse),
    node.numbers(
      'int64',
      [firsts.length],
      groups.map((group) => group.length),
    ),
  ];
};

/** Elements of which none has been rounded. */
function exactly(node: NodeContext, x: OnnxValue): number[] {
  const elements = node.expectKnown(x, 'the elements');
  if (!elements.every((element) => Math.abs(element) < Number.MAX_SAFE_INTEGER || !Number.isInteger(element)))
    node.unsupported('integers beyond 2^53');
  return elements;
}

function inOrder(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((element, i) => element !== b[i]);
  return at < 0 ? 0 : a[at]! - b[at]!;
}

/** boxes [N, B, 4], scores [N, C, B] → int64 [chosen, 3]: image, class, box. */
const nonMaxSuppression: Operator = (node) => {
  const scalar = (position: number, name: string, otherwise: number): number => {
    const given = node.optional(position);
    return given === null ? otherwise : node.expectKnown(given, name)[0]!;
  };
  const [boxes, scores] = [node.input(0), node.input(1)];
  const chosen = suppressed({
    boxes: node.expectKnown(boxes, 'boxes'),
    scores: node.expectKnown(scores, 'scores'),
    shape: shapeOf(scores) as [number, number, number],
    isCentred: node.int('center_point_box', 0) !== 0,
    mostPerClass: scalar(2, 'max_output_boxes_per_class', 0),
    overlapThreshold: scalar(3, 'iou_threshold', 0),
    scoreThreshold: scalar(4, 'score_threshold', Number.NEGATIVE_INFINITY),
  });
  return node.numbers('int64', [chosen.length, 3], chosen.flat());
};

export const selectionOperators: Readonly<Record<string, Operator>> = {
  TopK: topK,
  CumSum: cumulativeSum,
  NonZero: nonZero,
  Unique: unique,
  NonMaxSuppression: nonMaxSuppression,
};
