// The ends of the range, and how far a result may be from the reference.

import { expect } from 'vitest';

const floats = [
  ...[0, 2 ** -126, 1e-30, 2 ** -25, 2 ** -13, 1e-3, 0.1, 0.5, 0.70710677, 1, 1.5, 2, 2.5, 3, Math.PI, 7, 10, 20, 30],
  ...[80, 88, 88.72, 88.73, 89, 103, 104, 105, 127, 128, 300, 4095, 4096, 1e5, 8388607.5, 2 ** 23, 2 ** 24, 2 ** 31],
  ...[2 ** 32, 1e10, 1e20, 2 ** 64, 1e30, 3.4028234663852886e38, Number.POSITIVE_INFINITY],
].flatMap((x) => [Math.fround(x), Math.fround(-x)]);
export const numbers = [...floats, Number.NaN];
export const integers = {
  i32: [0, 1, -1, 2, -2, 7, -7, 31, 32, 33, 100, -100, 2 ** 31 - 1, -(2 ** 31), 2 ** 30],
  u32: [0, 1, 2, 7, 31, 32, 33, 100, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1],
  i8: [0, 1, -1, 2, -3, 7, 8, 9, -7, 100, -100, 127, -128],
  u8: [0, 1, 2, 3, 7, 8, 9, 100, 127, 128, 255],
} as const;

/** Units in the last place of an f32 between two results; subnormal ones count as zero, as a device may count them. */
function distance(found: number, wanted: number): number {
  const rounded = Math.fround(wanted);
  if (Object.is(found, rounded) || (Number.isNaN(found) && Number.isNaN(rounded))) return 0;
  if (Math.abs(wanted) < 2 ** -126) return Math.abs(found) <= 2 ** -126 ? 0 : Number.POSITIVE_INFINITY;
  if (!Number.isFinite(found) || !Number.isFinite(rounded))
    return Math.abs(wanted) > 3.4028e38 && Math.abs(found) > 3.4028e38 && found * wanted > 0
      ? 1
      : Number.POSITIVE_INFINITY;
  return Math.abs(found - wanted) / 2 ** (Math.floor(Math.log2(Math.abs(wanted))) - 23);
}

export function expectWithin(
  units: number,
  found: readonly number[],
  wanted: readonly number[],
  describeAt: (at: number) => string,
): void {
  found.forEach((value, at) => {
    const error = distance(value, wanted[at]!);
    if (!(error <= units)) expect.fail(`${describeAt(at)}: ${wanted[at]} expected, ${value} computed (${error} units)`);
  });
}
