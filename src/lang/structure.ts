// Tensors as people hold them together: one, several in a list, several by names, or none.

import type { AnyTensor } from './tensor.ts';
import { Tensor } from './tensor.ts';

/** A tensor, a list of tensors, or tensors by names; null for none at all. */
export type Structure = AnyTensor | null | readonly AnyTensor[] | Readonly<Record<string, AnyTensor>>;

export interface Leaves {
  readonly tensors: readonly AnyTensor[];
  /** What each is called in messages: `carry`, `carry.h` or `carry.0`. */
  readonly names: readonly string[];
  /** Other tensors, as many, held together in the same way. */
  readonly join: (tensors: readonly AnyTensor[]) => Structure;
}

/** What a structure holds. `refuse` throws the error for something else than tensors, which it gets in words. */
export function leavesOf(what: string, given: unknown, refuse: (problem: string) => never): Leaves {
  if (given === null || given === undefined) return { tensors: [], names: [], join: () => null };
  if (given instanceof Tensor) return { tensors: [given], names: [what], join: ([tensor]) => tensor! };
  if (typeof given !== 'object')
    return refuse(`${what} must be a tensor, a list or a record of tensors, or null; ${typeof given} given`);
  const entries = Object.entries<unknown>(given as Record<string, unknown>);
  const other = entries.find(([, tensor]) => !(tensor instanceof Tensor));
  if (other !== undefined) return refuse(`${what}.${other[0]} must be a tensor, ${typeof other[1]} given`);
  return {
    tensors: entries.map(([, tensor]) => tensor as AnyTensor),
    names: entries.map(([name]) => `${what}.${name}`),
    join: (tensors) =>
      Array.isArray(given) ? tensors : Object.fromEntries(entries.map(([name], i) => [name, tensors[i]!])),
  };
}
