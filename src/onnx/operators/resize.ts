// Resize and its predecessor Upsample. Sizes are known at import, so that each axis has a table of taps: for every place of the result
// the places that it reads and their weights. Axes are resized one after another.

import type { AnyTensor } from '../../lang/tensor.ts';
import { here, Tensor } from '../../lang/tensor.ts';
import { isFloatType } from '../element-types.ts';
import { like, type NodeContext, type OnnxValue, type Operator, shapeOf } from '../node-context.ts';
import { axisOf, wholeRange } from './axes.ts';
import { alongAxis, pickAlong } from './picking.ts';
import { choose } from './values.ts';

/** How one axis changes. `scale` is result over operand before the result's size is rounded; `roi` in parts of the axis. */
interface AxisScale {
  readonly dim: number;
  readonly size: number;
  readonly scale: number;
  readonly roi: readonly [start: number, end: number];
}

/** What every axis has in common. */
interface ResizeMode {
  readonly kind: 'nearest' | 'linear' | 'cubic';
  readonly transform: string;
  readonly nearest: string;
  readonly cubicA: number;
  readonly antialias: boolean;
  readonly excludeOutside: boolean;
}

/** `places[t][i]` and `weights[t][i]`: what the t-th tap of the result's place i reads. */
interface Taps {
  readonly places: readonly (readonly number[])[];
  readonly weights: readonly (readonly number[])[];
}

/** Beyond as many taps an axis is a product with a matrix instead of a sum of gathers: only antialiasing has more. */
const mostGatheredTaps = 4;

const resize: Operator = (node) => {
  const x = node.input(0);
  const mode = resizeMode(node);
  if (mode.kind !== 'nearest' && !isFloatType(x.type))
    return node.unsupported(`mode ${mode.kind} of ${x.type}: the standard does not say how results are rounded`);
  const scales = axisScales(node, shapeOf(x));
  const resized = scales.reduce((tensor, axisScale, axis) => resizeAxis(node, tensor, axis, axisScale, mode), x.tensor);
  return like(x, mode.transform === 'tf_crop_and_resize' ? extrapolated(node, x, resized, scales) : resized);
};

function resizeMode(node: NodeContext): ResizeMode {
  const kind = node.string('mode', 'nearest');
  if (kind !== 'nearest' && kind !== 'linear' && kind !== 'cubic') return node.invalid(`there is no mode ${kind}`);
  const isOld = node.opset < 11 || node.operator === 'Upsample';
  const antialias = node.int('antialias', 0) !== 0;
  if (antialias && kind === 'nearest') return node.invalid('antialias with mode nearest');
  return {
    kind,
    transform: isOld ? 'asymmetric' : node.string('coordinate_transformation_mode', 'half_pixel'),
    nearest: isOld ? 'by_scale' : node.string('nearest_mode', 'round_prefer_floor'),
    cubicA: node.float('cubic_coeff_a', -0.75),
    antialias,
    excludeOutside: node.int('exclude_outside', 0) !== 0,
  };
}

/** The inputs as the versions order them; null where one is left out or empty. */
function listInput(node: NodeContext, position: number, name: string): number[] | null {
  const given = node.optional(position);
  if (given === null || shapeOf(given)[0] === 0) return null;
  return node.expectKnown(given, name);
}

/** Upsample's scales before they were an input. */
function attributeScales(node: NodeContext): number[] {
  return node.opset < 7 ? [1, 1, node.float('height_scale'), node.float('width_scale')] : [...node.floats('scales')];
}

