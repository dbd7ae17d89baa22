// Where a training run is: everything but the weights that decides how it goes on. It is plain data, written into
// checkpoints as JSON; shortest-form decimal numbers keep every bit of a float64 (ECMA-262, 6.1.6.1.20).

import type { Best } from './early-stopping.ts';
import type { Metrics } from './evaluate.ts';

/** What an epoch came to. */
export interface EpochRecord {
  /** Counted from 1. */
  readonly epoch: number;
  /** Training steps taken since the beginning. */
  readonly step: number;
  readonly seconds: number;
  /** The mean of each scalar output of the training step over the epoch's batches. */
  readonly training: Metrics;
  readonly validation: Metrics | null;
}

export interface LoopPosition {
  /** Decide the order of examples; a run can only be resumed with the same. */
  readonly seed: number;
  readonly batchSize: number;
  readonly examples: number;
  /** The epoch that is under way, counted from 0, and the next batch in it. */
  readonly epoch: number;
  readonly batch: number;
  readonly step: number;
  /** Sums of the scalar outputs over the epoch so far. */
  readonly sums: Metrics;
  /** Time spent in this epoch so far. */
  readonly seconds: number;
  readonly best: Best | null;
  readonly history: readonly EpochRecord[];
}

export function startPosition(seed: number, batchSize: number, examples: number): LoopPosition {
  return { seed, batchSize, examples, epoch: 0, batch: 0, step: 0, sums: {}, seconds: 0, best: null, history: [] };
}

export function printPosition(position: LoopPosition): string {
  return JSON.stringify(position);
}

/** The position in JSON text; throws a plain Error that says what is wrong with it. */
export function parsePosition(text: string): LoopPosition {
  const parsed: unknown = JSON.parse(text);
  if (!isRecord(parsed)) throw new Error('the position is not an object');
  return {
    seed: numberAt(parsed, 'seed'),
    batchSize: numberAt(parsed, 'batchSize'),
    examples: numberAt(parsed, 'examples'),
    epoch: numberAt(parsed, 'epoch'),
    batch: numberAt(parsed, 'batch'),
    step: numberAt(parsed, 'step'),
    sums: metricsAt(parsed, 'sums'),
    seconds: numberAt(parsed, 'seconds'),
    best: parsed.best === null ? null : bestOf(parsed.best),
    history: historyOf(parsed.history),
  };
}

function bestOf(value: unknown): Best {
  if (!isRecord(value)) throw new Error("'best' is not an object");
  return { epoch: numberAt(value, 'epoch'), value: numberAt(value, 'value'), waited: numberAt(value, 'waited') };
}

function historyOf(value: unknown): EpochRecord[] {
  if (!Array.isArray(value)) throw new Error("'history' is not a list");
  return value.map((record: unknown) => {
    if (!isRecord(record)) throw new Error("an entry of 'history' is not an object");
    return {
      epoch: numberAt(record, 'epoch'),
      step: numberAt(record, 'step'),
      seconds: numberAt(record, 'seconds'),
      training: metricsAt(record, 'training'),
      validation: record.validation === null ? null : metricsAt(record, 'validation'),
    };
  });
}

function metricsAt(record: Readonly<Record<string, unknown>>, key: string): Metrics {
  const value = record[key];
  if (!isRecord(value)) throw new Error(`'${key}' is not an object`);
  return Object.fromEntries(Object.keys(value).map((name) => [name, numberAt(value, name)]));
}

function numberAt(record: Readonly<Record<string, unknown>>, key: string): number {
  const value = record[key];
  if (typeof value !== 'number') throw new Error(`'${key}' is not a number`);
  return value;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
