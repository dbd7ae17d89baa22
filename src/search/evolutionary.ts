// Evolution: the best points found so far are parents; a child takes each coordinate from one of two of them, and some change.
// (μ + λ) selection with uniform crossover: A. E. Eiben, J. E. Smith, Introduction to Evolutionary Computing, chapters 4 and 5.

import { UserError } from '../ir/errors.ts';
import type { Dimension, Point } from './space.ts';
import { type Draws, drawsOf, type Evaluated, randomPoint, type Strategy } from './strategy.ts';

export interface EvolutionaryOptions {
  /** Children of a round, and random points of the first. Default 8. */
  readonly children?: number;
  /** The best of all trials so far, from which children come. Default 4. */
  readonly parents?: number;
  /** The probability that a coordinate changes. Default one over the dimensions, at least 0.25. */
  readonly mutation?: number;
  /** The deviation of a change along an ordered dimension, whose length is 1. Default 0.15. */
  readonly spread?: number;
}

export function evolutionary(options: EvolutionaryOptions = {}): Strategy {
  const { children = 8, parents = 4, mutation, spread = 0.15 } = options;
  if (!(Number.isInteger(children) && Number.isInteger(parents) && children >= 1 && parents >= 1))
    throw new UserError(
      `evolutionary: whole numbers of children and parents expected, ${children} and ${parents} given`,
    );
  if (!(spread > 0) || !(mutation === undefined || (mutation >= 0 && mutation <= 1)))
    throw new UserError(
      `evolutionary: a spread above 0 and a mutation from 0 to 1 expected, ${spread} and ${mutation} given`,
    );
  return {
    name: 'evolutionary',
    description: `evolutionary(${JSON.stringify({ children, parents, mutation, spread })})`,
    propose(space, earlier, count, seed) {
      const dimensions = Object.values(space);
      const best = fittest(earlier, parents);
      const rate = mutation ?? Math.max(0.25, 1 / dimensions.length);
      return Array.from({ length: Math.min(count, children) }, (_, i) => {
        const draws = drawsOf(seed, earlier.length + i, 'point');
        if (best.length < 2) return randomPoint(dimensions, draws);
        return mutated(crossed(best, draws), dimensions, { rate, spread }, draws);
      });
    },
  };
}

/** The points of the best trials; the earlier of two that are as good. */
function fittest(earlier: readonly Evaluated[], count: number): Point[] {
  return earlier
    .filter((trial): trial is Evaluated & { value: number } => trial.value !== null)
    .toSorted((a, b) => a.value - b.value)
    .slice(0, count)
    .map(({ point }) => point);
}

const pick = (count: number, { uniform }: Draws): number => Math.floor(uniform() * count);

function crossed(parents: readonly Point[], draws: Draws): Point {
  const mother = pick(parents.length, draws);
  const father = (mother + 1 + pick(parents.length - 1, draws)) % parents.length;
  return parents[mother]!.map((unit, i) => (draws.uniform() < 0.5 ? unit : parents[father]![i]!));
}

function mutated(
  point: Point,
  dimensions: readonly Dimension[],
  { rate, spread }: { readonly rate: number; readonly spread: number },
  draws: Draws,
): Point {
  return point.map((unit, i) => {
    if (draws.uniform() >= rate) return unit;
    if (!dimensions[i]!.ordered) return draws.uniform();
    return reflected(unit + spread * draws.normal());
  });
}

/** Back into [0, 1] as from mirrors at both ends, so that the ends are no likelier than the rest. */
function reflected(unit: number): number {
  const folded = Math.abs(unit) % 2;
  return folded > 1 ? 2 - folded : folded;
}
