// The typed arrays of JavaScript that hold the dtypes.

import type { DType, TensorType } from '../ir/types.ts';

/** The typed array that holds a dtype; f16 as its bits. */
export const arrayNames: Readonly<Record<DType, string>> = {
  f32: 'Float32Array',
  f64: 'Float64Array',
  f16: 'Uint16Array',
  i8: 'Int8Array',
  u8: 'Uint8Array',
  i32: 'Int32Array',
  u32: 'Uint32Array',
  i64: 'BigInt64Array',
  bool: 'Uint8Array',
};

/** What typings of artifacts say of elements and shapes. */
export const rowMajor = {
  name: 'RowMajor',
  doc: 'Row-major elements of a tensor whose shape the type says; any array of such elements may be given for one.',
  elements: 'Elements',
  shape: 'Shape',
  shapeIs: 'readonly number[]',
  type: 'Elements & { readonly shape?: Shape }',
} as const;

/** `RowMajor<Float32Array, readonly [64, 10]>`. */
export const rowMajorOf = ({ dtype, shape }: TensorType): string =>
  `${rowMajor.name}<${arrayNames[dtype]}, readonly [${shape.join(', ')}]>`;
