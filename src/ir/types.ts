// Element types, shapes and tensor types: what every value of a graph statically has.

/** Element types. f16 is a storage type; f64 and i64 exist on targets C and JavaScript. */
export const dtypes = ['f32', 'f64', 'f16', 'i8', 'u8', 'i32', 'u32', 'i64', 'bool'] as const;
export type DType = (typeof dtypes)[number];

export type Shape = readonly number[];

export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

export const bytesPerElement: Readonly<Record<DType, number>> = {
  f32: 4,
  f64: 8,
  f16: 2,
  i8: 1,
  u8: 1,
  i32: 4,
  u32: 4,
  i64: 8,
  bool: 1,
};

export function tensorType(dtype: DType, shape: Shape): TensorType {
  return { dtype, shape };
}

export function isFloat(dtype: DType): boolean {
  return dtype === 'f32' || dtype === 'f64' || dtype === 'f16';
}

export function isInteger(dtype: DType): boolean {
  return !isFloat(dtype) && dtype !== 'bool';
}

/** The number of elements of a shape; 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const dim of shape) size *= dim;
  return size;
}

/** False where the number of elements is beyond exact integers. */
export function isCountable(shape: Shape): boolean {
  return Number.isSafeInteger(sizeOf(shape));
}

/** Row-major strides in elements: `[2, 3, 4]` → `[12, 4, 1]`. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}

export function sameType(a: TensorType, b: TensorType): boolean {
  return a.dtype === b.dtype && sameShape(a.shape, b.shape);
}

/** `f32[64,10]`, the way every text form and message spells a type. */
export function formatType(type: TensorType): string {
  return `${type.dtype}[${type.shape.join(',')}]`;
}

/** The typed array that holds each dtype; bool is bytes of 0 or 1, f16 its bits. */
export interface ArrayOf {
  readonly f32: Float32Array;
  readonly f64: Float64Array;
  readonly f16: Uint16Array;
  readonly i8: Int8Array;
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly i64: BigInt64Array;
  readonly bool: Uint8Array;
}
