// The delta rule: a linear unit y = w1·x1 + w2·x2 + b moves its weights by w ← w + η·δ·∂y/∂w, where δ = t − y. That is
// a step down the gradient of ½(t − y)²: the program derives both, and shows that they agree.
// Run with: npx tsx examples/delta-rule.ts
// Source: B. Widrow and M. E. Hoff, IRE WESCON Convention Record 4 (1960).

import { format, func, grad, input, variable, vjp } from 'ashlar';
import { compile } from 'ashlar/node';

const learningRate = 0.1;
/** Points of the plane t = 2·x1 − 3·x2 + 1. */
const examples = [
  { x1: 0, x2: 0, t: 1 },
  { x1: 1, x2: 0, t: 3 },
  { x1: 0, x2: 1, t: -2 },
  { x1: 1, x2: 1, t: 0 },
  { x1: -1, x2: 0.5, t: -2.5 },
  { x1: 0.5, x2: -1, t: 5 },
];
const passes = 100;
const reported = [1, 3, 10, 30, 100];

const x1 = input('x1', []);
const x2 = input('x2', []);
const t = input('t', []);
const w1 = variable('w1', []);
const w2 = variable('w2', []);
const b = variable('b', []);

const weights = [w1, w2, b];

const y = w1.mul(x1).add(w2.mul(x2)).add(b);
const error = t.sub(y);
const loss = error.square().mul(0.5);
/** δ·∂y/∂w for each weight. */
const moves = vjp([y], [error], weights);
const slopes = grad(loss, weights);
/** The rule moves against the slope of the loss, so these sums are zero. */
const differences = moves.map((move, i) => move.add(slopes[i]!).abs());

async function main(): Promise<void> {
  const delta = input('delta', []);
  vjp([y], [delta], weights).forEach((move, i) => {
    console.log(`${weights[i]!.name} ← ${weights[i]!.name} + η · ${format(move)}`);
  });
  console.log(`delta = ${format(error)}`);

  const step = await compile(
    func({
      name: 'delta_rule',
      inputs: [x1, x2, t],
      outputs: { loss, difference: differences.reduce((sum, difference) => sum.add(difference)) },
      updates: weights.map((weight, i) => [weight, weight.add(moves[i]!.mul(learningRate))] as const),
    }),
  );

  let greatestDifference = 0;
  console.log('\npasses      loss      w1      w2       b');
  for (let pass = 1; pass <= passes; pass++) {
    let total = 0;
    for (const example of examples) {
      const { loss, difference } = await step({
        x1: Float32Array.of(example.x1),
        x2: Float32Array.of(example.x2),
        t: Float32Array.of(example.t),
      });
      total += loss[0]!;
      greatestDifference = Math.max(greatestDifference, difference[0]!);
    }
    if (!reported.includes(pass)) continue;
    const found = await Promise.all(weights.map((weight) => step.state.get(weight.name)));
    const values = found.map(([weight]) => Number(weight).toFixed(3).padStart(8));
    console.log(`${String(pass).padStart(6)}${(total / examples.length).toFixed(6).padStart(10)}${values.join('')}`);
  }
  console.log(`\nbetween the rule and the gradient of the loss: ${greatestDifference}`);
}

await main();
