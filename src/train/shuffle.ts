// The order of examples is a pure function of seed and epoch: nothing of a generator has to be saved, and an
// interrupted epoch goes on exactly where it stopped, on any platform.

import { keyOf, philox4x32, unitInterval } from '../ir/philox.ts';

/** What a permutation is for; each purpose draws from a stream of its own. */
export type Purpose = 'epoch' | 'split';

const streams: Readonly<Record<Purpose, number>> = { epoch: 0x65706f63, split: 0x73706c69 };

/** A permutation of 0 … count − 1 (Fisher and Yates; Knuth, TAOCP 3.4.2, algorithm P). */
export function permutation(count: number, seed: number, purpose: Purpose, epoch: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, position) => position);
  const key = keyOf(seed);
  for (let last = count - 1; last > 0; last--) {
    const [high, low] = philox4x32([last, epoch, streams[purpose], 0], key);
    const chosen = Math.floor(unitInterval(high, low) * (last + 1));
    const moved = order[last]!;
    order[last] = order[chosen]!;
    order[chosen] = moved;
  }
  return order;
}

/** The examples in the order in which they stand. */
export function identity(count: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, position) => position);
}
