// Programs in JavaScript as one ES module: what runs anywhere, and needs nothing.

import type { Program, ProgramBuffer } from '../../ir/program.ts';
import { printProgram } from '../js/program.ts';
import { toComment } from '../names.ts';
import { jsRunner } from './js-runner.ts';
import { moduleFiles, property, weightsAddress } from './module-interface.ts';

/** An array in the file of weights. */
export interface WeightPlace {
  readonly buffer: ProgramBuffer;
  /** Byte offset, a multiple of 8. */
  readonly at: number;
}

export interface JsModuleParts {
  /** Of the files, and in messages. */
  readonly name: string;
  readonly functions: Readonly<Record<string, Program>>;
  /** The first values of the states, by the states' names. */
  readonly states: ReadonlyMap<string, WeightPlace>;
  /** Constants of each function, in the order of its `externals`. */
  readonly externals: Readonly<Record<string, readonly WeightPlace[]>>;
  readonly weightBytes: number;
  /** FNV-1a over its words of 32 bits, in hexadecimal digits. */
  readonly weightHash: string;
}

/** The module's text. */
export function printJsModule(parts: JsModuleParts): string {
  const { name, functions, states, weightBytes, weightHash } = parts;
  return [
    `/* ${toComment(name)}: made by Ashlar. Weights: ${moduleFiles(name, 'js').weights}. Needs nothing but the language. */`,
    `const name = ${JSON.stringify(name)};`,
    `const weights = ${JSON.stringify({ bytes: weightBytes, hash: weightHash })};`,
    weightsAddress(name),
    `const states = ${JSON.stringify(Object.fromEntries([...states].map(([key, place]) => [key, placed(place)])))};`,
    'const functions = {',
    ...Object.entries(functions).map(([key, program]) => printFunction(key, program, parts.externals[key]!)),
    '};',
    '',
    jsRunner,
  ].join('\n');
}

const placed = ({ buffer: { type }, at }: WeightPlace) => [type.dtype, type.shape, at];

/** A program in a scope of its own, with what the runner must know of it. */
function printFunction(key: string, program: Program, externals: readonly WeightPlace[]): string {
  const values = (list: readonly ProgramBuffer[]): string =>
    JSON.stringify(Object.fromEntries(list.map(({ name, type }) => [name, [type.dtype, type.shape]])));
  return [
    `${property(key)}: {`,
    `inputs: ${values(program.inputs)},`,
    `outputs: ${values(program.outputs)},`,
    `checks: ${JSON.stringify(program.checks.map(({ input, lower, upper }) => [input, lower, upper]))},`,
    `states: ${JSON.stringify(program.states.map(({ name }) => name))},`,
    `externals: ${JSON.stringify(externals.map(placed))},`,
    `bind: (() => {\n${printProgram(program)}\nreturn bind;\n})(),`,
    '},',
  ].join('\n');
}
