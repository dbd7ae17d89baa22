// Winograd's minimal filtering (A. Lavin, S. Gray, CVPR 2016): a 3 × 3 convolution of 4 × 4 results from 36 products
// instead of 144, or any of 2 to 5 taps an axis. Tiles of the image and the weights are transformed, one matrix product per
// position of the transformed tile sums over channels (the direct contraction, with tiles for pixels), and its results are
// transformed back. Channels and features run in lanes throughout. The error is about twice that of a plain sum in the mean;
// a test bounds the worst.

import type { Node } from '../ir/graph.ts';
import { type Axis, add, axis, fixed, flatten, type IndexExpr, multiply, of, unflatten } from '../ir/index-expr.ts';
import { apply, type Buffer, choose, type Expr, indexValue, literal, load, type Stmt } from '../ir/kernel.ts';
import { bytesPerElement, type DType } from '../ir/types.ts';
import { substituteAxes, substituteIndex } from './expr-rewrite.ts';
import { type GroupContext, type KernelBody, memberStmts } from './group.ts';
import { loop, nest } from './loops.ts';
import { conflictStride, type DirectProblem, lowerDirect, rowPadding, stageImage } from './lower-direct.ts';
import {
  type DirectSchedule,
  directSchedule,
  imagesTogether,
  lanesOf,
  parallelThreshold,
  type ScheduleTarget,
} from './schedule.ts';
import { Block, type Transforms, transformsFor } from './winograd-transforms.ts';

/** A convolution with its axes by name: image, rows and columns of pixels; channel and taps. */
export interface Square extends DirectProblem {
  readonly image_: Axis;
  readonly y: Axis;
  readonly x: Axis;
  readonly channel: Axis;
  readonly tapY: Axis;
  readonly tapX: Axis;
  readonly feature: Axis;
  readonly vertical: Transforms;
  readonly horizontal: Transforms;
  readonly tilesY: number;
  readonly tilesX: number;
}

/** The problem by its parts in the form that saves most, or null: stride 1, 2 to 5 taps an axis, channels and features that fill lanes. */
export function asWinograd(problem: DirectProblem, target: ScheduleTarget): Square | null {
  const lanes = lanesOf(target, bytesPerElement[problem.image.dtype]);
  const [image_, y, x] = problem.pixels;
  const [channel, tapY, tapX] = problem.inner;
  const [feature] = problem.features;
  const shaped =
    problem.pixels.length === 3 && problem.inner.length === 3 && problem.batch.every(({ extent }) => extent === 1);
  if (!shaped || channel!.extent % lanes !== 0 || feature!.extent % lanes !== 0) return null;
  const [, , rows, columns] = problem.window.index as [IndexExpr, IndexExpr, IndexExpr, IndexExpr];
  const plain = [rows, columns].every(
    ({ terms }) => terms.length <= 2 && terms.every(({ coefficient }) => coefficient === 1),
  );
  if (!plain || problem.image.dtype !== 'f32') return null;
  const parts = { image_: image_!, y: y!, x: x!, channel: channel!, tapY: tapY!, tapX: tapX!, feature: feature! };
  const forms = transformsFor(tapY!.extent).flatMap((vertical) =>
    transformsFor(tapX!.extent).map((horizontal): Square => {
      const tilesY = Math.ceil(y!.extent / vertical.outputs);
      const tilesX = Math.ceil(x!.extent / horizontal.outputs);
      return { ...problem, ...parts, vertical, horizontal, tilesY, tilesX };
    }),
  );
  const gains = forms.map((form) => winogradGain(form, target));
  return forms[gains.indexOf(Math.max(...gains))] ?? null;
}

/** The pixels of the products: tiles of all images. */
export function tilesOf({ image_, tilesY, tilesX }: Square): number {
  return image_.extent * tilesY * tilesX;
}

/** Cells of a tile, which are its products. */
const pointsOf = ({ vertical, horizontal }: Square): number => vertical.size * horizontal.size;

