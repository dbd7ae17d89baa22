// Protobuf messages by their tables. The wire format (varints, lengths, skipping) is protobufjs' reader; bytes stay views of the
// file, so that weights are not copied. Files are hostile until read: nesting is bounded, groups are refused, and every length is checked
// by the reader.

import protobuf from 'protobufjs/minimal.js';
import { UserError } from '../ir/errors.ts';
import { type Field, type Message, type ModelProto, messages, type TensorProto } from './schema.ts';

type Reader = protobuf.Reader;

/** Graphs nest in attributes of nodes, three messages to a level; no real model comes near this. */
const deepestNesting = 100;

const variableLength = 0;
const eightBytes = 1;
const lengthDelimited = 2;
const fourBytes = 5;

const none: readonly unknown[] = Object.freeze([]);

/** Decodes a model. Throws UserError where the bytes are no ONNX model. */
export function decodeModel(bytes: Uint8Array): ModelProto {
  return decode<ModelProto>(bytes, messages.model, 'the ONNX model');
}

/** Decodes a tensor that stands alone, as in the standard's test data. */
export function decodeTensor(bytes: Uint8Array): TensorProto {
  return decode<TensorProto>(bytes, messages.tensor, 'the ONNX tensor');
}

function decode<T>(bytes: Uint8Array, message: Message, what: string): T {
  const reader = protobuf.Reader.create(bytes);
  try {
    return readMessage(reader, message, reader.len, 0) as T;
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(
      `${what} cannot be read at byte ${reader.pos} of ${bytes.length}: ${error instanceof Error ? error.message : error}`,
    );
  }
}

function readMessage(reader: Reader, message: Message, end: number, depth: number): object {
  if (depth > deepestNesting) throw new Error(`messages nest deeper than ${deepestNesting} levels`);
  const fields = message.fields();
  const result: Record<string, unknown> = {};
  for (const { name, repeated } of fields.values()) if (repeated) result[name] = none;
  while (reader.pos < end) {
    const tag = reader.uint32();
    const [number, wire] = [tag >>> 3, tag & 7];
    const field = fields.get(number);
    if (field === undefined) skip(reader, number, wire);
    else readField(reader, field, wire, result, depth);
  }
  if (reader.pos !== end) throw new Error(`a ${message.name} ends beyond its length`);
  return result;
}

function skip(reader: Reader, number: number, wire: number): void {
  if (number === 0) throw new Error('a field has number 0');
  if (wire !== variableLength && wire !== eightBytes && wire !== lengthDelimited && wire !== fourBytes)
    throw new Error(`field ${number} has wire type ${wire}, which ONNX does not use`);
  reader.skipType(wire);
}

function readField(reader: Reader, field: Field, wire: number, result: Record<string, unknown>, depth: number): void {
  const { name, kind, repeated } = field;
  if (!repeated) {
    result[name] = readValue(reader, field, wire, depth);
    return;
  }
  const list = result[name] === none ? [] : (result[name] as unknown[]);
  result[name] = list;
  const packed = wire === lengthDelimited && wireTypeOf(field) !== lengthDelimited;
  if (!packed) {
    list.push(readValue(reader, field, wire, depth));
    return;
  }
  const end = endOf(reader);
  while (reader.pos < end) list.push(readScalar(reader, kind));
  if (reader.pos !== end) throw new Error(`the numbers of ${name} end beyond their length`);
}

function wireTypeOf({ kind }: Field): number {
  if (kind === 'float') return fourBytes;
  if (kind === 'double') return eightBytes;
  return kind === 'int64' || kind === 'int32' || kind === 'uint64' ? variableLength : lengthDelimited;
}

function endOf(reader: Reader): number {
  const length = reader.uint32();
  const end = reader.pos + length;
  if (end > reader.len) throw new Error(`${length} bytes expected, ${reader.len - reader.pos} left`);
  return end;
}

function readValue(reader: Reader, field: Field, wire: number, depth: number): unknown {
  const expected = wireTypeOf(field);
  if (wire !== expected) throw new Error(`field ${field.name} has wire type ${wire}, ${expected} expected`);
  if (typeof field.kind === 'string') return readScalar(reader, field.kind);
  return readMessage(reader, field.kind, endOf(reader), depth + 1);
}

function readScalar(reader: Reader, kind: Field['kind']): unknown {
  switch (kind) {
    case 'int64':
      return wide(reader.int64());
    case 'uint64':
      return BigInt.asUintN(64, wide(reader.uint64()));
    case 'int32':
      return reader.int32();
    case 'float':
      return reader.float();
    case 'double':
      return reader.double();
    case 'string':
      return reader.string();
    default:
      return reader.bytes();
  }
}

/** protobufjs gives 64 bits in two halves. */
function wide(value: number | { readonly low: number; readonly high: number }): bigint {
  if (typeof value === 'number') return BigInt(value);
  return (BigInt(value.high) << 32n) | BigInt(value.low >>> 0);
}
