// A task built to overfit: what each method against it reaches, and that dropout and batch norm train alike on WebGPU.

import { describe, expect, it } from 'vitest';
import { kept, regularize, showCurves } from '../../examples/regularization.ts';
import { testDevice, titleOf } from '../helpers/webgpu.ts';

const device = await testDevice();

describe('regularization', () => {
  it('with every method the loss on digits held out ends below that of none, which turns and rises', async () => {
    const curves = await regularize({ target: 'c' });
    const nothing = curves.nothing!;
    expect(nothing.heldOut.at(-1)!).toBeGreaterThan(1.4 * Math.min(...nothing.heldOut));
    expect(nothing.training.at(-1)!).toBeLessThan(0.2 * nothing.training[0]!);
    for (const name of ['dropout', 'batch norm', 'weight decay', 'early stopping'])
      expect(kept(name, curves[name]!), name).toBeLessThan(0.9 * kept('nothing', nothing));
    expect(curves.dropout!.accuracy).toBeGreaterThan(nothing.accuracy + 0.05);
    expect(curves['early stopping']!.heldOut.length).toBeLessThan(40);
    expect(Object.keys(showCurves(curves).figures).length).toBe(10);
  });

  it.skipIf(typeof device === 'string')(titleOf('the same on WebGPU', device), async () => {
    const short = { epochs: 2, methods: ['dropout', 'batch norm'] } as const;
    const [c, wgsl] = [await regularize({ target: 'c', ...short }), await regularize({ target: 'wgsl', ...short })];
    for (const method of short.methods)
      wgsl[method]!.training.forEach((loss, epoch) => {
        expect(Math.abs(loss - c[method]!.training[epoch]!), method).toBeLessThan(1e-4);
      });
  });
});
