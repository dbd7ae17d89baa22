// Small models that several tests compile.

import type { FunctionDefinition } from '../../src/lang/func.ts';
import { func } from '../../src/lang/func.ts';
import { input } from '../../src/lang/variable.ts';
import * as nn from '../../src/nn/index.ts';

export interface StepInputs {
  readonly x: Float32Array;
  readonly y: Int32Array;
}

/** A convolutional network on 8 × 8 images with its training step by Adam: every kind of kernel is in it. */
export function trainingStep(batch = 8): FunctionDefinition<StepInputs, { readonly loss: Float32Array }> {
  nn.resetNames();
  nn.setSeed(7);
  const x = input('x', [batch, 1, 8, 8]);
  const y = input('y', [batch], 'i32');
  const network = nn.sequential(
    nn.conv2d(1, 8, 3, { padding: 'same' }),
    nn.batchNorm(8),
    nn.relu,
    nn.maxPool(2),
    nn.flatten(),
    nn.dense(128, 16),
    nn.gelu,
    nn.dense(16, 10),
  );
  const loss = nn.crossEntropy(network(x), y).mean();
  return func({
    name: 'step',
    inputs: [x, y],
    outputs: { loss },
    updates: [...nn.adam(loss, network.variables, { lr: 1e-2 }), ...network.updates()],
  });
}
