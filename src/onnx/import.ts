// From an ONNX file to a function that every target compiles. Inputs and outputs keep their names; what only shapes need is computed
// here; small initializers become constants of the graph and large ones weights, whose elements stay in the file until they are packed.

import { UserError } from '../ir/errors.ts';
import { type Func, makeFunc, type Parameter, parameter, type Result, type Value } from '../ir/graph.ts';
import { fromHalfBits } from '../ir/half.ts';
import { builder } from '../ir/ops/index.ts';
import { type ArrayOf, type DType, isCountable, type Shape, sizeOf, type TensorType } from '../ir/types.ts';
import { type Key, key } from '../lang/random.ts';
import { Tensor } from '../lang/tensor.ts';
import { constantOf } from './constants.ts';
import { decodeModel } from './decode.ts';
import { carrierOf, type ElementType, elementTypeName, knownElementType, storedAs } from './element-types.ts';
import { functionKey, GraphReader, type Importer, opsetsOf } from './graph.ts';
import { KnownValues } from './known.ts';
import type { OnnxValue } from './node-context.ts';
import type { GraphProto, ModelProto, ValueInfoProto } from './schema.ts';
import { shown } from './shown.ts';
import { type Elements, type ExternalData, elementsFrom, type KnownTensor, readTensor } from './tensors.ts';
import { UnsupportedModelError, type UnsupportedNode } from './unsupported.ts';

/** Operator sets of the domain "" that are understood. */
const opsetRange = [1, 22] as const;

/** Initializers of more elements stay out of the graph, as weights: passes do not look into them. */
const mostConstantElements = 4096;

export interface OnnxOptions {
  /** Sizes of dimensions that the file only names. Default: 1. */
  readonly dimensions?: Readonly<Record<string, number>>;
  /** Shapes of inputs, where the file's own are to be replaced or are missing. */
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  /** Inputs whose values are known now, row-major: they become constants, as shapes must be that nodes take as inputs. */
  readonly constants?: Readonly<Record<string, ArrayLike<number> | ArrayLike<bigint>>>;
  /** The files of external data by their place relative to the model. Default: a model with such data is refused. */
  readonly externalData?: ExternalData;
  /**
   * What random operators draw by: a number, with which every call draws the same, or the name of an input u32[] that is added, by which
   * each call draws its own. Default: a model with such operators is refused.
   */
  readonly seed?: number | string;
  /** Names the emitted code. Default: 'model'. */
  readonly name?: string;
}

/** An input or output: its name and type in the file, and the dtype of the arrays that stand for it (f16: its bits). */
export interface OnnxPort extends TensorType {
  readonly name: string;
  readonly elementType: ElementType;
}

/** A function with the first values of its weights, and the ports of the ONNX graph in its order. */
export interface OnnxDefinition {
  readonly func: Func;
  readonly variables: readonly { readonly name: string; readonly type: TensorType; initial(): ArrayLike<number> }[];
  readonly inputs: readonly OnnxPort[];
  readonly outputs: readonly OnnxPort[];
  /** Dimensions that the file names and no option sizes: they are 1. */
  readonly assumed: readonly string[];
  /** Carries the types of a call; never read. */
  readonly signature?: { readonly inputs: OnnxArrays; readonly outputs: OnnxArrays };
}

/** Arrays by the names of inputs or outputs, each of its port's dtype. */
export type OnnxArrays = { readonly [name: string]: ArrayOf[DType] };

/**
 * Reads an ONNX model. Throws UserError for bytes that are none or break the standard, UnsupportedModelError, which lists every
 * node that Ashlar cannot express.
 */
export function fromOnnx(bytes: Uint8Array, options: OnnxOptions = {}): OnnxDefinition {
  const model = decodeModel(bytes);
  const graph = model.graph ?? fail('the ONNX model has no graph; is the file an ONNX model?');
  return new ModelImport(model, graph, bytes.length, options).run();
}

/** What an option says of a name; names of files may be those of any object's properties. */
function given<T>(option: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return option !== undefined && Object.hasOwn(option, name) ? option[name] : undefined;
}

function fail(problem: string): never {
  throw new UserError(problem);
}

class ModelImport {
  readonly #model: ModelProto;
  readonly #graph: GraphProto;
  readonly #options: OnnxOptions;
  readonly #known: KnownValues;
  readonly #inputNames = new Map<Value, string>();
  readonly #weights = new Map<string, { readonly parameter: Parameter; readonly tensor: KnownTensor }>();
  readonly #refused: UnsupportedNode[] = [];
  readonly #assumed = new Set<string>();
  /** Names of parameters. */
  readonly #taken = new Set<string>();

  constructor(model: ModelProto, graph: GraphProto, fileBytes: number, options: OnnxOptions) {
    this.#model = model;
    this.#graph = graph;
    this.#options = options;
    this.#known = new KnownValues(fileBytes);
  }

