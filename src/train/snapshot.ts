// A copy of a program's whole state by name: the best weights of early stopping, and what a checkpoint holds.

import { LimitationError, UserError } from '../ir/errors.ts';
import { type DType, formatType, sameType, type TensorType } from '../ir/types.ts';
import type { StateAccess, TensorData } from './model.ts';

export interface StateTensor {
  readonly type: TensorType;
  readonly data: TensorData;
}

export type Snapshot = Readonly<Record<string, StateTensor>>;

export async function takeSnapshot(state: StateAccess): Promise<Snapshot> {
  const entries = state.names().map(async (name) => {
    const type = state.type(name);
    return [name, { type, data: elementsOf(type.dtype, name, await state.get(name)) }] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** Writes a snapshot back; an error, before anything is written, when names or types are not those of the state. */
export async function restoreSnapshot(state: StateAccess, snapshot: Snapshot, origin: string): Promise<void> {
  const names = state.names();
  const missing = names.filter((name) => snapshot[name] === undefined);
  const unknown = Object.keys(snapshot).filter((name) => !names.includes(name));
  if (missing.length + unknown.length > 0) {
    const parts = [
      ...(missing.length > 0 ? [`it lacks ${missing.join(', ')}`] : []),
      ...(unknown.length > 0 ? [`it has ${unknown.join(', ')}, which the training step does not know`] : []),
    ];
    throw new UserError(`${origin} belongs to another model or optimizer: ${parts.join('; ')}`);
  }
  for (const name of names) {
    const given = snapshot[name]!.type;
    const expected = state.type(name);
    if (!sameType(given, expected)) {
      const types = `${formatType(given)} there and ${formatType(expected)} in the training step`;
      throw new UserError(`${origin} belongs to another model: '${name}' is ${types}`);
    }
  }
  for (const name of names) await state.set(name, snapshot[name]!.data);
}

function elementsOf(dtype: DType, name: string, given: ArrayLike<number | bigint>): TensorData {
  const elements = given as ArrayLike<number>;
  switch (dtype) {
    case 'f32':
      return Float32Array.from(elements);
    case 'f64':
      return Float64Array.from(elements);
    case 'i32':
      return Int32Array.from(elements);
    case 'u32':
      return Uint32Array.from(elements);
    case 'i8':
      return Int8Array.from(elements);
    case 'u8':
    case 'bool':
      return Uint8Array.from(elements);
    case 'f16':
    case 'i64':
      throw new LimitationError(`state '${name}' is ${dtype}; checkpoints and early stopping do not hold that type`);
  }
}
