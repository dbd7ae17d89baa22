// IDX, the format of MNIST: a magic number with element type and rank, dimensions, elements, all big-endian. (Y. LeCun,
// C. Cortes, C. Burges, "The MNIST database of handwritten digits".) gzip is unpacked.

import { gunzipSync } from 'fflate';
import {
  badFile,
  checkedSize,
  elementsFrom,
  elementsOf,
  expectBytes,
  type FileArray,
  type FileDType,
} from './array.ts';

const types: Readonly<Record<number, FileDType>> = { 8: 'u8', 9: 'i8', 11: 'i16', 12: 'i32', 13: 'f32', 14: 'f64' };

/** Unpacks gzip where the bytes are gzip. Throws UserError where they are broken. */
export function unzipped(bytes: Uint8Array, file: string): Uint8Array {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    return gunzipSync(bytes);
  } catch (error) {
    badFile(file, `broken gzip (${error instanceof Error ? error.message : String(error)})`);
  }
}

/** Reads an IDX file, packed with gzip or not. Throws UserError for a bad file. */
export function readIdx(packed: Uint8Array, file = 'idx'): FileArray {
  const bytes = unzipped(packed, file);
  expectBytes(file, bytes, 4, 'the magic number');
  const dtype = types[bytes[2]!];
  if (bytes[0] !== 0 || bytes[1] !== 0 || dtype === undefined) {
    const found = Array.from(bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    badFile(file, `not an IDX file: it begins with ${found}, 00 00 and an element type expected`);
  }
  const rank = bytes[3]!;
  expectBytes(file, bytes, 4 + 4 * rank, `${rank} dimensions`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  const start = 4 + 4 * rank;
  const needed = checkedSize(file, shape) * elementsOf[dtype!].BYTES_PER_ELEMENT;
  expectBytes(file, bytes, start + needed, `${dtype}[${shape}]`);
  return { dtype: dtype!, shape, data: elementsFrom(bytes.subarray(start, start + needed), dtype!, true) };
}