/** Multiply-adds of the direct form over those of this one, transforms, padding and reading of weights counted; above 1 it is worth it. */
export function winogradGain(square: Square, target: ScheduleTarget): number {
  const { image_, y, x, channel, feature, tapY, tapX } = square;
  const bytes = bytesPerElement[square.image.dtype];
  const lanes = lanesOf(target, bytes);
  const points = pointsOf(square);
  const taps = tapY.extent * tapX.extent;
  const tiles = tilesOf(square);
  const pixels = image_.extent * y.extent * x.extent;
  const channels = channel.extent;
  const features = feature.extent;
  const schedule = directSchedule(features, tiles, bytes, target);
  const paddedTiles = Math.ceil(tiles / schedule.pixels) * schedule.pixels;
  const read = (elements: number): number => elements * weightReadCost;
  const direct = (pixels * channels * features * taps) / lanes + read(channels * features * taps);
  const products = (paddedTiles * channels * features * points) / lanes + read(channels * features * points);
  const transforms = (tiles * (channels + features) * points * transformCost) / lanes;
  return direct / (products + transforms);
}

/** Cycles to read one weight from memory or the third-level cache, 8 to 26 bytes a cycle, beside the multiply-add that uses it. */
const weightReadCost = 0.28;
/** Vector operations per element of a transformed tile: arithmetic, one write and one read beyond the second-level cache. */
const transformCost = 9;

/** The kernels; `schedule` is that of the products, whose pixels are tiles. */
export function lowerWinograd(
  context: GroupContext,
  anchor: Node,
  square: Square,
  schedule: DirectSchedule,
): KernelBody[] {
  const { channel, feature, tilesY, tilesX, vertical, horizontal, window } = square;
  const points = pointsOf(square);
  const [height, width] = [tilesY * vertical.outputs, tilesX * horizontal.outputs];
  const padded: DirectProblem['window'] = {
    ...window,
    shape: [window.shape[0]!, window.shape[1]!, height + vertical.taps - 1, width + horizontal.taps - 1],
  };
  const staged = stageImage(context, { ...square, window: padded }, true);
  const dtype = square.image.dtype;
  const bytes = bytesPerElement[dtype];
  const rowElements = channel.extent + ((channel.extent * bytes) % conflictStride === 0 ? rowPadding : 0);
  const imageBytes = tilesY * tilesX * points * (rowElements + feature.extent) * bytes;
  const count = imagesTogether(square.image_.extent, imageBytes);
  const tiles = count * tilesY * tilesX;
  const transformed = planesOf(context, 'transformed', dtype, points, tiles, rowElements);
  const products = planesOf(context, 'products', dtype, points, tiles, feature.extent);
  const panelWidth = schedule.packedWidth;
  const panels = Math.ceil(feature.extent / panelWidth);
  const packed = context.scratch('packed_weights', dtype, points * panels * channel.extent * panelWidth);
  const point = axis('point', points);
  const sumsOf = (images: number): DirectProblem => {
    const tile = axis('tile', images * tilesY * tilesX);
    return {
      batch: [point],
      features: [feature],
      pixels: [tile],
      inner: [channel],
      weights: square.weights,
      image: load(transformed.buffer, transformed.at(of(point), of(tile), of(channel))),
      window,
      result: square.result,
      packed,
      finish: (map, value) => [
        {
          kind: 'store',
          buffer: products.buffer,
          offset: products.at(map.get(point)!, map.get(tile)!, map.get(feature)!),
          value,
        },
      ],
    };
  };
  const blockOf = (from: number): KernelBody[] => {
    const images: Images = { from, count: Math.min(count, square.image_.extent - from) };
    return [
      { suffix: '_image', body: transformImage(square, images, staged.at, transformed), flops: 0 },
      ...lowerDirect(context, anchor, sumsOf(images.count), schedule).map((kernel) => ({
        ...kernel,
        suffix: `_products${kernel.suffix}`,
      })),
      { suffix: '', body: transformResults(context, anchor, square, images, products), flops: 0 },
    ];
  };
  return [
    { suffix: '_pad', body: staged.body, flops: 0 },
    { suffix: '_weights', body: transformWeights(square, packed, panels, panelWidth), flops: 0 },
    ...range(Math.ceil(square.image_.extent / count)).flatMap((block) => blockOf(block * count)),
  ];
}

/** Images that are transformed together, one block after another. */
interface Images {
  readonly from: number;
  readonly count: number;
}

