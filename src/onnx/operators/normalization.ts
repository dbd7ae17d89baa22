// Normalisations: deviations from a mean over some axes, in units of a standard deviation, scaled and shifted.

import { type AnyTensor, here, Tensor } from '../../lang/tensor.ts';
import { like, type NodeContext, type OnnxValue, type Operator, shapeOf } from '../node-context.ts';
import { axisOf, wholeRange } from './axes.ts';

/** A value for each channel, in the form that broadcasts to [N, C, spatial..]. */
const perChannel = (value: AnyTensor, rank: number): AnyTensor =>
  value.reshape([-1, ...wholeRange(rank - 2).map(() => 1)]);

/** Deviations over axes in units of √(variance + ε), with the mean and 1/√(variance + ε). */
function standardized(x: AnyTensor, axes: readonly number[], epsilon: number) {
  const mean: AnyTensor = x.mean([...axes], { keepDims: true });
  const deviation: AnyTensor = x.sub(mean);
  const variance: AnyTensor = deviation.mul(deviation).mean([...axes], { keepDims: true });
  const inverse: AnyTensor = variance.add(epsilon).rsqrt();
  return { mean, inverse, deviations: deviation.mul(inverse) as AnyTensor };
}

/** Y = (X − mean) / √(var + ε) · scale + B. In training mode by the batch's own statistics, with new running ones. */
const batchNormalization: Operator = (node) => {
  const [x, scale, shift, mean, variance] = [0, 1, 2, 3, 4].map((i) => node.input(i)) as OnnxValue[];
  if (node.int('spatial', 1) === 0) return node.unsupported('statistics for each position (spatial = 0)');
  const rank = Math.max(2, shapeOf(x!).length);
  const epsilon = node.float('epsilon', 1e-5);
  const trains =
    node.opset >= 14
      ? node.int('training_mode', 0) !== 0
      : node.opset >= 7
        ? node.wants(1)
        : node.int('is_test', 0) === 0;
  if (!trains)
    return like(
      x!,
      normalizedBy(x!.tensor, mean!.tensor, variance!.tensor, scale!.tensor, shift!.tensor, epsilon, rank),
    );
  if (node.opset < 14) return node.unsupported('training before version 14');
  const others = wholeRange(rank).filter((axis) => axis !== 1);
  const momentum = node.float('momentum', 0.9);
  const batchMean: AnyTensor = x!.tensor.mean(others);
  const batchVariance: AnyTensor = x!.tensor.variance(others);
  const running = (old: OnnxValue, now: AnyTensor): OnnxValue =>
    like(old, old.tensor.mul(momentum).add(now.mul(1 - momentum)));
  const y = normalizedBy(x!.tensor, batchMean, batchVariance, scale!.tensor, shift!.tensor, epsilon, rank);
  return [like(x!, y), running(mean!, batchMean), running(variance!, batchVariance)];
};

function normalizedBy(
  x: AnyTensor,
  mean: AnyTensor,
  variance: AnyTensor,
  scale: AnyTensor,
  shift: AnyTensor,
  epsilon: number,
  rank: number,
): AnyTensor {
  const factor: AnyTensor = scale.mul(variance.add(epsilon).rsqrt());
  const offset: AnyTensor = shift.sub(mean.mul(factor));
  return x.mul(perChannel(factor, rank)).add(perChannel(offset, rank));
}

const instanceNormalization: Operator = (node) => {
  const x = node.input(0);
  const rank = shapeOf(x).length;
  const { deviations } = standardized(x.tensor, wholeRange(rank).slice(2), node.float('epsilon', 1e-5));
  return like(x, deviations.mul(perChannel(node.input(1).tensor, rank)).add(perChannel(node.input(2).tensor, rank)));
};

