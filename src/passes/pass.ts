// A pass is a record: its name, one line for what it guarantees and one for what it needs, and Func → Func. A pipeline is
// a list of passes. A pass that changes nothing returns the function it was given.

import type { Func } from '../ir/graph.ts';
import { printFunc } from '../ir/text.ts';
import { verifyFunc } from '../ir/verify.ts';
import { mapNested, nests } from './rewrite.ts';

export interface Pass {
  readonly name: string;
  readonly guarantees: string;
  readonly needs: string;
  run(func: Func): Func;
}

export interface PassOptions {
  /** Checks the function after every pass. Throws InternalError. */
  readonly verify?: boolean;
  /** Receives the function in text form after every pass that changed it. */
  readonly print?: (stage: string, text: string) => void;
}

/** Runs passes in order, each on nested functions before the function that has them. */
export function runPasses(func: Func, passes: readonly Pass[], { verify = false, print }: PassOptions = {}): Func {
  let current = func;
  for (const pass of passes) {
    const next = runNested(pass, current, new Map());
    if (verify && next !== current) verifyFunc(next);
    if (next !== current) print?.(pass.name, printFunc(next));
    current = next;
  }
  return current;
}

/** `done` has what became of each function: one that several nodes share stays shared. */
function runNested(pass: Pass, func: Func, done: Map<Func, Func>): Func {
  const known = done.get(func);
  if (known !== undefined) return known;
  const result = pass.run(nests(func) ? mapNested(func, (nested) => runNested(pass, nested, done)) : func);
  done.set(func, result);
  return result;
}
