import { describe, expect, it } from 'vitest';
import { type ArenaPlan, type Lifetime, planArena } from '../src/passes/arena.ts';

const alignment = 64;
const plan = (lifetimes: readonly Lifetime[]): ArenaPlan => planArena(lifetimes, alignment);

const life = (bytes: number, first: number, last: number): Lifetime => ({ bytes, first, last });

function overlaps(a: Lifetime, b: Lifetime): boolean {
  return a.first <= b.last && b.first <= a.last;
}

describe('the arena plan', () => {
  it('gives a dead buffer’s bytes to the next one', () => {
    expect(plan([life(640, 0, 1), life(640, 2, 3)])).toEqual({ offsets: [0, 0], bytes: 640 });
  });

  it('keeps buffers apart that are alive in the same kernel', () => {
    const { offsets, bytes } = plan([life(100, 0, 1), life(100, 1, 2)]);
    expect(offsets[0]).not.toBe(offsets[1]);
    expect(bytes).toBe(256);
  });

  it('extends a free block at the end instead of leaving a hole', () => {
    expect(plan([life(64, 0, 0), life(128, 1, 1)]).bytes).toBe(128);
  });

  it('never overlaps two live buffers, and aligns every offset', () => {
    let seed = 7;
    const random = (n: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * n);
    };
    const lifetimes = Array.from({ length: 300 }, () => {
      const first = random(100);
      return life(1 + random(1000), first, first + random(10));
    });
    const { offsets, bytes } = plan(lifetimes);
    lifetimes.forEach((a, i) => {
      expect(offsets[i]! % alignment).toBe(0);
      expect(offsets[i]! + a.bytes).toBeLessThanOrEqual(bytes);
      for (let j = 0; j < i; j++) {
        const b = lifetimes[j]!;
        const apart = offsets[i]! + a.bytes <= offsets[j]! || offsets[j]! + b.bytes <= offsets[i]!;
        expect(apart || !overlaps(a, b)).toBe(true);
      }
    });
  });
});
