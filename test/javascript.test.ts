// The JavaScript target: every operation of the table against the float64 reference, and whole training
// steps against C.

import { func, input, nn, variable } from 'ashlar';
import { compile } from 'ashlar/node';
import { describe, expect, it } from 'vitest';
import { fashionSimpleNet } from '../examples/models.ts';
import type { TypedArray } from '../src/runtime/arrays.ts';
import { arraysOf, casesOf, expectReference, families, together } from './helpers/differential.ts';

describe('every operation', () => {
  it.each(families.map((family) => [family.join(' '), family] as const))('%s', async (_title, family) => {
    const all = together(casesOf(family));
    const run = await compile<Record<string, TypedArray>, Record<string, TypedArray>>(
      { func: all.func, variables: [] },
      { target: 'js' },
    );
    expectReference(all, run(arraysOf(all)));
  });
});

describe('a training step', () => {
  const batch = 4;
  function trainingStep() {
    nn.setSeed(3);
    const network = fashionSimpleNet();
    const x = input('x', [batch, 1, 28, 28]);
    const y = input('y', [batch], 'i32');
    const loss = nn.crossEntropy(network(x), y).mean();
    return func({
      name: 'train',
      inputs: [x, y],
      outputs: { loss },
      updates: nn.adam(loss, network.variables, { lr: 1e-3 }),
    });
  }
  const x = Float32Array.from({ length: batch * 784 }, (_, i) => Math.sin(i));
  const y = Int32Array.of(1, 5, 9, 0);

  it('has the losses that it has in C', async () => {
    const inJs = await compile(trainingStep(), { target: 'js' });
    const inC = await compile(trainingStep(), { target: 'c' });
    for (let step = 0; step < 4; step++) {
      const [found] = inJs({ x, y }).loss;
      const [wanted] = inC({ x, y }).loss;
      expect(Math.abs(found! - wanted!)).toBeLessThan(1e-4);
    }
  });

  it('keeps its states in the store that other functions share, and packs frozen weights once', async () => {
    const step = await compile(trainingStep(), { target: 'js' });
    const weights = step.state.get('conv1.weight') as Float32Array;
    step({ x, y });
    expect(step.state.get('conv1.weight')).not.toEqual(weights);
    const w = variable('w', [64, 32], { initial: () => Float32Array.from({ length: 2048 }, (_, i) => i % 7) });
    const given = input('given', [8, 64]);
    const product = func({ name: 'product', inputs: [given], outputs: { y: given.matmul(w) } });
    const frozen = await compile(product, { target: 'js', freeze: true });
    const live = await compile(product, { target: 'js' });
    const ones = { given: new Float32Array(512).fill(1) };
    expect(frozen(ones).y).toEqual(live(ones).y);
    expect(frozen.state.names()).toEqual([]);
  });
});

describe('choosing a target', () => {
  const doubled = () => {
    const x = input('x', [2]);
    return func({ name: 'doubled', inputs: [x], outputs: { y: x.mul(2) } });
  };

  it('refuses options that do not go together', async () => {
    await expect(compile(doubled(), { target: 'js', threads: 2 })).rejects.toThrow(
      'target js has no threads to set, 2 given',
    );
    await expect(compile(doubled(), { target: 'js', compiler: 'gcc' })).rejects.toThrow('target js takes no compiler');
    await expect(compile(doubled(), { target: 'fortran' as 'js' })).rejects.toThrow(
      `target: 'c', 'wgsl' or 'js' expected, "fortran" given`,
    );
  });
});
