// Where the elements of weights come from: one weight at a time, when it is needed, so that a model need not lie in memory
// beside what is made of it.

import type { TensorType } from '../ir/types.ts';
import type { TypedArray } from './arrays.ts';
import type { StateStore } from './state.ts';

export interface Weights {
  /** True where states that a function only reads become constants too; false where only its weights do. */
  readonly freezes: boolean;
  /** A weight's elements, row-major: as they lie in memory already, or read into the memory that is asked for. */
  elements(name: string, type: TensorType, memory: () => TypedArray): ArrayLike<number> | BigInt64Array;
  close(): void;
}

/** States as they are in a store, others and weights by their first values. */
export function weightsOfStates(
  variables: readonly { readonly name: string; initial(): ArrayLike<number> }[],
  state: StateStore | undefined,
  freezes = true,
): Weights {
  const byName = new Map(variables.map((variable) => [variable.name, variable]));
  return {
    freezes,
    elements: (name) => (state?.has(name) === true ? state.memory(name) : byName.get(name)!.initial()),
    close: () => {},
  };
}
