// Operators on regions of interest: RoiAlign and MaxRoiPool.

import { gather } from '../../lang/functions.ts';
import type { AnyTensor } from '../../lang/tensor.ts';
import { constant } from '../../lang/variable.ts';
import { like, type NodeContext, type Operator, shapeOf } from '../node-context.ts';
import { wholeRange } from './axes.ts';
import { choose } from './values.ts';

/** A column of `[R, K]` as [R, 1]. */
function column(x: AnyTensor, at: number): AnyTensor {
  return gather(x, constant([at], { dtype: 'i32' }), 1);
}

/** Samples of every bin along one axis: `[R, bins · samples]` each. */
interface AxisSamples {
  readonly low: AnyTensor;
  readonly high: AnyTensor;
  /** Of `high`; that of `low` is the rest to 1. */
  readonly weight: AnyTensor;
  /** False where a sample lies outside the image, or is one more than its region has; 0 is read there. */
  readonly isRead: AnyTensor;
  /** Samples that each bin has, [R, 1]. */
  readonly counts: AnyTensor;
  /** False where a sample is one more than its region has. */
  readonly isCounted: AnyTensor;
  readonly samples: number;
}

interface AxisOfBins {
  readonly dim: number;
  readonly bins: number;
  readonly start: AnyTensor;
  readonly end: AnyTensor;
}

/** X [N, C, H, W], rois [R, 4] as x1 y1 x2 y2, indices [R] into N → [R, C, height, width]. */
const roiAlign: Operator = (node) => {
  const [x, rois, indices] = [node.input(0), node.input(1), node.input(2)];
  const [batch, channels, height, width] = shapeOf(x) as [number, number, number, number];
  const regions = shapeOf(rois)[0]!;
  const [rows, columns] = [node.int('output_height', 1), node.int('output_width', 1)];
  const isHalfPixel = node.opset >= 16 && node.string('coordinate_transformation_mode', 'half_pixel') === 'half_pixel';
  const scaled: AnyTensor = rois.tensor.mul(node.float('spatial_scale', 1)).sub(isHalfPixel ? 0.5 : 0);
  const ratio = node.int('sampling_ratio', 0);
  const axisOf = (dim: number, bins: number, at: number): AxisSamples =>
    samplesOf(node, { dim, bins, start: column(scaled, at), end: column(scaled, at + 2) }, isHalfPixel, ratio);
  const y = axisOf(height, rows, 1);
  const xs = axisOf(width, columns, 0);
  const outer = (tensor: AnyTensor): AnyTensor => tensor.reshape([regions, rows * y.samples, 1]);
  const inner = (tensor: AnyTensor): AnyTensor => tensor.reshape([regions, 1, columns * xs.samples]);
  const flat: AnyTensor = x.tensor.transpose([1, 0, 2, 3]).reshape([channels, batch * height * width]);
  const first: AnyTensor = indices.tensor
    .cast('i32')
    .reshape([regions, 1, 1])
    .mul(height * width);
  const corners = [false, true].flatMap((isLower) =>
    [false, true].map((isRight): AnyTensor => {
      const place: AnyTensor = first
        .add(outer(isLower ? y.high : y.low).mul(width))
        .add(inner(isRight ? xs.high : xs.low));
      const part = (weight: AnyTensor, isHigh: boolean): AnyTensor => (isHigh ? weight : weight.neg().add(1));
      const weight: AnyTensor = outer(part(y.weight, isLower)).mul(inner(part(xs.weight, isRight)));
      return choose(outer(y.isRead).and(inner(xs.isRead)), gather(flat, place, 1).mul(weight), 0);
    }),
  );
  const isCounted: AnyTensor = outer(y.isCounted).and(inner(xs.isCounted));
  const binned = (tensor: AnyTensor): AnyTensor =>
    tensor.reshape([channels, regions, rows, y.samples, columns, xs.samples]);
  const kind = node.string('mode', 'avg');
  if (kind !== 'avg' && kind !== 'max') return node.invalid(`there is no mode ${kind}`);
  // The standard's maximum is that of weighted corners, not of interpolated samples.
  const samples = corners.reduce((all, next): AnyTensor => (kind === 'max' ? all.maximum(next) : all.add(next)));
  if (kind === 'max') {
    const most: AnyTensor = binned(choose(isCounted, samples, Number.NEGATIVE_INFINITY)).max([3, 5]);
    return like(x, choose(most.eq(Number.NEGATIVE_INFINITY), 0, most).transpose([1, 0, 2, 3]));
  }
  const sum: AnyTensor = binned(choose(isCounted, samples, 0)).sum([3, 5]);
  const counts: AnyTensor = y.counts.mul(xs.counts).maximum(1).reshape([regions, 1, 1]);
  return like(x, sum.div(counts).transpose([1, 0, 2, 3]));
};

