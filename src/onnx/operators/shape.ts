// Operators that move elements: other shapes, parts, copies, paddings, and the shapes themselves as values.

import { builder } from '../../ir/ops/index.ts';
import { sizeOf } from '../../ir/types.ts';
import { concat, gather, narrow, pad, reverse, slice, takeAlong } from '../../lang/functions.ts';
import type { AnyTensor } from '../../lang/tensor.ts';
import { Tensor } from '../../lang/tensor.ts';
import { iota } from '../../lang/variable.ts';
import { carrierOf } from '../element-types.ts';
import { like, type NodeContext, type OnnxValue, type Operator, shapeOf, typed } from '../node-context.ts';
import { attributeOrInput, axisOf, wholeRange } from './axes.ts';
import { choose } from './values.ts';

const reshape: Operator = (node) => {
  const x = node.input(0);
  const from = shapeOf(x);
  const wanted = node.opset < 5 ? [...node.ints('shape')] : node.expectKnown(node.input(1), 'shape');
  const keepsZero = node.int('allowzero', 0) !== 0;
  const copied = wanted.map((dim, axis) =>
    dim === 0 && !keepsZero ? (from[axis] ?? node.invalid(`axis ${axis} does not exist`)) : dim,
  );
  return like(x, x.tensor.reshape(withoutRest(node, copied, sizeOf(from))));
};

/** One −1 stands for what is left; of nothing, nothing is left. */
function withoutRest(node: NodeContext, shape: readonly number[], size: number): number[] {
  const known = shape.reduce((product, dim) => (dim === -1 ? product : product * dim), 1);
  const rest = known === 0 ? 0 : size / known;
  if (!Number.isInteger(rest)) node.invalid(`${size} elements do not fit [${shape}]`);
  return shape.map((dim) => (dim === -1 ? rest : dim));
}

const flatten: Operator = (node) => {
  const x = node.input(0);
  const shape = shapeOf(x);
  const axis = axisOf(node, node.int('axis', 1), shape.length, shape.length + 1);
  return like(x, x.tensor.reshape([sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis))]));
};

const squeeze: Operator = (node) => {
  const x = node.input(0);
  const shape = shapeOf(x);
  const given = attributeOrInput(node, 'axes', 1, 13);
  const axes =
    given?.map((axis) => axisOf(node, axis, shape.length)) ??
    wholeRange(shape.length).filter((axis) => shape[axis] === 1);
  const long = axes.find((axis) => shape[axis] !== 1);
  if (long !== undefined) node.invalid(`axis ${long} of [${shape}] has more than one element`);
  return like(x, x.tensor.reshape(shape.filter((_, axis) => !axes.includes(axis))));
};

const unsqueeze: Operator = (node) => {
  const x = node.input(0);
  const given = attributeOrInput(node, 'axes', 1, 13) ?? node.invalid('axes expected');
  const rank = shapeOf(x).length + given.length;
  const axes = new Set(given.map((axis) => axisOf(node, axis, rank)));
  if (axes.size !== given.length) node.invalid(`axes [${given}] name one axis twice`);
  const dims = [...shapeOf(x)];
  return like(x, x.tensor.reshape(wholeRange(rank).map((axis) => (axes.has(axis) ? 1 : dims.shift()!))));
};

const transpose: Operator = (node) => {
  const x = node.input(0);
  const rank = shapeOf(x).length;
  return like(x, x.tensor.transpose([...node.ints('perm', wholeRange(rank).reverse())]));
};

const concatenate: Operator = (node) => {
  const all = node.allInputs();
  const axis = axisOf(node, node.int('axis', 1), shapeOf(all[0] ?? node.invalid('an input expected')).length);
  const tensors = all.map(({ tensor }) => tensor) as [AnyTensor, ...AnyTensor[]];
  return like(all[0]!, concat(tensors, axis) as AnyTensor);
};

