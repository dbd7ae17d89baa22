// Recurrent networks: what each kind reaches on the adding problem and on a sonnet, and that WebGPU takes the same steps.

import { describe, expect, it } from 'vitest';
import { addingProblem, characterModel, reached, sonnet } from '../../examples/recurrent.ts';
import { testDevice, titleOf } from '../helpers/webgpu.ts';

const device = await testDevice();

describe('recurrent networks', () => {
  it('an LSTM and a GRU add two of sixty numbers, a basic network answers their mean', async () => {
    const steps = 1200;
    expect(reached(await addingProblem('LSTM', { target: 'c', steps }))).toBeLessThan(0.02);
    expect(reached(await addingProblem('GRU', { target: 'c', steps }))).toBeLessThan(0.02);
    // 1/6 is the variance of the sum.
    expect(reached(await addingProblem('basic RNN', { target: 'c', steps }))).toBeGreaterThan(0.12);
  });

  it('learn a sonnet by heart, and say it on from its first words', async () => {
    for (const kind of ['basic RNN', 'LSTM', 'GRU'] as const) {
      const { bits, said } = await characterModel(kind, { target: 'c' });
      expect(bits[0], kind).toBeGreaterThan(5);
      expect(reached(bits), kind).toBeLessThan(0.5);
      expect(said.slice(0, 60), kind).toBe(sonnet.slice(0, 60));
    }
  });

  it.skipIf(typeof device === 'string')(titleOf('WebGPU takes the same steps', device), async () => {
    const steps = 3;
    const losses = async (target: 'c' | 'wgsl') => [
      ...(await addingProblem('basic RNN', { target, steps })),
      ...(await addingProblem('LSTM', { target, steps })),
      ...(await addingProblem('GRU', { target, steps })),
      ...(await characterModel('LSTM', { target, steps })).bits,
    ];
    const [c, wgsl] = [await losses('c'), await losses('wgsl')];
    expect(c.length).toBe(4 * steps);
    wgsl.forEach((loss, i) => {
      expect(Math.abs(loss - c[i]!)).toBeLessThan(1e-3 * c[i]!);
    });
  });
});
