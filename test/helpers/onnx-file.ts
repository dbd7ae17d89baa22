// Writes ONNX files for tests: messages by the tables that the reader reads them by.

import protobuf from 'protobufjs/minimal.js';
import { type Field, type Message, messages } from '../../src/onnx/schema.ts';

type Writer = protobuf.Writer;
// biome-ignore lint/suspicious/noExplicitAny: the fields that a test cares for, the others left out
type Fields = Readonly<Record<string, any>>;

/** A model's bytes. `graph` and the others are spelled as the reader spells them. */
export function onnxBytes(model: Fields): Uint8Array {
  return written(messages.model, { opsets: [{ version: 17n }], ...model });
}

/** A model of one graph, whose inputs and outputs are `name: [type number, dims]`. */
export function modelOf(graph: {
  readonly nodes: readonly Fields[];
  readonly inputs?: Readonly<Record<string, readonly [number, readonly (number | string)[]]>>;
  readonly outputs: readonly string[];
  readonly initializers?: readonly Fields[];
}): Uint8Array {
  const inputs = Object.entries(graph.inputs ?? {}).map(([name, [elementType, dims]]) => ({
    name,
    type: {
      tensor: {
        elementType,
        shape: { dims: dims.map((dim) => (typeof dim === 'string' ? { parameter: dim } : { value: BigInt(dim) })) },
      },
    },
  }));
  return onnxBytes({ graph: { ...graph, inputs, outputs: graph.outputs.map((name) => ({ name })) } });
}

export function node(operator: string, inputs: readonly string[], outputs: readonly string[], attributes: Fields = {}) {
  return {
    operator,
    inputs,
    outputs,
    name: `${operator} of ${outputs[0]}`,
    attributes: Object.entries(attributes).map(([name, value]) => ({ name, ...value })),
  };
}

export function written(message: Message, fields: Fields): Uint8Array {
  const writer = protobuf.Writer.create();
  writeMessage(writer, message, fields);
  return writer.finish();
}

function writeMessage(writer: Writer, message: Message, fields: Fields): void {
  for (const [number, field] of message.fields()) {
    const value = fields[field.name];
    if (value === undefined) continue;
    for (const element of field.repeated ? value : [value]) writeField(writer, number, field, element as never);
  }
}

function writeField(writer: Writer, number: number, { kind }: Field, value: never): void {
  const tag = (wire: number): Writer => writer.uint32((number << 3) | wire);
  if (typeof kind !== 'string') {
    writeMessage(tag(2).fork(), kind, value);
    writer.ldelim();
  } else if (kind === 'string') tag(2).string(value);
  else if (kind === 'bytes') tag(2).bytes(value);
  else if (kind === 'float') tag(5).float(value);
  else if (kind === 'double') tag(1).double(value);
  else if (kind === 'int32') tag(0).int32(value);
  else tag(0).int64(halves(value));
}

/** 64 bits as protobufjs' writer takes them. */
function halves(value: bigint): never {
  const bits = BigInt.asUintN(64, value);
  return { low: Number(bits & 0xffffffffn) | 0, high: Number(bits >> 32n) | 0, unsigned: false } as never;
}