  run(): OnnxDefinition {
    const opsets = opsetsOf(this.#model.opsets);
    const version = opsets.get('');
    if (version !== undefined && (version < opsetRange[0] || version > opsetRange[1]))
      fail(`the ONNX model needs operator set ${version}; ${opsetRange[0]} to ${opsetRange[1]} are understood`);
    const initialized = new Set(this.#graph.initializers.map(({ name }) => name ?? ''));
    // Files of IR version 3 list initializers among the inputs too.
    const declared = this.#graph.inputs.filter(({ name }) => !initialized.has(name ?? ''));
    this.#expectOptions(declared);
    const values = new Map<string, OnnxValue>();
    const inputs: Parameter[] = [];
    const ports: OnnxPort[] = [];
    for (const info of declared) {
      const name = info.name ?? '';
      if (values.has(name)) fail(`two inputs are named ${shown(name)}`);
      const port = this.#inputPort(info);
      if (port === null) continue;
      const constant = given(this.#options.constants, name);
      if (constant !== undefined) {
        values.set(name, constantOf(givenTensor(port, constant), this.#known));
        continue;
      }
      const made = parameter(name, { dtype: port.dtype, shape: port.shape });
      this.#inputNames.set(made.value, name);
      this.#taken.add(name);
      values.set(name, carried(made, port.elementType));
      inputs.push(made);
      ports.push(port);
    }
    const reader = new GraphReader(this.#importer(this.#seed(inputs, ports)));
    const outputs = this.#refused.length > 0 ? [] : reader.readModel(this.#graph, opsets, values);
    this.#refuseRounded(outputs);
    this.#refuse([...this.#refused, ...reader.unsupported], [...reader.wantedInputs]);
    return this.#definition(inputs, ports, outputs as OnnxValue[]);
  }

  /** The key of the option; where that names an input, it is added. */
  #seed(inputs: Parameter[], ports: OnnxPort[]): Key | null {
    const { seed } = this.#options;
    if (seed === undefined) return null;
    if (typeof seed === 'number') return key(seed);
    if (this.#graph.inputs.some(({ name }) => name === seed))
      fail(`seed: the model has an input ${shown(seed)}; give a name that it has not`);
    const port: OnnxPort = { name: seed, elementType: 'uint32', dtype: 'u32', shape: [] };
    const made = parameter(seed, { dtype: 'u32', shape: [] });
    this.#inputNames.set(made.value, seed);
    this.#taken.add(seed);
    inputs.push(made);
    ports.push(port);
    return key(new Tensor<[], 'u32'>(made.value));
  }

  #importer(drawing: Key | null): Importer {
    return {
      key: drawing,
      known: this.#known,
      inputNames: this.#inputNames,
      functions: new Map(
        this.#model.functions.map((declared) => [
          functionKey(declared.domain, declared.name, declared.overload),
          declared,
        ]),
      ),
      readTensor: (proto) =>
        readTensor(
          proto,
          this.#options.externalData ??
            ((location) => fail(`the model's weights lie in ${shown(location)}; give its bytes by externalData`)),
        ),
      initializer: (tensor, name) => this.#initializer(tensor, name),
    };
  }

  #initializer(tensor: KnownTensor, name: string): OnnxValue {
    // Integers are indices, shapes or quantized: what passes and questions about shapes may look into.
    const isWeight = sizeOf(tensor.shape) > mostConstantElements && carrierOf[tensor.type] !== 'i64';
    if (!isWeight) return constantOf(tensor, this.#known);
    let unique = name;
    for (let i = 2; this.#taken.has(unique); i++) unique = `${name}_${i}`;
    this.#taken.add(unique);
    const made = parameter(unique, { dtype: storedAs(tensor.type), shape: tensor.shape }, 'weight');
    this.#weights.set(unique, { parameter: made, tensor });
    return carried(made, tensor.type);
  }

  /** Refuses options that name nothing of the file. */
  #expectOptions(inputs: readonly ValueInfoProto[]): void {
    const names = new Set(inputs.map(({ name }) => name ?? ''));
    for (const option of ['shapes', 'constants'] as const)
      for (const name of Object.keys(this.#options[option] ?? {}))
        if (!names.has(name))
          fail(`${option}: the model has no input ${shown(name)}; it has ${[...names].map(shown).join(', ')}`);
    const dims = new Set(
      inputs.flatMap(({ type }) => type?.tensor?.shape?.dims.flatMap(({ parameter: name }) => name ?? []) ?? []),
    );
    for (const [name, size] of Object.entries(this.#options.dimensions ?? {})) {
      if (!dims.has(name))
        fail(
          `dimensions: the model names no dimension ${shown(name)}; it names ${[...dims].map(shown).join(', ') || 'none'}`,
        );
      if (!Number.isSafeInteger(size) || size < 0)
        fail(`dimensions: a whole number expected for ${shown(name)}, ${size} given`);
    }
  }

  /** The type of an input; null, with a note, where no value can have it. */
  #inputPort({ name = '', type }: ValueInfoProto): OnnxPort | null {
    if (type?.tensor === undefined) {
      const kind = type?.sequence
        ? 'a sequence'
        : type?.map
          ? 'a map'
          : type?.optional
            ? 'optional'
            : 'a sparse tensor';
      if (type === undefined) fail(`input ${shown(name)} has no type`);
      this.#refused.push({ node: name, operator: 'input', reason: `it is ${kind}` });
      return null;
    }
    const number = type.tensor.elementType ?? 0;
    const elementType = knownElementType(number);
    if (elementType === null) {
      this.#refused.push({
        node: name,
        operator: 'input',
        reason: `its elements are ${elementTypeName(number) ?? 'unknown'}`,
      });
      return null;
    }
    const shape = given(this.#options.shapes, name) ?? this.#declaredShape(name, type.tensor.shape);
    if (!shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0) || !isCountable(shape))
      fail(`input ${shown(name)}: dimensions of whole numbers whose product can be counted expected, [${shape}] found`);
    return { name, elementType, dtype: storedAs(elementType), shape };
  }

  #declaredShape(
    name: string,
    shape: { readonly dims: readonly { readonly value?: bigint; readonly parameter?: string }[] } | undefined,
  ): Shape {
    if (shape === undefined) return fail(`input ${shown(name)} has no shape; give it by shapes`);
    return shape.dims.map(({ value, parameter: named = '' }) => {
      if (value !== undefined) return Number(value);
      const size = given(this.#options.dimensions, named);
      if (size === undefined && named !== '') this.#assumed.add(named);
      return size ?? 1;
    });
  }

  /** bfloat16 is computed in f32, which is too precise by so much that a caller would notice. */
  #refuseRounded(outputs: readonly (OnnxValue | undefined)[]): void {
    outputs.forEach((value, i) => {
      if (value?.type !== 'bfloat16') return;
      const node = this.#graph.outputs[i]!.name ?? '';
      this.#refused.push({ node, operator: 'output', reason: 'its elements are bfloat16; cast it to float' });
    });
  }

  #refuse(nodes: readonly UnsupportedNode[], inputs: readonly string[]): void {
    if (nodes.length === 0) return;
    const lines = nodes.map(({ node, operator, reason }) => `  ${shown(node)} (${shown(operator)}): ${reason}`);
    throw new UnsupportedModelError(
      `not supported: ${nodes.length === 1 ? 'a node' : `${nodes.length} nodes`} of the ONNX model\n${lines.join('\n')}`,
      nodes,
      inputs,
    );
  }

  #definition(inputs: readonly Parameter[], ports: readonly OnnxPort[], outputs: readonly OnnxValue[]): OnnxDefinition {
    const names = this.#graph.outputs.map(({ name }) => name ?? '');
    const twice = new Set<string>();
    for (const name of names) {
      if (twice.has(name)) fail(`two outputs are named ${shown(name)}`);
      twice.add(name);
    }
    if (names.length === 0) fail('the ONNX model has no outputs');
    const stored = outputs.map(({ type, tensor }) => builder.castTo(tensor.value, storedAs(type)));
    const results = stored.map((value, i): Result => ({ name: names[i]!, role: 'output', value }));
    const pruned = makeFunc(this.#options.name ?? 'model', [], results);
    const used = new Set([...pruned.nodes.flatMap(({ operands }) => operands), ...results.map(({ value }) => value)]);
    const weights = [...this.#weights.values()].filter((weight) => used.has(weight.parameter.value));
    return {
      func: { ...pruned, parameters: [...inputs, ...weights.map((weight) => weight.parameter)] },
      variables: weights.map((weight) => ({
        name: weight.parameter.name,
        type: weight.parameter.value.type,
        initial: () => weight.tensor.elements() as Exclude<Elements, BigInt64Array>,
      })),
      inputs: ports,
      outputs: outputs.map(({ type }, i) => ({ name: names[i]!, elementType: type, ...stored[i]!.type })),
      assumed: [...this.#assumed],
    };
  }
}

/** A parameter in the dtype that its type is computed in. */
function carried({ value }: Parameter, type: ElementType): OnnxValue {
  return { type, tensor: new Tensor(builder.castTo(value, carrierOf[type])) };
}

/** An input's values as the caller gave them. */
function givenTensor(
  { name, elementType, shape }: OnnxPort,
  given: ArrayLike<number> | ArrayLike<bigint>,
): KnownTensor {
  if (given.length !== sizeOf(shape))
    fail(`constants: ${sizeOf(shape)} elements expected for ${shown(name)} [${shape}], ${given.length} given`);
  const elements = elementsOf(elementType, given);
  return { type: elementType, shape, elements: () => elements };
}

function elementsOf(type: ElementType, given: ArrayLike<number> | ArrayLike<bigint>): Elements {
  if (carrierOf[type] === 'i64')
    return BigInt64Array.from(
      Array.from<number | bigint, bigint>(given as ArrayLike<number | bigint>, (value) =>
        BigInt.asIntN(64, BigInt(value)),
      ),
    );
  if (type === 'float16' && given instanceof Uint16Array) return Float32Array.from(given, fromHalfBits);
  return elementsFrom(type, Array.from<number | bigint, number>(given as ArrayLike<number | bigint>, Number));
}
