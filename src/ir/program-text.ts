// Programs as text for people: memory first, then the kernels in order with what they read and write.

import type { Launch, Program, ProgramBuffer } from './program.ts';
import { formatType } from './types.ts';

/** A program in readable form. It is for dumps and tests, and is not read back. */
export function printProgramText(program: Program): string {
  const { inputs, outputs, states, constants, externals, checks } = program;
  const listed = [...inputs, ...outputs, ...states, ...constants, ...externals];
  return [
    `program ${program.name} {`,
    `  arena: ${program.arenaBytes} bytes`,
    `  prepared: ${program.preparedBytes} bytes`,
    ...listed.map(({ storage, name, type }) => `  ${storage} ${name}: ${formatType(type)}`),
    ...checks.map(({ input, lower, upper, reason }) => `  check ${lower} ≤ ${input} ≤ ${upper}: ${reason}`),
    ...(program.preparation.length === 0 ? [] : ['  prepare', ...program.preparation.map(printLaunch)]),
    '  run',
    ...program.steps.map(printLaunch),
    '}',
  ].join('\n');
}

/** `softmax(read arena+0 f32[1,10], write output y) waits` */
function printLaunch({ kernel, args, waits }: Launch): string {
  const given = args.map((buffer, i) => `${kernel.parameters[i]!.access} ${printPlace(buffer)}`);
  return `    ${kernel.name}(${given.join(', ')})${waits ? ' waits' : ''}`;
}

const printPlace = ({ storage, name, offset, type }: ProgramBuffer): string =>
  storage === 'arena' || storage === 'prepared' ? `${storage}+${offset} ${formatType(type)}` : `${storage} ${name}`;
