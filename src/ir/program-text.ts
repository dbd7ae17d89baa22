// Programs as text for people: memory first, then the kernels in order with what they read and write, loops indented.

import type { Launch, Program, ProgramBuffer, ProgramStep } from './program.ts';
import { isBranch, isLoop } from './steps.ts';
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
    ...(program.preparation.length === 0 ? [] : ['  prepare', ...printSteps(program.preparation, 2)]),
    '  run',
    ...printSteps(program.steps, 2),
    '}',
  ].join('\n');
}

function printSteps(steps: readonly ProgramStep[], depth: number): string[] {
  const pad = '  '.repeat(depth);
  return steps.flatMap((step) => {
    const waits = step.waits ? ' waits' : '';
    if (isBranch(step)) {
      const then = printSteps(step.then, depth + 1);
      const otherwise = printSteps(step.otherwise, depth + 1);
      return [`${pad}if ${printPlace(step.predicate)}${waits}`, ...then, `${pad}else`, ...otherwise];
    }
    if (!isLoop(step)) return [`${pad}${printLaunch(step)}${waits}`];
    const { axis, count, condition } = step;
    const times = `${axis === null ? '' : `${axis.name} < `}${Number.isFinite(count) ? count : 'any'}`;
    const body = printSteps(step.steps, depth + 1);
    const order = step.alternates === true ? ' alternating' : '';
    if (condition === null) return [`${pad}loop ${times}${order}${waits}`, ...body];
    const test = [...printSteps(condition.steps, depth + 1), `${pad}while ${printPlace(condition.predicate)}`];
    return [`${pad}loop at most ${times}${order}${waits}`, ...test, ...body];
  });
}

/** `softmax(read arena+0 f32[1,10], write output y)`, with the numbers of the loops that it reads behind a semicolon. */
function printLaunch({ kernel, args }: Launch): string {
  const given = args.map((buffer, i) => `${kernel.parameters[i]!.access} ${printPlace(buffer)}`);
  const numbers = kernel.iterations.length === 0 ? '' : `; ${kernel.iterations.map(({ name }) => name).join(', ')}`;
  return `${kernel.name}(${given.join(', ')}${numbers})`;
}

const printPlace = ({ storage, name, offset, type }: ProgramBuffer): string =>
  storage === 'arena' || storage === 'prepared' ? `${storage}+${offset} ${formatType(type)}` : `${storage} ${name}`;
