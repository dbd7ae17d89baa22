// Operators that write at indices, or read at tuples of them: ScatterElements, ScatterND, GatherND, MaxUnpool, Col2Im, OneHot.
//
// Adding is the language's scatterAdd. Every other way of writing is seen from the side of the results: each looks through the indices
// for those that mean it, so that the last of several writers wins on every target, and nothing depends on timing.

import { sizeOf } from '../../ir/types.ts';
import { pad, slice } from '../../lang/functions.ts';
import type { AnyTensor } from '../../lang/tensor.ts';
import { iota } from '../../lang/variable.ts';
import type { ElementType } from '../element-types.ts';
import { like, type NodeContext, type OnnxValue, type Operator, shapeOf, typed } from '../node-context.ts';
import { axisOf, longestList, wholeRange } from './axes.ts';
import { addBatched, gatherBatched } from './picking.ts';
import { indicesInto } from './shape.ts';
import { choose, wrap } from './values.ts';

const reductions = ['none', 'add', 'mul', 'min', 'max'] as const;
type Reduction = (typeof reductions)[number];

function reductionOf(node: NodeContext, type: ElementType): Reduction {
  const name = node.string('reduction', 'none');
  const found = reductions.find((reduction) => reduction === name) ?? node.invalid(`there is no reduction ${name}`);
  if (type === 'uint64' && (found === 'min' || found === 'max'))
    return node.unsupported(`reduction ${found} of uint64`);
  if (type === 'bool' && found !== 'none') return node.invalid(`reduction ${found} of bool`);
  return found;
}

/** operand [B, N, S], indices [B, K], updates [B, K, S] → operand with the updates written at their indices. */
function written(
  node: NodeContext,
  operand: OnnxValue,
  indices: AnyTensor,
  updates: AnyTensor,
  reduction: Reduction,
): OnnxValue {
  const { tensor } = operand;
  if (reduction === 'add') return wrap(operand.type, addBatched(tensor, indices, updates, 1, 1));
  const [batch, rows, width] = shapeOf(operand) as [number, number, number];
  const count = indices.shape[1] as number;
  if (reduction === 'none') {
    const last = lastWriters(node, indices, [batch, rows, count]);
    const taken = gatherBatched(updates, last.maximum(0), 1, 1);
    return like(operand, choose(last.ge(0).reshape([batch, rows, 1]), taken, tensor));
  }
  const isMeant = meantBy(indices, [batch, rows, count]);
  const spread: AnyTensor = updates.reshape([batch, 1, count, width]);
  const wide: AnyTensor = isMeant.reshape([batch, rows, count, 1]);
  if (reduction === 'mul') return wrap(operand.type, tensor.mul(choose(wide, spread, 1).prod(2)));
  const own: AnyTensor = tensor.reshape([batch, rows, 1, width]);
  const candidates = choose(wide, spread, own);
  return like(operand, reduction === 'max' ? candidates.max(2).maximum(tensor) : candidates.min(2).minimum(tensor));
}

/** bool [B, N, K]: whether an index means a row. */
function meantBy(indices: AnyTensor, [batch, rows, count]: readonly [number, number, number]): AnyTensor {
  const here: AnyTensor = iota([batch, rows, count], 1, 'i32');
  return here.eq(indices.reshape([batch, 1, count]));
}

/** i32 [B, N]: the last index that means each row, −1 where there is none; a table where the indices are known. */
function lastWriters(node: NodeContext, indices: AnyTensor, shape: readonly [number, number, number]): AnyTensor {
  const [batch, rows, count] = shape;
  const known = batch * rows > longestList ? null : node.known(typed(indices));
  if (known === null) return choose(meantBy(indices, shape), iota(shape, 2, 'i32'), -1).max(-1);
  const last = new Int32Array(batch * rows).fill(-1);
  for (let at = 0; at < known.length; at++) last[Math.floor(at / count) * rows + known[at]!] = at % count;
  return node.numbers('int32', [batch, rows], last).tensor;
}

/** Writes updates[i, j, k] at [indices[i, j, k], j, k], for axis 0. The indices may cover a part of the other axes. */
const scatterElements: Operator = (node) => {
  const [x, indices, updates] = [node.input(0), node.input(1), node.input(2)];
  const shape = shapeOf(x);
  const axis = axisOf(node, node.int('axis', 0), shape.length);
  const region = shape.map((dim, i) => (i === axis ? dim : shapeOf(indices)[i]!));
  if (shapeOf(updates).join() !== shapeOf(indices).join() || region.some((dim, i) => !(dim <= shape[i]!)))
    node.invalid(`indices [${shapeOf(indices)}] and updates [${shapeOf(updates)}] do not fit [${shape}]`);
  if (sizeOf(shapeOf(indices)) === 0) return x;
  const order = [...wholeRange(shape.length).filter((i) => i !== axis), axis];
  const rows = (tensor: AnyTensor): AnyTensor => {
    const turned: AnyTensor = tensor.transpose(order);
    const length: number = turned.shape[turned.rank - 1];
    return turned.reshape([sizeOf(turned.shape) / length, length]);
  };
  const deep = (tensor: AnyTensor): AnyTensor => tensor.reshape([...tensor.shape, 1]);
  const starts = shape.map(() => 0);
  const part: AnyTensor = slice(x.tensor, starts, region);
  const places = rows(indicesInto(node, indices, shape[axis]!));
  const result = written(
    node,
    like(x, deep(rows(part))),
    places,
    deep(rows(updates.tensor)),
    reductionOf(node, x.type),
  );
  const turned: AnyTensor = result.tensor.reshape(order.map((i) => region[i]!));
  const back: AnyTensor = turned.transpose(shape.map((_, i) => order.indexOf(i)));
  return like(x, placedInto(x.tensor, back, region));
};

