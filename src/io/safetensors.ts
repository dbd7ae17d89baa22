// safetensors: a JSON header (its length first, 8 bytes) and the tensors' bytes. The header is not trusted: offsets,
// sizes and dtypes are checked before anything is allocated. (Format: huggingface/safetensors, README.)

import {
  badFile,
  checkedSize,
  elementsFrom,
  elementsOf,
  expectBytes,
  type FileArray,
  type FileDType,
} from './array.ts';

export type SafeTensor = FileArray;

export interface Safetensors {
  readonly tensors: ReadonlyMap<string, SafeTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

const dtypesByName: Readonly<Record<string, FileDType>> = {
  F32: 'f32',
  F64: 'f64',
  F16: 'f16',
  I8: 'i8',
  U8: 'u8',
  I16: 'i16',
  U16: 'u16',
  I32: 'i32',
  U32: 'u32',
  I64: 'i64',
  U64: 'u64',
  BOOL: 'bool',
};
const namesByDType = new Map<FileDType, string>(Object.entries(dtypesByName).map(([name, dtype]) => [dtype, name]));

/** The format's own limit on headers. */
const longestHeader = 100_000_000;

interface HeaderEntry {
  readonly dtype?: unknown;
  readonly shape?: unknown;
  readonly data_offsets?: unknown;
}

/** Where a tensor's bytes lie after the header. */
export interface TensorPlace {
  readonly dtype: FileDType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** Reads a file's bytes; `file` names it in errors. Throws UserError for anything that the format does not allow. */
export function readSafetensors(bytes: Uint8Array, file = 'safetensors'): Safetensors {
  expectBytes(file, bytes, 8, 'the header length');
  const length = headerLength(bytes, file);
  expectBytes(file, bytes, 8 + length, 'the header');
  const body = bytes.subarray(8 + length);
  const { places, metadata } = readHeader(bytes.subarray(8, 8 + length), body.length, file);
  const tensors = new Map<string, SafeTensor>();
  for (const [name, { dtype, shape, begin, end }] of places)
    tensors.set(name, { dtype, shape, data: elementsFrom(body.subarray(begin, end), dtype) });
  return { tensors, metadata };
}

/** The first 8 bytes: how many more the header has. */
export function headerLength(bytes: Uint8Array, file: string): number {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
  if (length > longestHeader) badFile(file, `a header of at most ${longestHeader} bytes expected, it says ${length}`);
  return length;
}

/** The header's tensors, checked against each other and the number of bytes that follow it. */
export function readHeader(
  bytes: Uint8Array,
  available: number,
  file: string,
): { readonly places: ReadonlyMap<string, TensorPlace>; readonly metadata: Readonly<Record<string, string>> } {
  const header = parseHeader(file, bytes);
  const places = new Map<string, TensorPlace>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    places.set(name, checkEntry(`${file}: tensor ${JSON.stringify(name)}`, entry as HeaderEntry, available));
  }
  const used = [...places.values()].sort((a, b) => a.begin - b.begin);
  used.forEach(({ begin }, i) => {
    if (i > 0 && begin < used[i - 1]!.end) badFile(file, 'two tensors overlap');
  });
  return { places, metadata: metadataOf(file, header.__metadata__) };
}

function parseHeader(file: string, bytes: Uint8Array): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    badFile(file, 'the header is not JSON');
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    badFile(file, 'the header is not a JSON object');
  return header as Record<string, unknown>;
}

function checkEntry(
  what: string,
  { dtype: dtypeName, shape, data_offsets: offsets }: HeaderEntry,
  available: number,
): TensorPlace {
  const dtype = Object.hasOwn(dtypesByName, String(dtypeName)) ? dtypesByName[String(dtypeName)] : undefined;
  if (dtype === undefined)
    badFile(what, `dtype ${JSON.stringify(dtypeName)} is not one of ${Object.keys(dtypesByName).join(', ')}`);
  if (!Array.isArray(shape) || !shape.every((dim) => typeof dim === 'number'))
    badFile(what, 'a list of dimensions expected as shape');
  const size = checkedSize(what, shape as number[]);
  if (
    !Array.isArray(offsets) ||
    offsets.length !== 2 ||
    !offsets.every((offset) => Number.isSafeInteger(offset) && offset >= 0)
  )
    badFile(what, 'two offsets expected');
  const [begin, end] = offsets as [number, number];
  if (end < begin || end > available) badFile(what, `bytes ${begin} to ${end} lie outside the file's ${available}`);
  const expected = size * elementsOf[dtype!].BYTES_PER_ELEMENT;
  if (end - begin !== expected)
    badFile(what, `${expected} bytes expected for its shape [${shape}], ${end - begin} found`);
  return { dtype: dtype!, shape: shape as number[], begin, end };
}

function metadataOf(file: string, given: unknown): Record<string, string> {
  if (given === undefined) return {};
  const valid =
    typeof given === 'object' && given !== null && Object.values(given).every((value) => typeof value === 'string');
  if (!valid) badFile(file, 'metadata of texts expected');
  return given as Record<string, string>;
}

/** A file's bytes: tensors in the order given, 8-byte aligned, the same bytes for the same input. */
export function writeSafetensors(
  tensors: Iterable<readonly [string, SafeTensor]>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header.__metadata__ = metadata;
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const [name, { shape, dtype, data }] of tensors) {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    header[name] = { dtype: namesByDType.get(dtype), shape, data_offsets: [offset, offset + bytes.length] };
    parts.push(bytes);
    offset += bytes.length;
  }
  const json = JSON.stringify(header);
  const text = new TextEncoder().encode(json);
  const padded = Math.ceil(text.length / 8) * 8;
  const result = new Uint8Array(8 + padded + offset).fill(0x20, 8, 8 + padded);
  new DataView(result.buffer).setBigUint64(0, BigInt(padded), true);
  result.set(text, 8);
  let at = 8 + padded;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
