// Matrix products and convolutions.

import { reverse } from '../../lang/functions.ts';
import { type AnyTensor, here, Tensor } from '../../lang/tensor.ts';
import { like, type NodeContext, type OnnxValue, type Operator, shapeOf } from '../node-context.ts';
import { wholeRange } from './axes.ts';
import { spatialOf } from './pooling.ts';
import { combine, wrap } from './values.ts';
import { slidingWindow, spansOf } from './windows.ts';

const matMul: Operator = (node) => {
  const x = node.input(0);
  return wrap(x.type, x.tensor.matmul(node.input(1).tensor) as AnyTensor);
};

/** α · A · B + β · C, of matrices that may be transposed. */
const gemm: Operator = (node) => {
  const [a, b] = [node.input(0), node.input(1)];
  if (shapeOf(a).length !== 2 || shapeOf(b).length !== 2) return node.invalid('two matrices expected');
  const lhs: AnyTensor = node.int('transA', 0) === 0 ? a.tensor : a.tensor.T;
  const rhs: AnyTensor = node.int('transB', 0) === 0 ? b.tensor : b.tensor.T;
  const product = like(a, scaled(lhs.matmul(rhs) as AnyTensor, node.float('alpha', 1)));
  const c = node.optional(2);
  return c === null ? product : combine('add', product, like(c, scaled(c.tensor, node.float('beta', 1))));
};

const scaled = (x: AnyTensor, factor: number): AnyTensor => (factor === 1 ? x : x.mul(factor));

/** The kernel's own sizes are its shape; the attribute repeats them. */
function kernelOf(node: NodeContext, w: OnnxValue, rank: number): number[] {
  const kernel = shapeOf(w).slice(2);
  if (kernel.length !== rank) node.invalid(`a kernel [.., .., ${rank} spatial axes] expected, [${shapeOf(w)}] given`);
  const told = node.ints('kernel_shape', kernel);
  if (told.join() !== kernel.join()) node.invalid(`kernel_shape [${told}] of a kernel [${shapeOf(w)}]`);
  return [...kernel];
}

/** Images [N, C, spatial..] with kernels [O, C / group, spatial..], by the node's attributes, without a bias. */
export function convolved(node: NodeContext, x: OnnxValue, w: OnnxValue): AnyTensor {
  const spatial = spatialOf(node, x);
  const { strides, padding, dilation } = slidingWindow(node, spatial, kernelOf(node, w, spatial.length));
  return new Tensor(
    here('Conv').conv(x.tensor.value, w.tensor.value, {
      strides,
      padding,
      lhsDilation: spatial.map(() => 1),
      rhsDilation: dilation,
      groups: node.int('group', 1),
    }),
  );
}

/** A bias for each channel of [N, C, spatial..]. */
export function withBias(y: AnyTensor, bias: OnnxValue | null): AnyTensor {
  return bias === null ? y : y.add(bias.tensor.reshape([-1, ...wholeRange(y.rank - 2).map(() => 1)]));
}

const conv: Operator = (node) => {
  const x = node.input(0);
  return like(x, withBias(convolved(node, x, node.input(1)), node.optional(2)));
};

/** The transpose of a convolution: a convolution of the image spread by the strides, its kernel turned and its channels swapped. */
const convTranspose: Operator = (node) => {
  const [x, w] = [node.input(0), node.input(1)];
  const spatial = spatialOf(node, x);
  const kernel = kernelOf(node, w, spatial.length);
  const ones = spatial.map(() => 1);
  const [strides, dilation] = [node.ints('strides', ones), node.ints('dilations', ones)];
  const extra = node.ints(
    'output_padding',
    ones.map(() => 0),
  );
  const spans = spansOf(kernel, dilation);
  const pads = transposedPads(node, spatial, strides, spans, extra);
  const groups = node.int('group', 1);
  const [channels, perGroup] = shapeOf(w) as readonly [number, number];
  if (channels % groups !== 0) node.invalid(`${channels} channels in ${groups} groups`);
  const grouped: AnyTensor = w.tensor.reshape([groups, channels / groups, perGroup, ...kernel]);
  const swapped: AnyTensor = grouped.transpose([0, 2, 1, ...kernel.map((_, d) => d + 3)]);
  const turned: AnyTensor = reverse(
    swapped.reshape([groups * perGroup, channels / groups, ...kernel]),
    kernel.map((_, d) => d + 2),
  );
  const y: AnyTensor = new Tensor(
    here('ConvTranspose').conv(x.tensor.value, turned.value, {
      strides: ones,
      padding: pads.map(([low, high], d) => [spans[d]! - 1 - low, spans[d]! - 1 - high + extra[d]!]),
      lhsDilation: strides,
      rhsDilation: dilation,
      groups,
    }),
  );
  return like(x, withBias(y, node.optional(2)));
};

/** What is cut off before and after: given, or what makes the result `output_shape`, or SAME: the input's size times the stride. */
function transposedPads(
  node: NodeContext,
  spatial: readonly number[],
  strides: readonly number[],
  spans: readonly number[],
  extra: readonly number[],
): (readonly [number, number])[] {
  const mode = node.string('auto_pad', 'NOTSET');
  const same = mode === 'SAME_UPPER' || mode === 'SAME_LOWER';
  const wanted = node.has('output_shape')
    ? node.ints('output_shape').slice(-spatial.length)
    : same
      ? spatial.map((size, d) => size * strides[d]!)
      : null;
  if (wanted === null) {
    const pads = node.ints(
      'pads',
      [...spatial, ...spatial].map(() => 0),
    );
    return spatial.map((_, d) => (mode === 'VALID' ? [0, 0] : [pads[d]!, pads[d + spatial.length]!]));
  }
  return spatial.map((size, d) => {
    const total = strides[d]! * (size - 1) + extra[d]! + spans[d]! - wanted[d]!;
    const less = Math.floor(total / 2);
    return mode === 'SAME_UPPER' ? [less, total - less] : [total - less, less];
  });
}

export const contractionOperators: Readonly<Record<string, Operator>> = {
  MatMul: matMul,
  Gemm: gemm,
  Conv: conv,
  ConvTranspose: convTranspose,
};