/** x with its first elements along each axis replaced by those of a part. */
function placedInto(x: AnyTensor, part: AnyTensor, region: readonly number[]): AnyTensor {
  const shape: readonly number[] = x.value.type.shape;
  const isInside = shape.reduce<AnyTensor | null>((inside, dim, axis) => {
    if (region[axis] === dim) return inside;
    const here: AnyTensor = iota(shape, axis, 'i32').lt(region[axis]!);
    return inside === null ? here : inside.and(here);
  }, null);
  if (isInside === null) return part;
  const widths = shape.map((dim, axis): [number, number] => [0, dim - region[axis]!]);
  return choose(isInside, pad(part, widths), x);
}

/** The last axis of the indices holds a tuple for the first of `axes`: its place in those axes written as one, [...]. */
function tuplePlaces(node: NodeContext, indices: OnnxValue, axes: readonly number[]): AnyTensor {
  const shape = shapeOf(indices);
  const outer = shape.slice(0, -1);
  return axes
    .map((dim, i): AnyTensor => {
      const starts = shape.map((_, axis) => (axis === shape.length - 1 ? i : 0));
      const limits = shape.map((size, axis) => (axis === shape.length - 1 ? i + 1 : size));
      const column: AnyTensor = slice(indices.tensor, starts, limits).reshape(outer);
      return indicesInto(node, like(indices, column), dim);
    })
    .reduce((place, next, i): AnyTensor => place.mul(axes[i]!).add(next));
}

const scatterND: Operator = (node) => {
  const [x, indices, updates] = [node.input(0), node.input(1), node.input(2)];
  const shape = shapeOf(x);
  const length = shapeOf(indices).at(-1) ?? node.invalid('indices of at least one axis expected');
  if (length > shape.length || length === 0) node.invalid(`tuples of ${length} indices given for [${shape}]`);
  const outer = shapeOf(indices).slice(0, -1);
  if (shapeOf(updates).join() !== [...outer, ...shape.slice(length)].join())
    node.invalid(`updates [${[...outer, ...shape.slice(length)]}] expected, [${shapeOf(updates)}] given`);
  const [rows, width, count] = [sizeOf(shape.slice(0, length)), sizeOf(shape.slice(length)), sizeOf(outer)];
  if (count === 0 || rows === 0 || width === 0) return x;
  const places: AnyTensor = tuplePlaces(node, indices, shape.slice(0, length)).reshape([1, count]);
  const operand = like(x, x.tensor.reshape([1, rows, width]));
  const result = written(node, operand, places, updates.tensor.reshape([1, count, width]), reductionOf(node, x.type));
  return like(x, result.tensor.reshape(shape));
};

const gatherND: Operator = (node) => {
  const [x, indices] = [node.input(0), node.input(1)];
  const shape = shapeOf(x);
  const batchAxes = node.int('batch_dims', 0);
  const length = shapeOf(indices).at(-1) ?? node.invalid('indices of at least one axis expected');
  const batch = shape.slice(0, batchAxes);
  const [axes, rest] = [shape.slice(batchAxes, batchAxes + length), shape.slice(batchAxes + length)];
  const outer = shapeOf(indices).slice(0, -1);
  if (axes.length !== length || outer.slice(0, batchAxes).join() !== batch.join())
    node.invalid(`indices [${shapeOf(indices)}] do not fit [${shape}] with ${batchAxes} batch axes`);
  const result = [...outer, ...rest];
  if (length === 0 || sizeOf(result) === 0) return node.fill(x.type, result, 0);
  const places: AnyTensor = tuplePlaces(node, indices, axes).reshape([sizeOf(batch), -1]);
  const flat: AnyTensor = x.tensor.reshape([sizeOf(batch), sizeOf(axes), sizeOf(rest)]);
  return like(x, gatherBatched(flat, places, 1, 1).reshape(result));
};

