// Batches of a fixed size, as a compiled function needs them. Training drops the examples that do not fill the last
// batch of an epoch (another shuffle brings them in); evaluation fills the last batch up and says how many rows count.

import { UserError } from '../ir/errors.ts';
import { copyExamples, type Dataset, emptyLike, exampleCount } from './dataset.ts';
import type { Batch, TensorData } from './model.ts';
import { identity, permutation } from './shuffle.ts';

export interface BatchOptions {
  readonly batchSize: number;
  /** Shuffles by this seed and the epoch; without it, examples come in their order. */
  readonly seed?: number | undefined;
  readonly epoch?: number | undefined;
  /** The first batch to give, counted from 0. */
  readonly from?: number | undefined;
}

/** How many full batches an epoch has. */
export function batchCount(examples: number, batchSize: number): number {
  checkBatchSize(batchSize);
  if (batchSize > examples) {
    throw new UserError(`a batch of ${batchSize} is larger than the ${examples} examples there are to train on`);
  }
  return Math.floor(examples / batchSize);
}

/** The full batches of one epoch. The arrays of a batch are reused by the next one. */
export function* batches(dataset: Dataset, options: BatchOptions): Generator<Batch> {
  const { batchSize, seed, epoch = 0, from = 0 } = options;
  const count = exampleCount(dataset);
  const total = batchCount(count, batchSize);
  const order = seed === undefined ? identity(count) : permutation(count, seed, 'epoch', epoch);
  const batch = emptyBatch(dataset, batchSize);
  for (let index = from; index < total; index++) {
    for (const [name, array] of Object.entries(dataset)) {
      copyExamples(array, order, index * batchSize, batchSize, batch[name]!);
    }
    yield batch;
  }
}

/** Every example in order; the last batch is filled up by repeating its last example. `rows` is how many are real. */
export function* paddedBatches(
  dataset: Dataset,
  batchSize: number,
): Generator<{ readonly batch: Batch; readonly rows: number }> {
  checkBatchSize(batchSize);
  const count = exampleCount(dataset);
  const batch = emptyBatch(dataset, batchSize);
  for (let start = 0; start < count; start += batchSize) {
    const order = Uint32Array.from({ length: batchSize }, (_, row) => Math.min(start + row, count - 1));
    for (const [name, array] of Object.entries(dataset)) copyExamples(array, order, 0, batchSize, batch[name]!);
    yield { batch, rows: Math.min(batchSize, count - start) };
  }
}

function emptyBatch(dataset: Dataset, batchSize: number): Record<string, TensorData> {
  return Object.fromEntries(Object.entries(dataset).map(([name, array]) => [name, emptyLike(array, batchSize)]));
}

function checkBatchSize(batchSize: number): void {
  if (!Number.isInteger(batchSize) || batchSize < 1) {
    throw new UserError(`a batch size is a whole number of at least 1, not ${batchSize}`);
  }
}
