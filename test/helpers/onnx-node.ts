// The standard's node tests: models of one operator (or its expansion) with inputs and the outputs that the standard demands. Each is
// imported and run on a target; what comes out is compared with the tolerances of the standard's own runner.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unzipSync } from 'fflate';
import { evaluateNode } from '../../src/ir/evaluate.ts';
import { makeFunc, type Parameter, type Result, type Value } from '../../src/ir/graph.ts';
import { fromHalfBits, toHalfBits } from '../../src/ir/half.ts';
import { type NdArray, ndarray } from '../../src/ir/ndarray.ts';
import { sizeOf } from '../../src/ir/types.ts';
import { decodeModel, decodeTensor } from '../../src/onnx/decode.ts';
import { fromOnnx, type OnnxDefinition, type OnnxPort } from '../../src/onnx/import.ts';
import { type KnownTensor, readTensor } from '../../src/onnx/tensors.ts';
import { Unsupported, UnsupportedModelError } from '../../src/onnx/unsupported.ts';
import type { TypedArray } from '../../src/runtime/arrays.ts';
import type { Definition } from '../../src/runtime/definition.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** A case's files by their path inside its folder. */
export interface NodeCase {
  readonly name: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/**
 * The cases of $ASHLAR_ONNX_NODE or of ../shared/onnx-node, folders as the standard ships them; where neither is there, of the copy in
 * this repository, which lacks those of more than 60 KB.
 */
export function nodeCases(): NodeCase[] {
  const folder = process.env.ASHLAR_ONNX_NODE ?? join(root, '../shared/onnx-node');
  if (process.env.ASHLAR_ONNX_NODE === undefined && !existsSync(folder)) return archivedCases('onnx-node.zip');
  return readdirSync(folder)
    .sort()
    .filter((name) => existsSync(join(folder, name, 'model.onnx')))
    .map((name) => ({ name: name.replace(/^test_/, ''), files: filesUnder(join(folder, name)) }));
}

function filesUnder(folder: string): Map<string, Uint8Array> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const files = names.filter((name) => /\.(onnx|pb)$/.test(name));
  return new Map(files.map((name) => [name, readFileSync(join(folder, name))]));
}

/** The cases of an archive of this repository. */
export function archivedCases(archive: string): NodeCase[] {
  const cases = new Map<string, Map<string, Uint8Array>>();
  for (const [path, bytes] of Object.entries(unzipSync(readFileSync(join(root, 'test/data', archive))))) {
    const [name, ...rest] = path.split('/');
    const files = cases.get(name!) ?? new Map();
    cases.set(name!, files.set(rest.join('/'), bytes));
  }
  return [...cases].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, files]) => ({ name, files }));
}

/** A case that was imported, with the values of the inputs that it still has. */
export interface Imported {
  readonly name: string;
  readonly definition: OnnxDefinition;
  readonly inputs: Readonly<Record<string, TypedArray>>;
  readonly expected: readonly KnownTensor[];
  /** Inputs that became constants, because shapes depend on them. */
  readonly fixed: readonly string[];
}

/** Why a case cannot be run. `scope`: it is of a kind that Ashlar does not do at all. */
export interface Refused {
  readonly name: string;
  readonly reason: string;
  readonly outOfScope: boolean;
}

const scopes = /string|sequence|optional|random|u?int[24]|float[48]/i;

/** Imports a case; inputs whose values shapes depend on become constants. */
export function importCase({ name, files }: NodeCase): Imported | Refused {
  const bytes = files.get('model.onnx')!;
  const fixed: string[] = [];
  for (;;) {
    try {
      return imported(name, bytes, files, fixed);
    } catch (error) {
      if (error instanceof Unsupported) return { name, reason: error.message, outOfScope: scopes.test(error.message) };
      if (!(error instanceof UnsupportedModelError)) throw error;
      const more = error.inputs.filter((input) => !fixed.includes(input));
      if (more.length === 0) {
        const reason = [...new Set(error.nodes.map((node) => `${node.operator}: ${node.reason}`))].join('; ');
        return { name, reason, outOfScope: error.nodes.some((node) => scopes.test(node.reason)) };
      }
      fixed.push(...more);
    }
  }
}

function imported(
  name: string,
  bytes: Uint8Array,
  files: ReadonlyMap<string, Uint8Array>,
  fixed: readonly string[],
): Imported {
  const graph = decodeModel(bytes).graph!;
  const initialized = new Set(graph.initializers.map((tensor) => tensor.name));
  const names = graph.inputs.map((input) => input.name ?? '').filter((input) => !initialized.has(input));
  // Tensors are read only where they are tensors: other kinds of values are refused by the import.
  const areTensors = graph.inputs.every(({ type }) => type?.tensor !== undefined && type.tensor.elementType !== 8);
  const tensors = areTensors
    ? new Map(names.map((input, i) => [input, tensorOf(files, `test_data_set_0/input_${i}.pb`)]))
    : new Map<string, KnownTensor>();
  const shapes = Object.fromEntries([...tensors].map(([input, { shape }]) => [input, shape]));
  const constants = Object.fromEntries(
    fixed.map((input) => [input, tensors.get(input)!.elements() as ArrayLike<number>]),
  );
  const definition = fromOnnx(bytes, { shapes, constants, name: 'model' });
  return {
    name,
    definition,
    inputs: Object.fromEntries(
      definition.inputs.map((input) => [input.name, inputElements(input, tensors.get(input.name)!)]),
    ),
    expected: definition.outputs.map((_, i) => tensorOf(files, `test_data_set_0/output_${i}.pb`)),
    fixed,
  };
}

