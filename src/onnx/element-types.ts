// ONNX's element types and the dtypes that carry them. Ashlar has no 16-bit integers, no bfloat16 and no unsigned 64 bits: they are carried
// by the next wider type, and operators bring results back into range (`wrap`). float16 and bfloat16 are computed in f32.

import type { DType } from '../ir/types.ts';

/** TensorProto.DataType by number. */
export const elementTypes = [
  'undefined',
  'float',
  'uint8',
  'int8',
  'uint16',
  'int16',
  'int32',
  'int64',
  'string',
  'bool',
  'float16',
  'double',
  'uint32',
  'uint64',
  'complex64',
  'complex128',
  'bfloat16',
  'float8e4m3fn',
  'float8e4m3fnuz',
  'float8e5m2',
  'float8e5m2fnuz',
  'uint4',
  'int4',
  'float4e2m1',
  'float8e8m0',
  'uint2',
  'int2',
] as const;

/** The types that values of an import may have. */
export type ElementType =
  | 'float'
  | 'double'
  | 'float16'
  | 'bfloat16'
  | 'int8'
  | 'uint8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'bool';

/** The dtype that holds each type's values. uint64 is carried as the i64 of the same bits. */
export const carrierOf: Readonly<Record<ElementType, DType>> = {
  float: 'f32',
  double: 'f64',
  float16: 'f32',
  bfloat16: 'f32',
  int8: 'i8',
  uint8: 'u8',
  int16: 'i32',
  uint16: 'i32',
  int32: 'i32',
  uint32: 'u32',
  int64: 'i64',
  uint64: 'i64',
  bool: 'bool',
};

/** The dtype of arrays that callers give and take, and of weights: float16 is stored as it is, and computed in f32. */
export function storedAs(type: ElementType): DType {
  return type === 'float16' ? 'f16' : carrierOf[type];
}

/** The ONNX type of what is computed in a dtype. */
export const elementTypeOf: Readonly<Record<DType, ElementType>> = {
  f32: 'float',
  f64: 'double',
  f16: 'float16',
  i8: 'int8',
  u8: 'uint8',
  i32: 'int32',
  u32: 'uint32',
  i64: 'int64',
  bool: 'bool',
};

export function isFloatType(type: ElementType): boolean {
  return type === 'float' || type === 'double' || type === 'float16' || type === 'bfloat16';
}

/** The name of a type by its number, or null where the standard has none. */
export function elementTypeName(number: number): string | null {
  return elementTypes[number] ?? null;
}

/** The type by its number; null for those that no value of an import may have. */
export function knownElementType(number: number): ElementType | null {
  const name = elementTypeName(number);
  return name !== null && name in carrierOf ? (name as ElementType) : null;
}
