// Concrete tensors of the reference evaluator and of constants: row-major float64 storage whatever the dtype, so
// that one implementation judges all of them. Integers are exact up to 2^53.

import { roundToHalf } from './half.ts';
import { type DType, type Shape, sizeOf, type TensorType } from './types.ts';

export interface NdArray {
  readonly type: TensorType;
  /** Row-major, `sizeOf(type.shape)` elements; bool is 0 or 1. */
  readonly data: Float64Array;
}

export function ndarray(dtype: DType, shape: Shape, data: ArrayLike<number>): NdArray {
  if (data.length !== sizeOf(shape)) throw new RangeError(`${sizeOf(shape)} elements expected, ${data.length} given`);
  return { type: { dtype, shape }, data: Float64Array.from(data) };
}

/** Brings a float64 into the range of a dtype: integers wrap modulo 2^n (after truncation), bool becomes 0 or 1, f16 is rounded, other floats stay. */
export function wrapToDType(dtype: DType, value: number): number {
  switch (dtype) {
    case 'f32':
    case 'f64':
      return value;
    case 'f16':
      return roundToHalf(value);
    case 'i32':
      return value | 0;
    case 'u32':
      return value >>> 0;
    case 'i8':
      return (value << 24) >> 24;
    case 'u8':
      return value & 0xff;
    case 'i64':
      return Math.trunc(value);
    case 'bool':
      return value !== 0 ? 1 : 0;
  }
}
