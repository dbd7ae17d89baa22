// Programs for a GPU as one ES module: what a page needs, and nothing else.

import { InternalError } from '../../ir/errors.ts';
import { isBranch, isLoop, leavesOf } from '../../ir/steps.ts';
import type { DType } from '../../ir/types.ts';
import { toComment } from '../names.ts';
import type { Place } from '../wgsl/bindings.ts';
import { type Boundary, type Dispatch, defaultLimits, type WgslLimits, type WgslProgram } from '../wgsl/program.ts';
import { gateBlock, type WgslStep } from '../wgsl/steps.ts';
import { moduleFiles, weightsAddress } from './module-interface.ts';
import { webRunner } from './web-runner.ts';

export interface WebModuleParts {
  /** The module's name: of its files, and in messages. */
  readonly name: string;
  /** Printed programs by the names of their functions; blocks of states are common to all. */
  readonly functions: Readonly<Record<string, WgslProgram>>;
  /** Bytes of the blocks of states. */
  readonly stateBlocks: Readonly<Record<string, number>>;
  /** Blocks that the file of weights fills: where the bytes of each begin in the file, and how many they are. */
  readonly contents: readonly { readonly block: string; readonly at: number; readonly bytes: number }[];
  readonly weightBytes: number;
  /** The first 16 digits of the weights' SHA-256. */
  readonly weightHash: string;
}

/** A program's block in a module with several programs. */
export const blockOf = (functionName: string, block: string, stateBlocks: Readonly<Record<string, number>>): string =>
  block in stateBlocks ? block : `${functionName}.${block}`;

/** The module's text. */
export function printWebModule(parts: WebModuleParts): string {
  const { name, functions, stateBlocks, contents, weightBytes, weightHash } = parts;
  const modules = new SharedModules();
  const printed = Object.entries(functions).map(([key, program]) => [key, printFunction(key, program, parts, modules)]);
  const blocks = {
    ...stateBlocks,
    ...Object.fromEntries(
      Object.entries(functions).flatMap(([key, program]) =>
        Object.entries(program.blocks).map(([block, bytes]) => [`${key}.${block}`, bytes]),
      ),
    ),
  };
  const states = Object.values(functions).flatMap((program) =>
    program.states.map((state) => [state.name, asValue(state, state.block)]),
  );
  const weights = {
    bytes: weightBytes,
    hash: weightHash,
    parts: contents.map(({ block, at, bytes }) => [block, at, bytes]),
  };
  return [
    `/* ${toComment(name)}: made by Ashlar. Weights: ${moduleFiles(name, 'wgsl').weights}. Needs a GPUDevice and nothing else. */`,
    `const name = ${JSON.stringify(name)};`,
    `const weights = ${JSON.stringify(weights)};`,
    weightsAddress(name),
    `const limits = ${JSON.stringify(limitsOf(Object.values(functions), blocks))};`,
    `const blocks = ${JSON.stringify(blocks)};`,
    `const states = ${JSON.stringify(Object.fromEntries(states))};`,
    `const modules = [\n${modules.texts.join(',\n')},\n];`,
    `const functions = ${JSON.stringify(Object.fromEntries(printed))};`,
    '',
    webRunner,
  ].join('\n');
}

type Value = readonly [DType, readonly number[], string, number, number, boolean];

const asValue = ({ type, offset, bytes, packed }: Boundary, block: string): Value => [
  type.dtype,
  type.shape,
  block,
  offset,
  bytes,
  packed,
];

function printFunction(key: string, program: WgslProgram, { stateBlocks }: WebModuleParts, modules: SharedModules) {
  const place = ({ block, offset, bytes }: Place) => [blockOf(key, block, stateBlocks), offset, bytes];
  const numbers = program.modules.map((module) => modules.add(module));
  const dispatch = ({ module, bindings, workgroups, numbers: loops, gate }: Dispatch) => {
    const plain = [numbers[module], ...workgroups, ...bindings.map(place)];
    return loops.length === 0 && gate === null ? plain : { dispatch: plain, numbers: loops, gate };
  };
  const list = (steps: readonly WgslStep[]): unknown[] => steps.map(step);
  const step = (each: WgslStep): unknown => {
    if (isBranch(each)) throw new InternalError('a branch among dispatches');
    if (!isLoop(each)) return dispatch(each);
    const { axis, count, condition, steps } = each;
    const test = condition === null ? null : { steps: list(condition.steps), gate: place(condition.predicate) };
    return { count: Number.isFinite(count) ? count : null, numbered: axis !== null, test, steps: list(steps) };
  };
  const values = (boundaries: readonly Boundary[]) =>
    Object.fromEntries(boundaries.map((value) => [value.name, asValue(value, `${key}.${value.block}`)]));
  return {
    inputs: values(program.inputs),
    outputs: values(program.outputs),
    checks: program.checks.map(({ input, lower, upper }) => [input, lower, upper]),
    preparation: list(program.preparation),
    steps: list(program.steps),
    ...(program.numbers === 0 ? {} : { numbers: program.numbers }),
    ...(gateBlock in program.blocks ? { gates: `${key}.${gateBlock}` } : {}),
  };
}

/** Shader modules that several functions use stand once. */
class SharedModules {
  readonly texts: string[] = [];
  readonly #known = new Map<string, number>();

  add({ name, code, bindings, numbers }: WgslProgram['modules'][number]): number {
    const known = this.#known.get(code);
    if (known !== undefined) return known;
    this.#known.set(code, this.texts.length);
    const access = bindings.map((binding) => (binding.access === 'read' ? 'r' : 'w')).join('') + 'n'.repeat(numbers);
    this.texts.push(`{ label: ${JSON.stringify(name)}, access: '${access}', code: ${templateLiteral(code)} }`);
    return this.texts.length - 1;
  }
}

/** A text between backticks, in which nothing ends the literal or begins an expression. */
const templateLiteral = (text: string): string =>
  `\`${text.trimEnd().replaceAll('\\', '\\\\').replaceAll('`', '\\`').replaceAll('${', '\\${')}\``;

/** The limits beyond the defaults that the programs need. */
function limitsOf(programs: readonly WgslProgram[], blocks: Readonly<Record<string, number>>): Record<string, number> {
  const bindings = programs.flatMap(({ steps, preparation }) => leavesOf<Dispatch, Place>([...steps, ...preparation]));
  const most = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b), 0);
  const needed = {
    maxBufferSize: most(Object.values(blocks)),
    maxStorageBufferBindingSize: most(bindings.flatMap((step) => step.bindings.map(({ bytes }) => bytes))),
    maxStorageBuffersPerShaderStage: most(bindings.map((step) => step.bindings.length)),
  } satisfies Partial<WgslLimits>;
  return Object.fromEntries(
    Object.entries(needed).filter(([limit, value]) => value > defaultLimits[limit as keyof typeof needed]),
  );
}
