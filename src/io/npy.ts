// NumPy's .npy and .npz. (Format: NumPy's "NEP 1" and numpy/lib/format.py; versions 1.0 to 3.0.)

import { unzipSync, zipSync } from 'fflate';
import {
  badFile,
  checkedSize,
  elementsFrom,
  elementsOf,
  expectBytes,
  type FileArray,
  type FileDType,
  type FileElements,
} from './array.ts';

const kinds: Readonly<Record<string, FileDType>> = {
  f4: 'f32',
  f8: 'f64',
  f2: 'f16',
  i1: 'i8',
  u1: 'u8',
  i2: 'i16',
  u2: 'u16',
  i4: 'i32',
  u4: 'u32',
  i8: 'i64',
  u8: 'u64',
  b1: 'bool',
};
const codes = new Map<FileDType, string>(Object.entries(kinds).map(([code, dtype]) => [dtype, code]));
const magic = '\x93NUMPY';
/** As many axes as NumPy's arrays have at most. */
const mostAxes = 64;

/** Reads one array; Fortran order becomes row-major, big-endian numbers are turned around. Throws UserError for a bad file. */
export function readNpy(bytes: Uint8Array, file = 'npy'): FileArray {
  expectBytes(file, bytes, 10, 'the header');
  if (String.fromCharCode(...bytes.subarray(0, 6)) !== magic)
    badFile(file, 'not a .npy file: it does not begin with \\x93NUMPY');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes[6]!;
  if (version < 1 || version > 3) badFile(file, `format version 1 to 3 expected, ${version} found`);
  const start = version === 1 ? 10 : 12;
  expectBytes(file, bytes, start, 'the header');
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  expectBytes(file, bytes, start + length, 'the header');
  const header = new TextDecoder().decode(bytes.subarray(start, start + length));
  const { dtype, bigEndian, fortran, shape } = parseHeader(file, header);
  if (shape.length > mostAxes) badFile(file, `up to ${mostAxes} axes expected, ${shape.length} found`);
  const size = checkedSize(file, shape);
  const needed = size * elementsOf[dtype].BYTES_PER_ELEMENT;
  expectBytes(file, bytes, start + length + needed, `${dtype}[${shape}]`);
  const data = elementsFrom(bytes.subarray(start + length, start + length + needed), dtype, bigEndian);
  return { dtype, shape, data: fortran && shape.length > 1 ? toRowMajor(data, shape) : data };
}

function parseHeader(
  file: string,
  header: string,
): { dtype: FileDType; bigEndian: boolean; fortran: boolean; shape: number[] } {
  const descr = /'descr'\s*:\s*'([<>|=])([a-z]\d+)'/.exec(header);
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(header);
  const shape = /'shape'\s*:\s*\(([\d,\sL]*)\)/.exec(header);
  if (descr === null || order === null || shape === null)
    badFile(
      file,
      `a header with descr, fortran_order and shape expected, found ${JSON.stringify(header.slice(0, 80))}`,
    );
  const dtype = kinds[descr[2]!];
  if (dtype === undefined) badFile(file, `element type ${descr[2]} is not one of ${Object.keys(kinds).join(', ')}`);
  const dims = shape[1]!
    .split(',')
    .map((part) => part.trim().replace('L', ''))
    .filter((part) => part !== '')
    .map(Number);
  return { dtype: dtype!, bigEndian: descr[1] === '>', fortran: order[1] === 'True', shape: dims };
}

function toRowMajor(data: FileElements, shape: readonly number[]): FileElements {
  const result = data.slice() as FileElements;
  const index = new Array<number>(shape.length).fill(0);
  for (let at = 0; at < data.length; at++) {
    let from = 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) from = from * shape[axis]! + index[axis]!;
    result[at] = data[from]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (++index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
  return result;
}

/** One array as .npy version 1.0, little-endian. */
export function writeNpy({ shape, dtype, data }: FileArray): Uint8Array {
  const dims = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const width = elementsOf[dtype].BYTES_PER_ELEMENT;
  const text = `{'descr': '${width === 1 ? '|' : '<'}${codes.get(dtype)}', 'fortran_order': False, 'shape': (${dims}), }`;
  const padded = Math.ceil((10 + text.length + 1) / 64) * 64 - 10;
  const result = new Uint8Array(10 + padded + data.byteLength).fill(0x20, 10, 10 + padded);
  result.set(Array.from(magic, (character) => character.charCodeAt(0)));
  result.set([1, 0, padded & 0xff, padded >> 8], 6);
  result.set(new TextEncoder().encode(text), 10);
  result[10 + padded - 1] = 0x0a;
  result.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 10 + padded);
  return result;
}

/** Every array of an .npz archive by name. Throws UserError for a bad archive or member. */
export function readNpz(bytes: Uint8Array, file = 'npz'): Map<string, FileArray> {
  let members: Record<string, Uint8Array>;
  try {
    members = unzipSync(bytes);
  } catch (error) {
    badFile(file, `not a readable zip archive (${error instanceof Error ? error.message : String(error)})`);
  }
  const arrays = Object.entries(members!).filter(([name]) => name.endsWith('.npy'));
  return new Map(arrays.map(([name, content]) => [name.slice(0, -4), readNpy(content, `${file}: ${name}`)]));
}

/** Arrays by name as an .npz archive; the same bytes for the same input. */
export function writeNpz(arrays: Iterable<readonly [string, FileArray]>): Uint8Array {
  const members = Object.fromEntries([...arrays].map(([name, array]) => [`${name}.npy`, writeNpy(array)]));
  return zipSync(members, { mtime: new Date('1980-01-01T00:00:00') });
}
