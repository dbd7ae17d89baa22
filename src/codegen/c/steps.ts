// The steps of a program in C: calls of kernels, and for loops and ifs around them, in one function that every thread of a team
// walks.

import type { Launch, ProgramBuffer, ProgramStep } from '../../ir/program.ts';
import { isBranch, isLoop } from '../../ir/steps.ts';
import { isSharedStep } from '../../passes/team.ts';
import { Namer } from './names.ts';

export interface StepTexts {
  /** The call of a launch's kernel, with the numbers of loops that it takes. */
  call(launch: Launch, numbers: readonly string[]): string;
  /** Where a buffer begins. */
  address(buffer: ProgramBuffer): string;
}

/** Statements of a function with `worker`, whose team walks them; steps that one thread runs one after another stand together. */
export function printTeamSteps(steps: readonly ProgramStep[], texts: StepTexts): string[] {
  return teamSteps(steps, texts, new Namer(), 1);
}

/** Statements that one thread runs. */
export function printSteps(steps: readonly ProgramStep[], texts: StepTexts): string[] {
  return lonely(steps, texts, new Namer(), 1);
}

const indent = (depth: number): string => '  '.repeat(depth);

function teamSteps(steps: readonly ProgramStep[], texts: StepTexts, namer: Namer, depth: number): string[] {
  const lines: string[] = [];
  let alone = false;
  const open = (next: boolean): void => {
    if (alone !== next) lines.push(`${indent(depth)}${next ? 'if (ash_single(worker)) {' : '}'}`);
    alone = next;
  };
  for (const step of steps) {
    if (step.waits) {
      open(false);
      lines.push(`${indent(depth)}ash_wait(worker);`);
    }
    const shared = isSharedStep(step);
    open(!shared);
    const inner = (list: readonly ProgramStep[]): string[] => teamSteps(list, texts, namer, depth + 1);
    const decision = (buffer: ProgramBuffer): string => `ash_decide(worker, ${texts.address(buffer)})`;
    lines.push(
      ...(shared ? printStep(step, { texts, namer, depth, inner, decision }) : lonely([step], texts, namer, depth + 1)),
    );
  }
  open(false);
  return lines;
}

function lonely(steps: readonly ProgramStep[], texts: StepTexts, namer: Namer, depth: number): string[] {
  const inner = (list: readonly ProgramStep[]): string[] => lonely(list, texts, namer, depth + 1);
  const decision = (buffer: ProgramBuffer): string => `*(const uint8_t *)${texts.address(buffer)}`;
  return steps.flatMap((step) => printStep(step, { texts, namer, depth, inner, decision }));
}

interface Printing {
  readonly texts: StepTexts;
  readonly namer: Namer;
  readonly depth: number;
  inner(steps: readonly ProgramStep[]): string[];
  /** Whether a truth value is true. */
  decision(buffer: ProgramBuffer): string;
}

function printStep(step: ProgramStep, { texts, namer, depth, inner, decision }: Printing): string[] {
  const pad = indent(depth);
  if (isBranch(step)) {
    const otherwise = inner(step.otherwise);
    const rest = otherwise.length === 0 ? [] : [`${pad}} else {`, ...otherwise];
    return [`${pad}if (${decision(step.predicate)}) {`, ...inner(step.then), ...rest, `${pad}}`];
  }
  if (!isLoop(step)) {
    const numbers = step.kernel.iterations.map((axis) => namer.nameOf(axis, axis.name));
    return [`${pad}${texts.call(step, numbers)}`];
  }
  const { axis, count, condition } = step;
  const number = axis === null ? namer.fresh('turn') : namer.nameOf(axis, axis.name);
  const type = axis === null ? 'int64_t' : 'ash_index';
  const head = Number.isFinite(count)
    ? `for (${type} ${number} = 0; ${number} < ${count}; ${number}++) {`
    : 'for (;;) {';
  const test =
    condition === null
      ? []
      : [...inner(condition.steps), `${indent(depth + 1)}if (!${decision(condition.predicate)}) break;`];
  const turning = [
    `${indent(depth + 1)}worker->backward = !worker->backward;`,
    `${pad}}`,
    `${pad}worker->backward = 0;`,
  ];
  return [`${pad}${head}`, ...test, ...inner(step.steps), ...(step.alternates === true ? turning : [`${pad}}`])];
}
