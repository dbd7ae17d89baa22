// Tensors of a model: every encoding that the standard has, as typed arrays of the carrying dtype. Elements are read when they are
// asked for, so that the weights of a model are views of its file until something uses them.

import { UserError } from '../ir/errors.ts';
import { fromHalfBits } from '../ir/half.ts';
import { type Shape, sizeOf } from '../ir/types.ts';
import { carrierOf, type ElementType, elementTypeName, knownElementType } from './element-types.ts';
import type { TensorProto } from './schema.ts';
import { shown } from './shown.ts';
import { Unsupported } from './unsupported.ts';

/** Elements in the dtype that carries a type. */
export type Elements = Float32Array | Float64Array | Int8Array | Uint8Array | Int32Array | Uint32Array | BigInt64Array;

/** A tensor whose elements are known. */
export interface KnownTensor {
  readonly type: ElementType;
  readonly shape: Shape;
  /** Row-major, in the dtype that carries the type. Read anew by each call where the file's bytes need converting. */
  elements(): Elements;
}

/** Gives the bytes of a file of external data by its place relative to the model. */
export type ExternalData = (location: string) => Uint8Array;

const bytesOf: Readonly<Record<ElementType, number>> = {
  float: 4,
  double: 8,
  float16: 2,
  bfloat16: 2,
  int8: 1,
  uint8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  int64: 8,
  uint64: 8,
  bool: 1,
};

/**
 * Reads a tensor. Throws UserError where dimensions, lengths or places do not fit, Unsupported for element types that no value of an
 * import may have.
 */
export function readTensor(proto: TensorProto, external: ExternalData): KnownTensor {
  const what = `tensor ${shown(proto.name ?? '')}`;
  const type = knownElementType(proto.dataType ?? 0);
  if (type === null) {
    const name = elementTypeName(proto.dataType ?? 0);
    if (name === null || name === 'undefined')
      throw new UserError(`${what} has element type ${proto.dataType ?? 0}, which ONNX does not have`);
    throw new Unsupported(`${what} has elements of type ${name}`);
  }
  if (proto.segment !== undefined) throw new Unsupported(`${what} is stored in segments`);
  const shape = checkedShape(what, proto.dims);
  const size = sizeOf(shape);
  const bytes = rawBytes(what, proto, external);
  if (bytes !== null) {
    if (bytes.length !== size * bytesOf[type])
      throw new UserError(
        `${what} is ${type}[${shape}]: ${size * bytesOf[type]} bytes expected, ${bytes.length} found`,
      );
    return { type, shape, elements: () => fromBytes(type, bytes) };
  }
  const numbers = listedNumbers(proto, type);
  if (numbers.length !== size)
    throw new UserError(`${what} is ${type}[${shape}]: ${size} elements expected, ${numbers.length} found`);
  return { type, shape, elements: () => fromNumbers(type, numbers) };
}

/** Dimensions as whole numbers whose product can be counted. */
export function checkedShape(what: string, dims: readonly bigint[]): number[] {
  let size = 1n;
  for (const dim of dims) {
    if (dim < 0n || dim > BigInt(Number.MAX_SAFE_INTEGER))
      throw new UserError(`${what}: dimensions of whole numbers expected, [${dims}] found`);
    size *= dim;
    if (size > BigInt(Number.MAX_SAFE_INTEGER))
      throw new UserError(`${what}: [${dims}] has more elements than can be counted`);
  }
  return dims.map(Number);
}

function rawBytes(what: string, proto: TensorProto, external: ExternalData): Uint8Array | null {
  if (proto.dataLocation !== 1) return proto.rawData ?? null;
  const entries = new Map(proto.externalData.map(({ key, value }) => [key ?? '', value ?? '']));
  const location = entries.get('location') ?? '';
  if (!isInside(location))
    throw new UserError(`${what} lies in ${shown(location)}: a file in the model's folder expected`);
  const file = external(location);
  const offset = placeIn(what, entries.get('offset') ?? '0');
  const length = entries.has('length') ? placeIn(what, entries.get('length')!) : file.length - offset;
  if (offset > file.length || length < 0 || offset + length > file.length)
    throw new UserError(
      `${what}: bytes ${offset} to ${offset + length} of ${shown(location)} expected, which has ${file.length}`,
    );
  return file.subarray(offset, offset + length);
}