/** Lengths of parts: given, or equal ones, the last smaller. */
const split: Operator = (node) => {
  const x = node.input(0);
  const axis = axisOf(node, node.int('axis', 0), shapeOf(x).length);
  const dim = shapeOf(x)[axis]!;
  const count = node.int('num_outputs', node.outputs.length);
  const equal = Math.ceil(dim / count);
  const lengths =
    attributeOrInput(node, 'split', 1, 13) ??
    wholeRange(count).map((part) => Math.max(0, Math.min(equal, dim - part * equal)));
  if (lengths.some((length) => length < 0) || lengths.reduce((sum, length) => sum + length, 0) !== dim)
    node.invalid(`parts of [${lengths}] do not make up the ${dim} elements of axis ${axis}`);
  let start = 0;
  return lengths.map((length) => {
    start += length;
    return like(x, narrow(x.tensor, axis, start - length, length) as AnyTensor);
  });
};

const cut: Operator = (node) => {
  const x = node.input(0);
  const shape = shapeOf(x);
  const list = (position: number, name: string): readonly number[] | null => attributeOrInput(node, name, position, 10);
  const starts = list(1, 'starts') ?? node.invalid('starts expected');
  const ends = list(2, 'ends') ?? node.invalid('ends expected');
  const axes = list(3, 'axes') ?? wholeRange(starts.length);
  const steps = list(4, 'steps') ?? starts.map(() => 1);
  if ([ends, axes, steps].some(({ length }) => length !== starts.length))
    node.invalid(
      `as many starts, ends, axes and steps expected, [${starts}], [${ends}], [${axes}] and [${steps}] given`,
    );
  const parts = shape.map((dim) => ({ start: 0, limit: dim, step: 1 }));
  axes.forEach((axis, i) => {
    const at = axisOf(node, axis, shape.length);
    parts[at] = partOf(node, starts[i]!, ends[i]!, steps[i]!, shape[at]!);
  });
  const forward = slice(
    x.tensor,
    parts.map(({ start }) => start),
    parts.map(({ limit }) => limit),
    parts.map(({ step }) => Math.abs(step)),
  ) as AnyTensor;
  const turned = parts.flatMap(({ step }, axis) => (step < 0 ? [axis] : []));
  return like(x, turned.length === 0 ? forward : (reverse(forward, turned) as AnyTensor));
};

/** Python's slice of an axis as start and limit in increasing order; a negative step means that the result is turned around. */
function partOf(node: NodeContext, from: number, to: number, step: number, dim: number) {
  if (step === 0) node.invalid('a step of 0 given');
  const clamp = (place: number, low: number, high: number): number =>
    Math.min(high, Math.max(low, place < 0 ? place + dim : place));
  if (step > 0) {
    const start = clamp(from, 0, dim);
    return { start, limit: Math.max(start, clamp(to, 0, dim)), step };
  }
  const first = clamp(from, -1, dim - 1);
  const count = Math.max(0, Math.ceil((first - clamp(to, -1, dim - 1)) / -step));
  if (count === 0) return { start: 0, limit: 0, step };
  return { start: first + (count - 1) * step, limit: first + 1, step };
}

/** Indices in [−size, size) as i32 in [0, size); others are clamped first. */
export function indicesInto(node: NodeContext, indices: OnnxValue, size: number): AnyTensor {
  const known = node.known(indices);
  if (known !== null) {
    const resolved = Array.from(known, (index) => (index < 0 ? index + size : index));
    const outside = resolved.find((index) => index < 0 || index >= size);
    if (outside !== undefined) node.invalid(`an index of ${outside} given, there are ${size} elements`);
    return node.numbers('int32', shapeOf(indices), resolved).tensor;
  }
  const narrowed: AnyTensor =
    carrierOf[indices.type] === 'i32'
      ? indices.tensor
      : indices.tensor
          .maximum(-size)
          .minimum(size - 1)
          .cast('i32');
  return choose(narrowed.lt(0), narrowed.add(size), narrowed);
}

