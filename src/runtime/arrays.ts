// Which typed array holds which dtype.

import { LimitationError } from '../ir/errors.ts';
import { halfBits } from '../ir/half.ts';
import { type DType, formatType, sizeOf, type TensorType } from '../ir/types.ts';

export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int32Array
  | Uint32Array
  | Uint16Array
  | BigInt64Array;

type Constructor = {
  new (memory: number | ArrayBuffer, byteOffset?: number, length?: number): TypedArray;
  readonly name: string;
};

const constructors: Readonly<Record<DType, Constructor>> = {
  f16: Uint16Array,
  f32: Float32Array,
  f64: Float64Array,
  i8: Int8Array,
  u8: Uint8Array,
  i32: Int32Array,
  u32: Uint32Array,
  i64: BigInt64Array,
  bool: Uint8Array,
};

export function arrayConstructor(dtype: DType): Constructor {
  return constructors[dtype];
}

/** A zero-filled array for a type. Throws LimitationError for one that no array can be. */
export function allocate(type: TensorType): TypedArray {
  const Elements = arrayConstructor(type.dtype);
  try {
    return new Elements(sizeOf(type.shape));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new LimitationError(`${formatType(type)} is larger than an array can be here: ${error.message}`);
  }
}

/** Copies numbers into an array of a type, by default a new one; numbers become the bits of f16, and such bits are copied. */
export function arrayFrom(type: TensorType, data: ArrayLike<number>, array = allocate(type)): TypedArray {
  if (array instanceof BigInt64Array) for (let i = 0; i < array.length; i++) array[i] = BigInt(data[i] ?? 0);
  else array.set(type.dtype === 'f16' ? halfBits(data) : data);
  return array;
}
