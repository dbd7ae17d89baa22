// Logistic regression: the probability to pass an exam after x hours of study, sigmoid(w·x + b), found by descending
// the gradient of the cross-entropy over twenty students. The data and the answer, w = 1.5046 and b = −4.0777, are
// those of the article "Logistic regression" in the English Wikipedia.
// Run with: npx tsx examples/logistic-regression.ts

import { constant, func, input, nn, variable } from 'ashlar';
import { compile } from 'ashlar/node';

const steps = 5000;
const reported = [1, 10, 100, 1000, 5000];
const learningRate = 0.3;
const hours = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 1.75, 2, 2.25, 2.5, 2.75, 3, 3.25, 3.5, 4, 4.25, 4.5, 4.75, 5, 5.5];
const passed = [0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 1, 1, 1, 1, 1];

const w = variable('w', []);
const b = variable('b', []);

const logits = constant(hours, { shape: [20] })
  .mul(w)
  .add(b);
const loss = nn.binaryCrossEntropyWithLogits(logits, constant(passed, { shape: [20] })).mean();

async function main(): Promise<void> {
  const step = await compile(
    func({ name: 'train', outputs: { loss }, updates: nn.sgd(loss, [w, b], { lr: learningRate }) }),
  );
  console.log(' step    loss       w        b');
  for (let i = 1; i <= steps; i++) {
    const { loss } = await step({});
    if (!reported.includes(i)) continue;
    const found = await Promise.all([step.state.get('w'), step.state.get('b')]);
    const [slope, bias] = found.map(([weight]) => Number(weight).toFixed(4));
    console.log(`${String(i).padStart(5)}  ${loss[0]!.toFixed(4)}  ${slope!.padStart(6)}  ${bias!.padStart(7)}`);
  }

  const studied = input('studied', [5]);
  const predict = await compile(
    func({ name: 'predict', inputs: [studied], outputs: { probability: studied.mul(w).add(b).sigmoid() } }),
    { state: step.state },
  );
  console.log('');
  const { probability } = await predict({ studied: Float32Array.of(1, 2, 3, 4, 5) });
  probability.forEach((found, i) => {
    console.log(`${i + 1} h  ${found.toFixed(2)}`);
  });
}

await main();
