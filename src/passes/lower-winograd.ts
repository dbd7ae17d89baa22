// Winograd's minimal filtering (A. Lavin, S. Gray, CVPR 2016): a 3 × 3 convolution of 4 × 4 results from 36 products
// instead of 144. Tiles of the image and the weights are transformed, one matrix product per position of the transformed
// tile sums over channels (the direct contraction, with tiles for pixels), and its results are transformed back. Channels
// and features run in lanes throughout. The error is about twice that of a plain sum in the mean; a
// test bounds the worst.

import type { Node } from '../ir/graph.ts';
import { type Axis, add, axis, fixed, flatten, type IndexExpr, multiply, of, unflatten } from '../ir/index-expr.ts';
import { apply, type Buffer, type Expr, indexValue, type Local, literal, load, type Stmt } from '../ir/kernel.ts';
import { bytesPerElement } from '../ir/types.ts';
import { substituteAxes, substituteIndex } from './expr-rewrite.ts';
import { type GroupContext, type KernelBody, memberStmts } from './group.ts';
import { loop, nest } from './loops.ts';
import { conflictStride, type DirectProblem, lowerDirect, rowPadding, stageImage } from './lower-direct.ts';
import { type DirectSchedule, directSchedule, lanesOf, parallelThreshold, type ScheduleTarget } from './schedule.ts';

type Matrix = readonly (readonly number[])[];

/** Results per tile along an axis, and taps. */
const outputs = 4;
const taps = 3;
const size = outputs + taps - 1;

/**
 * The transforms of F(4 × 4, 3 × 3) by Toom and Cook with interpolation points 0, ±3/4, ±3/2 and infinity. These lose a
 * fourth of what the usual 0, ±1, ±2 lose, and image and result transforms are exact in binary.
 */
const imageTransform: Matrix = [
  [81 / 64, 0, -45 / 16, 0, 1, 0],
  [0, -27 / 16, -9 / 4, 3 / 4, 1, 0],
  [0, 27 / 16, -9 / 4, -3 / 4, 1, 0],
  [0, -27 / 32, -9 / 16, 3 / 2, 1, 0],
  [0, 27 / 32, -9 / 16, -3 / 2, 1, 0],
  [0, 81 / 64, 0, -45 / 16, 0, 1],
];
const weightTransform: Matrix = [
  [64 / 81, 0, 0],
  [-128 / 243, -32 / 81, -8 / 27],
  [-128 / 243, 32 / 81, -8 / 27],
  [32 / 243, 16 / 81, 8 / 27],
  [32 / 243, -16 / 81, 8 / 27],
  [0, 0, 1],
];
const resultTransform: Matrix = [
  [1, 1, 1, 1, 1, 0],
  [0, 3 / 4, -3 / 4, 3 / 2, -3 / 2, 0],
  [0, 9 / 16, 9 / 16, 9 / 4, 9 / 4, 0],
  [0, 27 / 64, -27 / 64, 27 / 8, -27 / 8, 1],
];

/** A convolution with its axes by name: image, rows and columns of pixels; channel and taps. */
export interface Square extends DirectProblem {
  readonly image_: Axis;
  readonly y: Axis;
  readonly x: Axis;
  readonly channel: Axis;
  readonly tapY: Axis;
  readonly tapX: Axis;
  readonly feature: Axis;
  readonly tilesY: number;
  readonly tilesX: number;
}

/** The problem by its parts, or null where it is no 3 × 3 convolution with stride 1 whose channels and features fill lanes. */
export function asWinograd(problem: DirectProblem, lanes: number): Square | null {
  const [image_, y, x] = problem.pixels;
  const [channel, tapY, tapX] = problem.inner;
  const [feature] = problem.features;
  const shaped =
    problem.pixels.length === 3 &&
    problem.inner.length === 3 &&
    tapY!.extent === taps &&
    tapX!.extent === taps &&
    problem.batch.every(({ extent }) => extent === 1);
  if (!shaped || channel!.extent % lanes !== 0 || feature!.extent % lanes !== 0) return null;
  const [, , rows, columns] = problem.window.index as [IndexExpr, IndexExpr, IndexExpr, IndexExpr];
  const plain = [rows, columns].every(
    ({ terms }) => terms.length <= 2 && terms.every(({ coefficient }) => coefficient === 1),
  );
  if (!plain || problem.image.dtype !== 'f32') return null;
  return {
    ...problem,
    image_: image_!,
    y: y!,
    x: x!,
    channel: channel!,
    tapY: tapY!,
    tapX: tapX!,
    feature: feature!,
    tilesY: Math.ceil(y!.extent / outputs),
    tilesX: Math.ceil(x!.extent / outputs),
  };
}