/** `[point][tile][element]` */
interface Planes {
  readonly buffer: Buffer;
  at(point: IndexExpr, tile: IndexExpr, element: IndexExpr): IndexExpr;
}

/** A transform touches one line of every plane at once: planes an odd number of lines apart fall into different sets of the cache. */
function planesOf(
  context: GroupContext,
  name: string,
  dtype: DType,
  points: number,
  tiles: number,
  rowElements: number,
): Planes {
  const line = lineBytes / bytesPerElement[dtype];
  const plane = (Math.floor((tiles * rowElements) / line / 2) * 2 + 1) * line;
  const elements = plane < tiles * rowElements ? plane + 2 * line : plane;
  return {
    buffer: context.scratch(name, dtype, points * elements),
    at: (point, tile, element) => add(multiply(point, elements), flatten([tile, element], [tiles, rowElements])),
  };
}

const lineBytes = 64;

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/**
 * `[point][panel][channel][feature]`. Each tap of a panel is gathered by a loop of its own: taps that lie a power of two apart between
 * lanes are a group to gcc, which it takes minutes to interleave.
 */
function transformWeights(square: Square, packed: Buffer, panels: number, panelWidth: number): Stmt[] {
  const { channel, feature, tapY, tapX, weights, vertical, horizontal } = square;
  const panel = axis('panel', panels);
  const lane = axis('lane', panelWidth);
  const index = add(multiply(of(panel), panelWidth), of(lane));
  const taps: Buffer = {
    name: 'taps',
    dtype: packed.dtype,
    size: tapY.extent * tapX.extent * panelWidth,
    space: 'stack',
  };
  const tapAt = (i: number, j: number): IndexExpr => add(fixed((i * tapX.extent + j) * panelWidth), of(lane));
  const beyond = panels * panelWidth > feature.extent;
  const inside = apply('lt', indexValue(index), literal('i32', feature.extent));
  const tapsY = range(tapY.extent);
  const tapsX = range(tapX.extent);
  const gathers = tapsY.flatMap((i) =>
    tapsX.map((j) => {
      const map = new Map([
        [feature, index],
        [tapY, fixed(i)],
        [tapX, fixed(j)],
      ]);
      const weight = substituteAxes(weights, map);
      const value = beyond ? choose(inside, weight, literal(weight.dtype, 0)) : weight;
      return loop(lane, 'vector', [{ kind: 'store', buffer: taps, offset: tapAt(i, j), value }]);
    }),
  );
  const block = new Block();
  const values = tapsY.map((i) => tapsX.map((j) => block.let(`weight${i}${j}`, load(taps, tapAt(i, j)))));
  block.transform(vertical.weights, horizontal.weights, values).forEach((row, i) => {
    row.forEach((value, j) => {
      const offset = flatten(
        [fixed(i * horizontal.size + j), of(panel), of(channel), of(lane)],
        [pointsOf(square), panels, channel.extent, panelWidth],
      );
      block.stmts.push({ kind: 'store', buffer: packed, offset, value });
    });
  });
  return nest([panel, channel], 'parallel', [
    { kind: 'allocate', buffer: taps },
    ...gathers,
    loop(lane, 'vector', block.stmts),
  ]);
}

function tileAxes({ tilesY, tilesX }: Square, { count }: Images): [Axis, Axis, Axis] {
  return [axis('image', count), axis('tile_y', tilesY), axis('tile_x', tilesX)];
}

function flatTile(axes: readonly Axis[]): IndexExpr {
  return flatten(
    axes.map(of),
    axes.map(({ extent }) => extent),
  );
}