const gathered: Operator = (node) => {
  const [x, indices] = [node.input(0), node.input(1)];
  const shape = shapeOf(x);
  const axis = axisOf(node, node.int('axis', 0), shape.length);
  if (sizeOf(shapeOf(indices)) === 0 || shape[axis] === 0) {
    return node.fill(x.type, [...shape.slice(0, axis), ...shapeOf(indices), ...shape.slice(axis + 1)], 0);
  }
  const places = indicesInto(node, indices, shape[axis]!);
  const known = node.known(indices);
  if (known?.length === 1) {
    const place = known[0]! < 0 ? known[0]! + shape[axis]! : known[0]!;
    const one: AnyTensor = narrow(x.tensor, axis, place, 1);
    return like(x, one.reshape([...shape.slice(0, axis), ...shapeOf(indices), ...shape.slice(axis + 1)]));
  }
  return like(x, gather(x.tensor, places, axis) as AnyTensor);
};

/** The other axes of the indices may be shorter than those of x. */
const gatherElements: Operator = (node) => {
  const [x, indices] = [node.input(0), node.input(1)];
  const axis = axisOf(node, node.int('axis', 0), shapeOf(x).length);
  const limits = shapeOf(indices).map((dim, i) => (i === axis ? shapeOf(x)[i]! : dim));
  const part = slice(
    x.tensor,
    limits.map(() => 0),
    limits,
  ) as AnyTensor;
  return like(x, takeAlong(part, indicesInto(node, indices, shapeOf(x)[axis]!), axis) as AnyTensor);
};

const expand: Operator = (node) => {
  const x = node.input(0);
  const wanted = node.expectKnown(node.input(1), 'shape');
  const from = shapeOf(x);
  const rank = Math.max(from.length, wanted.length);
  const shape = wholeRange(rank).map((i) => {
    const [a, b] = [from[i - rank + from.length] ?? 1, wanted[i - rank + wanted.length] ?? 1];
    return a === 1 ? b : a;
  });
  return like(x, x.tensor.broadcastTo(shape));
};

const tile: Operator = (node) => {
  const x = node.input(0);
  const repeats = node.expectKnown(node.input(1), 'repeats');
  const shape = shapeOf(x);
  if (repeats.length !== shape.length) node.invalid(`${shape.length} repeats expected, [${repeats}] given`);
  const pairs = shape.flatMap((dim) => [1, dim]);
  const repeated = shape.flatMap((dim, axis) => [repeats[axis]!, dim]);
  const result = shape.map((dim, axis) => dim * repeats[axis]!);
  return like(x, x.tensor.reshape(pairs).broadcastTo(repeated).reshape(result));
};

const padded: Operator = (node) => {
  const x = node.input(0);
  const rank = shapeOf(x).length;
  const list = node.opset < 2 ? node.ints('paddings') : attributeOrInput(node, 'pads', 1, 11);
  const pads = list ?? node.invalid('pads expected');
  const chosen = node.optional(3);
  const axes =
    chosen === null ? wholeRange(rank) : node.expectKnown(chosen, 'axes').map((axis) => axisOf(node, axis, rank));
  if (pads.length !== 2 * axes.length) node.invalid(`${2 * axes.length} pads expected, [${pads}] given`);
  const widths = wholeRange(rank).map((): [number, number] => [0, 0]);
  axes.forEach((axis, i) => {
    widths[axis] = [pads[i]!, pads[i + axes.length]!];
  });
  const mode = node.string('mode', 'constant');
  if (mode === 'constant') return padWithValue(node, x, widths);
  return like(
    x,
    widths.reduce((tensor, [low, high], axis) => repeatedEdge(node, tensor, axis, low, high, mode), x.tensor),
  );
};

function padWithValue(node: NodeContext, x: OnnxValue, widths: readonly (readonly [number, number])[]): OnnxValue {
  const value = node.opset < 11 ? node.fill(x.type, [], node.float('value', 0)) : node.optional(2);
  const known = value === null ? [0] : node.known(value);
  if (known !== null) return like(x, pad(x.tensor, widths, known[0]) as AnyTensor);
  const inside: AnyTensor = pad(node.fill('int32', shapeOf(x), 1).tensor, widths, 0);
  return like(x, choose(inside.ne(0), pad(x.tensor, widths, 0) as AnyTensor, value!.tensor));
}

