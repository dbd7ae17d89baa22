// The two games: all bells are reached, the critic's gradient comes near 1; and the step with derivatives of derivatives is one
// program, alike on WebGPU.

import { describe, expect, it } from 'vitest';
import { normAtEnd, play, showGames } from '../../examples/generative-adversarial.ts';
import { testDevice, titleOf } from '../helpers/webgpu.ts';

const device = await testDevice();

describe('generative adversarial networks', () => {
  it('reach every bell of the ring, and the norm of the critic’s gradient is near 1', async () => {
    const found = {
      'non-saturating': await play('non-saturating', { target: 'c' }),
      Wasserstein: await play('Wasserstein', { target: 'c' }),
    };
    for (const { bells, near } of Object.values(found)) {
      expect(bells).toBeGreaterThanOrEqual(7);
      expect(near).toBeGreaterThan(0.7);
    }
    expect(Math.abs(normAtEnd(found.Wasserstein) - 1)).toBeLessThan(0.15);
    expect(showGames(found).pictures.length).toBe(1);
  });

  it.skipIf(typeof device === 'string')(titleOf('the same on WebGPU', device), async () => {
    for (const game of ['non-saturating', 'Wasserstein'] as const) {
      const [c, wgsl] = [await play(game, { target: 'c', steps: 20 }), await play(game, { target: 'wgsl', steps: 20 })];
      expect(wgsl.curve[0]!, game).toBeCloseTo(c.curve[0]!, 2);
    }
  });
});
