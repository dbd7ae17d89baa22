// A small GPT: it says the poem on by heart, and reads the same with its cache as without, in C and on WebGPU.

import { describe, expect, it } from 'vitest';
import { beginnings, cacheDifference, poem, sayOn, shareOfPoem, trainedGpt } from '../../examples/gpt.ts';
import { testDevice, titleOf } from '../helpers/webgpu.ts';

const device = await testDevice();

describe('a small GPT', () => {
  it('learns the poem by heart, and has the same logits character by character as at once', async () => {
    const gpt = await trainedGpt({ target: 'c' });
    expect(gpt.losses[0]).toBeGreaterThan(3);
    expect(gpt.losses.at(-1)).toBeLessThan(0.1);
    for (const beginning of beginnings) {
      const text = await sayOn(gpt, beginning);
      expect(text).toHaveLength(gpt.context);
      expect(shareOfPoem(text), text).toBe(1);
    }
    expect(await cacheDifference(gpt, poem.slice(300))).toBeLessThan(1e-4);
  });

  it.skipIf(typeof device === 'string')(titleOf('WebGPU trains it as C does, with the cache too', device), async () => {
    const short = { steps: 4, batch: 2, context: 16 };
    const [c, wgsl] = [await trainedGpt({ target: 'c', ...short }), await trainedGpt({ target: 'wgsl', ...short })];
    c.losses.forEach((loss, i) => {
      expect(Math.abs(wgsl.losses[i]! - loss)).toBeLessThan(1e-3);
    });
    expect(await cacheDifference(wgsl, poem)).toBeLessThan(1e-4);
  });
});
