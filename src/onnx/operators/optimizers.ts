// Steps of optimizers, of the standard's domain for training. Each updates any number of tensors: inputs are the learning rate R, the
// number of updates so far T, then for every tensor its value, then every gradient, then every first and second state.

import type { AnyTensor } from '../../lang/tensor.ts';
import { like, type NodeContext, type OnnxValue, type Operator } from '../node-context.ts';
import { choose, converted } from './values.ts';

/** One tensor's value, gradient and states. */
type Group = readonly [x: AnyTensor, gradient: AnyTensor, ...states: AnyTensor[]];

interface Step {
  readonly rate: AnyTensor;
  /** The number of updates so far, as a float. */
  readonly count: AnyTensor;
  /** The gradient with that of the regularization ‖x‖². */
  readonly gradient: AnyTensor;
}

/** Applies a rule to every tensor. The rule gives the new value and states. */
const optimizer =
  (states: number, rule: (node: NodeContext, step: Step, group: Group) => readonly AnyTensor[]): Operator =>
  (node) => {
    const [rate, count, ...rest] = node.allInputs() as [OnnxValue, OnnxValue, ...OnnxValue[]];
    const parts = 2 + states;
    const tensors = rest.length / parts;
    if (!Number.isInteger(tensors) || tensors === 0)
      return node.invalid(`${parts} inputs for each tensor expected, ${rest.length} given`);
    const results = Array.from({ length: tensors }, (_, i): OnnxValue[] => {
      const own = Array.from({ length: parts }, (_part, part) => rest[part * tensors + i]!);
      const [x, gradient] = own as [OnnxValue, OnnxValue];
      const step: Step = {
        rate: converted(rate, x.type).tensor.reshape([]),
        count: converted(count, x.type).tensor.reshape([]),
        gradient: x.tensor.mul(node.float('norm_coefficient', 0)).add(gradient.tensor),
      };
      const group = own.map(({ tensor }) => tensor) as unknown as Group;
      return rule(node, step, group).map((tensor) => like(x, tensor));
    });
    return Array.from({ length: 1 + states }, (_, part) => results.map((result) => result[part]!)).flat();
  };

/** D. Kingma and J. Ba 2014, algorithm 1; bias corrections begin with the second update. */
const adam = optimizer(2, (node, { rate, count, gradient }, [x, , first, second]) => {
  const [alpha, beta] = [node.float('alpha', 0.9), node.float('beta', 0.999)];
  if (!node.has('epsilon'))
    return node.unsupported("no epsilon is given: the standard's text takes 0.000001 then, its own test 0.01");
  const epsilon = node.float('epsilon');
  const momentum: AnyTensor = first!.mul(alpha).add(gradient.mul(1 - alpha));
  const squares: AnyTensor = second!.mul(beta).add(gradient.square().mul(1 - beta));
  const power = (base: number): AnyTensor => count.mul(Math.log(base)).expm1().neg();
  const corrected: AnyTensor = rate.mul(power(beta).sqrt()).div(power(alpha));
  const size = choose(count.gt(0), corrected, rate);
  const next: AnyTensor = x.sub(size.mul(momentum.div(squares.sqrt().add(epsilon))));
  return [next.mul(1 - node.float('norm_coefficient_post', 0)), momentum, squares];
});

/** Gradient descent with momentum, or with Y. Nesterov's look ahead. */
const momentum = optimizer(1, (node, { rate, count, gradient }, [x, , past]) => {
  const [alpha, beta] = [node.float('alpha'), node.float('beta')];
  const mode = node.string('mode');
  if (mode !== 'standard' && mode !== 'nesterov') return node.invalid(`there is no mode ${mode}`);
  const velocity: AnyTensor = past!.mul(alpha).add(gradient.mul(choose(count.gt(0), rate.mul(0).add(beta), 1)));
  const direction: AnyTensor = mode === 'nesterov' ? gradient.add(velocity.mul(alpha)) : velocity;
  return [x.sub(rate.mul(direction)), velocity];
});

/** J. Duchi, E. Hazan and Y. Singer 2011, the diagonal form. */
const adagrad = optimizer(1, (node, { rate, count, gradient }, [x, , past]) => {
  const size: AnyTensor = rate.div(count.mul(node.float('decay_factor', 0)).add(1));
  const squares: AnyTensor = past!.add(gradient.square());
  return [x.sub(size.mul(gradient).div(squares.sqrt().add(node.float('epsilon', 1e-6)))), squares];
});

const domain = 'ai.onnx.preview.training';

export const optimizerOperators: Readonly<Record<string, Operator>> = {
  [`${domain}:Adam`]: adam,
  [`${domain}:Momentum`]: momentum,
  [`${domain}:Adagrad`]: adagrad,
};
