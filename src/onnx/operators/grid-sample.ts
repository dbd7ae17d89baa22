// GridSample and AffineGrid: an image read at coordinates that are data.

import { sizeOf } from '../../ir/types.ts';
import { slice, stack } from '../../lang/functions.ts';
import type { AnyTensor } from '../../lang/tensor.ts';
import { full, iota } from '../../lang/variable.ts';
import { like, type NodeContext, type Operator, shapeOf } from '../node-context.ts';
import { wholeRange } from './axes.ts';
import { gatherBatched } from './picking.ts';
import { choose } from './values.ts';

type PaddingMode = 'zeros' | 'border' | 'reflection';

/** One axis of the image with the coordinates `[N, P]` at which it is read. */
interface SampledAxis {
  readonly dim: number;
  readonly coordinate: AnyTensor;
}

/** A place along one axis, or along all, that a sample reads: an index (i32), its weight, and whether it lies inside the image. */
interface Tap {
  readonly place: AnyTensor;
  /** Null where it is 1. */
  readonly weight: AnyTensor | null;
  /** Null where the place has been moved inside. */
  readonly isInside: AnyTensor | null;
}

interface SampleMode {
  readonly padding: PaddingMode;
  readonly alignCorners: boolean;
}

/** X [N, C, D..], grid [N, P.., axes], the last axis of D first → [N, C, P..]. */
const gridSample: Operator = (node) => {
  const [x, grid] = [node.input(0), node.input(1)];
  const [batch, channels, ...dims] = shapeOf(x) as [number, number, ...number[]];
  const points = shapeOf(grid).slice(1, -1);
  if (shapeOf(grid).at(-1) !== dims.length || points.length !== dims.length)
    node.invalid(`a grid of ${dims.length} coordinates expected, [${shapeOf(grid)}] given`);
  const mode = sampleMode(node);
  const count = sizeOf(points);
  if (sizeOf(shapeOf(x)) === 0 || count === 0) return node.fill(x.type, [batch, channels, ...points], 0);
  const columns: AnyTensor = grid.tensor.reshape([batch, count, dims.length]);
  const kind = node.string('mode', 'linear');
  const axes = dims.map((dim, d): SampledAxis => {
    const last = dims.length - 1 - d;
    const column: AnyTensor = slice(columns, [0, 0, last], [batch, count, last + 1]);
    const raw = denormalized(column.reshape([batch, count]), dim, mode.alignCorners);
    const coordinate: AnyTensor = kind === 'nearest' ? raw.round() : raw;
    // Cubic taps beyond a border are moved one by one, as onnxruntime does; reflecting the coordinate is the same as reflecting its taps.
    const isTapped = mode.padding === 'border' && kind.endsWith('cubic');
    return { dim, coordinate: isTapped ? coordinate : padded(coordinate, dim, mode) };
  });
  const taps = axes.map((axis) => tapsOf(node, axis, kind, mode));
  const flat: AnyTensor = x.tensor.reshape([batch, channels, sizeOf(dims)]);
  const corners = taps.reduce((outer, inner, d) =>
    outer.flatMap((tap) => inner.map((next) => joined(tap, next, dims[d]!))),
  );
  const sampled = corners.map((corner) => readAt(flat, corner, batch)).reduce((sum, next): AnyTensor => sum.add(next));
  return like(x, sampled.reshape([batch, channels, ...points]));
};

function sampleMode(node: NodeContext): SampleMode {
  const padding = node.string('padding_mode', 'zeros');
  if (padding !== 'zeros' && padding !== 'border' && padding !== 'reflection')
    return node.invalid(`there is no padding_mode ${padding}`);
  return { padding, alignCorners: node.int('align_corners', 0) !== 0 };
}

/** From [−1, 1] to places: the ends are centres of the outermost elements, or their outer edges. */
function denormalized(normal: AnyTensor, dim: number, alignCorners: boolean): AnyTensor {
  const shifted: AnyTensor = normal.add(1);
  return alignCorners ? shifted.mul((dim - 1) / 2) : shifted.mul(dim).sub(1).div(2);
}

/** Coordinates outside the image are moved to the border or reflected there; with zeros they stay. */
function padded(coordinate: AnyTensor, dim: number, { padding, alignCorners }: SampleMode): AnyTensor {
  if (padding === 'zeros') return coordinate;
  if (padding === 'border') return coordinate.maximum(0).minimum(dim - 1);
  const low = alignCorners ? 0 : -0.5;
  const range = alignCorners ? dim - 1 : dim;
  if (range === 0) return coordinate.mul(0);
  const rest: AnyTensor = coordinate
    .sub(low)
    .abs()
    .rem(2 * range);
  return rest.minimum(rest.neg().add(2 * range)).add(low);
}