function axisScales(node: NodeContext, shape: readonly number[]): AxisScale[] {
  const isOld = node.opset < 11 || node.operator === 'Upsample';
  const hasAttribute = node.operator === 'Upsample' && node.opset < 9;
  const scales = hasAttribute ? attributeScales(node) : listInput(node, isOld ? 1 : 2, 'scales');
  const sizes = isOld ? null : listInput(node, 3, 'sizes');
  const given = scales ?? sizes ?? node.invalid('scales or sizes expected');
  const axes = node.has('axes')
    ? node.ints('axes').map((axis) => axisOf(node, axis, shape.length))
    : wholeRange(shape.length);
  if (given.length !== axes.length) node.invalid(`${axes.length} scales or sizes expected, [${given}] given`);
  const isCropped = !isOld && node.string('coordinate_transformation_mode', 'half_pixel') === 'tf_crop_and_resize';
  const roi = isCropped ? (listInput(node, 1, 'roi') ?? node.invalid('roi expected')) : null;
  if (roi !== null && roi.length !== 2 * axes.length)
    node.invalid(`${2 * axes.length} numbers of roi expected, [${roi}] given`);
  const chosen =
    scales === null ? sizedScales(node, axes, sizes!, shape) : scales.map((scale) => ({ scale, size: null }));
  return shape.map((dim, axis) => {
    const at = axes.indexOf(axis);
    if (at < 0) return { dim, size: dim, scale: 1, roi: [0, 1] };
    const { scale, size } = chosen[at]!;
    if (!(scale > 0)) node.invalid(`a scale of ${scale} given`);
    return {
      dim,
      scale,
      size: size ?? Math.floor(Math.fround(scale * dim)),
      roi: roi === null ? [0, 1] : [roi[at]!, roi[at + axes.length]!],
    };
  });
}

function sizedScales(node: NodeContext, axes: readonly number[], sizes: readonly number[], shape: readonly number[]) {
  const policy = node.string('keep_aspect_ratio_policy', 'stretch');
  const ratios = axes.map((axis, i) => sizes[i]! / shape[axis]!);
  if (policy === 'stretch') return axes.map((_, i) => ({ scale: ratios[i]!, size: sizes[i]! }));
  if (policy !== 'not_larger' && policy !== 'not_smaller')
    return node.invalid(`there is no keep_aspect_ratio_policy ${policy}`);
  const scale = policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios);
  return axes.map((axis) => ({ scale, size: Math.floor(scale * shape[axis]! + 0.5) }));
}

/**
 * The coordinate in the operand of each place of the result. Scales are float32, so that 10 times 0.7 would be less than 7, and 3 over 0.6
 * more than 5: what is rounded to whole numbers is rounded to float32 before.
 */
function coordinates(node: NodeContext, axis: AxisScale, transform: string): number[] {
  const { dim, size, scale, roi } = axis;
  const length = Math.fround(scale * dim);
  const [start, end] = roi;
  const shrunk = (place: number): number => Math.fround(place / scale);
  const formulas: Readonly<Record<string, (place: number) => number>> = {
    half_pixel: (place) => shrunk(place + 0.5) - 0.5,
    half_pixel_symmetric: (place) => (dim / 2) * (1 - size / length) + shrunk(place + 0.5) - 0.5,
    pytorch_half_pixel: (place) => (length === 1 ? 0 : shrunk(place + 0.5) - 0.5),
    align_corners: (place) => (length === 1 ? 0 : (place * (dim - 1)) / (length - 1)),
    asymmetric: shrunk,
    tf_half_pixel_for_nn: (place) => shrunk(place + 0.5),
    tf_crop_and_resize: (place) =>
      start * (dim - 1) +
      (length === 1 ? ((end - start) * (dim - 1)) / 2 : (place * (end - start) * (dim - 1)) / (length - 1)),
  };
  const formula = formulas[transform] ?? node.invalid(`there is no coordinate_transformation_mode ${transform}`);
  return wholeRange(size).map(formula);
}

function resizeAxis(node: NodeContext, x: AnyTensor, axis: number, scale: AxisScale, mode: ResizeMode): AnyTensor {
  const isWhole = mode.transform !== 'tf_crop_and_resize' || (scale.roi[0] === 0 && scale.roi[1] === 1);
  if (scale.scale === 1 && scale.size === scale.dim && isWhole) return x;
  if (scale.dim === 0) return node.invalid(`axis ${axis} is empty, it cannot be resized`);
  const at = coordinates(node, scale, mode.transform);
  if (mode.kind === 'nearest') {
    // Before version 11 the standard leaves open what is nearest; this is what its first implementation does.
    const rounding = mode.nearest === 'by_scale' ? (scale.scale < 1 ? 'ceil' : 'floor') : mode.nearest;
    const nearest = at.map((coordinate) => clamp(nearestPlace(node, coordinate, rounding), scale.dim));
    return pickAlong(node, x, nearest, axis);
  }
  return weighted(node, x, axis, scale.dim, tapsOf(at, scale, mode));
}

const clamp = (place: number, dim: number): number => Math.min(dim - 1, Math.max(0, place));

