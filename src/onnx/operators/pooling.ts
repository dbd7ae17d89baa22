// Pooling over windows, or over all of an image.

import { type AnyTensor, here, Tensor } from '../../lang/tensor.ts';
import { iota } from '../../lang/variable.ts';
import { like, type NodeContext, type OnnxValue, type Operator, shapeOf, typed } from '../node-context.ts';
import { wholeRange } from './axes.ts';
import { expectFloat } from './values.ts';
import { positionsOf, type SlidingWindow, slidingWindow } from './windows.ts';

/** The sizes of spatial axes of [N, C, spatial..]. */
export function spatialOf(node: NodeContext, x: OnnxValue): readonly number[] {
  const shape = shapeOf(x);
  return shape.length < 3 ? node.invalid(`[N, channels, spatial..] expected, [${shape}] given`) : shape.slice(2);
}

/** Window reductions take no window that lies in padding alone; cells of `beyond` are padding too. */
function attrsOf({ window, strides, dilation, padding, beyond }: SlidingWindow) {
  return {
    window,
    strides,
    dilation,
    padding: padding.map(([low, high], d): [number, number] => [low, high + beyond[d]!]),
  };
}

export function pooled(x: AnyTensor, kind: 'sum' | 'max', sliding: SlidingWindow): AnyTensor {
  return new Tensor(here().reduceWindow(x.value, { kind, ...attrsOf(sliding) }));
}

/** Cells that count for each position, as a product of vectors: those of the image, and with `includesPad` of the padding. */
export function countsOf(node: NodeContext, x: OnnxValue, sliding: SlidingWindow, includesPad: boolean): AnyTensor {
  const spatial = spatialOf(node, x);
  const positions = positionsOf(spatial, sliding);
  const perAxis = spatial.map((size, d) => {
    const [low, high] = sliding.padding[d]!;
    const [from, to] = includesPad ? [-low, size + high] : [0, size];
    const counts = wholeRange(positions[d]!).map((position) => {
      const cells = wholeRange(sliding.window[d]!).map(
        (tap) => position * sliding.strides[d]! - low + tap * sliding.dilation[d]!,
      );
      return cells.filter((cell) => cell >= from && cell < to).length;
    });
    const same = counts.every((count) => count === counts[0]);
    const shape = [1, 1, ...spatial.map((_, axis) => (axis === d && !same ? positions[d]! : 1))];
    return node.numbers(x.type, shape, same ? [counts[0]!] : counts).tensor;
  });
  return perAxis.reduce((product, counts) => product.mul(counts));
}

const averagePool: Operator = (node) => {
  const x = expectFloat(node, node.input(0));
  const sliding = slidingWindow(node, spatialOf(node, x), node.ints('kernel_shape'));
  const counts = countsOf(node, x, sliding, node.int('count_include_pad', 0) !== 0);
  return like(x, pooled(x.tensor, 'sum', sliding).div(counts));
};

const maxPool: Operator = (node) => {
  const x = node.input(0);
  if (x.type === 'uint64') return node.unsupported('the order of uint64');
  const sliding = slidingWindow(node, spatialOf(node, x), node.ints('kernel_shape'));
  const greatest = like(x, pooled(x.tensor, 'max', sliding));
  return node.wants(1) ? [greatest, placesOfGreatest(node, x, sliding)] : greatest;
};

/** Where each window's first greatest element lies in x, flattened; storage_order 1 counts spatial axes from the first. */
function placesOfGreatest(node: NodeContext, x: OnnxValue, sliding: SlidingWindow): OnnxValue {
  const shape = shapeOf(x);
  const spatial = spatialOf(node, x);
  const taps: AnyTensor = new Tensor(here().windowArg(x.tensor.value, { kind: 'max', ...attrsOf(sliding) }));
  const along = (axis: number): AnyTensor => iota(taps.shape, axis, 'i32') as AnyTensor;
  const columnMajor = node.int('storage_order', 0) !== 0;
  const order = wholeRange(spatial.length);
  let rest = taps;
  const cells: AnyTensor[] = [];
  for (const d of order.toReversed()) {
    const tap: AnyTensor = rest.rem(sliding.window[d]!);
    rest = rest.div(sliding.window[d]!);
    cells[d] = along(d + 2)
      .mul(sliding.strides[d]!)
      .add(tap.mul(sliding.dilation[d]!))
      .sub(sliding.padding[d]![0]);
  }
  const image: AnyTensor = along(0).mul(shape[1]!).add(along(1));
  const place = (columnMajor ? order.toReversed() : order).reduce(
    (offset, d) => offset.mul(spatial[d]!).add(cells[d]!),
    image,
  );
  return typed(place.cast('i64'));
}

const globalPool =
  (kind: 'mean' | 'max'): Operator =>
  (node) => {
    const x = node.input(0);
    const axes = spatialOf(node, x).map((_, d) => d + 2);
    return like(x, x.tensor[kind](axes, { keepDims: true }));
  };

/** (Σ |x|^p)^(1/p), given a sum. */
function powerNorm(node: NodeContext, x: AnyTensor, sum: (powers: AnyTensor) => AnyTensor): AnyTensor {
  const p = node.opset < 2 ? node.float('p', 2) : node.int('p', 2);
  if (p === 1) return sum(x.abs());
  if (p === 2) return sum(x.square()).sqrt();
  return sum(x.abs().pow(p)).pow(1 / p);
}

const normPool: Operator = (node) => {
  const x = expectFloat(node, node.input(0));
  const sliding = slidingWindow(node, spatialOf(node, x), node.ints('kernel_shape'));
  return like(
    x,
    powerNorm(node, x.tensor, (powers) => pooled(powers, 'sum', sliding)),
  );
};

const globalNormPool: Operator = (node) => {
  const x = expectFloat(node, node.input(0));
  const axes = spatialOf(node, x).map((_, d) => d + 2);
  return like(
    x,
    powerNorm(node, x.tensor, (powers) => powers.sum(axes, { keepDims: true })),
  );
};

export const poolingOperators: Readonly<Record<string, Operator>> = {
  AveragePool: averagePool,
  MaxPool: maxPool,
  GlobalAveragePool: globalPool('mean'),
  GlobalMaxPool: globalPool('max'),
  LpPool: normPool,
  GlobalLpPool: globalNormPool,
};
