// Derivatives are expressions: y = w2·exp(w1·x), its derivatives by both weights, and a second one, printed as
// formulas. Then the same expressions fit a curve to points.
// Run with: npx tsx examples/exponential.ts

import { type AnyTensor, format, func, grad, input, nn, variable } from 'ashlar';
import { compile } from 'ashlar/node';

const steps = 2000;
const learningRate = 0.05;

const w1 = variable('w1', [], { initial: 0.1 });
const w2 = variable('w2', [], { initial: 1 });

function model(x: AnyTensor): AnyTensor {
  return w2.mul(w1.mul(x).exp());
}

function derivatives(): void {
  const y = model(input('x', []));
  const [byW1, byW2] = grad(y, [w1, w2]);
  console.log(`y           = ${format(y)}`);
  console.log(`dy/dw1      = ${format(byW1)}`);
  console.log(`dy/dw2      = ${format(byW2)}`);
  console.log(`d²y/dw1dw2  = ${format(grad(byW1, w2))}`);
}

/** Fits both weights to eleven points of 2·exp(−0.7·x). */
async function fitCurve(): Promise<void> {
  const x = input('x', [11]);
  const t = input('t', [11]);
  const loss = nn.squaredError(model(x), t).mean();
  const updates = nn.adam(loss, [w1, w2], { lr: learningRate });
  const step = await compile(func({ name: 'fit', inputs: [x, t], outputs: { loss }, updates }));

  const points = Float32Array.from({ length: 11 }, (_, i) => i / 5);
  const values = points.map((point) => 2 * Math.exp(-0.7 * point));
  for (let i = 1; i <= steps; i++) {
    const { loss } = await step({ x: points, t: values });
    if (i === 1 || i === 100 || i === steps) {
      const found = await Promise.all([step.state.get('w1'), step.state.get('w2')]);
      const [first, second] = found.map(([weight]) => Number(weight).toFixed(4));
      console.log(`step ${String(i).padStart(4)}  loss ${loss[0]!.toFixed(6)}  y = ${second}·exp(${first}·x)`);
    }
  }
}

derivatives();
console.log('');
await fitCurve();