/** Puts pooled elements back at their places, counted through the whole tensor. */
const maxUnpool: Operator = (node) => {
  const [x, indices] = [node.input(0), node.input(1)];
  const [outer, spatial] = [shapeOf(x).slice(0, 2), shapeOf(x).slice(2)];
  const window = node.ints('kernel_shape');
  const strides = node.ints(
    'strides',
    spatial.map(() => 1),
  );
  const pads = node.ints(
    'pads',
    [...spatial, ...spatial].map(() => 0),
  );
  const unpooled = [
    ...outer,
    ...spatial.map((dim, d) => (dim - 1) * strides[d]! + window[d]! - pads[d]! - pads[d + spatial.length]!),
  ];
  const [size, count] = [sizeOf(unpooled), sizeOf(shapeOf(x))];
  const places: AnyTensor = indicesInto(node, indices, size).reshape([1, count]);
  const zeros = node.fill(x.type, [1, size, 1], 0);
  const flat = written(node, zeros, places, x.tensor.reshape([1, count, 1]), 'none');
  const result: AnyTensor = flat.tensor.reshape(unpooled);
  const asked = node.optional(2);
  if (asked === null) return like(x, result);
  const shape = node.expectKnown(asked, 'output_shape');
  const widths = shape.map((dim, axis): [number, number] => [0, dim - unpooled[axis]!]);
  if (widths.some(([, high]) => high < 0)) node.invalid(`output_shape [${shape}] is smaller than [${unpooled}]`);
  return like(x, pad(result, widths));
};

/** Columns [N, C · block, positions] → the image [N, C, D..] that they were taken from, overlapping cells added. */
const columnsToImage: Operator = (node) => {
  const x = node.input(0);
  const dims = node.expectKnown(node.input(1), 'image_shape');
  const block = node.expectKnown(node.input(2), 'block_shape');
  const ones = dims.map(() => 1);
  const [strides, dilations] = [node.ints('strides', ones), node.ints('dilations', ones)];
  const pads = node.ints(
    'pads',
    [...dims, ...dims].map(() => 0),
  );
  const positions = dims.map((dim, d) => {
    const span = (block[d]! - 1) * dilations[d]! + 1;
    return Math.floor((dim + pads[d]! + pads[d + dims.length]! - span) / strides[d]!) + 1;
  });
  const [batch, rows, columns] = shapeOf(x) as [number, number, number];
  const [taps, count] = [sizeOf(block), sizeOf(positions)];
  if (columns !== count || rows % taps !== 0)
    node.invalid(`blocks of [${block}] at [${positions}] positions expected, [${shapeOf(x)}] given`);
  const places = wholeRange(taps * count).map((at) => {
    const [tap, position] = [indexOf(Math.floor(at / count), block), indexOf(at % count, positions)];
    const cells = dims.map((_, d) => position[d]! * strides[d]! + tap[d]! * dilations[d]! - pads[d]!);
    const isInside = cells.every((cell, d) => cell >= 0 && cell < dims[d]!);
    return isInside ? cells.reduce((place, cell, d) => place * dims[d]! + cell, 0) : -1;
  });
  const channels = rows / taps;
  const image = node.fill(x.type, [batch * channels, sizeOf(dims)], 0).tensor;
  const updates: AnyTensor = x.tensor.reshape([batch * channels, taps * count]);
  const sums = addBatched(image, node.numbers('int32', [places.length], places).tensor, updates, 1, 0);
  return wrap(x.type, sums.reshape([batch, channels, ...dims]));
};

/** The index of the n-th element of a shape. */
function indexOf(n: number, shape: readonly number[]): number[] {
  const index: number[] = [];
  let rest = n;
  for (const dim of [...shape].reverse()) {
    index.unshift(rest % dim);
    rest = Math.floor(rest / dim);
  }
  return index;
}

/** indices [I..], a number of classes and [off, on] → [I.., classes], the new axis at `axis`. */
const oneHot: Operator = (node) => {
  const [indices, values] = [node.input(0), node.input(2)];
  const [depth] = node.expectKnown(node.input(1), 'depth') as [number];
  const shape = shapeOf(indices);
  const axis = axisOf(node, node.int('axis', -1), shape.length + 1);
  const result = [...shape.slice(0, axis), depth, ...shape.slice(axis)];
  const narrowed = withinClasses(indices, depth);
  const places: AnyTensor = choose(narrowed.lt(0), narrowed.add(depth), narrowed).reshape(
    result.map((dim, i) => (i === axis ? 1 : dim)),
  );
  const isOn: AnyTensor = iota(result, axis, 'i32').eq(places);
  const [off, on] = [0, 1].map((i): AnyTensor => slice(values.tensor, [i], [i + 1]).reshape([])) as [
    AnyTensor,
    AnyTensor,
  ];
  return like(values, choose(isOn, on, off));
};

/** Indices as i32; those beyond the classes stay beyond. */
function withinClasses({ tensor }: OnnxValue, depth: number): AnyTensor {
  if (tensor.dtype === 'u8' || tensor.dtype === 'i8' || tensor.dtype === 'i32') return tensor.cast('i32');
  if (tensor.dtype === 'u32') return tensor.minimum(depth).cast('i32');
  return tensor
    .maximum(-depth - 1)
    .minimum(depth)
    .cast('i32');
}

export const scatterOperators: Readonly<Record<string, Operator>> = {
  ScatterElements: scatterElements,
  Scatter: scatterElements,
  ScatterND: scatterND,
  GatherND: gatherND,
  MaxUnpool: maxUnpool,
  Col2Im: columnsToImage,
  OneHot: oneHot,
};