/** Over the axes from `axis` on; mean and 1/√(variance + ε) are results too. */
const layerNormalization: Operator = (node) => {
  const x = node.input(0);
  const rank = shapeOf(x).length;
  const axes = wholeRange(rank).slice(axisOf(node, node.int('axis', -1), rank));
  const { mean, inverse, deviations } = standardized(x.tensor, axes, node.float('epsilon', 1e-5));
  const scaled: AnyTensor = deviations.mul(node.input(1).tensor);
  const bias = node.optional(2);
  const y = like(x, bias === null ? scaled : scaled.add(bias.tensor));
  return [y, like(x, mean), like(x, inverse)].slice(0, Math.max(1, node.outputs.length));
};

/** Channels in groups; scale and bias are for each group before version 21, for each channel from then on. */
const groupNormalization: Operator = (node) => {
  const x = node.input(0);
  const [n, channels, ...spatial] = shapeOf(x) as readonly [number, number, ...number[]];
  const groups = node.int('num_groups');
  if (channels % groups !== 0) node.invalid(`${channels} channels in ${groups} groups`);
  const split: AnyTensor = x.tensor.reshape([n, groups, channels / groups, ...spatial]);
  const { deviations } = standardized(split, wholeRange(split.rank).slice(2), node.float('epsilon', 1e-5));
  const parameter = (position: number): AnyTensor =>
    node.input(position).tensor.reshape([groups, node.opset < 21 ? 1 : channels / groups, ...spatial.map(() => 1)]);
  return like(
    x,
    deviations
      .mul(parameter(1))
      .add(parameter(2))
      .reshape([...shapeOf(x)]),
  );
};

/** x / (bias + α/size · Σ x² over neighbouring channels)^β. */
const localResponse: Operator = (node) => {
  const x = node.input(0);
  const size = node.int('size');
  const [alpha, beta, bias] = [node.float('alpha', 1e-4), node.float('beta', 0.75), node.float('bias', 1)];
  const spatial = shapeOf(x).slice(2);
  const before = Math.floor((size - 1) / 2);
  const ones = [1, ...spatial].map(() => 1);
  const sums: AnyTensor = new Tensor(
    here().reduceWindow(x.tensor.square().value, {
      kind: 'sum',
      window: [size, ...spatial.map(() => 1)],
      strides: ones,
      dilation: ones,
      padding: [[before, size - 1 - before], ...spatial.map((): [number, number] => [0, 0])],
    }),
  );
  return like(
    x,
    x.tensor.div(
      sums
        .mul(alpha / size)
        .add(bias)
        .pow(beta),
    ),
  );
};

/** x over its norm of order p along an axis; 0 where the norm is. */
const lpNormalization: Operator = (node) => {
  const x = node.input(0);
  const axis = axisOf(node, node.int('axis', -1), shapeOf(x).length);
  const norm = normOf(node, x.tensor, [axis], node.int('p', 2));
  return like(x, x.tensor.div(norm.add(norm.eq(0).cast(x.tensor.dtype))));
};

function normOf(node: NodeContext, x: AnyTensor, axes: readonly number[], order: number): AnyTensor {
  if (order === 1) return x.abs().sum([...axes], { keepDims: true });
  if (order === 2)
    return x
      .square()
      .sum([...axes], { keepDims: true })
      .sqrt();
  return node.unsupported(`a norm of order ${order}`);
}

/** (x − mean) / (standard deviation + 1e-9), the expansion that the standard gives. */
const meanVariance: Operator = (node) => {
  const x = node.input(0);
  const axes = node.ints('axes', [0, 2, 3]).map((axis) => axisOf(node, axis, shapeOf(x).length));
  const deviation: AnyTensor = x.tensor.sub(x.tensor.mean(axes, { keepDims: true }));
  const variance: AnyTensor = deviation.square().mean(axes, { keepDims: true });
  return like(x, deviation.div(variance.sqrt().add(1e-9)));
};

export const normalizationOperators: Readonly<Record<string, Operator>> = {
  BatchNormalization: batchNormalization,
  InstanceNormalization: instanceNormalization,
  LayerNormalization: layerNormalization,
  GroupNormalization: groupNormalization,
  LRN: localResponse,
  LpNormalization: lpNormalization,
  MeanVarianceNormalization: meanVariance,
};
