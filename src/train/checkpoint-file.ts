// A checkpoint is one safetensors file: the state under its own names, so that any reader of safetensors finds the
// weights; the best weights under `best/`; and in its metadata the loop's position and a checksum over everything.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import type { FileElements } from '../io/array.ts';
import { readSafetensors, type SafeTensor, writeSafetensors } from '../io/safetensors.ts';
import { writeAside } from '../io/write-aside.ts';
import { UserError } from '../ir/errors.ts';
import type { Checkpoint, CheckpointStore } from './fit.ts';
import type { TensorData } from './model.ts';
import { parsePosition, printPosition } from './position.ts';
import type { Snapshot, StateTensor } from './snapshot.ts';

const bestPrefix = 'best/';
const positionKey = 'ashlar.position';
const checksumKey = 'ashlar.sha256';

/** Keeps checkpoints in one file, replaced whole by each new one. */
export function checkpointFile(path: string): CheckpointStore {
  const name = `the checkpoint ${path}`;
  return {
    name,
    read: () =>
      existsSync(path)
        ? decode(
            attempt(`${name} cannot be read`, () => readFileSync(path)),
            name,
          )
        : null,
    write: (checkpoint) => attempt(`${name} cannot be written`, () => writeAside(path, encode(checkpoint))),
  };
}

function encode({ position, state, best }: Checkpoint): Uint8Array {
  const tensors = [...entriesOf(state, ''), ...entriesOf(best ?? {}, bestPrefix)];
  const text = printPosition(position);
  return writeSafetensors(tensors, { [positionKey]: text, [checksumKey]: checksum(tensors, text) });
}

function entriesOf(snapshot: Snapshot, prefix: string): [string, SafeTensor][] {
  return Object.entries(snapshot).map(([name, { type, data }]) => [`${prefix}${name}`, { ...type, data }]);
}

function decode(bytes: Uint8Array, name: string): Checkpoint {
  const { tensors, metadata } = readSafetensors(bytes, name);
  const text = metadata[positionKey];
  if (text === undefined) throw new UserError(`${name} holds tensors but no training position; was it written by fit?`);
  if (metadata[checksumKey] !== checksum([...tensors], text)) {
    throw new UserError(
      `${name} is damaged: its checksum is not that of its content; restore an older copy or train anew`,
    );
  }
  const position = attempt(`${name} holds a training position that cannot be read`, () => parsePosition(text));
  const entries = [...tensors].map(([key, tensor]) => [key, stateTensor(key, tensor, name)] as const);
  const best = entries.filter(([key]) => key.startsWith(bestPrefix));
  return {
    position,
    state: Object.fromEntries(entries.filter(([key]) => !key.startsWith(bestPrefix))),
    best: best.length === 0 ? null : Object.fromEntries(best.map(([key, t]) => [key.slice(bestPrefix.length), t])),
  };
}

/** Over names, types, elements and the position: whatever changes, this changes. */
function checksum(tensors: readonly (readonly [string, SafeTensor])[], position: string): string {
  const hash = createHash('sha256').update(position);
  for (const [name, { dtype, shape, data }] of tensors) {
    hash.update(JSON.stringify([name, dtype, shape]));
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}

function stateTensor(key: string, { dtype, shape, data }: SafeTensor, name: string): StateTensor {
  if (!isTensorData(data) || dtype === 'i16' || dtype === 'u16' || dtype === 'u64') {
    throw new UserError(`${name}: '${key}' is ${dtype}, which no state of a training step is`);
  }
  return { type: { dtype, shape }, data };
}

function isTensorData(data: FileElements): data is TensorData & FileElements {
  return (
    data instanceof Float32Array ||
    data instanceof Float64Array ||
    data instanceof Int32Array ||
    data instanceof Uint32Array ||
    data instanceof Int8Array ||
    data instanceof Uint8Array
  );
}

function attempt<Result>(failure: string, action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    throw new UserError(`${failure}: ${error instanceof Error ? error.message : error}`);
  }
}
