// The variational autoencoder: its bound lies below the evidence and rises as it trains, in C; on WebGPU a short run is the same.

import { describe, expect, it } from 'vitest';
import { showVariational, trainVariational } from '../../examples/variational-autoencoder.ts';
import { testDevice, titleOf } from '../helpers/webgpu.ts';

const device = await testDevice();

describe('a variational autoencoder', () => {
  it('reaches its bound, less than two nats below the evidence, which is more with more latent numbers', async () => {
    const flat = await trainVariational({ target: 'c', epochs: 40, latents: 2 });
    const deep = await trainVariational({ target: 'c', epochs: 40, latents: 8 });
    for (const { bound, evidence, bounds } of [flat, deep]) {
      expect(evidence - bound).toBeGreaterThan(0.2);
      expect(evidence - bound).toBeLessThan(2);
      expect(bounds.at(-1)!).toBeGreaterThan(bounds[0]! + 10);
    }
    expect(deep.evidence).toBeGreaterThan(flat.evidence + 0.5);
    expect(deep.bound).toBeGreaterThan(-20);
    const { pictures } = await showVariational(flat, deep);
    expect(pictures.length).toBe(1);
  });

  it.skipIf(typeof device === 'string')(titleOf('the same on WebGPU', device), async () => {
    const short = { epochs: 1, latents: 2 };
    const c = await trainVariational({ target: 'c', ...short });
    const wgsl = await trainVariational({ target: 'wgsl', ...short });
    expect(wgsl.bounds[0]!).toBeCloseTo(c.bounds[0]!, 2);
    expect(wgsl.bound).toBeCloseTo(c.bound, 1);
    expect(wgsl.evidence).toBeCloseTo(c.evidence, 1);
  });
});
