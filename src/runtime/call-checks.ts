// What every runtime asks of the arrays of a call before it runs anything.

import { UserError } from '../ir/errors.ts';
import type { RangeCheck } from '../ir/program.ts';
import { formatType, sameType, sizeOf, type TensorType } from '../ir/types.ts';
import { arrayConstructor, arrayFrom, type TypedArray } from './arrays.ts';

/** Throws UserError for a name that is none of those that the function has. */
export function expectKnown(kind: string, given: Iterable<string>, names: ReadonlySet<string>): void {
  for (const name of given)
    if (!names.has(name))
      throw new UserError(
        `${kind} ${JSON.stringify(name)} does not exist; the function has ${[...names].join(', ') || 'none'}`,
      );
}

/** Runtimes that have arrays of f16 may give them; their bits are what is kept. */
function isFloat16Array(array: object): boolean {
  return array.constructor.name === 'Float16Array';
}

/** The array itself. Throws UserError where it is missing, of another kind or of another length than the type says. */
export function expectArray(
  kind: string,
  { name, type }: { readonly name: string; readonly type: TensorType },
  array: TypedArray | undefined,
): TypedArray {
  const expected = arrayConstructor(type.dtype);
  if (array === undefined)
    throw new UserError(
      `${kind} ${JSON.stringify(name)} is missing: ${formatType(type)}, a ${expected.name} of ${sizeOf(type.shape)}`,
    );
  if (type.dtype === 'f16' && isFloat16Array(array))
    return expectArray(kind, { name, type }, new Uint16Array(array.buffer, array.byteOffset, array.length));
  if (!(array instanceof expected)) {
    const given = (array as object)?.constructor?.name ?? typeof array;
    throw new UserError(
      `${kind} ${JSON.stringify(name)} is ${formatType(type)}: a ${expected.name} expected, ${given} given`,
    );
  }
  if (array.length !== sizeOf(type.shape)) {
    throw new UserError(
      `${kind} ${JSON.stringify(name)} is ${formatType(type)}: ${sizeOf(type.shape)} elements expected, ${array.length} given`,
    );
  }
  return array;
}

/** Throws UserError for an integer input with an element out of its range. */
export function expectRange(array: TypedArray, { input, lower, upper, reason }: RangeCheck): void {
  for (let i = 0; i < array.length; i++) {
    const value = array[i]!;
    if (value < lower || value > upper) {
      throw new UserError(
        `input ${JSON.stringify(input)}: indices from ${lower} to ${upper} expected, ${value} given at element ${i} (read by ${reason})`,
      );
    }
  }
}

/** What a store has under a name. Throws UserError where it has nothing. */
export function expectState<Entry>(entries: ReadonlyMap<string, Entry>, name: string): Entry {
  const entry = entries.get(name);
  if (entry === undefined)
    throw new UserError(
      `state ${JSON.stringify(name)} does not exist; there are ${[...entries.keys()].join(', ') || 'none'}`,
    );
  return entry;
}

/** New elements of a state in the array of its type. Throws UserError for another length or another array type. */
export function expectStateElements(name: string, type: TensorType, value: TypedArray | readonly number[]): TypedArray {
  if (value.length !== sizeOf(type.shape))
    throw new UserError(
      `state ${JSON.stringify(name)} is ${formatType(type)}: ${sizeOf(type.shape)} elements expected, ${value.length} given`,
    );
  return ArrayBuffer.isView(value) ? expectArray('state', { name, type }, value) : arrayFrom(type, value);
}

/** Throws UserError where a function declares a shared state of another type than it has. */
export function expectSameState(name: string, shared: TensorType, declared: TensorType): void {
  if (!sameType(shared, declared))
    throw new UserError(
      `state ${JSON.stringify(name)} is shared as ${formatType(shared)}, this function declares ${formatType(declared)}`,
    );
}
