// DeformConv: a convolution whose taps read the image at places that data shifts.

import { slice } from '../../lang/functions.ts';
import { type AnyTensor, here, Tensor } from '../../lang/tensor.ts';
import { constant, iota } from '../../lang/variable.ts';
import { like, type NodeContext, type OnnxValue, type Operator, shapeOf } from '../node-context.ts';
import { wholeRange } from './axes.ts';
import { withBias } from './contraction.ts';
import { gatherBatched } from './picking.ts';
import { choose } from './values.ts';
import { positionsOf, type SlidingWindow, slidingWindow } from './windows.ts';

/** The sizes that its inputs have in common. */
interface Sizes {
  readonly batch: number;
  readonly channels: number;
  readonly image: readonly [height: number, width: number];
  readonly taps: number;
  /** Positions of the window: rows times columns. */
  readonly positions: number;
  readonly offsetGroups: number;
}

/** Reading coordinates along one axis, [N · offset groups, taps, positions]. */
function coordinates(
  offsets: AnyTensor,
  axis: 0 | 1,
  sliding: SlidingWindow,
  spatial: readonly number[],
  sizes: Sizes,
): AnyTensor {
  const { batch, offsetGroups, taps, positions } = sizes;
  const outer = batch * offsetGroups;
  const own: AnyTensor = slice(offsets, [0, 0, axis, 0], [outer, taps, axis + 1, positions]).reshape([
    outer,
    taps,
    positions,
  ]);
  const [dtype, columns] = [own.dtype as 'f32', spatial[1]!];
  const place = (i: number, size: number): number => (axis === 0 ? Math.floor(i / size) : i % size);
  const tap: AnyTensor = constant(
    wholeRange(taps).map((i) => place(i, sliding.window[1]!) * sliding.dilation[axis]! - sliding.padding[axis]![0]),
    { dtype, shape: [taps, 1] },
  );
  const at: AnyTensor = iota([positions], 0, 'i32');
  const position: AnyTensor = (axis === 0 ? at.div(columns) : at.rem(columns)).mul(sliding.strides[axis]!).cast(dtype);
  return own.add(tap).add(position);
}

/** The image between its elements, 0 outside: `[N · offset groups, channels, H · W]` at coordinates → [.., channels, taps · positions]. */
function bilinear(flat: AnyTensor, y: AnyTensor, x: AnyTensor, { image, taps, positions }: Sizes): AnyTensor {
  const outer = flat.shape[0] as number;
  const wide = [outer, 1, taps * positions];
  const along = (at: AnyTensor, dim: number) => {
    // Outside by more than an element everything is 0, so that such coordinates need not be told apart.
    const bounded: AnyTensor = at.maximum(-2).minimum(dim + 1);
    const floor: AnyTensor = bounded.floor();
    const fraction: AnyTensor = bounded.sub(floor);
    return [0, 1].map((step) => {
      const place: AnyTensor = floor.cast('i32').add(step);
      return {
        place: place.maximum(0).minimum(dim - 1),
        weight: step === 0 ? (fraction.neg().add(1) as AnyTensor) : fraction,
        isInside: place.ge(0).and(place.lt(dim)) as AnyTensor,
      };
    });
  };
  const [rows, columns] = [along(y, image[0]), along(x, image[1])];
  return rows
    .flatMap((row) =>
      columns.map((column): AnyTensor => {
        const place: AnyTensor = row.place.mul(image[1]).add(column.place);
        const values = gatherBatched(flat, place.reshape([outer, taps * positions]), 2, 1);
        const weighted: AnyTensor = values.mul(row.weight.mul(column.weight).reshape(wide));
        return choose(row.isInside.and(column.isInside).reshape(wide), weighted, 0);
      }),
    )
    .reduce((sum, next): AnyTensor => sum.add(next));
}

/** X [N, C, H, W], W [O, C / group, kH, kW], offset [N, offset groups · kH · kW · 2, H', W'] as y then x, and a mask of their half. */
const deformConv: Operator = (node) => {
  const [x, w, offset] = [node.input(0), node.input(1), node.input(2)];
  if (shapeOf(x).length !== 4) return node.unsupported(`images of ${shapeOf(x).length - 2} spatial axes: two expected`);
  const [batch, channels, ...spatial] = shapeOf(x) as [number, number, number, number];
  const [outputs, perGroup, ...kernel] = shapeOf(w) as [number, number, number, number];
  const sliding = slidingWindow(node, spatial, kernel);
  const result = positionsOf(spatial, sliding);
  const [groups, offsetGroups] = [node.int('group', 1), node.int('offset_group', 1)];
  const taps = kernel[0] * kernel[1];
  const sizes: Sizes = {
    batch,
    channels,
    image: spatial,
    taps,
    positions: result[0]! * result[1]!,
    offsetGroups,
  };
  expectShape(node, 'offset', offset, [batch, offsetGroups * taps * 2, ...result]);
  if (channels % offsetGroups !== 0 || outputs % groups !== 0 || perGroup * groups !== channels)
    node.invalid(`${channels} channels do not fit ${groups} groups and ${offsetGroups} groups of offsets`);
  const columns = sampledColumns(node, x, offset, sliding, result, sizes);
  const lhs: AnyTensor = w.tensor.reshape([groups, outputs / groups, perGroup * taps]);
  const rhs: AnyTensor = columns.reshape([batch, groups, perGroup * taps, sizes.positions]);
  const product: AnyTensor = new Tensor(
    here('deformConv').dot(lhs.value, rhs.value, { contract: [[2], [2]], batch: [[0], [1]] }),
  );
  const ordered: AnyTensor = product.transpose([2, 0, 1, 3]).reshape([batch, outputs, ...result]);
  return like(x, withBias(ordered, node.optional(3)));
};

/** What every tap reads at every position: [N, C · taps, positions], weighted by the mask. */
function sampledColumns(
  node: NodeContext,
  x: OnnxValue,
  offset: OnnxValue,
  sliding: SlidingWindow,
  result: readonly number[],
  sizes: Sizes,
): AnyTensor {
  const { batch, channels, image, taps, positions, offsetGroups } = sizes;
  const outer = batch * offsetGroups;
  const flat: AnyTensor = x.tensor.reshape([outer, channels / offsetGroups, image[0] * image[1]]);
  const offsets: AnyTensor = offset.tensor.reshape([outer, taps, 2, positions]);
  const [y, across] = [
    coordinates(offsets, 0, sliding, result, sizes),
    coordinates(offsets, 1, sliding, result, sizes),
  ];
  const sampled = bilinear(flat, y, across, sizes);
  const mask = node.optional(4);
  if (mask === null) return sampled;
  expectShape(node, 'mask', mask, [batch, offsetGroups * taps, ...result]);
  return sampled.mul(mask.tensor.reshape([outer, 1, taps * positions]));
}

function expectShape(node: NodeContext, what: string, given: OnnxValue, shape: readonly number[]): void {
  if (shapeOf(given).join() !== shape.join()) node.invalid(`${what} [${shape}] expected, [${shapeOf(given)}] given`);
}

export const deformableOperators: Readonly<Record<string, Operator>> = { DeformConv: deformConv };