function nearestPlace(node: NodeContext, coordinate: number, rounding: string): number {
  switch (rounding) {
    case 'round_prefer_floor':
      return Math.ceil(coordinate - 0.5);
    case 'round_prefer_ceil':
      return Math.floor(coordinate + 0.5);
    case 'floor':
      return Math.floor(coordinate);
    case 'ceil':
      return Math.ceil(coordinate);
    default:
      return node.invalid(`there is no nearest_mode ${rounding}`);
  }
}

/** R. Keys, Cubic convolution interpolation for digital image processing, equation 4 with a free coefficient. */
function cubicKernel(distance: number, a: number): number {
  const d = Math.abs(distance);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/**
 * Taps of linear and cubic interpolation: 2 or 4 at a distance of less than 1 or 2; with antialiasing a smaller result stretches the
 * kernel by 1/scale, and weights are divided by their sum. Places beyond the ends are those at the ends, or excluded.
 */
function tapsOf(at: readonly number[], { dim, scale }: AxisScale, mode: ResizeMode): Taps {
  const shrink = mode.antialias ? Math.min(scale, 1) : 1;
  const reach = mode.kind === 'linear' ? 1 : 2;
  const first = Math.floor(-reach / shrink) + 1;
  const taps = wholeRange(2 - 2 * first).map((tap) => first + tap);
  const kernel = (distance: number): number =>
    mode.kind === 'linear' ? Math.max(0, 1 - Math.abs(distance)) : cubicKernel(distance, mode.cubicA);
  const rows = at.map((coordinate) => {
    // A tap lies left of the coordinate even where the coordinate is whole.
    const base = Math.ceil(coordinate) - 1;
    const isOutside = (tap: number): boolean => mode.excludeOutside && (base + tap < 0 || base + tap >= dim);
    const weights = taps.map((tap) => (isOutside(tap) ? 0 : kernel((base + tap - coordinate) * shrink)));
    const sum = mode.antialias || mode.excludeOutside ? weights.reduce((all, weight) => all + weight, 0) || 1 : 1;
    return { places: taps.map((tap) => clamp(base + tap, dim)), weights: weights.map((weight) => weight / sum) };
  });
  return {
    places: taps.map((_, t) => rows.map(({ places }) => places[t]!)),
    weights: taps.map((_, t) => rows.map(({ weights }) => weights[t]!)),
  };
}

function weighted(node: NodeContext, x: AnyTensor, axis: number, dim: number, { places, weights }: Taps): AnyTensor {
  const size = places[0]!.length;
  const constant = (shape: readonly number[], numbers: readonly number[]): AnyTensor =>
    node.numbers(x.dtype === 'f64' ? 'double' : 'float', shape, numbers).tensor;
  if (places.length > mostGatheredTaps) {
    const matrix = wholeRange(size * dim).fill(0);
    places.forEach((row, t) => {
      row.forEach((place, i) => {
        matrix[i * dim + place]! += weights[t]![i]!;
      });
    });
    const product: AnyTensor = new Tensor(
      here('resize').dot(x.value, constant([size, dim], matrix).value, { contract: [[axis], [1]], batch: [[], []] }),
    );
    const order = wholeRange(product.rank - 1);
    return product.transpose([...order.slice(0, axis), product.rank - 1, ...order.slice(axis)]);
  }
  return places
    .map(
      (row, t): AnyTensor => pickAlong(node, x, row, axis).mul(alongAxis(constant([size], weights[t]!), axis, x.rank)),
    )
    .reduce((sum, next): AnyTensor => sum.add(next));
}

/** Places whose coordinate lies outside the operand have a value of their own. */
function extrapolated(node: NodeContext, x: OnnxValue, resized: AnyTensor, scales: readonly AxisScale[]): AnyTensor {
  const value = node.float('extrapolation_value', 0);
  return scales.reduce((tensor, scale, axis): AnyTensor => {
    const isInside = coordinates(node, scale, 'tf_crop_and_resize').map((at) => at >= 0 && at <= scale.dim - 1);
    const isPlain = scale.scale === 1 && scale.roi[0] === 0 && scale.roi[1] === 1;
    if (isPlain || isInside.every((inside) => inside)) return tensor;
    const mask = node.numbers('bool', [scale.size], isInside.map(Number)).tensor;
    return choose(alongAxis(mask, axis, shapeOf(x).length), tensor, value);
  }, resized);
}

export const resizeOperators: Readonly<Record<string, Operator>> = {
  Resize: resize,
  Upsample: resize,
};
