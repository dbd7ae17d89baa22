// The neural Turing machine: it copies sequences more than twice as long as those it learned from, and takes the same steps on WebGPU.

import { describe, expect, it } from 'vitest';
import { copyTask, longestTrained, reached } from '../../examples/neural-turing-machine.ts';
import { testDevice, titleOf } from '../helpers/webgpu.ts';

const device = await testDevice();

describe('the copy task', () => {
  it('is learned, and done for sequences longer than trained', async () => {
    const { losses, copies } = await copyTask({ target: 'c' }, [longestTrained, 20]);
    expect(losses[0]).toBeGreaterThan(0.9);
    expect(reached(losses)).toBeLessThan(0.02);
    expect(copies.map(({ rows }) => rows)).toEqual([8, 20]);
    expect(copies[0]!.wrong).toBeLessThan(0.01);
    expect(copies[1]!.wrong).toBeLessThan(0.02);
    // Both heads go one place at a time, in the same direction.
    const { places, rows } = copies[1]!;
    const placeAt = (step: number) => {
      const row = Array.from(
        places.subarray((step * places.length) / (2 * rows), ((step + 1) * places.length) / (2 * rows)),
      );
      return row.indexOf(Math.max(...row));
    };
    const moves = (from: number) =>
      Array.from({ length: rows - 1 }, (_, i) => (placeAt(from + i + 1) - placeAt(from + i) + 32) % 32);
    expect(new Set(moves(0)).size).toBe(1);
    expect(moves(rows)).toEqual(moves(0));
    expect([1, 31]).toContain(moves(0)[0]);
  });

  it.skipIf(typeof device === 'string')(titleOf('takes the same steps on WebGPU', device), async () => {
    const losses = async (target: 'c' | 'wgsl') => (await copyTask({ target, steps: 3 }, [])).losses;
    const [c, wgsl] = [await losses('c'), await losses('wgsl')];
    wgsl.forEach((loss, i) => {
      expect(Math.abs(loss - c[i]!)).toBeLessThan(1e-3 * c[i]!);
    });
  });
});