function tapsOf(node: NodeContext, { dim, coordinate }: SampledAxis, kind: string, mode: SampleMode): Tap[] {
  const [fraction, base] = parted(coordinate, dim);
  const weights = weightsOf(node, kind, fraction);
  const first = weights.length === 4 ? -1 : 0;
  return weights.map((weight, t) => {
    const place: AnyTensor = base.add(first + t);
    return {
      place: mode.padding === 'reflection' ? reflectedPlace(place, dim, mode.alignCorners) : clampedPlace(place, dim),
      weight,
      isInside: mode.padding === 'zeros' ? place.ge(0).and(place.lt(dim)) : null,
    };
  });
}

/** A coordinate's fraction, and the whole number below it as i32; far outside, where only zeros are, any number outside. */
function parted(coordinate: AnyTensor, dim: number): [fraction: AnyTensor, base: AnyTensor] {
  const floor: AnyTensor = coordinate.floor();
  return [
    coordinate.sub(floor),
    floor
      .maximum(-4)
      .minimum(dim + 4)
      .cast('i32'),
  ];
}

function weightsOf(node: NodeContext, kind: string, fraction: AnyTensor): (AnyTensor | null)[] {
  switch (kind) {
    case 'nearest':
      return [null];
    case 'linear':
    case 'bilinear':
      return [fraction.neg().add(1), fraction];
    case 'cubic':
    case 'bicubic':
      return [fraction.add(1), fraction, fraction.neg().add(1), fraction.neg().add(2)].map((distance, t) =>
        t === 1 || t === 2 ? innerCubic(distance) : outerCubic(distance),
      );
    default:
      return node.invalid(`there is no mode ${kind}`);
  }
}

/** R. Keys' cubic convolution kernel with the coefficient −0.75, at distances below 1. */
function innerCubic(d: AnyTensor): AnyTensor {
  return d.mul(1.25).sub(2.25).mul(d).mul(d).add(1);
}
/** The same at distances from 1 to 2. */
function outerCubic(d: AnyTensor): AnyTensor {
  return d.mul(-0.75).add(3.75).mul(d).sub(6).mul(d).add(3);
}

const clampedPlace = (place: AnyTensor, dim: number): AnyTensor => place.maximum(0).minimum(dim - 1);

function reflectedPlace(place: AnyTensor, dim: number, alignCorners: boolean): AnyTensor {
  const period = alignCorners ? 2 * (dim - 1) : 2 * dim;
  if (period === 0) return place.mul(0);
  const offset = alignCorners ? 0 : 1;
  const rest: AnyTensor = place.rem(period);
  const positive = choose(rest.lt(0), rest.add(period), rest);
  return positive.minimum(positive.neg().add(period - offset));
}

/** Taps of two axes as one of both. */
function joined(outer: Tap, inner: Tap, dim: number): Tap {
  return {
    place: outer.place.mul(dim).add(inner.place),
    weight: outer.weight === null ? null : outer.weight.mul(inner.weight!),
    isInside: outer.isInside === null ? null : outer.isInside.and(inner.isInside!),
  };
}

/** `[N, C, D]` at places `[N, P]`, weighted → `[N, C, P]`; 0 outside, whatever lies at the border. */
function readAt(flat: AnyTensor, { place, weight, isInside }: Tap, batch: number): AnyTensor {
  const values = gatherBatched(flat, place, 2, 1);
  const weighted: AnyTensor =
    weight === null ? values : values.mul(weight.cast(values.dtype).reshape([batch, 1, place.shape[1]]));
  return isInside === null ? weighted : choose(isInside.reshape([batch, 1, place.shape[1]]), weighted, 0);
}

/** theta [N, axes, axes + 1] → coordinates [N, D.., axes] in [−1, 1], the last axis of D first. */
const affineGrid: Operator = (node) => {
  const theta = node.input(0);
  const [batch, , ...dims] = node.expectKnown(node.input(1), 'size');
  const rank = dims.length;
  if (shapeOf(theta).join() !== [batch, rank, rank + 1].join())
    node.invalid(`theta [${batch},${rank},${rank + 1}] expected, [${shapeOf(theta)}] given`);
  const dtype = theta.tensor.dtype as 'f32';
  const alignCorners = node.int('align_corners', 0) !== 0;
  const columns = wholeRange(rank).map((i): AnyTensor => {
    const axis = rank - 1 - i;
    const places: AnyTensor = iota(dims, axis, dtype);
    const dim = dims[axis]!;
    if (!alignCorners)
      return places
        .mul(2)
        .add(1 - dim)
        .div(dim);
    return dim === 1
      ? places
      : places
          .mul(2)
          .sub(dim - 1)
          .div(dim - 1);
  });
  const ones: AnyTensor = full(dims, 1, dtype);
  const points = stack([...columns, ones], -1).reshape([sizeOf(dims), rank + 1]) as AnyTensor;
  const grid: AnyTensor = points.matmul(theta.tensor.transpose([0, 2, 1]));
  return like(theta, grid.reshape([batch!, ...dims, rank]));
};

export const samplingOperators: Readonly<Record<string, Operator>> = {
  GridSample: gridSample,
  AffineGrid: affineGrid,
};