/** Pads an axis with its own elements. */
function repeatedEdge(
  node: NodeContext,
  x: AnyTensor,
  axis: number,
  low: number,
  high: number,
  mode: string,
): AnyTensor {
  const dim = x.shape[axis] as number;
  if (low === 0 && high === 0) return x;
  if (dim === 0) return node.invalid(`axis ${axis} is empty, it cannot be padded by mode ${mode}`);
  const period = 2 * (dim - 1) || 1;
  const wrapped = (place: number, by: number): number => ((place % by) + by) % by;
  const places: Readonly<Record<string, (place: number) => number>> = {
    edge: (place) => Math.min(dim - 1, Math.max(0, place)),
    reflect: (place) => {
      const turned = wrapped(place, period);
      return dim === 1 ? 0 : turned < dim ? turned : period - turned;
    },
    wrap: (place) => wrapped(place, dim),
  };
  const placeOf = places[mode] ?? node.unsupported(`mode ${mode}`);
  const indices = wholeRange(low + dim + high).map((i) => placeOf(i - low));
  return gather(x, node.numbers('int32', [indices.length], indices).tensor, axis) as AnyTensor;
}

const shapeValue: Operator = (node) => {
  const shape = shapeOf(node.input(0));
  const place = (at: number): number => Math.min(shape.length, Math.max(0, at < 0 ? at + shape.length : at));
  const dims = shape.slice(place(node.int('start', 0)), place(node.int('end', shape.length)));
  return node.numbers('int64', [dims.length], dims);
};

const constant: Operator = (node) => {
  if (node.has('value')) return node.tensor('value');
  if (node.has('value_float')) return node.numbers('float', [], [node.float('value_float')]);
  if (node.has('value_int')) return node.constant(wholeNumbers([], [node.bigint('value_int')]));
  if (node.has('value_floats')) {
    const list = node.floats('value_floats');
    return node.numbers('float', [list.length], list);
  }
  if (node.has('value_ints')) {
    const list = node.bigints('value_ints');
    return node.constant(wholeNumbers([list.length], list));
  }
  return node.unsupported('a constant of strings or a sparse one');
};

function wholeNumbers(shape: readonly number[], list: readonly bigint[]) {
  const elements = BigInt64Array.from(list);
  return { type: 'int64', shape, elements: () => elements } as const;
}

const constantOfShape: Operator = (node) => {
  const shape = node.expectKnown(node.input(0), 'shape');
  if (!node.has('value')) return node.fill('float', shape, 0);
  const value = node.tensor('value');
  return like(value, value.tensor.reshape(shape.map(() => 1)).broadcastTo(shape));
};

/** start, start + delta, … before limit. */
const range: Operator = (node) => {
  const [first, limit, step] = [0, 1, 2].map((i) => node.input(i)) as [OnnxValue, OnnxValue, OnnxValue];
  const [start] = node.expectKnown(first, 'start') as [number];
  const [delta] = node.expectKnown(step, 'delta') as [number];
  const [end] = node.expectKnown(limit, 'limit') as [number];
  const count = Math.max(0, Math.ceil((end - start) / delta));
  if (!Number.isSafeInteger(count)) return node.invalid(`a range from ${start} to ${end} by ${delta}`);
  const steps: AnyTensor = iota([count], 0, carrierOf[first.type]);
  return like(first, steps.mul(delta).add(start));
};

const spaceToDepth: Operator = (node) => {
  const x = node.input(0);
  const [n, c, h, w] = shapeOf(x) as [number, number, number, number];
  const size = node.int('blocksize');
  const [rows, columns] = [h / size, w / size];
  const blocks = x.tensor.reshape([n, c, rows, size, columns, size]).transpose([0, 3, 5, 1, 2, 4]);
  return like(x, blocks.reshape([n, c * size * size, rows, columns]));
};

