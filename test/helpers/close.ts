// Comparing numbers: what tests of values share.

import { expect } from 'vitest';

/** Every element within `tolerance` of the wanted one, relative to it where it exceeds 1; infinities and NaN exactly. */
export function expectClose(found: ArrayLike<number>, wanted: ArrayLike<number>, tolerance = 1e-12): void {
  const [actual, expected] = [Array.from(found), Array.from(wanted)];
  const close = (x: number, y: number): boolean =>
    x === y || Object.is(x, y) || Math.abs(x - y) <= tolerance * Math.max(1, Math.abs(y));
  const same = actual.length === expected.length && actual.every((x, i) => close(x, expected[i]!));
  if (!same) expect(actual, `within ${tolerance}`).toEqual(expected);
}
