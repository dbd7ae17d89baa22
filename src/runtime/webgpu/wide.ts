// 64-bit integers at a function's border: callers give and take BigInt64Array as on other targets, the device has 32 bits.

import { UserError } from '../../ir/errors.ts';
import type { Func } from '../../ir/graph.ts';
import type { TensorType } from '../../ir/types.ts';
import type { TypedArray } from '../arrays.ts';
import { expectArray } from '../call-checks.ts';
import type { CallOptions } from '../definition.ts';

type Named = Readonly<Record<string, TypedArray>>;

export class WideInterface {
  readonly #inputs: ReadonlyMap<string, TensorType>;
  readonly #outputs: ReadonlyMap<string, TensorType>;

  constructor({ parameters, results }: Func) {
    const isWide = ({ value }: { readonly value: { readonly type: TensorType } }): boolean =>
      value.type.dtype === 'i64';
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

  /** Options without the caller's arrays of 64-bit integers. Throws UserError for one of another type or length. */
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
      if (!this.#outputs.has(name)) return [name, array] as const;
      const target = (into?.[name] as BigInt64Array | undefined) ?? new BigInt64Array(array.length);
      array.forEach((element, i) => {
        target[i] = BigInt(element);
      });
      return [name, target] as const;
    });
    return Object.fromEntries(entries);
  }
}

/** The arrays that a caller gave for outputs; null where outputs are named or all wanted. */
function arraysIn({ outputs }: CallOptions<Named, string>): Partial<Named> | null {
  return outputs === undefined || Array.isArray(outputs) ? null : (outputs as Partial<Named>);
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
