// Where the elements of weights come from: one weight at a time, when it is needed, so that a model need not lie in memory
// beside what is made of it.

import type { FileArray } from '../io/array.ts';
import { UserError } from '../ir/errors.ts';
import { formatType, sameType, type TensorType } from '../ir/types.ts';
import type { TypedArray } from './arrays.ts';
import type { StateStore } from './state.ts';

/** Tensors by name, as `io.readSafetensors(bytes).tensors` gives them. */
export type WeightTensors = ReadonlyMap<string, FileArray>;

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

/** Tensors that are in memory. Throws UserError where one is missing or of another type. */
export function weightsOfTensors(tensors: WeightTensors): Weights {
  return {
    freezes: true,
    elements(name, type) {
      const tensor = expectWeight('weights', name, type, tensors.get(name));
      return tensor.data as ArrayLike<number>;
    },
    close: () => {},
  };
}

/** The tensor that a weight has in a file or a map. Throws UserError where there is none, or one of another type. */
export function expectWeight<Found extends Pick<FileArray, 'dtype' | 'shape'>>(
  origin: string,
  name: string,
  type: TensorType,
  found: Found | undefined,
): Found {
  const wanted = `${JSON.stringify(name)}: ${formatType(type)}`;
  if (found === undefined) throw new UserError(`${origin} has no tensor ${wanted} expected`);
  const { dtype, shape } = found;
  if (dtype !== type.dtype || !sameType(type, { dtype: type.dtype, shape }))
    throw new UserError(`${origin}: tensor ${wanted} expected, ${dtype}[${shape}] found`);
  return found;
}