function placeIn(what: string, text: string): number {
  const place = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(place)) throw new UserError(`${what}: a place in a file expected, ${shown(text)} found`);
  return place;
}

/** True for a relative path that does not leave its folder, in any system's spelling. */
function isInside(location: string): boolean {
  if (location === '' || /^[/\\]|^[A-Za-z]:|\0/.test(location)) return false;
  return !location.split(/[/\\]/).includes('..');
}

function fromBytes(type: ElementType, bytes: Uint8Array): Elements {
  const width = bytesOf[type];
  const aligned = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
  const at = [aligned.buffer, aligned.byteOffset, bytes.length / width] as const;
  switch (type) {
    case 'float':
      return new Float32Array(...at);
    case 'double':
      return new Float64Array(...at);
    case 'int8':
      return new Int8Array(...at);
    case 'uint8':
      return new Uint8Array(...at);
    case 'bool':
      return Uint8Array.from(new Uint8Array(...at), (value) => (value === 0 ? 0 : 1));
    case 'int32':
      return new Int32Array(...at);
    case 'uint32':
      return new Uint32Array(...at);
    case 'int64':
    case 'uint64':
      return new BigInt64Array(...at);
    case 'int16':
      return Int32Array.from(new Int16Array(...at));
    case 'uint16':
      return Int32Array.from(new Uint16Array(...at));
    case 'float16':
      return Float32Array.from(new Uint16Array(...at), fromHalfBits);
    case 'bfloat16':
      return fromBfloat16(new Uint16Array(...at));
  }
}

/** bfloat16 is the upper half of a float's bits. */
function fromBfloat16(bits: ArrayLike<number>): Float32Array {
  return new Float32Array(Uint32Array.from(bits, (value) => value << 16).buffer);
}

/** The field that the standard gives each type for elements outside raw_data. */
function listedNumbers(proto: TensorProto, type: ElementType): readonly (number | bigint)[] {
  switch (type) {
    case 'float':
      return proto.floatData;
    case 'double':
      return proto.doubleData;
    case 'int64':
      return proto.int64Data;
    case 'uint32':
    case 'uint64':
      return proto.uint64Data;
    default:
      return proto.int32Data;
  }
}

function fromNumbers(type: ElementType, numbers: readonly (number | bigint)[]): Elements {
  switch (type) {
    case 'float':
      return Float32Array.from(numbers as number[]);
    case 'double':
      return Float64Array.from(numbers as number[]);
    case 'int64':
    case 'uint64':
      return BigInt64Array.from(numbers as bigint[]);
    case 'uint32':
      return Uint32Array.from(numbers as bigint[], (value) => Number(BigInt.asUintN(32, BigInt(value))));
    case 'float16':
      return Float32Array.from(numbers as number[], fromHalfBits);
    case 'bfloat16':
      return fromBfloat16(numbers as number[]);
    case 'bool':
      return Uint8Array.from(numbers as number[], (value) => (value === 0 ? 0 : 1));
    case 'int8':
      return Int8Array.from(numbers as number[]);
    case 'uint8':
      return Uint8Array.from(numbers as number[]);
    case 'int16':
      return Int32Array.from(numbers as number[], (value) => (value << 16) >> 16);
    case 'uint16':
      return Int32Array.from(numbers as number[], (value) => value & 0xffff);
    case 'int32':
      return Int32Array.from(numbers as number[]);
  }
}

/** An array of zeros of a type's carrier, or of what is given. */
export function elementsFrom(type: ElementType, numbers: ArrayLike<number>): Elements {
  switch (carrierOf[type]) {
    case 'f32':
      return Float32Array.from(numbers);
    case 'f64':
      return Float64Array.from(numbers);
    case 'i8':
      return Int8Array.from(numbers);
    case 'i32':
      return Int32Array.from(numbers);
    case 'u32':
      return Uint32Array.from(numbers);
    case 'i64':
      return BigInt64Array.from(Array.from(numbers, BigInt));
    default:
      return Uint8Array.from(numbers);
  }
}
