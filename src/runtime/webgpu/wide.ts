// 64-bit numbers at a function's border: callers give and take arrays of them as on other targets, the device has 32 bits.

import { UserError } from '../../ir/errors.ts';
import type { Func } from '../../ir/graph.ts';
import type { TensorType } from '../../ir/types.ts';
import { allocate, type TypedArray } from '../arrays.ts';
import { expectArray } from '../call-checks.ts';
import type { CallOptions } from '../definition.ts';

type Named = Readonly<Record<string, TypedArray>>;

export class WideInterface {
  readonly #inputs: ReadonlyMap<string, TensorType>;
  readonly #outputs: ReadonlyMap<string, TensorType>;

  constructor({ parameters, results }: Func) {
    const isWide = ({ value }: { readonly value: { readonly type: TensorType } }): boolean =>
      value.type.dtype === 'i64' || value.type.dtype === 'f64';
    this.#inputs = new Map(parameters.filter(isWide).map(({ name, value }) => [name, value.type]));
    this.#outputs = new Map(results.filter(isWide).map(({ name, value }) => [name, value.type]));
  }

  /** Inputs as the device takes them. Throws UserError for an element beyond 32 bits. */
  narrowed(inputs: Named): Named {
    if (this.#inputs.size === 0) return inputs;
    const entries = Object.entries(inputs).map(([name, array]) => {
      const type = this.#inputs.get(name);
      return [name, type === undefined ? array : narrow(name, type, array)] as const;
    });
    return Object.fromEntries(entries);
  }

  /** Options without the caller's arrays of 64-bit numbers. Throws UserError for one of another type or length. */
  narrowedOptions(options: CallOptions<Named, string>): CallOptions<Named, string> {
    const into = arraysIn(options);
    if (this.#outputs.size === 0 || into === null) return options;
    const kept = Object.entries(into).filter(([name, array]) => {
      const type = this.#outputs.get(name);
      if (type !== undefined) expectArray('output', { name, type }, array);
      return type === undefined;
    });
    return { outputs: Object.fromEntries(kept) };
  }

  /** Results as callers take them, in the arrays that they gave. */
  widened(results: Named, options: CallOptions<Named, string>): Named {
    if (this.#outputs.size === 0) return results;
    const into = arraysIn(options);
    const entries = Object.entries(results).map(([name, array]) => {
      const type = this.#outputs.get(name);
      return [name, type === undefined ? array : widen(array, into?.[name] ?? allocate(type))] as const;
    });
    return Object.fromEntries(entries);
  }
}

/** The arrays that a caller gave for outputs; null where outputs are named or all wanted. */
function arraysIn({ outputs }: CallOptions<Named, string>): Partial<Named> | null {
  return outputs === undefined || Array.isArray(outputs) ? null : (outputs as Partial<Named>);
}

function widen(from: TypedArray, into: TypedArray): TypedArray {
  if (into instanceof BigInt64Array) for (let i = 0; i < from.length; i++) into[i] = BigInt(from[i]!);
  else into.set(from as Float32Array);
  return into;
}

function narrow(name: string, type: TensorType, given: TypedArray): TypedArray {
  const array = expectArray('input', { name, type }, given);
  if (array instanceof Float64Array) return Float32Array.from(array);
  return Int32Array.from(array as BigInt64Array, (element, at) => {
    const number = Number(element);
    if (number !== (number | 0))
      throw new UserError(
        `input ${JSON.stringify(name)}: integers of 32 bits expected on target webgpu, ${element} given at element ${at}`,
      );
    return number;
  });
}
