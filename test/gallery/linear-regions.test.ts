// Counted regions against the published numbers, and the compiled network's signs against the count.

import { describe, expect, it } from 'vitest';
import { bounds, countRegions, linearRegions, networks, type Regions } from '../../examples/linear-regions.ts';
import { testDevice, titleOf } from '../helpers/webgpu.ts';

const device = await testDevice();
const distinct = ({ patterns }: Regions): number => new Set(patterns).size;

describe('linear regions', () => {
  it('the bounds are those of the paper', () => {
    // 1 + 16 + 120; 4³ · (1 + 4 + 6); 11⁴.
    expect(bounds).toEqual({ shallow: 137, deepReached: 704, deepAtMost: 14641 });
  });

  it('one layer reaches its bound, four folding layers theirs', () => {
    expect(linearRegions(networks['one layer of 16, lines in general position']!).length).toBe(bounds.shallow);
    expect(linearRegions(networks['four layers of 4, folding']!).length).toBe(bounds.deepReached);
    expect(linearRegions(networks['one layer of 16, random']!).length).toBeLessThanOrEqual(bounds.shallow);
    expect(linearRegions(networks['four layers of 4, random']!).length).toBeLessThan(bounds.deepReached);
  });

  it('cells fill the square', () => {
    const area = (corners: readonly (readonly [number, number])[]) =>
      corners.reduce((sum, [x, y], i) => {
        const [nextX, nextY] = corners[(i + 1) % corners.length]!;
        return sum + (x * nextY - nextX * y) / 2;
      }, 0);
    for (const network of Object.values(networks))
      expect(linearRegions(network).reduce((sum, { corners }) => sum + area(corners), 0)).toBeCloseTo(1, 9);
  });

  it('the compiled network shows no more patterns than were counted, and nearly all where cells are large', async () => {
    const found = await countRegions({ target: 'c' });
    for (const [name, regions] of Object.entries(found))
      expect(distinct(regions), name).toBeLessThanOrEqual(regions.count);
    const folding = found['four layers of 4, folding']!;
    expect(distinct(folding)).toBeGreaterThan(0.8 * folding.count);
  });

  it.skipIf(typeof device === 'string')(titleOf('the same on WebGPU', device), async () => {
    const [c, wgsl] = [
      await countRegions({ target: 'c', points: 60 }),
      await countRegions({ target: 'wgsl', points: 60 }),
    ];
    for (const name of Object.keys(networks)) expect(wgsl[name]!.patterns, name).toEqual(c[name]!.patterns);
  });
});
