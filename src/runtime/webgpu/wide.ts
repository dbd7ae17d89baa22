// 64-bit integers at a function's border: callers give and take BigInt64Array as on other targets, the device has 32 bits.

import { UserError } from '../../ir/errors.ts';
import type { Func } from '../../ir/graph.ts';
import type { TensorType } from '../../ir/types.ts';
import type { TypedArray } from '../arrays.ts';
import { expectArray } from '../call-checks.ts';

export class WideInterface {
  readonly #inputs: ReadonlyMap<string, TensorType>;
  readonly #outputs: ReadonlySet<string>;

  constructor({ parameters, results }: Func) {
    const isWide = ({ value }: { readonly value: { readonly type: TensorType } }): boolean =>
      value.type.dtype === 'i64';
    this.#inputs = new Map(parameters.filter(isWide).map(({ name, value }) => [name, value.type]));
    this.#outputs = new Set(results.filter(isWide).map(({ name }) => name));
  }

  /** Inputs as the device takes them. Throws UserError for an element beyond 32 bits. */
  narrowed(inputs: Record<string, TypedArray>): Record<string, TypedArray> {
    if (this.#inputs.size === 0) return inputs;
    const entries = Object.entries(inputs).map(([name, array]) => {
      const type = this.#inputs.get(name);
      return [name, type === undefined ? array : narrow(name, type, array)] as const;
    });
    return Object.fromEntries(entries);
  }

  /** Results as callers take them. */
  widened(results: Record<string, TypedArray>): Record<string, TypedArray> {
    if (this.#outputs.size === 0) return results;
    const entries = Object.entries(results).map(([name, array]) => [
      name,
      this.#outputs.has(name) ? BigInt64Array.from(array as Int32Array, BigInt) : array,
    ]);
    return Object.fromEntries(entries);
  }
}

function narrow(name: string, type: TensorType, given: TypedArray): Int32Array {
  const array = expectArray('input', { name, type }, given) as BigInt64Array;
  return Int32Array.from(array, (element, at) => {
    const number = Number(element);
    if (number !== (number | 0))
      throw new UserError(
        `input ${JSON.stringify(name)}: integers of 32 bits expected on target webgpu, ${element} given at element ${at}`,
      );
    return number;
  });
}
