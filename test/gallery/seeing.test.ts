// What is seen in a trained network: features are inverted, less from deeper layers, and the answer depends on pixels near the ink.

import { describe, expect, it } from 'vitest';
import { correlation, seeing } from '../../examples/seeing.ts';
import { testDevice, titleOf } from '../helpers/webgpu.ts';

const device = await testDevice();

describe('seeing', () => {
  it('reads digits, and its features give images back', async () => {
    const { accuracy, images, filters, activations, saliency, inversions } = await seeing({
      target: 'c',
      epochs: 5,
      steps: 150,
    });
    expect(accuracy).toBeGreaterThan(0.93);
    expect([filters.length, activations.length, saliency.length]).toEqual([16 * 9, 16 * 64, 640]);
    expect(correlation(inversions.conv1!.images, images)).toBeGreaterThan(0.95);
    expect(correlation(inversions.conv2!.images, images)).toBeGreaterThan(0.85);
    expect(correlation(inversions.logits!.images, images)).toBeLessThan(correlation(inversions.conv1!.images, images));
    for (const { distance } of Object.values(inversions)) expect(distance).toBeLessThan(0.1);
    // The first and last columns of these images are nearly always empty.
    const columns = Array.from({ length: 8 }, (_, x) =>
      Array.from(saliency).reduce((sum, s, i) => sum + (i % 8 === x ? s : 0), 0),
    );
    expect(columns[3]! + columns[4]!).toBeGreaterThan(columns[0]! + columns[7]!);
  });

  it.skipIf(typeof device === 'string')(titleOf('the same on WebGPU', device), async () => {
    const short = { examples: 32, epochs: 1, inverted: ['dense'], steps: 2 } as const;
    const [c, wgsl] = [await seeing({ target: 'c', ...short }), await seeing({ target: 'wgsl', ...short })];
    // Adam's first step has one length for every pixel, whichever way a gradient near 0 points.
    expect(Math.abs(wgsl.inversions.dense!.distance - c.inversions.dense!.distance)).toBeLessThan(0.01);
    for (const what of ['filters', 'activations', 'saliency'] as const)
      Array.from(c[what]).forEach((value, i) => {
        expect(Math.abs(wgsl[what][i]! - value), what).toBeLessThan(1e-3);
      });
  });
});
