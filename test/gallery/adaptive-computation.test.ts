// Adaptive computation time: steps grow with the length of the list, sums are right, and WebGPU takes the same steps.

import { describe, expect, it } from 'vitest';
import { longestList, ponder } from '../../examples/adaptive-computation.ts';
import { testDevice, titleOf } from '../helpers/webgpu.ts';

const device = await testDevice();

describe('adaptive computation time', () => {
  it('thinks the longer the longer the list is, and adds it', async () => {
    const { byLength } = await ponder({ target: 'c' });
    for (const { length, error } of byLength) expect(error, `${length} numbers`).toBeLessThan(0.02);
    const taken = byLength.map((row) => row.steps);
    for (let i = 2; i < taken.length; i++) expect(taken[i]! - taken[i - 1]!).toBeGreaterThan(0.5);
    expect(taken[0]).toBeLessThan(3);
    expect(Math.abs(taken.at(-1)! - longestList)).toBeLessThan(1);
  });

  it.skipIf(typeof device === 'string')(titleOf('takes the same steps on WebGPU', device), async () => {
    const losses = async (target: 'c' | 'wgsl') => (await ponder({ target, steps: 3 })).errors;
    const [c, wgsl] = [await losses('c'), await losses('wgsl')];
    wgsl.forEach((error, i) => {
      expect(Math.abs(error - c[i]!)).toBeLessThan(1e-3 * c[i]!);
    });
  });
});
