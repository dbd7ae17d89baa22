// The strategies that look at no results: every combination of some levels, and points drawn at random.

import { UserError } from '../ir/errors.ts';
import type { Dimension } from './space.ts';
import { drawsOf, randomPoint, type Strategy } from './strategy.ts';

/**
 * Every combination of `levels` values of each dimension: ends included, the middle for one level, all values where there are no more. Levels
 * may be given for each dimension by name, of which those that are not named have 3. The last dimension varies fastest.
 */
export function grid(levels: number | Readonly<Record<string, number>> = usualLevels): Strategy {
  for (const count of typeof levels === 'number' ? [levels] : Object.values(levels))
    if (!Number.isInteger(count) || count < 1)
      throw new UserError(`grid: a whole number of levels of at least 1 expected, ${count} given`);
  return {
    name: 'grid',
    description: `grid(${JSON.stringify(levels)})`,
    propose(space, earlier, count) {
      const unknown = typeof levels === 'number' ? [] : Object.keys(levels).filter((name) => !(name in space));
      if (unknown.length > 0)
        throw new UserError(
          `grid: levels of ${unknown} given, and the dimensions are ${Object.keys(space).join(', ')}`,
        );
      const units = Object.entries(space).map(([name, dimension]) =>
        levelsOf(dimension, typeof levels === 'number' ? levels : (levels[name] ?? usualLevels)),
      );
      const all = units.reduce((product, { length }) => product * length, 1);
      const first = earlier.length;
      return Array.from({ length: Math.max(0, Math.min(count, all - first)) }, (_, i) => combination(units, first + i));
    },
  };
}

const usualLevels = 3;

function levelsOf({ count }: Dimension, levels: number): readonly number[] {
  if (count <= levels) return Array.from({ length: count }, (_, i) => (i + 0.5) / count);
  return Array.from({ length: levels }, (_, i) => (levels === 1 ? 0.5 : i / (levels - 1)));
}

function combination(units: readonly (readonly number[])[], index: number): number[] {
  let rest = index;
  return units
    .toReversed()
    .map((levels) => {
      const unit = levels[rest % levels.length]!;
      rest = Math.floor(rest / levels.length);
      return unit;
    })
    .reverse();
}

/** Independent uniform points. J. Bergstra, Y. Bengio, JMLR 13 (2012): better than a grid where few dimensions matter. */
export function random(): Strategy {
  return {
    name: 'random',
    description: 'random()',
    propose: (space, earlier, count, seed) =>
      Array.from({ length: count }, (_, i) =>
        randomPoint(Object.values(space), drawsOf(seed, earlier.length + i, 'point')),
      ),
  };
}
