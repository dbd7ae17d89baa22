// What one perceptron cannot do, three sigmoid units can: two hidden units and one for the answer learn XOR by
// backpropagation, which here is nothing but `grad` inside the optimizer.
// Run with: npx tsx examples/xor.ts
// Source: D. E. Rumelhart, G. E. Hinton and R. J. Williams, Nature 323 (1986).

import { constant, func, nn } from 'ashlar';
import { compile } from 'ashlar/node';

const steps = 2000;
const reported = [1, 100, 200, 300, 500, 1000, 2000];
const learningRate = 5;
const cases = [
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
];
const x = constant(cases, { shape: [4, 2] });
const targets = constant([[0], [1], [1], [0]], { shape: [4, 1] });

async function main(): Promise<void> {
  nn.setSeed(1);
  const hidden = nn.dense(2, 2, { name: 'hidden' });
  const output = nn.dense(2, 1, { name: 'output' });
  const network = nn.sequential(hidden, nn.sigmoid, output, nn.sigmoid);
  const answers = network(x);
  const loss = nn.squaredError(answers, targets).mean();
  const updates = nn.sgd(loss, network.variables, { lr: learningRate });
  const step = await compile(func({ name: 'train', outputs: { loss }, updates }));
  const answer = await compile(func({ name: 'answer', outputs: { answers } }), { state: step.state });

  for (let i = 1; i <= steps; i++) {
    const { loss } = await step({});
    if (reported.includes(i)) console.log(`step ${String(i).padStart(4)}  loss ${loss[0]!.toFixed(4)}`);
  }
  const { answers: found } = await answer({});
  found.forEach((found, i) => {
    console.log(`${cases[i]!.join(' ')} → ${found.toFixed(2)}`);
  });
}

await main();