/** The pixels of the products: tiles of all images. */
export function tilesOf({ image_, tilesY, tilesX }: Square): number {
  return image_.extent * tilesY * tilesX;
}

/** Multiply-adds of the direct form over those of this one, transforms, padding and reading of weights counted; above 1 it is worth it. */
export function winogradGain(square: Square, target: ScheduleTarget): number {
  const { image_, y, x, channel, feature, tilesY, tilesX } = square;
  const bytes = bytesPerElement[square.image.dtype];
  const lanes = lanesOf(target, bytes);
  const tiles = image_.extent * tilesY * tilesX;
  const pixels = image_.extent * y.extent * x.extent;
  const channels = channel.extent;
  const features = feature.extent;
  const schedule = directSchedule(features, tiles, bytes, target);
  const paddedTiles = Math.ceil(tiles / schedule.pixels) * schedule.pixels;
  const read = (elements: number): number => elements * weightReadCost;
  const direct = (pixels * channels * features * taps * taps) / lanes + read(channels * features * taps * taps);
  const products = (paddedTiles * channels * features * size * size) / lanes + read(channels * features * size * size);
  const transforms = (tiles * (channels + features) * size * size * transformCost) / lanes;
  return direct / (products + transforms);
}

/** Cycles to read one weight from the third-level cache, about 12 bytes a cycle, beside the multiply-add that uses it. */
const weightReadCost = 1 / 3;
/** Vector operations per element of a transformed tile: arithmetic, one write and one read beyond the second-level cache. */
const transformCost = 9;

/** The kernels; `schedule` is that of the products, whose pixels are tiles. */
export function lowerWinograd(
  context: GroupContext,
  anchor: Node,
  square: Square,
  schedule: DirectSchedule,
): KernelBody[] {
  const { image_, channel, feature, tilesY, tilesX, window } = square;
  const tiles = image_.extent * tilesY * tilesX;
  const points = size * size;
  const padded: DirectProblem['window'] = {
    ...window,
    shape: [window.shape[0]!, window.shape[1]!, tilesY * outputs + taps - 1, tilesX * outputs + taps - 1],
  };
  const staged = stageImage(context, { ...square, window: padded }, true);
  const dtype = square.image.dtype;
  const bytes = bytesPerElement[dtype];
  const rowElements = channel.extent + ((channel.extent * bytes) % conflictStride === 0 ? rowPadding : 0);
  const transformed = context.scratch('transformed', dtype, points * tiles * rowElements);
  const products = context.scratch('products', dtype, points * tiles * feature.extent);
  const panelWidth = schedule.packedWidth;
  const panels = Math.ceil(feature.extent / panelWidth);
  const packed = context.scratch('packed_weights', dtype, points * panels * channel.extent * panelWidth);
  const point = axis('point', points);
  const tile = axis('tile', tiles);
  const sums: DirectProblem = {
    batch: [point],
    features: [feature],
    pixels: [tile],
    inner: [channel],
    weights: square.weights,
    image: load(transformed, flatten([of(point), of(tile), of(channel)], [points, tiles, rowElements])),
    window,
    result: square.result,
    packed,
    finish: (map, value) => [
      {
        kind: 'store',
        buffer: products,
        offset: flatten([map.get(point)!, map.get(tile)!, map.get(feature)!], [points, tiles, feature.extent]),
        value,
      },
    ],
  };
  return [
    { suffix: '_pad', body: staged.body, flops: 0 },
    { suffix: '_weights', body: transformWeights(square, packed, panels, panelWidth), flops: 0 },
    { suffix: '_image', body: transformImage(square, staged.at, transformed, tiles, rowElements), flops: 0 },
    ...lowerDirect(context, anchor, sums, schedule).map((kernel) => ({
      ...kernel,
      suffix: `_products${kernel.suffix}`,
    })),
    { suffix: '', body: transformResults(context, anchor, square, products, tiles), flops: 0 },
  ];
}

