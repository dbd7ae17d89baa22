// Each helper finds the planted fault, and none where there is none, in C and on WebGPU.

import { describe, expect, it } from 'vitest';
import { checkedGradients, deadUnitsAt, layerStatistics, overfitted } from '../../examples/debugging.ts';
import { testDevice } from '../helpers/webgpu.ts';

const device = await testDevice();
if (typeof device === 'string') process.stderr.write(`debugging on WebGPU is skipped: ${device}\n`);

describe('debugging', () => {
  it('the gradient check finds the mistaken derivative, in the layer below it', () => {
    const { sound, faulty } = checkedGradients();
    for (const { error } of sound) expect(error).toBeLessThan(1e-6);
    const wrong = faulty.filter(({ error }) => error > 1e-2).map(({ variable }) => variable);
    expect(wrong).toEqual(['dense1.weight', 'dense1.bias']);
  });

  it('overfitting one batch finds the loss that cannot vanish', async () => {
    const { sound, faulty } = await overfitted({ target: 'c' });
    expect(sound.succeeded).toBe(true);
    expect(faulty.succeeded).toBe(false);
    // Of ten probabilities taken for logits, one 1 and nine 0.
    expect(faulty.losses.at(-1)!).toBeGreaterThan(Math.log(1 + 9 * Math.exp(-1)) - 1e-3);
    expect([...sound.unmoved, ...faulty.unmoved]).toEqual([]);
  });

  const targets = typeof device === 'string' ? (['c'] as const) : (['c', 'wgsl'] as const);
  it.each(targets)('dead units, activations and gradients are those of the fault (%s)', async (target) => {
    expect((await deadUnitsAt(30, { target, steps: 6 })).at(-1)!).toBeGreaterThan(16);
    if (target === 'wgsl') return;
    expect((await deadUnitsAt(0.3, { target, steps: 6 })).at(-1)!).toBeLessThan(5);
    const { Xavier, 'too small': small, 'too large': large } = await layerStatistics({ target });
    expect(Xavier!.activations.at(-1)!.deviation).toBeGreaterThan(0.1);
    expect(small!.activations.at(-1)!.deviation).toBeLessThan(0.01);
    expect(small!.gradients[0]!.deviation).toBeLessThan(1e-3 * Xavier!.gradients[0]!.deviation);
    expect(large!.activations.at(-1)!.deviation).toBeGreaterThan(0.8);
  });
});
