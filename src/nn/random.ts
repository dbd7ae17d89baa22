// Numbers for initializers: a stream of a counter-based generator, so that a seed gives the same weights everywhere.

import { UserError } from '../ir/errors.ts';
import { keyOf, philox4x32, unitInterval } from '../ir/philox.ts';

/** A stream of random numbers of one seed. */
export interface RandomStream {
  /** Uniform in [0, 1). */
  uniform(): number;
  /** Standard normal. */
  normal(): number;
}

export function randomStream(seed: number): RandomStream {
  const key = keyOf(seed);
  let block = 0;
  /** The second number of a block, until it is taken. */
  let second: number | null = null;
  const uniform = (): number => {
    if (second !== null) {
      const taken = second;
      second = null;
      return taken;
    }
    const [a, b, c, d] = philox4x32([block >>> 0, Math.floor(block / 2 ** 32), 0, 0], key);
    block++;
    second = unitInterval(c, d);
    return unitInterval(a, b);
  };
  // Box and Muller, Ann. Math. Statist. 29 (1958): 1 − u is never zero.
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}

let nextSeed = 1;

/** Sets the seed of the next layer made without one of its own; each layer takes the next number. */
export function setSeed(seed: number): void {
  nextSeed = checkedSeed(seed);
}

/** The seed given, or the next number. Throws UserError for a seed that is no whole number. */
export function seedOr(given: number | undefined): number {
  return given === undefined ? nextSeed++ : checkedSeed(given);
}

function checkedSeed(seed: number): number {
  if (!Number.isSafeInteger(seed)) throw new UserError(`a seed that is a whole number expected, ${seed} given`);
  return seed;
}
