// How partial results combine: the operation of a monoid, and the value that a reduction starts from.

import type { Monoid, ScalarOp } from '../kernel.ts';
import { type DType, isFloat } from '../types.ts';

/** The operation that combines two values. */
export const operationOf = {
  sum: 'add',
  prod: 'mul',
  max: 'max',
  min: 'min',
  and: 'and',
  or: 'or',
} as const satisfies Record<Monoid, ScalarOp>;

const lowest: Readonly<Partial<Record<DType, number>>> = { i8: -128, i32: -(2 ** 31), i64: -(2 ** 63) };
const highest: Readonly<Partial<Record<DType, number>>> = {
  i8: 127,
  u8: 255,
  i32: 2 ** 31 - 1,
  u32: 2 ** 32 - 1,
  i64: 2 ** 63,
};

/** The value that ⊕ leaves alone, in a dtype: the extreme of an integer type for max and min. */
export function identityOf(monoid: Monoid, dtype: DType): number {
  switch (monoid) {
    case 'sum':
    case 'or':
      return 0;
    case 'prod':
    case 'and':
      return 1;
    case 'max':
      return isFloat(dtype) ? Number.NEGATIVE_INFINITY : (lowest[dtype] ?? 0);
    case 'min':
      return isFloat(dtype) ? Number.POSITIVE_INFINITY : (highest[dtype] ?? 1);
  }
}
