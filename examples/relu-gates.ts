// Networks of ReLU units with weights set by hand: logic gates, and a cut flow. A unit of weight 1 and bias −1 is an
// AND of two bits; two units make a cut, "x is above c"; an AND of cuts counts what is left after each of them.
// Run with: npx tsx examples/relu-gates.ts

import { constant, func, input } from 'ashlar';
import { compile } from 'ashlar/node';

/** All cases of two bits. */
const bits = [
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
];

async function logicGates(): Promise<void> {
  const x = input('x', [4, 2]);
  const sum = x.sum(1);
  // Each gate is 1 or 0 on bits, and made of ReLU units and sums of them alone.
  const and = sum.sub(1).relu();
  const nor = sum.neg().add(1).relu();
  const or = nor.neg().add(1);
  const nand = and.neg().add(1);
  const xor = sum.sub(and.mul(2));
  const gates = { AND: and, OR: or, NAND: nand, NOR: nor, XOR: xor };
  const run = await compile(func({ name: 'gates', inputs: [x], outputs: gates }));
  const found = await run({ x: Float32Array.from(bits.flat()) });

  console.log(`x1 x2  ${Object.keys(found).join('  ')}`);
  bits.forEach(([x1, x2], i) => {
    const row = Object.entries(found).map(([gate, outputs]) => String(outputs[i]).padStart(gate.length));
    console.log(` ${x1}  ${x2}  ${row.join('  ')}`);
  });
}

/** One event of an experiment per row: energy, angle, isolation. */
const events = [
  [45, 0.3, 0.9],
  [12, 1.1, 0.8],
  [60, 2.9, 0.7],
  [33, 1.8, 0.2],
  [27, 0.6, 0.6],
  [8, 2.7, 0.1],
  [51, 2.2, 0.95],
  [22, 2.6, 0.4],
  [38, 1.4, 0.3],
  [19, 0.9, 0.99],
];
/** An event passes where sign · value > sign · threshold. */
const cuts = [
  { name: 'energy > 20', sign: 1, threshold: 20 },
  { name: 'angle < 2.5', sign: -1, threshold: 2.5 },
  { name: 'isolation > 0.5', sign: 1, threshold: 0.5 },
];
/** From 0 to 1 a cut rises over 1/steepness beyond its threshold. */
const steepness = 100;

async function cutFlow(): Promise<void> {
  const x = input('x', [10, 3]);
  const sign = constant(
    cuts.map((cut) => cut.sign),
    { shape: [3] },
  );
  const threshold = constant(
    cuts.map((cut) => cut.threshold),
    { shape: [3] },
  );
  // First layer: two units per cut. Their difference is 0 below the threshold and 1 above it, with a short ramp between.
  const beyond = x.sub(threshold).mul(sign).mul(steepness);
  const passed = beyond.relu().sub(beyond.sub(1).relu());
  // Second layer: unit k is the AND of the cuts 0 to k: their sum less k.
  const firstCuts = constant(
    [
      [1, 1, 1],
      [0, 1, 1],
      [0, 0, 1],
    ],
    { shape: [3, 3] },
  );
  const left = passed
    .matmul(firstCuts)
    .sub(constant([0, 1, 2], { shape: [3] }))
    .relu();
  const run = await compile(
    func({ name: 'cut_flow', inputs: [x], outputs: { counts: left.sum(0), selected: left.min(1) } }),
  );
  const { counts, selected } = await run({ x: Float32Array.from(events.flat()) });

  console.log(`\n${'all events'.padEnd(16)}${String(events.length).padStart(3)}`);
  cuts.forEach(({ name }, k) => {
    console.log(`${name.padEnd(16)}${String(counts[k]).padStart(3)}`);
  });
  const numbers = [...selected.keys()].filter((event) => selected[event] === 1);
  console.log(`selected: events ${numbers.join(', ')}`);
}

await logicGates();
await cutFlow();
