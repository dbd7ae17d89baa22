// A Program as JavaScript: functions over typed arrays, and one that binds them to memory. It needs nothing but the
// language, so the same text runs in a page, in a worker and in Node.

import { InternalError } from '../../ir/errors.ts';
import type { Launch, Program, ProgramBuffer, ProgramStep } from '../../ir/program.ts';
import { isBranch, isLoop, leavesOf } from '../../ir/steps.ts';
import { formatType } from '../../ir/types.ts';
import { toComment } from '../names.ts';
import { arrayNames } from '../typed-arrays.ts';
import { printLiteral } from './expressions.ts';
import { helperText } from './helpers.ts';
import { Namer } from './names.ts';
import { kernelKey, printKernel } from './statements.ts';

/**
 * The program's text. It defines `bind(states, externals)`, which takes typed arrays in the program's order, makes working
 * memory, runs the preparation, and returns `run(inputs, outputs)`. The text exports nothing: a module adds
 * `export { bind }`.
 */
export function printProgram(program: Program): string {
  const names = new Namer();
  const helpers = new Set<string>();
  const functions = new Map<string, string>();
  const kernels: string[] = [];
  const memory = new Memory(program, names);
  const called: Called = ({ kernel, args }, numbers) => {
    const key = kernelKey(kernel, helpers);
    let name = functions.get(key);
    if (name === undefined) {
      name = names.fresh(`kernel_${kernel.name}`);
      functions.set(key, name);
      kernels.push(printKernel(kernel, name, helpers));
    }
    const given = args.map((buffer, i) => memory.argument(buffer, kernel.parameters[i]!.buffer.size));
    return `${name}(${[...given, ...numbers].join(', ')});`;
  };
  const preparing = program.preparation.map((launch) => `  ${called(launch, [])}`);
  const holds = (buffer: ProgramBuffer): string => `${memory.argument(buffer, 1)}[0]`;
  const calls = printSteps(program.steps, { called, holds, namer: new Namer() }, 2);
  return `${[
    `/* ${toComment(program.name)}: made by Ashlar. ${leavesOf(program.steps).length} kernels, ${kernels.length} of them different. */`,
    'const f = Math.fround;',
    ...[...helpers].sort().map(helperText),
    ...kernels,
    signature(program),
    [
      'function bind(states, externals) {',
      ...memory.declarations(),
      ...preparing,
      '  return function run(inputs, outputs) {',
      ...calls,
      '  };',
      '}',
    ].join('\n'),
  ].join('\n\n')}\n`;
}

/** The call of a launch's kernel, with the numbers of loops that it takes. */
type Called = (launch: Launch, numbers: readonly string[]) => string;

interface StepTexts {
  readonly called: Called;
  /** The value of a truth value. */
  holds(buffer: ProgramBuffer): string;
  readonly namer: Namer;
}

function printSteps(steps: readonly ProgramStep[], texts: StepTexts, depth: number): string[] {
  const { called, holds, namer } = texts;
  const pad = '  '.repeat(depth);
  const inner = (list: readonly ProgramStep[]): string[] => printSteps(list, texts, depth + 1);
  return steps.flatMap((step) => {
    if (isBranch(step))
      return [
        `${pad}if (${holds(step.predicate)}) {`,
        ...inner(step.then),
        `${pad}} else {`,
        ...inner(step.otherwise),
        `${pad}}`,
      ];
    if (!isLoop(step)) {
      const numbers = step.kernel.iterations.map((axis) => namer.nameOf(axis, axis.name));
      return [`${pad}${called(step, numbers)}`];
    }
    const { axis, count, condition } = step;
    const number = axis === null ? namer.fresh('turn') : namer.nameOf(axis, axis.name);
    const bounds = Number.isFinite(count) ? `let ${number} = 0; ${number} < ${count}; ${number}++` : ';;';
    const test =
      condition === null ? [] : [...inner(condition.steps), `${pad}  if (!${holds(condition.predicate)}) break;`];
    return [`${pad}for (${bounds}) {`, ...test, ...inner(step.steps), `${pad}}`];
  });
}

/** What `bind` and `run` take, as a comment. */
function signature({ states, externals, inputs, outputs }: Program): string {
  const rows = (kind: string, buffers: readonly ProgramBuffer[]): string[] =>
    buffers.map(({ name, type }, i) => ` *   ${kind}[${i}]  ${toComment(name)}: ${formatType(type)}`);
  const table = [
    ...rows('states', states),
    ...rows('externals', externals),
    ...rows('inputs', inputs),
    ...rows('outputs', outputs),
  ];
  return `/* Typed arrays, row-major; bool is a Uint8Array of 0 and 1.\n${table.join('\n')}\n */`;
}

/** The names of a program's memory, and the statements that make views of the two blocks. */
class Memory {
  readonly program: Program;
  readonly names: Namer;
  /** Views of a block by what they show: its name, array type, offset and length. */
  readonly views = new Map<string, string>();
  readonly constants = new Map<ProgramBuffer, string>();
  constructor(program: Program, names: Namer) {
    this.program = program;
    this.names = names;
  }

  argument(buffer: ProgramBuffer, size: number): string {
    switch (buffer.storage) {
      case 'input':
        return `inputs[${buffer.index}]`;
      case 'output':
        return `outputs[${buffer.index}]`;
      case 'state':
        return `states[${buffer.index}]`;
      case 'external':
        return `externals[${this.program.externals.indexOf(buffer)}]`;
      case 'constant':
        return this.#constant(buffer);
      case 'arena':
        return this.#view('workspace', buffer, size);
      case 'prepared':
        return this.#view('prepared', buffer, size);
    }
  }

  #constant(buffer: ProgramBuffer): string {
    const name = this.constants.get(buffer) ?? this.names.fresh(`constant_${buffer.name}`);
    this.constants.set(buffer, name);
    return name;
  }

  #view(block: string, { type, offset, name }: ProgramBuffer, size: number): string {
    const key = `new ${arrayNames[type.dtype]}(${block}, ${offset}, ${size})`;
    const known = this.views.get(key) ?? this.names.fresh(name);
    this.views.set(key, known);
    return known;
  }

  declarations(): string[] {
    const { arenaBytes, preparedBytes } = this.program;
    const used = (block: string): boolean => [...this.views.keys()].some((key) => key.includes(`(${block},`));
    return [
      ...[...this.constants].map(([buffer, name]) => `  const ${name} = ${constantArray(buffer)};`),
      ...(used('workspace') ? [`  const workspace = new ArrayBuffer(${arenaBytes});`] : []),
      ...(used('prepared') ? [`  const prepared = new ArrayBuffer(${preparedBytes});`] : []),
      ...[...this.views].map(([made, name]) => `  const ${name} = ${made};`),
    ];
  }
}

function constantArray({ name, type, data }: ProgramBuffer): string {
  if (data === null) throw new InternalError(`constant ${name} has no data`);
  const elements = Array.from(data, (value) => printLiteral(type.dtype, Number(value)));
  return `new ${arrayNames[type.dtype]}([${elements.join(', ')}])`;
}
