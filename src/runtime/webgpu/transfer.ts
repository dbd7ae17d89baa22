// Values between the caller's arrays and the words of a device.

import { type Boundary, deviceBytes } from '../../codegen/wgsl/program.ts';
import { sizeOf, type TensorType } from '../../ir/types.ts';
import { isNarrow } from '../../passes/gpu/legalize.ts';
import { allocate, arrayFrom, type TypedArray } from '../arrays.ts';

/** The bytes of an array as a device keeps them: whole words, narrow elements one to a word unless they are packed. */
export function toDevice(
  { type, packed }: Pick<Boundary, 'type' | 'packed'>,
  array: TypedArray,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength);
  if (isNarrow(type.dtype) && !packed) {
    const words = new Int32Array(array.length);
    for (let i = 0; i < words.length; i++) words[i] = Number(array[i]);
    return new Uint8Array(words.buffer);
  }
  if (bytes.length % 4 === 0) return bytes;
  const padded = new Uint8Array(deviceBytes(type, packed));
  padded.set(bytes);
  return padded;
}

/** What a device wrote, in an array of its type: a new one, or that of the caller. */
export function fromDevice(
  type: TensorType,
  memory: ArrayBuffer,
  offset: number,
  into: TypedArray = allocate(type),
): TypedArray {
  const count = sizeOf(type.shape);
  if (isNarrow(type.dtype)) (into as Uint8Array).set(new Int32Array(memory, offset, count));
  else {
    const bytes = new Uint8Array(into.buffer as ArrayBuffer, into.byteOffset, into.byteLength);
    bytes.set(new Uint8Array(memory, offset, count * 4));
  }
  return into;
}

/** The elements of a constant as an array of its type. */
export function constantArray(type: TensorType, data: ArrayLike<number>): TypedArray {
  return ArrayBuffer.isView(data) && !isNarrow(type.dtype) && data instanceof Float32Array && type.dtype === 'f32'
    ? data
    : arrayFrom(type, data);
}
