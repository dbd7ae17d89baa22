// The messages of the ONNX standard that an import reads, as tables: field number → name and kind. Numbers and names are those of
// onnx.proto (version 1.17); fields that say nothing about what is computed (documentation, metadata, training) are skipped.

export type FieldKind = 'int64' | 'int32' | 'uint64' | 'float' | 'double' | 'string' | 'bytes' | Message;

export interface Field {
  readonly name: string;
  readonly kind: FieldKind;
  readonly repeated: boolean;
}

export interface Message {
  readonly name: string;
  /** By field number. A function, because messages contain each other. */
  readonly fields: () => ReadonlyMap<number, Field>;
}

type FieldList = readonly (readonly [number, string, FieldKind, 'repeated'?])[];

function message(name: string, list: () => FieldList): Message {
  let made: ReadonlyMap<number, Field> | null = null;
  const make = (): ReadonlyMap<number, Field> =>
    new Map(
      list().map(([number, field, kind, repeated]) => [
        number,
        { name: field, kind, repeated: repeated === 'repeated' },
      ]),
    );
  return {
    name,
    fields: () => {
      made ??= make();
      return made;
    },
  };
}

const operatorSetId = message('OperatorSetIdProto', () => [
  [1, 'domain', 'string'],
  [2, 'version', 'int64'],
]);
const stringPair = message('StringStringEntryProto', () => [
  [1, 'key', 'string'],
  [2, 'value', 'string'],
]);
const tensor = message('TensorProto', () => [
  [1, 'dims', 'int64', 'repeated'],
  [2, 'dataType', 'int32'],
  [3, 'segment', segment],
  [4, 'floatData', 'float', 'repeated'],
  [5, 'int32Data', 'int32', 'repeated'],
  [6, 'stringData', 'bytes', 'repeated'],
  [7, 'int64Data', 'int64', 'repeated'],
  [8, 'name', 'string'],
  [9, 'rawData', 'bytes'],
  [10, 'doubleData', 'double', 'repeated'],
  [11, 'uint64Data', 'uint64', 'repeated'],
  [13, 'externalData', stringPair, 'repeated'],
  [14, 'dataLocation', 'int32'],
]);
const segment = message('TensorProto.Segment', () => [
  [1, 'begin', 'int64'],
  [2, 'end', 'int64'],
]);
const sparseTensor = message('SparseTensorProto', () => [
  [1, 'values', tensor],
  [2, 'indices', tensor],
  [3, 'dims', 'int64', 'repeated'],
]);
const dimension = message('TensorShapeProto.Dimension', () => [
  [1, 'value', 'int64'],
  [2, 'parameter', 'string'],
]);
const shape = message('TensorShapeProto', () => [[1, 'dims', dimension, 'repeated']]);
const tensorType = message('TypeProto.Tensor', () => [
  [1, 'elementType', 'int32'],
  [2, 'shape', shape],
]);
const otherType = message('TypeProto of no tensor', () => []);
const type = message('TypeProto', () => [
  [1, 'tensor', tensorType],
  [4, 'sequence', otherType],
  [5, 'map', otherType],
  [8, 'sparseTensor', otherType],
  [9, 'optional', otherType],
]);
const valueInfo = message('ValueInfoProto', () => [
  [1, 'name', 'string'],
  [2, 'type', type],
]);
const attribute = message('AttributeProto', () => [
  [1, 'name', 'string'],
  [2, 'f', 'float'],
  [3, 'i', 'int64'],
  [4, 's', 'bytes'],
  [5, 't', tensor],
  [6, 'g', graph],
  [7, 'floats', 'float', 'repeated'],
  [8, 'ints', 'int64', 'repeated'],
  [9, 'strings', 'bytes', 'repeated'],
  [10, 'tensors', tensor, 'repeated'],
  [11, 'graphs', graph, 'repeated'],
  [20, 'type', 'int32'],
  [21, 'reference', 'string'],
  [22, 'sparseTensor', sparseTensor],
]);
const node = message('NodeProto', () => [
  [1, 'inputs', 'string', 'repeated'],
  [2, 'outputs', 'string', 'repeated'],
  [3, 'name', 'string'],
  [4, 'operator', 'string'],
  [5, 'attributes', attribute, 'repeated'],
  [7, 'domain', 'string'],
  [8, 'overload', 'string'],
]);
const graph: Message = message('GraphProto', () => [
  [1, 'nodes', node, 'repeated'],
  [2, 'name', 'string'],
  [5, 'initializers', tensor, 'repeated'],
  [11, 'inputs', valueInfo, 'repeated'],
  [12, 'outputs', valueInfo, 'repeated'],
  [13, 'valueInfo', valueInfo, 'repeated'],
  [15, 'sparseInitializers', sparseTensor, 'repeated'],
]);
const localFunction = message('FunctionProto', () => [
  [1, 'name', 'string'],
  [4, 'inputs', 'string', 'repeated'],
  [5, 'outputs', 'string', 'repeated'],
  [6, 'attributes', 'string', 'repeated'],
  [7, 'nodes', node, 'repeated'],
  [9, 'opsets', operatorSetId, 'repeated'],
  [10, 'domain', 'string'],
  [11, 'attributeDefaults', attribute, 'repeated'],
  [13, 'overload', 'string'],
]);
const model = message('ModelProto', () => [
  [1, 'irVersion', 'int64'],
  [7, 'graph', graph],
  [8, 'opsets', operatorSetId, 'repeated'],
  [25, 'functions', localFunction, 'repeated'],
]);