/** The arrays of a call; the standard's files hold bfloat16 as the uint16 of the same bits. */
function inputElements({ elementType, dtype }: OnnxPort, tensor: KnownTensor): TypedArray {
  const elements = tensor.elements();
  if (dtype === 'f16') return Uint16Array.from(elements as Float32Array, toHalfBits);
  if (elementType !== 'bfloat16' || tensor.type !== 'uint16') return elements;
  return new Float32Array(Uint32Array.from(elements as Int32Array, (bits) => bits << 16).buffer);
}

function tensorOf(files: ReadonlyMap<string, Uint8Array>, path: string): KnownTensor {
  return readTensor(decodeTensor(files.get(path)!), () => {
    throw new Error('test data lies in its own file');
  });
}

/** What a target gives for each output, row-major. */
export type Outputs = readonly ArrayLike<number | bigint>[];

/** The reference, whose float32 results are rounded after every operation, as the standard's are: quantization depends on it. */
export function runReference({ definition, inputs }: Imported): Outputs {
  const { func, variables } = definition;
  const first = new Map(variables.map((variable) => [variable.name, variable]));
  const values = new Map<Value, NdArray>();
  for (const { name, role, value } of func.parameters) {
    const elements = role === 'input' ? inputs[name]! : first.get(name)!.initial();
    const isHalf = role === 'input' && value.type.dtype === 'f16';
    const numbers = Array.from(elements as ArrayLike<number | bigint>, (element) =>
      isHalf ? fromHalfBits(Number(element)) : Number(element),
    );
    values.set(value, ndarray(value.type.dtype, value.type.shape, numbers));
  }
  for (const node of func.nodes) {
    const operands = node.operands.map((operand) => values.get(operand)!);
    for (const [i, { type, data }] of evaluateNode(node, operands).entries())
      values.set(node.results[i]!, { type, data: type.dtype === 'f32' ? data.map(Math.fround) : data });
  }
  return func.results.map(({ value }) => values.get(value)!.data);
}

/** What is wrong with the outputs of a target; null where they are as the standard demands. */
export function difference({ definition, expected }: Imported, outputs: Outputs): string | null {
  for (const [i, wanted] of expected.entries()) {
    const port = definition.outputs[i]!;
    if (port.elementType !== wanted.type) return `output ${i}: ${wanted.type} expected, ${port.elementType} given`;
    if (port.shape.join() !== wanted.shape.join())
      return `output ${i}: [${wanted.shape}] expected, [${port.shape}] given`;
    const found = outputs[i]!;
    if (found.length !== sizeOf(wanted.shape))
      return `output ${i}: ${sizeOf(wanted.shape)} elements expected, ${found.length} given`;
    const elements = wanted.elements();
    for (let at = 0; at < elements.length; at++)
      if (!isClose(Number(found[at]), Number(elements[at])))
        return `output ${i}, element ${at}: ${elements[at]} expected, ${found[at]} given`;
  }
  return null;
}

/** numpy's allclose with the bounds of the standard's runner. */
function isClose(found: number, wanted: number): boolean {
  if (Number.isNaN(wanted)) return Number.isNaN(found);
  return found === wanted || Math.abs(found - wanted) <= 1e-7 + 1e-3 * Math.abs(wanted);
}

/** Several cases as one function, whose parameters and results have the case's number before their names. */
export function together(cases: readonly Imported[]): Definition {
  const parameters = cases.flatMap(({ definition }, i) =>
    definition.func.parameters.map((parameter): Parameter => ({ ...parameter, name: `${i}/${parameter.name}` })),
  );
  const results = cases.flatMap(({ definition }, i) =>
    definition.func.results.map((result): Result => ({ ...result, name: `${i}/${result.name}` })),
  );
  const variables = cases.flatMap(({ definition }, i) =>
    definition.variables.map((variable) => ({ ...variable, name: `${i}/${variable.name}` })),
  );
  return { func: makeFunc('together', parameters, results), variables };
}

/** A compiled function of several cases: a call of the target. */
export type Call = (
  inputs: Record<string, TypedArray>,
) => Record<string, TypedArray> | Promise<Record<string, TypedArray>>;

/** The outputs of each of several cases by one call. */
export async function runTogether(cases: readonly Imported[], call: Call): Promise<Outputs[]> {
  const inputs = cases.flatMap((next, i) =>
    Object.entries(next.inputs).map(([name, elements]) => [`${i}/${name}`, elements] as const),
  );
  const results = await call(Object.fromEntries(inputs));
  return cases.map(({ definition }, i) =>
    definition.outputs.map(({ name, dtype }) => {
      const array = results[`${i}/${name}`]!;
      return dtype === 'f16' ? Float32Array.from(array as Uint16Array, fromHalfBits) : array;
    }),
  );
}
