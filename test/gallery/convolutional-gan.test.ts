// Digits drawn by both convolutional games, told from those of an untrained generator; and the step with derivatives of derivatives of
// convolutions and normalisation, alike on WebGPU.

import { describe, expect, it } from 'vitest';
import { drawnDigits, fifth, playDigits, showDigits } from '../../examples/convolutional-gan.ts';
import { frechetDistance } from '../../examples/gallery/digit-judge.ts';
import { testDevice, titleOf } from '../helpers/webgpu.ts';

const device = await testDevice();

describe('convolutional generative adversarial networks', () => {
  it('draw digits of every kind that lie near the real ones, with the critic’s gradient near 1', async () => {
    const found = await drawnDigits({ target: 'c', steps: 700 });
    const { real, untrained, ...drawn } = found.judgements;
    expect(real.distance).toBeLessThan(20);
    expect(untrained.distance).toBeGreaterThan(200);
    expect(untrained.certain).toBeLessThan(0.1);
    for (const [game, { distance, certain, rarest }] of Object.entries(drawn)) {
      expect(distance, game).toBeLessThan(60);
      expect(certain, game).toBeGreaterThan(0.45);
      expect(rarest, game).toBeGreaterThan(0.02);
    }
    const { losses, norms } = found.games.Wasserstein;
    expect(Math.abs(fifth(norms, 4) - 1)).toBeLessThan(0.1);
    expect(fifth(losses, 4)).toBeLessThan(0.75 * fifth(losses, 0));
    expect(showDigits(found).pictures.length).toBe(1);
  });

  it.skipIf(typeof device === 'string')(titleOf('the same in JavaScript and on WebGPU', device), async () => {
    for (const game of ['non-saturating', 'Wasserstein'] as const) {
      const short = { steps: 10, batchSize: 8 };
      const [js, wgsl] = [
        await playDigits(game, { target: 'js', ...short }),
        await playDigits(game, { target: 'wgsl', ...short }),
      ];
      for (const curve of ['losses', 'norms'] as const)
        js[curve].forEach((value, i) => {
          expect(Math.abs(wgsl[curve][i]! - value), game).toBeLessThan(1e-3 * (1 + Math.abs(value)));
        });
      js.after.forEach((pixel, i) => {
        expect(Math.abs(wgsl.after[i]! - pixel), game).toBeLessThan(1e-2);
      });
    }
  });
});

it('the Fréchet distance has the means’ and the deviations’, and none between equal clouds', () => {
  const cloud = Float32Array.from([-1, -2, 1, -2, -1, 2, 1, 2]);
  const moved = cloud.map((value, i) => (i % 2 === 0 ? value + 3 : 2 * value - 1));
  // Moved by 3 and −1; the second deviation, 2√(4/3), is doubled.
  expect(frechetDistance(cloud, moved, 2)).toBeCloseTo(9 + 1 + 16 / 3, 5);
  expect(frechetDistance(cloud, cloud, 2)).toBeCloseTo(0, 10);
});
