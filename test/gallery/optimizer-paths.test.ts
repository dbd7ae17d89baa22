// Optimizers and schedules on one surface: what each reaches, and that both targets walk the same paths.

import { describe, expect, it } from 'vitest';
import { optimizerPaths, reached } from '../../examples/optimizer-paths.ts';
import { testDevice, titleOf } from '../helpers/webgpu.ts';

const device = await testDevice();
const { optimizers, schedules } = await optimizerPaths({ target: 'c' });

describe('optimizer paths', () => {
  it('every optimizer comes down the valley, momentum and Adam to its end', () => {
    for (const path of Object.values(optimizers)) expect(reached(path)).toBeLessThan(0.02);
    for (const name of ['momentum', 'Nesterov', 'Adam']) expect(reached(optimizers[name]!), name).toBeLessThan(1e-9);
    expect(reached(optimizers['gradient descent']!)).toBeGreaterThan(1e-4);
  });

  it('on noisy gradients a cosine ends five times lower than a constant rate', () => {
    expect(5 * reached(schedules.cosine!)).toBeLessThan(reached(schedules.constant!));
    expect(5 * reached(schedules['warm-up, then cosine']!)).toBeLessThan(reached(schedules.constant!));
  });

  it.skipIf(typeof device === 'string')(titleOf('WebGPU walks the same paths', device), async () => {
    const steps = 40;
    const [c, wgsl] = [await optimizerPaths({ target: 'c', steps }), await optimizerPaths({ target: 'wgsl', steps })];
    for (const kind of ['optimizers', 'schedules'] as const) {
      for (const [name, { x, y }] of Object.entries(c[kind])) {
        x.forEach((value, i) => {
          expect(Math.abs(wgsl[kind][name]!.x[i]! - value), name).toBeLessThan(1e-3);
          expect(Math.abs(wgsl[kind][name]!.y[i]! - y[i]!), name).toBeLessThan(1e-3);
        });
      }
    }
  });
});
