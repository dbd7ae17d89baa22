// Programs in JavaScript as one ES module with its typings: what runs anywhere, and needs nothing.

import type { Program, ProgramBuffer } from '../../ir/program.ts';
import { formatType } from '../../ir/types.ts';
import { printProgram } from '../js/program.ts';
import { toComment } from '../names.ts';
import { arrayNames } from '../typed-arrays.ts';
import { jsRunner } from './js-runner.ts';
import { pascalCase, property } from './web-module.ts';

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

export const jsFiles = (name: string) => ({ module: `${name}.mjs`, typings: `${name}.d.mts`, weights: `${name}.bin` });

/** The module's text. */
export function printJsModule(parts: JsModuleParts): string {
  const { name, functions, states, weightBytes, weightHash } = parts;
  const file = jsFiles(name).weights;
  return [
    `/* ${toComment(name)}: made by Ashlar. Weights: ${file}. Needs nothing but the language. */`,
    `const name = ${JSON.stringify(name)};`,
    `const weights = ${JSON.stringify({ file, bytes: weightBytes, hash: weightHash })};`,
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

/** The module's typings: every function with the arrays it takes and gives, their shapes in comments. */
export function printJsTypings({ name, functions, states }: JsModuleParts): string {
  const fields = (values: readonly ProgramBuffer[], optional = ''): string =>
    values.length === 0
      ? '{}'
      : `{\n${values.map(({ name: key, type }) => `    /** ${formatType(type)} */\n    ${property(key)}${optional}: ${arrayNames[type.dtype]};`).join('\n')}\n  }`;
  const methods = Object.entries(functions).map(
    ([key, { inputs, outputs }]) =>
      `  ${property(key)}(inputs: ${fields(inputs)}, outputs?: ${fields(outputs, '?')}): ${fields(outputs)};`,
  );
  const rows = [...states].map(([key, { buffer }]) => `   *   ${toComment(key)}: ${formatType(buffer.type)}`);
  const typeName = pascalCase(name);
  const { weights } = jsFiles(name);
  return `// ${toComment(name)}: made by Ashlar. Arrays are row-major; bool is 0 or 1.

export interface LoadOptions {
  /** Where ${weights} is, or its bytes. Default: beside this module. */
  weights?: string | URL | Response | ArrayBuffer | Uint8Array;
  /** Told how many bytes of the weights have arrived. */
  onProgress?: (loaded: number, total: number) => void;
}

type Elements = ${[...new Set(Object.values(arrayNames))].join(' | ')};

export interface ${typeName} {
${methods.join('\n')}
  /** What functions keep between calls.${rows.length === 0 ? ' There is none.' : `\n${rows.join('\n')}\n  `} */
  readonly state: {
    names(): string[];
    get(name: string): Elements;
    set(name: string, elements: Elements): void;
  };
}

/**
 * Reads the weights and makes the functions ready. Rejects with RangeError where the weights are others; functions throw
 * TypeError for an array of another type or length, RangeError for an index out of its range.
 */
export function load(options?: LoadOptions): Promise<${typeName}>;
`;
}