/** Names for values, and the statements that compute them. */
class Block {
  readonly stmts: Stmt[] = [];
  let(name: string, value: Expr): Expr {
    const local: Local = { name, dtype: value.dtype, lanes: 1 };
    this.stmts.push({ kind: 'let', local, value });
    return { kind: 'local', dtype: value.dtype, local };
  }
}

/** Σ coefficientᵢ · valueᵢ, without products by 0 and ±1. */
function combine(coefficients: readonly number[], values: readonly Expr[]): Expr {
  let sum: Expr | null = null;
  coefficients.forEach((coefficient, i) => {
    const value = values[i]!;
    if (coefficient === 0) return;
    const scaled =
      Math.abs(coefficient) === 1 ? value : apply('mul', value, literal(value.dtype, Math.abs(coefficient)));
    if (sum === null) sum = coefficient < 0 ? apply('neg', scaled) : scaled;
    else sum = apply(coefficient < 0 ? 'sub' : 'add', sum, scaled);
  });
  return sum!;
}

/** M · d · Mᵀ. */
function transform(block: Block, matrix: Matrix, values: readonly (readonly Expr[])[]): Expr[][] {
  const columns = values[0]!.map((_, j) => values.map((row) => row[j]!));
  const half = matrix.map((row, r) => columns.map((column, j) => block.let(`half${r}${j}`, combine(row, column))));
  return half.map((row) => matrix.map((coefficients) => combine(coefficients, row)));
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** `[point][panel][channel][feature]` */
function transformWeights(square: Square, packed: Buffer, panels: number, panelWidth: number): Stmt[] {
  const { channel, feature, tapY, tapX, weights } = square;
  const panel = axis('panel', panels);
  const lane = axis('lane', panelWidth);
  const index = add(multiply(of(panel), panelWidth), of(lane));
  const block = new Block();
  const values = range(taps).map((i) =>
    range(taps).map((j) => {
      const map = new Map([
        [feature, index],
        [tapY, fixed(i)],
        [tapX, fixed(j)],
      ]);
      const weight = substituteAxes(weights, map);
      return block.let(`weight${i}${j}`, weight);
    }),
  );
  transform(block, weightTransform, values).forEach((row, i) => {
    row.forEach((value, j) => {
      const offset = flatten(
        [fixed(i * size + j), of(panel), of(channel), of(lane)],
        [size * size, panels, channel.extent, panelWidth],
      );
      block.stmts.push({ kind: 'store', buffer: packed, offset, value });
    });
  });
  const beyond = panels * panelWidth > feature.extent;
  const inside = apply('lt', indexValue(index), literal('i32', feature.extent));
  const body: Stmt[] = beyond ? [{ kind: 'if', condition: inside, then: block.stmts, otherwise: [] }] : block.stmts;
  return nest([panel, channel], 'parallel', [loop(lane, 'vector', body)]);
}

function tileAxes({ image_, tilesY, tilesX }: Square): [Axis, Axis, Axis] {
  return [axis('image', image_.extent), axis('tile_y', tilesY), axis('tile_x', tilesX)];
}

function flatTile(axes: readonly Axis[]): IndexExpr {
  return flatten(
    axes.map(of),
    axes.map(({ extent }) => extent),
  );
}

function transformImage(
  square: Square,
  at: (index: readonly IndexExpr[]) => Expr,
  transformed: Buffer,
  tiles: number,
  rowElements: number,
): Stmt[] {
  const [image, tileY, tileX] = tileAxes(square);
  const channel = axis('channel', square.channel.extent);
  const block = new Block();
  const values = range(size).map((i) =>
    range(size).map((j) => {
      const y = add(multiply(of(tileY), outputs), fixed(i));
      const x = add(multiply(of(tileX), outputs), fixed(j));
      return block.let(`cell${i}${j}`, at([of(image), of(channel), y, x]));
    }),
  );
  const tile = flatTile([image, tileY, tileX]);
  transform(block, imageTransform, values).forEach((row, i) => {
    row.forEach((value, j) => {
      const offset = flatten([fixed(i * size + j), tile, of(channel)], [size * size, tiles, rowElements]);
      block.stmts.push({ kind: 'store', buffer: transformed, offset, value });
    });
  });
  const work = tiles * channel.extent * size * size * transformCost;
  const body = [loop(channel, 'vector', block.stmts)];
  return nest([image, tileY, tileX], work >= parallelThreshold ? 'parallel' : 'serial', body);
}

/** Features that one pass transforms: what a block of them takes stays in the first-level cache. */
const featureBlocks = [64, 48, 32, 16, 8, 4];

function transformResults(
  context: GroupContext,
  anchor: Node,
  square: Square,
  products: Buffer,
  tiles: number,
): Stmt[] {
  const { feature, dtype } = { ...square, dtype: square.image.dtype };
  const width = featureBlocks.find((count) => feature.extent % count === 0)!;
  const [image, tileY, tileX] = tileAxes(square);
  const panel = axis('panel', feature.extent / width);
  const lane = axis('lane', width);
  const sums: Buffer = { name: 'sums', dtype, size: outputs * outputs * width, space: 'stack' };
  const at = add(multiply(of(panel), width), of(lane));
  const tile = flatTile([image, tileY, tileX]);
  const block = new Block();
  const values = range(size).map((i) =>
    range(size).map((j) => {
      const offset = flatten([fixed(i * size + j), tile, at], [size * size, tiles, feature.extent]);
      return block.let(`product${i}${j}`, load(products, offset));
    }),
  );
  transform(block, resultTransform, values).forEach((row, i) => {
    row.forEach((value, j) => {
      block.stmts.push({ kind: 'store', buffer: sums, offset: add(fixed((i * outputs + j) * width), of(lane)), value });
    });
  });
  const body: Stmt[] = [
    { kind: 'allocate', buffer: sums },
    loop(lane, 'vector', block.stmts),
    ...finishTile(context, anchor, square, sums, [image, tileY, tileX], at, lane),
  ];
  const work = tiles * feature.extent * size * size * transformCost;
  return nest([image, tileY, tileX, panel], work >= parallelThreshold ? 'parallel' : 'serial', body);
}

function finishTile(
  context: GroupContext,
  anchor: Node,
  { y, x, image_, feature, batch, result }: Square,
  sums: Buffer,
  [image, tileY, tileX]: readonly [Axis, Axis, Axis],
  at: IndexExpr,
  lane: Axis,
): Stmt[] {
  const cell = axis('cell', outputs * outputs);
  const [row, column] = unflatten(of(cell), [outputs, outputs]) as [IndexExpr, IndexExpr];
  const atY = add(multiply(of(tileY), outputs), row);
  const atX = add(multiply(of(tileX), outputs), column);
  const map = new Map([
    ...batch.map((next): [Axis, IndexExpr] => [next, fixed(0)]),
    [image_, of(image)],
    [y, atY],
    [x, atX],
    [feature, at],
  ]);
  const index = result.map((position) => substituteIndex(position, map));
  const sum = load(sums, add(multiply(of(cell), lane.extent), of(lane)));
  const members = [loop(lane, 'vector', memberStmts(context, index, new Map([[anchor.results[0]!, sum]])))];
  const guards = [
    ...(y.extent % outputs === 0 ? [] : [apply('lt', indexValue(atY), literal('i32', y.extent))]),
    ...(x.extent % outputs === 0 ? [] : [apply('lt', indexValue(atX), literal('i32', x.extent))]),
  ];
  const guarded = guards.reduceRight<Stmt[]>(
    (body, condition) => [{ kind: 'if', condition, then: body, otherwise: [] }],
    members,
  );
  return [loop(cell, 'serial', guarded)];
}