/** The messages that stand alone in files. */
export const messages = { model, tensor } as const;

export interface OperatorSetId {
  readonly domain?: string;
  readonly version?: bigint;
}

export interface TensorProto {
  readonly name?: string;
  readonly dims: readonly bigint[];
  readonly dataType?: number;
  readonly segment?: object;
  readonly floatData: readonly number[];
  readonly int32Data: readonly number[];
  readonly stringData: readonly Uint8Array[];
  readonly int64Data: readonly bigint[];
  readonly uint64Data: readonly bigint[];
  readonly doubleData: readonly number[];
  /** A view of the file. */
  readonly rawData?: Uint8Array;
  readonly externalData: readonly { readonly key?: string; readonly value?: string }[];
  readonly dataLocation?: number;
}

export interface SparseTensorProto {
  readonly values?: TensorProto;
  readonly indices?: TensorProto;
  readonly dims: readonly bigint[];
}

export interface TypeProto {
  readonly tensor?: {
    readonly elementType?: number;
    readonly shape?: { readonly dims: readonly { readonly value?: bigint; readonly parameter?: string }[] };
  };
  readonly sequence?: object;
  readonly map?: object;
  readonly sparseTensor?: object;
  readonly optional?: object;
}

export interface ValueInfoProto {
  readonly name?: string;
  readonly type?: TypeProto;
}

export interface AttributeProto {
  readonly name?: string;
  readonly type?: number;
  readonly f?: number;
  readonly i?: bigint;
  readonly s?: Uint8Array;
  readonly t?: TensorProto;
  readonly g?: GraphProto;
  readonly floats: readonly number[];
  readonly ints: readonly bigint[];
  readonly strings: readonly Uint8Array[];
  readonly tensors: readonly TensorProto[];
  readonly graphs: readonly GraphProto[];
  /** In a function's body: the attribute of the calling node that this one stands for. */
  readonly reference?: string;
  readonly sparseTensor?: SparseTensorProto;
}

export interface NodeProto {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly name?: string;
  readonly operator?: string;
  readonly attributes: readonly AttributeProto[];
  readonly domain?: string;
  readonly overload?: string;
}

export interface GraphProto {
  readonly nodes: readonly NodeProto[];
  readonly name?: string;
  readonly initializers: readonly TensorProto[];
  readonly sparseInitializers: readonly SparseTensorProto[];
  readonly inputs: readonly ValueInfoProto[];
  readonly outputs: readonly ValueInfoProto[];
  readonly valueInfo: readonly ValueInfoProto[];
}

export interface FunctionProto {
  readonly name?: string;
  readonly domain?: string;
  readonly overload?: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: readonly string[];
  readonly attributeDefaults: readonly AttributeProto[];
  readonly nodes: readonly NodeProto[];
  readonly opsets: readonly OperatorSetId[];
}

export interface ModelProto {
  readonly irVersion?: bigint;
  readonly graph?: GraphProto;
  readonly opsets: readonly OperatorSetId[];
  readonly functions: readonly FunctionProto[];
}
