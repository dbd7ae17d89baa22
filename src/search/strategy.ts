// What proposes trials. A strategy works in rounds: the trials of a round are proposed at once, from the results of all earlier
// rounds and the seed alone. So the same seed gives the same trials, however many of them run at a time and whichever ends first.

import { keyOf, philox4x32, unitInterval } from '../ir/philox.ts';
import type { Dimension, Parameters, Point, Space } from './space.ts';

/** A trial that has ended. */
export interface Trial<P = Parameters> {
  /** Counted from 0, in the order in which trials are proposed. */
  readonly index: number;
  readonly parameters: P;
  /** What the objective gave, to be least; null where the trial failed. */
  readonly value: number | null;
  readonly seconds: number;
  /** Why it failed. */
  readonly failure?: string;
}

/** A trial as strategies see it. */
export interface Evaluated {
  readonly point: Point;
  readonly value: number | null;
}

export interface Strategy {
  readonly name: string;
  /** Everything that decides what it proposes, for files that are resumed. */
  readonly description: string;
  /** The points of the next round after `earlier`, at most `count`; none where the strategy has no more. */
  propose(space: Space, earlier: readonly Evaluated[], count: number, seed: number): readonly Point[];
}

/** A stream of random numbers for one trial: what other trials draw does not move it. */
export interface Draws {
  /** Uniform in [0, 1). */
  uniform(): number;
  /** Standard normal. */
  normal(): number;
}

/** What the numbers of a trial are for; each purpose draws from a stream of its own. */
export type Purpose = 'point' | 'candidates';

const streams: Readonly<Record<Purpose, number>> = { point: 0x706f696e, candidates: 0x63616e64 };

export function drawsOf(seed: number, trial: number, purpose: Purpose): Draws {
  const key = keyOf(seed);
  let count = 0;
  const uniform = (): number => {
    const [high, low] = philox4x32([count++, trial, streams[purpose], 1], key);
    return unitInterval(high, low);
  };
  // Box and Muller, Ann. Math. Statist. 29 (1958): 1 − u is never zero.
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}

export const randomPoint = (dimensions: readonly Dimension[], { uniform }: Draws): Point =>
  dimensions.map(() => uniform());
