// Element types of files that no dtype is: half precision and integers of 16 and 64 bits without sign, in which ONNX models take and
// give arrays that wider dtypes carry between.

import type { FileArray, FileDType, FileElements } from '../io/array.ts';
import { fromHalfBits, toHalfBits } from '../ir/half.ts';
import type { DType } from '../ir/types.ts';
import type { TypedArray } from '../runtime/arrays.ts';

/** A file's elements as the dtype that carries them; u64 as the i64 of the same bits. */
export function toCarrier({ dtype, data }: FileArray, carrier: DType): TypedArray {
  if (dtype === carrier) return data as TypedArray;
  switch (dtype) {
    case 'f16':
      return Float32Array.from(data as Uint16Array, fromHalfBits);
    case 'i16':
    case 'u16':
      return Int32Array.from(data as Int16Array);
    case 'u64':
      return new BigInt64Array(data.buffer as ArrayBuffer, data.byteOffset, data.length);
    default:
      return data as TypedArray;
  }
}

/** The elements of a file from the dtype that carried them. */
export function fromCarrier(dtype: FileDType, carrier: DType, data: TypedArray): FileElements {
  if (dtype === carrier) return data;
  switch (dtype) {
    case 'f16':
      return Uint16Array.from(data as Float32Array, toHalfBits);
    case 'i16':
      return Int16Array.from(data as Int32Array);
    case 'u16':
      return Uint16Array.from(data as Int32Array);
    case 'u64':
      return new BigUint64Array(data.buffer as ArrayBuffer, data.byteOffset, data.length);
    default:
      return data;
  }
}
