// Element types of files that no dtype is: half precision and integers of 16 and 64 bits without sign, in which ONNX models take and
// give arrays that wider dtypes carry between.

import type { FileArray, FileDType, FileElements } from '../io/array.ts';
import { decodeFloat16 } from '../onnx/float16.ts';
import type { TypedArray } from '../runtime/arrays.ts';

/** A file's elements as the dtype that carries them; u64 as the i64 of the same bits. */
export function toCarrier({ dtype, data }: FileArray): TypedArray {
  switch (dtype) {
    case 'f16':
      return Float32Array.from(data as Uint16Array, decodeFloat16);
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
export function fromCarrier(dtype: FileDType, data: TypedArray): FileElements {
  switch (dtype) {
    case 'f16':
      return Uint16Array.from(data as Float32Array, encodeFloat16);
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

const largestFloat16 = 65504;
/** Halfway to the next power of two: from here on numbers round to infinity. */
const roundsToInfinity = 65520;

/** The bits of a number in half precision, rounded to the nearest, ties to even (IEEE 754-2019, binary16). */
export function encodeFloat16(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (Number.isNaN(magnitude)) return 0x7e00;
  if (magnitude >= roundsToInfinity) return sign | 0x7c00;
  if (magnitude > largestFloat16) return sign | 0x7bff;
  const exponent = magnitude === 0 ? -14 : Math.max(-14, exponentOf(magnitude));
  // In units of the last place, exact until it is rounded: below 2^11.
  const units = roundToEven(magnitude / 2 ** (exponent - 10));
  // A carry into the exponent is right as it stands.
  return sign | (((exponent + 14) << 10) + units);
}

function exponentOf(value: number): number {
  const estimate = Math.floor(Math.log2(value));
  return 2 ** estimate > value ? estimate - 1 : 2 ** (estimate + 1) <= value ? estimate + 1 : estimate;
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