function transformImage(
  square: Square,
  images: Images,
  at: (index: readonly IndexExpr[]) => Expr,
  transformed: Planes,
): Stmt[] {
  const [image, tileY, tileX] = tileAxes(square, images);
  const channel = axis('channel', square.channel.extent);
  const { vertical, horizontal } = square;
  const block = new Block();
  const values = range(vertical.size).map((i) =>
    range(horizontal.size).map((j) => {
      const y = add(multiply(of(tileY), vertical.outputs), fixed(i));
      const x = add(multiply(of(tileX), horizontal.outputs), fixed(j));
      return block.let(`cell${i}${j}`, at([add(of(image), fixed(images.from)), of(channel), y, x]));
    }),
  );
  const tile = flatTile([image, tileY, tileX]);
  block.transform(vertical.image, horizontal.image, values).forEach((row, i) => {
    row.forEach((value, j) => {
      const offset = transformed.at(fixed(i * horizontal.size + j), tile, of(channel));
      block.stmts.push({ kind: 'store', buffer: transformed.buffer, offset, value });
    });
  });
  const work = transformed.buffer.size * transformCost;
  const body = [loop(channel, 'vector', block.stmts)];
  return nest([image, tileY, tileX], work >= parallelThreshold ? 'parallel' : 'serial', body);
}

/** Features that one pass transforms: what a block of them takes stays in the first-level cache. */
const featureBlocks = [64, 48, 32, 16, 8, 4];

function transformResults(
  context: GroupContext,
  anchor: Node,
  square: Square,
  images: Images,
  products: Planes,
): Stmt[] {
  const { feature, vertical, horizontal } = square;
  const { dtype } = square.image;
  const cells = vertical.outputs * horizontal.outputs;
  const width = featureBlocks.find((count) => feature.extent % count === 0)!;
  const [image, tileY, tileX] = tileAxes(square, images);
  const panel = axis('panel', feature.extent / width);
  const lane = axis('lane', width);
  const sums: Buffer = { name: 'sums', dtype, size: cells * width, space: 'stack' };
  const at = add(multiply(of(panel), width), of(lane));
  const tile = flatTile([image, tileY, tileX]);
  const block = new Block();
  const values = range(vertical.size).map((i) =>
    range(horizontal.size).map((j) => {
      const offset = products.at(fixed(i * horizontal.size + j), tile, at);
      return block.let(`product${i}${j}`, load(products.buffer, offset));
    }),
  );
  block.transform(vertical.result, horizontal.result, values).forEach((row, i) => {
    row.forEach((value, j) => {
      const cell = i * horizontal.outputs + j;
      block.stmts.push({ kind: 'store', buffer: sums, offset: add(fixed(cell * width), of(lane)), value });
    });
  });
  const body: Stmt[] = [
    { kind: 'allocate', buffer: sums },
    loop(lane, 'vector', block.stmts),
    ...finishTile(context, anchor, square, sums, [add(of(image), fixed(images.from)), of(tileY), of(tileX)], at, lane),
  ];
  const work = products.buffer.size * transformCost;
  return nest([image, tileY, tileX, panel], work >= parallelThreshold ? 'parallel' : 'serial', body);
}

function finishTile(
  context: GroupContext,
  anchor: Node,
  { y, x, image_, feature, batch, result, vertical, horizontal }: Square,
  sums: Buffer,
  [image, tileY, tileX]: readonly [IndexExpr, IndexExpr, IndexExpr],
  at: IndexExpr,
  lane: Axis,
): Stmt[] {
  const cell = axis('cell', vertical.outputs * horizontal.outputs);
  const [row, column] = unflatten(of(cell), [vertical.outputs, horizontal.outputs]) as [IndexExpr, IndexExpr];
  const atY = add(multiply(tileY, vertical.outputs), row);
  const atX = add(multiply(tileX, horizontal.outputs), column);
  const map = new Map([
    ...batch.map((next): [Axis, IndexExpr] => [next, fixed(0)]),
    [image_, image],
    [y, atY],
    [x, atX],
    [feature, at],
  ]);
  const index = result.map((position) => substituteIndex(position, map));
  const sum = load(sums, add(multiply(of(cell), lane.extent), of(lane)));
  const members = [loop(lane, 'vector', memberStmts(context, index, new Map([[anchor.results[0]!, sum]])))];
  const guards = [
    ...(y.extent % vertical.outputs === 0 ? [] : [apply('lt', indexValue(atY), literal('i32', y.extent))]),
    ...(x.extent % horizontal.outputs === 0 ? [] : [apply('lt', indexValue(atX), literal('i32', x.extent))]),
  ];
  const guarded = guards.reduceRight<Stmt[]>(
    (body, condition) => [{ kind: 'if', condition, then: body, otherwise: [] }],
    members,
  );
  return [loop(cell, 'serial', guarded)];
}
