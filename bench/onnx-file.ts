// ONNX files: a graph of nodes and initializers, encoded by protobufjs with the messages of onnx.proto.

import { readFileSync } from 'node:fs';
import { benchPackage } from './packages.ts';

export type OnnxAttribute = number | string | readonly number[] | { readonly float: number };

export interface OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

export interface OnnxTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Made when the file is written: a graph alone takes no memory for its weights. */
  data(): Float32Array | Int32Array | BigInt64Array;
}

export interface OnnxValue {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: 'f32' | 'i32';
}

export interface OnnxGraph {
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}

interface Protobuf {
  parse(
    text: string,
    options: { readonly keepCase: boolean },
  ): { readonly root: { lookupType(name: string): { encode(message: object): { finish(): Uint8Array } } } };
}

/** onnx.proto, TensorProto.DataType */
const dataTypes = { f32: 1, i32: 6, i64: 7 } as const;
/** onnx.proto, AttributeProto.AttributeType */
const attributeTypes = { float: 1, int: 2, string: 3, ints: 7 } as const;
/** The first ONNX release with operator set 17 has version 8 of the file format. */
const irVersion = 8;
export const operatorSet = 17;

/** The bytes of an .onnx file. Integers among attributes are whole numbers; a float says so: `{ float: 1e-5 }`. */
export function encodeOnnx(graph: OnnxGraph): Uint8Array {
  const protobuf = benchPackage<Protobuf>('protobufjs');
  const text = readFileSync(new URL('./onnx.proto', import.meta.url), 'utf8');
  const model = protobuf.parse(text, { keepCase: true }).root.lookupType('onnx.ModelProto');
  return model
    .encode({
      ir_version: irVersion,
      producer_name: 'ashlar-bench',
      opset_import: [{ domain: '', version: operatorSet }],
      graph: {
        name: graph.name,
        node: graph.nodes.map(({ op, inputs, outputs, attributes }, i) => ({
          name: `${op}_${i}`,
          op_type: op,
          input: inputs,
          output: outputs,
          attribute: Object.entries(attributes).map(([name, value]) => attributeMessage(name, value)),
        })),
        initializer: graph.initializers.map(tensorMessage),
        input: graph.inputs.map(valueMessage),
        output: graph.outputs.map(valueMessage),
      },
    })
    .finish();
}

function attributeMessage(name: string, value: OnnxAttribute): object {
  if (typeof value === 'string') return { name, type: attributeTypes.string, s: Buffer.from(value) };
  if (typeof value === 'number') return { name, type: attributeTypes.int, i: value };
  if ('float' in value) return { name, type: attributeTypes.float, f: value.float };
  return { name, type: attributeTypes.ints, ints: value };
}

function tensorMessage({ name, shape, data: make }: OnnxTensor): object {
  const data = make();
  const type = data instanceof Float32Array ? 'f32' : data instanceof Int32Array ? 'i32' : 'i64';
  return {
    name,
    dims: shape,
    data_type: dataTypes[type],
    raw_data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  };
}

function valueMessage({ name, shape, dtype }: OnnxValue): object {
  return {
    name,
    type: { tensor_type: { elem_type: dataTypes[dtype], shape: { dim: shape.map((dim) => ({ dim_value: dim })) } } },
  };
}
