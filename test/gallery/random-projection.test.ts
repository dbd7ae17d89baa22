// Distances under a random projection, against the bound and against what their variance says.

import { describe, expect, it } from 'vitest';
import { projectedDistances, shareWithin, sufficientDimensions, worst } from '../../examples/random-projection.ts';
import { testDevice, titleOf } from '../helpers/webgpu.ts';

const device = await testDevice();
const targets = typeof device === 'string' ? (['c'] as const) : (['c', 'wgsl'] as const);

describe('random projection', () => {
  it('the bound is that of Dasgupta and Gupta', () => {
    expect(sufficientDimensions(150, 0.5)).toBe(Math.ceil((4 * Math.log(150)) / (1 / 8 - 1 / 24)));
  });

  it.each(targets)(
    titleOf('keeps every distance within 50 % in as many dimensions as the bound asks for (%s)', device),
    async (target) => {
      const points = 40;
      const enough = sufficientDimensions(points, 0.5);
      const ratios = await projectedDistances({ target, points, dimensions: 1000, kept: [4, enough] });
      const [few, many] = [ratios.get(4)!, ratios.get(enough)!];
      expect(many.length).toBe((points * (points - 1)) / 2);
      expect(worst(many)).toBeLessThan(0.5);
      expect(shareWithin(few, 0.5)).toBeLessThan(0.7);
      // The ratio is that of a chi-squared variable: of mean 1 and variance 2 / dimensions.
      const mean = many.reduce((sum, ratio) => sum + ratio, 0) / many.length;
      const variance = many.reduce((sum, ratio) => sum + (ratio - mean) ** 2, 0) / many.length;
      expect(Math.abs(mean - 1)).toBeLessThan(0.03);
      expect(variance * enough).toBeGreaterThan(1.2);
      expect(variance * enough).toBeLessThan(3);
    },
  );
});
