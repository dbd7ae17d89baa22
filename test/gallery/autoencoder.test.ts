// Autoencoders: what each reaches on held-out digits, and that WebGPU trains one to the same losses, noise included.

import { nn, selectExamples } from 'ashlar';
import { describe, expect, it } from 'vitest';
import { autoencoders, operatingCurve, reached, sparsity, trainAutoencoder } from '../../examples/autoencoder.ts';
import { loadDigits } from '../../examples/data.ts';
import { testDevice, titleOf } from '../helpers/webgpu.ts';

const device = await testDevice();
const found = reached(await autoencoders({ target: 'c' }));

describe('autoencoders', () => {
  it('keep most of a digit in two numbers, and nearly all in a hundred sparse ones', () => {
    // The mean digit alone leaves an error of 4.7 or so.
    expect(found['error of two latent numbers']).toBeLessThan(3);
    expect(found['error of the sparse autoencoder']).toBeLessThan(1.2);
    expect(found['mean activity of its units']).toBeLessThan(2 * sparsity);
  });

  it('remove noise where they were trained with it, and leave most where not', () => {
    const noisy = found['error of noisy images'];
    expect(found['after one trained to remove noise']).toBeLessThan(0.25 * noisy);
    expect(found['after a plain autoencoder']).toBeGreaterThan(0.6 * noisy);
  });

  it('tell a digit that they never saw by the error of its reconstruction', () => {
    expect(found['area under the curve for a digit never seen']).toBeGreaterThan(0.9);
  });

  it.skipIf(typeof device === 'string')(titleOf('WebGPU trains to the same losses', device), async () => {
    const few = selectExamples(
      loadDigits(),
      Array.from({ length: 200 }, (_, i) => i),
    );
    const losses = async (target: 'c' | 'wgsl') => {
      nn.setSeed(1);
      const model = { encoder: nn.sequential(nn.dense(64, 16), nn.sigmoid), decoder: nn.dense(16, 64), noise: 0.2 };
      const options = { target, epochs: 2 };
      return (await trainAutoencoder({ ...model, sparsity: { mean: 0.1, weight: 0.1 } }, few, options)).losses;
    };
    const [c, wgsl] = [await losses('c'), await losses('wgsl')];
    wgsl.forEach((loss, epoch) => {
      expect(Math.abs(loss - c[epoch]!)).toBeLessThan(1e-3 * c[epoch]!);
    });
  });
});

it('the area under an operating curve is the share of pairs in the right order', () => {
  const { x, y, area } = operatingCurve([0.9, 0.8, 0.3, 0.1], [true, false, true, false]);
  expect(area).toBeCloseTo(3 / 4);
  expect([x, y]).toEqual([
    [0, 0, 0.5, 0.5, 1],
    [0, 0.5, 0.5, 1, 1],
  ]);
});
