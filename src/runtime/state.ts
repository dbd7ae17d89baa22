// Named persistent state: parameters, optimizer slots, running statistics. Compiled functions share a store, so a
// training step and an evaluation see the same weights without copies.

import type { ArrayOf, DType, TensorType } from '../ir/types.ts';
import { arrayFrom, type TypedArray } from './arrays.ts';
import { expectSameState, expectState, expectStateElements } from './call-checks.ts';

interface Entry {
  readonly type: TensorType;
  readonly data: TypedArray;
}

/** The states of compiled functions by name, wherever they lie: on a device what they hold is answered later. */
export interface AnyStateStore {
  /** The names in order of first declaration. */
  names(): string[];
  has(name: string): boolean;
  type(name: string): TensorType;
  /** A copy of the state, row-major, by its variable or by name. Throws UserError for an unknown name. */
  get<D extends DType>(variable: { readonly name: string; readonly dtype: D }): ArrayOf[D] | Promise<ArrayOf[D]>;
  get(name: string): TypedArray | Promise<TypedArray>;
  /** Overwrites a state. Throws UserError for an unknown name, another array type or another length. */
  set(key: string | { readonly name: string }, value: TypedArray | readonly number[]): void;
}

/** States in this process's memory. */
export class StateStore implements AnyStateStore {
  readonly #entries = new Map<string, Entry>();

  /** A new store with what another one holds now, such as the states of a device for `exportC`. */
  static async copyOf(other: AnyStateStore): Promise<StateStore> {
    const store = new StateStore();
    const values = await Promise.all(other.names().map(async (name) => [name, await other.get(name)] as const));
    for (const [name, data] of values) store.#entries.set(name, { type: other.type(name), data });
    return store;
  }

  /** The names in order of first declaration. */
  names(): string[] {
    return [...this.#entries.keys()];
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  #entry(name: string): Entry {
    return expectState(this.#entries, name);
  }

  type(name: string): TensorType {
    return this.#entry(name).type;
  }

  /** A copy of the state, row-major, by its variable or by name. Throws UserError for an unknown name. */
  get<D extends DType>(variable: { readonly name: string; readonly dtype: D }): ArrayOf[D];
  get(name: string): TypedArray;
  get(key: string | { readonly name: string }): TypedArray {
    return this.#entry(typeof key === 'string' ? key : key.name).data.slice();
  }

  /** Overwrites a state. Throws UserError for an unknown name, another array type or another length. */
  set(key: string | { readonly name: string }, value: TypedArray | readonly number[]): void {
    const name = typeof key === 'string' ? key : key.name;
    const { type, data } = this.#entry(name);
    data.set(expectStateElements(name, type, value) as never);
  }

  /** Adds a state, or checks that the one of this name has the same type. */
  declare(name: string, type: TensorType, initial: () => ArrayLike<number>): void {
    const known = this.#entries.get(name);
    if (known === undefined) {
      this.#entries.set(name, { type, data: arrayFrom(type, initial()) });
      return;
    }
    expectSameState(name, known.type, type);
  }

  /** The memory that kernels read and write. */
  memory(name: string): TypedArray {
    return this.#entry(name).data;
  }
}
