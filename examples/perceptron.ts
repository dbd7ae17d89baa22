// The perceptron: a weighted sum and a step, trained by its rule, w ← w + (t − y)·x. It learns AND and OR. It cannot
// learn XOR, because no straight line divides XOR's ones from its zeros.
// Run with: npx tsx examples/perceptron.ts
// Source: F. Rosenblatt, Psychological Review 65 (1958); M. Minsky and S. Papert, Perceptrons (1969).

import { constant, func, input, nn, variable } from 'ashlar';
import { compile } from 'ashlar/node';

const cases = [
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
];
const gates = {
  AND: [0, 0, 0, 1],
  OR: [0, 1, 1, 1],
  XOR: [0, 1, 1, 0],
};
const mostPasses = 100;

const w = variable('w', [2]);
const b = variable('b', []);

// Training sees one example at a time: its input x and its target t.
const x = input('x', [2]);
const t = input('t', []);
const y = nn.step(x.matmul(w).add(b));
const error = t.sub(y);
const learn = await compile(
  func({
    name: 'learn',
    inputs: [x, t],
    outputs: { error },
    updates: [
      [w, w.add(x.mul(error))],
      [b, b.add(error)],
    ],
  }),
);

// Afterwards the same weights answer all four cases at once.
const answers = nn.step(
  constant(cases, { shape: [4, 2] })
    .matmul(w)
    .add(b),
);
const answer = await compile(func({ name: 'answer', outputs: { answers } }), { state: learn.state });

/** Passes over the four cases until one goes without an error; null where none does. */
async function train(targets: readonly number[]): Promise<number | null> {
  learn.state.set('w', [0, 0]);
  learn.state.set('b', [0]);
  for (let pass = 1; pass <= mostPasses; pass++) {
    let mistakes = 0;
    for (const [i, example] of cases.entries()) {
      const { error } = await learn({ x: Float32Array.from(example), t: Float32Array.of(targets[i]!) });
      if (error[0] !== 0) mistakes++;
    }
    if (mistakes === 0) return pass;
  }
  return null;
}

async function main(): Promise<void> {
  for (const [gate, targets] of Object.entries(gates)) {
    const passes = await train(targets);
    const [w1, w2] = await learn.state.get('w');
    const [bias] = await learn.state.get('b');
    if (passes === null) console.log(`${gate}: still wrong after ${mostPasses} passes`);
    else console.log(`${gate}: learned in ${passes} passes, y = step(${w1}·x1 + ${w2}·x2 − ${-Number(bias)})`);
    const { answers } = await answer({});
    answers.forEach((found, i) => {
      console.log(`  ${cases[i]!.join(' ')} → ${found}${found === targets[i] ? '' : `, expected ${targets[i]}`}`);
    });
  }
}

await main();
