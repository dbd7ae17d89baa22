// Losses of classes: the negative logarithm of the probability that a model gives to the right one.

import { gather, logSoftmax, takeAlong } from '../../lang/functions.ts';
import type { AnyTensor } from '../../lang/tensor.ts';
import { full } from '../../lang/variable.ts';
import { like, type NodeContext, type OnnxValue, type Operator, shapeOf } from '../node-context.ts';
import { choose } from './values.ts';

/** log-probabilities [N, C, D..], classes [N, D..], weights of classes [C] or none → the loss, reduced as the node says. */
function negativeLogLikelihood(
  node: NodeContext,
  logProbabilities: AnyTensor,
  target: OnnxValue,
  weights: OnnxValue | null,
): AnyTensor {
  const [batch, classes, ...dims] = logProbabilities.value.type.shape as readonly [number, number, ...number[]];
  if (shapeOf(target).join() !== [batch, ...dims].join())
    node.invalid(`classes [${[batch, ...dims]}] expected, [${shapeOf(target)}] given`);
  const isIgnored: AnyTensor | null = node.has('ignore_index') ? target.tensor.eq(node.int('ignore_index')) : null;
  const right: AnyTensor = target.tensor
    .cast('i32')
    .maximum(0)
    .minimum(classes - 1);
  const taken = takeAlong(logProbabilities, right.reshape([batch, 1, ...dims]), 1) as AnyTensor;
  const own: AnyTensor = taken.reshape([batch, ...dims]).neg();
  const given: AnyTensor =
    weights === null ? full([batch, ...dims], 1, own.dtype as 'f32') : gather(weights.tensor, right, 0);
  const weight = isIgnored === null ? given : choose(isIgnored, 0, given);
  const losses = isIgnored === null ? own.mul(weight) : choose(isIgnored, 0, own.mul(weight));
  return reduced(node, losses, weight, weights === null && isIgnored === null);
}

/** The mean is that of weighted losses: their sum over the sum of their weights. */
function reduced(node: NodeContext, losses: AnyTensor, weight: AnyTensor, isPlain: boolean): AnyTensor {
  const reduction = node.string('reduction', 'mean');
  if (reduction === 'none') return losses;
  if (reduction === 'sum') return losses.sum();
  if (reduction !== 'mean') return node.invalid(`there is no reduction ${reduction}`);
  return isPlain ? losses.mean() : losses.sum().div(weight.sum());
}

const negativeLogLikelihoodLoss: Operator = (node) => {
  const x = node.input(0);
  return like(x, negativeLogLikelihood(node, x.tensor, node.input(1), node.optional(2)));
};

/** The loss of scores, and their logarithms as probabilities. */
const crossEntropy: Operator = (node) => {
  const scores = node.input(0);
  const logProbabilities = logSoftmax(scores.tensor, 1) as AnyTensor;
  const loss = negativeLogLikelihood(node, logProbabilities, node.input(1), node.optional(2));
  return [like(scores, loss), like(scores, logProbabilities)];
};

export const lossOperators: Readonly<Record<string, Operator>> = {
  NegativeLogLikelihoodLoss: negativeLogLikelihoodLoss,
  SoftmaxCrossEntropyLoss: crossEntropy,
};
