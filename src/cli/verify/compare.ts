// A target's results against the reference: how far they are, and whether that is within the bound.

import { fromHalfBits } from '../../ir/half.ts';
import { isFloat } from '../../ir/types.ts';
import type { TypedArray } from '../../runtime/arrays.ts';
import { type Judged, ulpOf } from './bounds.ts';

export interface Worst {
  readonly case: string;
  /** Row-major position. */
  readonly element: number;
  readonly expected: number;
  readonly found: number;
  readonly bound: number;
}

export interface OutputReport {
  readonly name: string;
  readonly dtype: string;
  /** Elements that were compared, and those where rounding decides, so that any value is right. */
  compared: number;
  undecided: number;
  /** Largest distance from the reference, also in units in the last place; of elements that are finite in both. */
  maxAbsolute: number;
  maxUlp: number;
  /** Largest part of its bound that an error takes; beyond 1 the target is wrong. */
  ofBound: number;
  /** The element that takes most of its bound; null where all are equal. */
  worst: Worst | null;
}

export const emptyReport = (name: string, dtype: string): OutputReport => ({
  name,
  dtype,
  compared: 0,
  undecided: 0,
  maxAbsolute: 0,
  maxUlp: 0,
  ofBound: 0,
  worst: null,
});

/** Adds one result of one case to an output's report. */
export function compare(report: OutputReport, { exact, bound }: Judged, found: TypedArray, name: string): void {
  for (let i = 0; i < bound.length; i++) {
    const expected = exact.data[i]!;
    const given = exact.type.dtype === 'f16' ? fromHalfBits(Number(found[i])) : Number(found[i]);
    if (bound[i] === Number.POSITIVE_INFINITY) {
      report.undecided++;
      continue;
    }
    report.compared++;
    if (given === expected || (Number.isNaN(given) && Number.isNaN(expected))) continue;
    const distance = Math.abs(given - expected);
    const part = Number.isFinite(distance) && bound[i]! > 0 ? distance / bound[i]! : Number.POSITIVE_INFINITY;
    if (Number.isFinite(distance)) {
      report.maxAbsolute = Math.max(report.maxAbsolute, distance);
      const unit = isFloat(exact.type.dtype) ? ulpOf(expected, exact.type.dtype) : 1;
      report.maxUlp = Math.max(report.maxUlp, distance / unit);
    }
    if (report.worst === null || part > report.ofBound) {
      report.ofBound = Math.max(report.ofBound, part);
      report.worst = { case: name, element: i, expected, found: given, bound: bound[i]! };
    }
  }
}
