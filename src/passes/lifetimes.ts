// When memory is needed: every kernel has a position, and a loop one where it begins and one where it ends, since what is
// made before a loop and read in it, or made in it and read after it, is needed for all of it.

import type { Buffer } from '../ir/kernel.ts';
import { isBranch, isLoop } from '../ir/steps.ts';
import type { KernelStep, LoweredStep } from './lowered.ts';
import { touchesOf } from './merge-copies.ts';

export interface Life {
  first: number;
  last: number;
}

export interface Lifetimes {
  /** By buffer in the order of first use. */
  readonly lives: ReadonlyMap<Buffer, Life>;
  readonly positions: ReadonlyMap<KernelStep, number>;
}

export function lifetimesOf(steps: readonly LoweredStep[]): Lifetimes {
  const total = new Map<Buffer, number>();
  for (const { buffer } of touchesOf(steps)) total.set(buffer, (total.get(buffer) ?? 0) + 1);
  const lives = new Map<Buffer, Life>();
  const positions = new Map<KernelStep, number>();
  let position = 0;
  const touch = (buffer: Buffer, first: number, last = first): void => {
    const life = lives.get(buffer);
    if (life === undefined) lives.set(buffer, { first, last });
    else Object.assign(life, { first: Math.min(life.first, first), last: Math.max(life.last, last) });
  };
  const visit = (list: readonly LoweredStep[]): void => {
    for (const step of list) {
      const begin = position++;
      if (isBranch(step)) {
        touch(step.predicate, begin);
        visit(step.then);
        visit(step.otherwise);
      } else if (isLoop(step)) {
        if (step.condition !== null) {
          visit(step.condition.steps);
          touch(step.condition.predicate, position++);
        }
        visit(step.steps);
        crossing(step, begin, position++);
      } else {
        positions.set(step, begin);
        for (const { buffer } of step.kernel.parameters) touch(buffer, begin);
      }
    }
  };
  /** What is touched in a loop and outside of it. */
  const crossing = (loop: LoweredStep, begin: number, end: number): void => {
    const inside = new Map<Buffer, number>();
    for (const { buffer } of touchesOf([loop])) inside.set(buffer, (inside.get(buffer) ?? 0) + 1);
    for (const [buffer, count] of inside) if (count < total.get(buffer)!) touch(buffer, begin, end);
  };
  visit(steps);
  return { lives, positions };
}
