// The activations that RNN, GRU and LSTM name by strings, with their parameters.

import type { AnyTensor } from '../../lang/tensor.ts';
import { leakyRelu } from '../../nn/activations.ts';
import type { NodeContext } from '../node-context.ts';
import { choose } from './values.ts';

export type Activation = (x: AnyTensor) => AnyTensor;

interface ActivationRecord {
  /** Values of alpha and beta where the node gives none; null where it must; left out where there is no such parameter. */
  readonly alpha?: number | null;
  readonly beta?: number | null;
  compute(x: AnyTensor, alpha: number, beta: number): AnyTensor;
}

const records: Readonly<Record<string, ActivationRecord>> = {
  relu: { compute: (x) => x.relu() },
  tanh: { compute: (x) => x.tanh() },
  sigmoid: { compute: (x) => x.sigmoid() },
  softsign: { compute: (x) => x.div(x.abs().add(1)) },
  softplus: { compute: (x) => x.softplus() },
  affine: { alpha: null, beta: null, compute: (x, alpha, beta) => x.mul(alpha).add(beta) },
  leakyrelu: { alpha: 0.01, compute: (x, alpha) => leakyRelu(alpha)(x) as AnyTensor },
  thresholdedrelu: { alpha: 1, compute: (x, alpha) => choose(x.gt(alpha), x, 0) },
  scaledtanh: { alpha: null, beta: null, compute: (x, alpha, beta) => x.mul(beta).tanh().mul(alpha) },
  hardsigmoid: {
    alpha: 0.2,
    beta: 0.5,
    compute: (x, alpha, beta) => x.mul(alpha).add(beta).maximum(0).minimum(1),
  },
  elu: { alpha: 1, compute: (x, alpha) => choose(x.gt(0), x, x.minimum(0).expm1().mul(alpha)) },
};

/** What enters the activations of gates: sums within [−clip, clip], where the node gives such a bound. */
export function clipped(node: NodeContext, sum: AnyTensor): AnyTensor {
  if (!node.has('clip')) return sum;
  const clip = node.float('clip');
  return sum.maximum(-clip).minimum(clip);
}

/** The activations of all directions. Values of alpha and beta are consumed in the order of the activations that have them. */
export function activationsOf(node: NodeContext, defaults: readonly string[]): Activation[] {
  const names = node.strings('activations', defaults);
  if (names.length !== defaults.length) node.invalid(`${defaults.length} activations expected, [${names}] given`);
  const [alphas, betas] = [[...node.floats('activation_alpha', [])], [...node.floats('activation_beta', [])]];
  return names.map((name) => {
    const key = name.toLowerCase();
    const record = Object.hasOwn(records, key) ? records[key]! : node.invalid(`there is no activation ${name}`);
    const parameter = (list: number[], otherwise: number | null | undefined, what: string): number =>
      otherwise === undefined
        ? 0
        : (list.shift() ?? otherwise ?? node.invalid(`${what} of activation ${name} expected`));
    const alpha = parameter(alphas, record.alpha, 'alpha');
    const beta = parameter(betas, record.beta, 'beta');
    return (x) => record.compute(x, alpha, beta);
  });
}
