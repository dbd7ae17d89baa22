// Arrays as files hold them: a shape, a dtype and row-major elements.

import { UserError } from '../ir/errors.ts';
import { type DType, sizeOf } from '../ir/types.ts';

export type FileElements =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** Element types of files; those beyond the language's own are read as they are. */
export type FileDType = DType | 'i16' | 'u16' | 'u64';

export interface FileArray {
  readonly shape: readonly number[];
  readonly dtype: FileDType;
  readonly data: FileElements;
}

type ElementsConstructor = { new (buffer: ArrayBuffer): FileElements; readonly BYTES_PER_ELEMENT: number };

export const elementsOf: Readonly<Record<FileDType, ElementsConstructor>> = {
  f32: Float32Array,
  f64: Float64Array,
  f16: Uint16Array,
  i8: Int8Array,
  u8: Uint8Array,
  i16: Int16Array,
  u16: Uint16Array,
  i32: Int32Array,
  u32: Uint32Array,
  i64: BigInt64Array,
  u64: BigUint64Array,
  bool: Uint8Array,
};

/** What is wrong with a file: its name, what was expected, what was found. */
export function badFile(file: string, problem: string): never {
  throw new UserError(`${file}: ${problem}`);
}

/** Elements from bytes, copied so that they are aligned; `bigEndian` ones are turned around. */
export function elementsFrom(bytes: Uint8Array, dtype: FileDType, bigEndian = false): FileElements {
  // Not slice(): that of a Buffer is a view of the same memory.
  const copy = new Uint8Array(bytes);
  const Elements = elementsOf[dtype];
  if (bigEndian) {
    const width = Elements.BYTES_PER_ELEMENT;
    for (let at = 0; at < copy.length; at += width) copy.subarray(at, at + width).reverse();
  }
  return new Elements(copy.buffer as ArrayBuffer);
}

/** The size of a shape from a file; refuses what no memory holds. */
export function checkedSize(file: string, shape: readonly number[]): number {
  for (const dim of shape) {
    if (!Number.isSafeInteger(dim) || dim < 0) badFile(file, `dimensions of whole numbers expected, [${shape}] found`);
  }
  const size = sizeOf(shape);
  if (!Number.isSafeInteger(size)) badFile(file, `shape [${shape}] has more elements than can be counted`);
  return size;
}

/** Refuses a file that is shorter than it says. */
export function expectBytes(file: string, bytes: Uint8Array, needed: number, what: string): void {
  if (bytes.length < needed)
    badFile(file, `cut short: ${needed} bytes expected for ${what}, the file has ${bytes.length}`);
}