/** Blocks before channels (DCR), or channels before blocks (CRD). */
const depthToSpace: Operator = (node) => {
  const x = node.input(0);
  const [n, c, h, w] = shapeOf(x) as [number, number, number, number];
  const size = node.int('blocksize');
  const depth = c / size / size;
  const isColumnFirst = node.string('mode', 'DCR') === 'CRD';
  const blocks = isColumnFirst
    ? x.tensor.reshape([n, depth, size, size, h, w]).transpose([0, 1, 4, 2, 5, 3])
    : x.tensor.reshape([n, size, size, depth, h, w]).transpose([0, 3, 4, 1, 5, 2]);
  return like(x, blocks.reshape([n, depth, h * size, w * size]));
};

/** Elements where the condition, which must be known, is true. */
const compress: Operator = (node) => {
  const x = node.input(0);
  const flat = node.has('axis') ? x.tensor : (x.tensor.flatten() as AnyTensor);
  const axis = axisOf(node, node.int('axis', 0), flat.rank);
  const condition = node.expectKnown(node.input(1), 'condition');
  const places = condition.flatMap((keep, place) => (keep !== 0 ? [place] : []));
  if (places.length === 0) return like(x, narrow(flat, axis, 0, 0) as AnyTensor);
  return like(x, gather(flat, node.numbers('int32', [places.length], places).tensor, axis) as AnyTensor);
};

/** The first `lengths[b]` steps of each sequence in opposite order. */
const reverseSequence: Operator = (node) => {
  const [x, lengths] = [node.input(0), node.input(1)];
  const shape = shapeOf(x);
  const [batch, time] = [node.int('batch_axis', 1), node.int('time_axis', 0)];
  if (batch > 1 || time > 1 || batch === time) return node.invalid('axes 0 and 1 expected for batch and time');
  const steps: AnyTensor = iota(shape, time, 'i32');
  const perBatch: AnyTensor = lengths.tensor
    .cast('i32')
    .reshape(shape.map((_, axis) => (axis === batch ? shape[batch]! : 1)));
  const places = choose(steps.lt(perBatch), perBatch.sub(1).sub(steps), steps);
  return like(x, takeAlong(x.tensor, places, time) as AnyTensor);
};

/** Axes of other sizes around the same middle: cut, or filled with zeros. */
const centerCropPad: Operator = (node) => {
  const x = node.input(0);
  const shape = shapeOf(x);
  const axes = node.ints('axes', wholeRange(shape.length)).map((axis) => axisOf(node, axis, shape.length));
  const sizes = node.expectKnown(node.input(1), 'shape');
  if (sizes.length !== axes.length) node.invalid(`${axes.length} sizes expected, [${sizes}] given`);
  const wanted = shape.map((dim, axis) => (axes.includes(axis) ? sizes[axes.indexOf(axis)]! : dim));
  const starts = shape.map((dim, axis) => Math.max(0, Math.floor((dim - wanted[axis]!) / 2)));
  const limits = shape.map((dim, axis) => starts[axis]! + Math.min(dim, wanted[axis]!));
  const widths = shape.map((dim, axis): [number, number] => {
    const missing = Math.max(0, wanted[axis]! - dim);
    return [Math.floor(missing / 2), missing - Math.floor(missing / 2)];
  });
  return like(x, pad(slice(x.tensor, starts, limits) as AnyTensor, widths) as AnyTensor);
};

const size: Operator = (node) =>
  typed(new Tensor(builder.fill({ dtype: 'i64', shape: [] }, sizeOf(shapeOf(node.input(0))))));

export const shapeOperators: Readonly<Record<string, Operator>> = {
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: transpose,
  Concat: concatenate,
  Split: split,
  Slice: cut,
  Gather: gathered,
  GatherElements: gatherElements,
  Expand: expand,
  Tile: tile,
  Pad: padded,
  Shape: shapeValue,
  Size: size,
  Constant: constant,
  ConstantOfShape: constantOfShape,
  Range: range,
  SpaceToDepth: spaceToDepth,
  DepthToSpace: depthToSpace,
  Compress: compress,
  ReverseSequence: reverseSequence,
  CenterCropPad: centerCropPad,
};
