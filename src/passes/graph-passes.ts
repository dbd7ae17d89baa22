// The standard list of graph passes, in order. Simplification runs again after the passes that make new chances for it.

import type { Func } from '../ir/graph.ts';
import { commonSubexpressions } from './cse.ts';
import { foldConstants } from './fold.ts';
import { widenHalves } from './halves.ts';
import { inlineCalls } from './inline.ts';
import { hoistLoops } from './nested/hoist.ts';
import { knownLoops } from './nested/known.ts';
import { mergeScans } from './nested/merge.ts';
import { mergeConds } from './nested/merge-conds.ts';
import { trimLoops } from './nested/trim.ts';
import { type Pass, type PassOptions, runPasses } from './pass.ts';
import { convolutionPhases } from './phases.ts';
import { simplify } from './simplify.ts';
import { stabilize } from './stable.ts';

export const graphPasses: readonly Pass[] = [
  inlineCalls,
  widenHalves,
  commonSubexpressions,
  mergeScans,
  mergeConds,
  knownLoops,
  trimLoops,
  commonSubexpressions,
  simplify,
  foldConstants,
  stabilize,
  trimLoops,
  hoistLoops,
  simplify,
  foldConstants,
  convolutionPhases,
  simplify,
  commonSubexpressions,
  knownLoops,
  trimLoops,
];

export interface OptimizeOptions extends PassOptions {
  /** False: convolutions over spread images stay whole, for a machine whose kernels have phases themselves. Default true. */
  readonly splitsPhases?: boolean;
}

/** Runs the standard passes. The result computes the same values. */
export function optimize(func: Func, { splitsPhases = true, ...options }: OptimizeOptions = {}): Func {
  const passes = graphPasses.filter((pass) => splitsPhases || pass !== convolutionPhases);
  return runPasses(func, passes, options);
}
