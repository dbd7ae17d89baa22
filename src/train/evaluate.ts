// Evaluation over all examples, exactly: a compiled function has a fixed batch size, so it must answer with one value
// per example; the rows that only fill the last batch up are left out, and means are taken here in float64.

import { UserError } from '../ir/errors.ts';
import { paddedBatches } from './batches.ts';
import { checkValues, type Dataset, exampleCount, type ValueRules } from './dataset.ts';
import { type BatchFunction, callWith } from './model.ts';

export type Metrics = Readonly<Record<string, number>>;

export interface EvaluateOptions extends ValueRules {
  /** The batch size that the function was compiled for. */
  readonly batchSize: number;
}

/**
 * The mean of every output over all examples. Each output must have one value per example, `[batch]`: a loss that is
 * not yet averaged, or whether a prediction is right (bool counts as 0 and 1).
 */
export async function evaluate(run: BatchFunction, data: Dataset, options: EvaluateOptions): Promise<Metrics> {
  const count = exampleCount(data);
  checkValues(data, options);
  const sums = new Map<string, number>();
  for (const { batch, rows } of paddedBatches(data, options.batchSize)) {
    for (const [name, values] of Object.entries(await callWith(run, batch))) {
      checkPerExample(name, values.length, options.batchSize);
      let sum = sums.get(name) ?? 0;
      for (let row = 0; row < rows; row++) sum += values[row]!;
      sums.set(name, sum);
    }
  }
  return Object.fromEntries([...sums].map(([name, sum]) => [name, sum / count]));
}

/** The outputs for all examples in order, each as one array of `[examples, …]` elements. */
export async function predict(
  run: BatchFunction,
  data: Dataset,
  options: EvaluateOptions,
): Promise<Readonly<Record<string, Float64Array>>> {
  const count = exampleCount(data);
  checkValues(data, options);
  const collected = new Map<string, Float64Array>();
  let done = 0;
  for (const { batch, rows } of paddedBatches(data, options.batchSize)) {
    const outputs = await callWith(run, batch);
    for (const [name, values] of Object.entries(outputs)) {
      const width = values.length / options.batchSize;
      if (!Number.isInteger(width)) throw notPerExample(name, values.length, options.batchSize);
      const target = collected.get(name) ?? new Float64Array(count * width);
      target.set(values.subarray(0, rows * width), done * width);
      collected.set(name, target);
    }
    done += rows;
  }
  return Object.fromEntries(collected);
}

function checkPerExample(name: string, length: number, batchSize: number): void {
  if (length !== batchSize) throw notPerExample(name, length, batchSize);
}

function notPerExample(name: string, length: number, batchSize: number): UserError {
  return new UserError(
    `output '${name}' of the evaluation function has ${length} values for a batch of ${batchSize} examples; ` +
      'give one value per example (leave out the mean over the batch), so that a last batch which is not full ' +
      'can be averaged exactly',
  );
}
