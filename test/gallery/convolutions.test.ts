// Convolutions over one axis and three: each kind against numbers worked by hand, and what the two networks learn.

import { describe, expect, it } from 'vitest';
import { learnSolids, learnWaves, type Worked, workedConvolutions } from '../../examples/convolutions.ts';
import { testDevice, titleOf } from '../helpers/webgpu.ts';

const device = await testDevice();

/** The signal 0 0 1 2 3 3 3 0 under the taps 1 2 3; the last is the strided result 3 14 18, spread under 3 2 1. */
const signal = {
  valid: [3, 8, 14, 17, 18, 9],
  same: [0, 3, 8, 14, 17, 18, 9, 3],
  strided: [3, 14, 18],
  dilated: [11, 13, 16, 8],
  transposed: [9, 6, 45, 28, 68, 36, 18],
};

/** Voxels 0 1 1 0 along an axis under the taps 1 p; all three axes are the products of one each, with p = 2, 3 and 5. */
const alongAxis: Readonly<Record<keyof Worked['voxels'], (p: number) => number[]>> = {
  valid: (p) => [p, 1 + p, 1],
  same: (p) => [p, 1 + p, 1, 0],
  strided: (p) => [p, 1],
  dilated: (p) => [p, 1],
  transposed: (p) => [p * p, p, p, 1],
};
const products = (axis: (p: number) => number[]): number[] =>
  axis(2).flatMap((a) => axis(3).flatMap((b) => axis(5).map((c) => a * b * c)));

function expectWorked(found: Worked): void {
  for (const [kind, values] of Object.entries(signal)) expect(found.signal[kind]!.values, kind).toEqual(values);
  for (const [kind, axis] of Object.entries(alongAxis)) {
    expect(found.voxels[kind]!.shape, kind).toEqual(Array(3).fill(axis(1).length));
    expect(found.voxels[kind]!.values, kind).toEqual(products(axis));
  }
}

describe('convolutions', () => {
  it('give the numbers that were worked by hand', async () => {
    expectWorked(await workedConvolutions({ target: 'c' }));
  });

  it('over one axis tell waveforms apart', async () => {
    const waves = await learnWaves({ target: 'c', examples: 480, epochs: 6 });
    expect(waves.accuracy).toBeGreaterThan(0.95);
  });

  it('over three axes tell solids apart', async () => {
    const solids = await learnSolids({ target: 'c' });
    expect(solids.accuracy).toBeGreaterThan(0.9);
    expect(solids.losses.training.at(-1)!).toBeLessThan(0.35 * solids.losses.training[0]!);
  });

  it.skipIf(typeof device === 'string')(titleOf('the same on WebGPU', device), async () => {
    expectWorked(await workedConvolutions({ target: 'wgsl' }));
    const short = { examples: 64, heldOut: 32, epochs: 1 };
    for (const learn of [learnWaves, learnSolids]) {
      const [c, wgsl] = [await learn({ target: 'c', ...short }), await learn({ target: 'wgsl', ...short })];
      expect(wgsl.losses.training[0]!).toBeCloseTo(c.losses.training[0]!, 3);
      expect(wgsl.losses.heldOut[0]!).toBeCloseTo(c.losses.heldOut[0]!, 3);
    }
  });
});
