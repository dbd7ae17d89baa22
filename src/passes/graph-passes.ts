// The standard list of graph passes, in order. Simplification runs again after the passes that make new chances for it.

import type { Func } from '../ir/graph.ts';
import { commonSubexpressions } from './cse.ts';
import { foldConstants } from './fold.ts';
import { inlineCalls } from './inline.ts';
import { type Pass, type PassOptions, runPasses } from './pass.ts';
import { convolutionPhases } from './phases.ts';
import { simplify } from './simplify.ts';
import { stabilize } from './stable.ts';

export const graphPasses: readonly Pass[] = [
  inlineCalls,
  commonSubexpressions,
  simplify,
  foldConstants,
  stabilize,
  simplify,
  foldConstants,
  convolutionPhases,
  simplify,
  commonSubexpressions,
];

/** Runs the standard passes. The result computes the same values. */
export function optimize(func: Func, options: PassOptions = {}): Func {
  return runPasses(func, graphPasses, options);
}
