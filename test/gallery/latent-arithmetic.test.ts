// Lines and sums of latent numbers: in C. What trains them on WebGPU is held in variational-autoencoder.test.ts.

import { expect, it } from 'vitest';
import { latentArithmetic, showArithmetic } from '../../examples/latent-arithmetic.ts';

it('half-way between codes less is grey than between pixels, and a digit less its kind plus another is of that kind', async () => {
  const found = await latentArithmetic({ target: 'c', epochs: 40 });
  expect(found.grey.lines).toBeLessThan(0.85 * found.grey.faded);
  expect(found.readAsTurned).toBeGreaterThan(0.6);
  expect(showArithmetic(found).pictures.length).toBe(1);
});