/** A bin of size b has `ratio` samples along an axis, or ⌈b⌉ where that is 0, at equal distances. */
function samplesOf(
  node: NodeContext,
  { dim, bins, start, end }: AxisOfBins,
  isHalfPixel: boolean,
  ratio: number,
): AxisSamples {
  const length: AnyTensor = isHalfPixel ? end.sub(start) : end.sub(start).maximum(1);
  const bin: AnyTensor = length.div(bins);
  const counts: AnyTensor = ratio > 0 ? bin.mul(0).add(ratio) : bin.ceil().maximum(0);
  const samples = ratio > 0 ? ratio : mostSamples(node, counts);
  const places = wholeRange(bins * samples);
  const dtype = start.dtype as 'f32';
  const whichBin: AnyTensor = constant(
    places.map((i) => Math.floor(i / samples)),
    { dtype, shape: [1, places.length] },
  );
  const whichSample: AnyTensor = constant(
    places.map((i) => i % samples),
    { dtype, shape: [1, places.length] },
  );
  const at: AnyTensor = start.add(whichBin.mul(bin)).add(whichSample.add(0.5).mul(bin).div(counts.maximum(1)));
  const isCounted: AnyTensor = whichSample.lt(counts);
  const isRead: AnyTensor = isCounted.and(at.ge(-1)).and(at.le(dim));
  const inside: AnyTensor = at.maximum(0).minimum(dim - 1);
  const floor: AnyTensor = inside.floor();
  const low: AnyTensor = floor.cast('i32');
  return { low, high: low.add(1).minimum(dim - 1), weight: inside.sub(floor), isRead, counts, isCounted, samples };
}

function mostSamples(node: NodeContext, counts: AnyTensor): number {
  const known = node.expectKnown({ type: 'float', tensor: counts }, 'regions with sampling_ratio 0');
  return Math.max(1, ...known);
}

/** X [N, C, H, W], rois [R, 5] as index x1 y1 x2 y2 → [R, C, height, width]: R. Girshick, Fast R-CNN, section 2.1. */
const maxRoiPool: Operator = (node) => {
  const [x, rois] = [node.input(0), node.input(1)];
  const [, channels, height, width] = shapeOf(x) as [number, number, number, number];
  const [rows, columns] = node.ints('pooled_shape') as [number, number];
  const regions = shapeOf(rois)[0]!;
  const scaled: AnyTensor = rois.tensor.mul(node.float('spatial_scale', 1));
  const corners: AnyTensor = scaled.abs().add(0.5).floor().mul(scaled.sign());
  const images: AnyTensor = gather(x.tensor, column(rois.tensor, 0).cast('i32').reshape([regions]), 0);
  const inRow = insideBins(column(corners, 2), column(corners, 4), rows, height);
  const inColumn = insideBins(column(corners, 1), column(corners, 3), columns, width);
  const lowest = Number.NEGATIVE_INFINITY;
  const spread: AnyTensor = images.reshape([regions, channels, height, 1, width]);
  const byColumn: AnyTensor = choose(inColumn.reshape([regions, 1, 1, columns, width]), spread, lowest).max(-1);
  const turned: AnyTensor = byColumn.transpose([0, 1, 3, 2]).reshape([regions, channels, 1, columns, height]);
  const most: AnyTensor = choose(inRow.reshape([regions, 1, rows, 1, height]), turned, lowest).max(-1);
  const isEmpty: AnyTensor = inRow
    .any(-1)
    .reshape([regions, 1, rows, 1])
    .and(inColumn.any(-1).reshape([regions, 1, 1, columns]))
    .not();
  return like(x, choose(isEmpty, 0, most));
};

/** Which places of an axis each bin of a region covers: bool [R, bins, dim]. */
function insideBins(start: AnyTensor, end: AnyTensor, bins: number, dim: number): AnyTensor {
  const dtype = start.dtype as 'f32';
  const bin: AnyTensor = end.sub(start).add(1).maximum(1).div(bins);
  const which: AnyTensor = constant(wholeRange(bins), { dtype, shape: [1, bins] });
  const low: AnyTensor = which.mul(bin).floor().add(start);
  const high: AnyTensor = which.add(1).mul(bin).ceil().add(start);
  const places: AnyTensor = constant(wholeRange(dim), { dtype, shape: [1, 1, dim] });
  const regions = start.shape[0] as number;
  return places.ge(low.reshape([regions, bins, 1])).and(places.lt(high.reshape([regions, bins, 1])));
}

export const regionOperators: Readonly<Record<string, Operator>> = {
  RoiAlign: roiAlign,
  MaxRoiPool: maxRoiPool,
};
