// A pass is a record: its name, one line for what it guarantees and one for what it needs, and Func → Func. A pipeline is
// a list of passes. A pass that changes nothing returns the function it was given.

import type { Func } from '../ir/graph.ts';
import { printFunc } from '../ir/text.ts';
import { verifyFunc } from '../ir/verify.ts';

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

export function runPasses(func: Func, passes: readonly Pass[], { verify = false, print }: PassOptions = {}): Func {
  let current = func;
  for (const pass of passes) {
    const next = pass.run(current);
    if (verify && next !== current) verifyFunc(next);
    if (next !== current) print?.(pass.name, printFunc(next));
    current = next;
  }
  return current;
}
