// The training steps that are measured, as functions with updates.

import { func, input, nn } from 'ashlar';
import { digitsNet, fashionSimpleNet } from '../examples/models.ts';

export function mlp(): nn.Layer {
  return nn.sequential(nn.dense(784, 512), nn.relu, nn.dense(512, 512), nn.relu, nn.dense(512, 10));
}

export interface Step {
  readonly name: string;
  readonly batch: number;
  readonly example: readonly number[];
  readonly network: () => nn.Layer;
}

export const steps: readonly Step[] = [
  { name: 'MLP 784-512-512-10', batch: 64, example: [784], network: mlp },
  { name: 'digits CNN (the demo)', batch: 64, example: [1, 8, 8], network: digitsNet },
  { name: 'FashionSimpleNet', batch: 64, example: [1, 28, 28], network: fashionSimpleNet },
];

/** Forward, cross-entropy, gradients and Adam as one function. */
export function trainingStep({ batch, example, network }: Step) {
  nn.resetNames();
  nn.setSeed(1);
  const x = input('x', [batch, ...example]);
  const y = input('y', [batch], 'i32');
  const layers = network();
  const loss = nn.crossEntropy(layers(x), y).mean();
  return func({
    name: 'step',
    inputs: [x, y],
    outputs: { loss },
    updates: nn.adam(loss, layers.variables, { lr: 1e-3 }),
  });
}

export function exampleBatch({ batch, example }: Step): { x: Float32Array; y: Int32Array } {
  const size = example.reduce((product, dim) => product * dim, batch);
  return {
    x: Float32Array.from({ length: size }, (_, i) => ((i * 2654435761) % 1000) / 1000),
    y: Int32Array.from({ length: batch }, (_, i) => i % 10),
  };
}
