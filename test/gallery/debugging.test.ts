// Each helper finds the planted fault, and none where there is none, in C and on WebGPU; but the gradient check has no target: it
// evaluates in float64.

import { describe, expect, it } from 'vitest';
import { checkedGradients, deadUnitsAt, layerStatistics, overfitted } from '../../examples/debugging.ts';
import { testDevice, titleOf } from '../helpers/webgpu.ts';

const device = await testDevice();

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

  const targets = ['c', 'wgsl'] as const;
  describe.each(targets)('on %s', (target) => {
    const skipped = target === 'wgsl' && typeof device === 'string';
    const title = (what: string) => (target === 'wgsl' ? titleOf(what, device) : what);

    it.skipIf(skipped)(title('units are dead at the rate that kills them'), async () => {
      expect((await deadUnitsAt(30, { target, steps: 6 })).at(-1)!).toBeGreaterThan(16);
      expect((await deadUnitsAt(0.3, { target, steps: 6 })).at(-1)!).toBeLessThan(5);
    });

    it.skipIf(skipped)(title('activations and gradients are those of the first weights'), async () => {
      const { Xavier, 'too small': small, 'too large': large } = await layerStatistics({ target });
      expect(Xavier!.activations.at(-1)!.deviation).toBeGreaterThan(0.1);
      expect(small!.activations.at(-1)!.deviation).toBeLessThan(0.01);
      expect(small!.gradients[0]!.deviation).toBeLessThan(1e-3 * Xavier!.gradients[0]!.deviation);
      expect(large!.activations.at(-1)!.deviation).toBeGreaterThan(0.8);
    });
  });

  it.skipIf(typeof device === 'string')(titleOf('one batch is learnt alike on WebGPU', device), async () => {
    const steps = 50;
    const [c, wgsl] = [await overfitted({ target: 'c', steps }), await overfitted({ target: 'wgsl', steps })];
    expect([wgsl.sound.succeeded, wgsl.faulty.succeeded]).toEqual([true, false]);
    expect([...wgsl.sound.unmoved, ...wgsl.faulty.unmoved]).toEqual([]);
    for (const kind of ['sound', 'faulty'] as const)
      c[kind].losses.slice(0, 10).forEach((loss, i) => {
        expect(Math.abs(wgsl[kind].losses[i]! - loss), kind).toBeLessThan(1e-3 * loss);
      });
  });
});
