// Lines and sums of latent numbers: in C what they are good for, and after a short training the same on WebGPU.

import { expect, it } from 'vitest';
import { latentArithmetic, showArithmetic } from '../../examples/latent-arithmetic.ts';
import { testDevice, titleOf } from '../helpers/webgpu.ts';

const device = await testDevice();

it('half-way between codes less is grey than between pixels, and a digit less its kind plus another is of that kind', async () => {
  const found = await latentArithmetic({ target: 'c', epochs: 40 });
  expect(found.grey.lines).toBeLessThan(0.85 * found.grey.faded);
  expect(found.readAsTurned).toBeGreaterThan(0.6);
  expect(showArithmetic(found).pictures.length).toBe(1);
});

it.skipIf(typeof device === 'string')(titleOf('lines and sums are the same on WebGPU', device), async () => {
  const [c, wgsl] = [
    await latentArithmetic({ target: 'c', epochs: 1 }),
    await latentArithmetic({ target: 'wgsl', epochs: 1 }),
  ];
  for (const images of ['lines', 'faded', 'turned'] as const)
    c[images].forEach((pixel, i) => {
      expect(Math.abs(wgsl[images][i]! - pixel), images).toBeLessThan(1e-3);
    });
});
