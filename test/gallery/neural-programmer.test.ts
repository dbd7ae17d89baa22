// A table of programs learned by soft selection: every one is found, and is right far outside of what was trained.

import { describe, expect, it } from 'vitest';
import { learnPrograms, programs } from '../../examples/neural-programmer.ts';
import { testDevice, titleOf } from '../helpers/webgpu.ts';

const device = await testDevice();

describe('a neural programmer', () => {
  it('finds every program of the table, from some of its random starts', async () => {
    const found = await learnPrograms({ target: 'c' });
    expect(found.map(([name]) => name)).toEqual(Object.keys(programs));
    for (const [name, { error, formula, rightStarts, losses }] of found) {
      expect(error, `${name}: ${formula}`).toBeLessThan(1e-12);
      expect(rightStarts).toBeGreaterThan(0);
      expect(losses.at(-1)).toBeLessThan(1e-6);
    }
  });

  it.skipIf(typeof device === 'string')(titleOf('WebGPU learns as C does', device), async () => {
    const short = { steps: 20, starts: 8 };
    const [c, wgsl] = [
      await learnPrograms({ target: 'c', ...short }),
      await learnPrograms({ target: 'wgsl', ...short }),
    ];
    c.forEach(([name, { losses }], i) => {
      losses.forEach((loss, step) => {
        expect(Math.abs(wgsl[i]![1].losses[step]! - loss), name).toBeLessThan(1e-3 * (1 + loss));
      });
    });
  });
});
