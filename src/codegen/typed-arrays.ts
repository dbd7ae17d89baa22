// The typed arrays of JavaScript that hold the dtypes.

import type { DType } from '../ir/types.ts';

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
