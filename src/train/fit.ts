// The training loop: batches in, one call of the compiled step each, and after every epoch validation, early stopping,
// log and checkpoint. All that decides how a run goes on is one immutable position, so a resumed run is the same run.

import { UserError } from '../ir/errors.ts';
import { sizeOf } from '../ir/types.ts';
import { batchCount, batches } from './batches.ts';
import { checkValues, type Dataset, exampleCount, splitDataset, type ValueRules } from './dataset.ts';
import { type Best, checkRule, considerEpoch, type EarlyStopping, hasRunOut } from './early-stopping.ts';
import { evaluate, type Metrics } from './evaluate.ts';
import { type Batch, type BatchFunction, callWith, type StepFunction } from './model.ts';
import { type EpochRecord, type LoopPosition, startPosition } from './position.ts';
import { restoreSnapshot, type Snapshot, takeSnapshot } from './snapshot.ts';

/** Receives the epochs of a run; `start` first gets those that a resumed run already has behind it. */
export interface TrainingLog {
  start(history: readonly EpochRecord[]): void;
  /** The next epoch begins when this is done. */
  epoch(record: EpochRecord): void | Promise<void>;
}

/** Shows how far an epoch is. */
export interface Progress {
  epochStart(epoch: number, epochs: number, batches: number, firstBatch: number): void;
  batch(done: number, running: Metrics): void;
  epochEnd(record: EpochRecord): void;
  stop(): void;
}

export interface Checkpoint {
  readonly position: LoopPosition;
  readonly state: Snapshot;
  /** The weights of the best epoch, under early stopping. */
  readonly best: Snapshot | null;
}

/** Where checkpoints are kept, such as `checkpointFile(path)` of `ashlar/node`. */
export interface CheckpointStore {
  /** For messages. */
  readonly name: string;
  /** null when there is none yet. */
  read(): Checkpoint | null;
  write(checkpoint: Checkpoint): void;
}

export interface FitOptions extends ValueRules {
  /** The compiled training step. Its scalar outputs are averaged over each epoch. */
  readonly step: StepFunction;
  readonly data: Dataset;
  /** The batch size that the step was compiled for. */
  readonly batchSize: number;
  readonly epochs: number;
  /** Decides the order of examples and the validation split; 0 unless given. */
  readonly seed?: number | undefined;
  /** The scalar output that must stay finite; 'loss' unless given. */
  readonly loss?: string | undefined;
  /** Examples to validate on, or the fraction of `data` to set aside for it. */
  readonly validation?: Dataset | number | undefined;
  /** The compiled evaluation function over the step's state: outputs with one value per example. */
  readonly evaluate?: BatchFunction | undefined;
  /** The batch size that `evaluate` was compiled for; `batchSize` unless given. */
  readonly evaluationBatchSize?: number | undefined;
  /** Stops when a validation metric no longer improves; the state at the end is that of the best epoch. */
  readonly earlyStopping?: EarlyStopping | undefined;
  readonly checkpoint?: CheckpointStore | undefined;
  /** Writes a checkpoint every so many steps too, and not only after each epoch. */
  readonly checkpointSteps?: number | undefined;
  /** Goes on from the checkpoint if there is one. */
  readonly resume?: boolean | undefined;
  readonly log?: TrainingLog | readonly TrainingLog[] | undefined;
  readonly progress?: Progress | undefined;
  readonly onEpoch?: ((record: EpochRecord) => void) | undefined;
}

export interface FitResult {
  readonly history: readonly EpochRecord[];
  /** The epoch, counted from 1, whose weights the state holds now. */
  readonly bestEpoch: number | null;
  readonly stoppedEarly: boolean;
  /** How many steps the checkpoint had behind it; null when training began anew. */
  readonly resumedAtStep: number | null;
}

/** What is fixed throughout a run. */
interface Run {
  readonly options: FitOptions;
  readonly training: Dataset;
  readonly validation: Dataset | null;
  readonly batchesPerEpoch: number;
  readonly loss: string;
  /** The outputs of a step that are asked for: nothing else need leave a device. Undefined for all. */
  readonly scalars: readonly string[] | undefined;
}

/** What changes: the position and the weights of the best epoch. */
interface Progression {
  readonly position: LoopPosition;
  readonly best: Snapshot | null;
}

/** Trains for `epochs` epochs, or until early stopping ends it. */
export async function fit(options: FitOptions): Promise<FitResult> {
  const run = prepare(options);
  const { progression: start, resumedAtStep } = await restore(run);
  const logs = [options.log ?? []].flat();
  for (const log of logs) log.start(start.position.history);
  let now = start;
  try {
    while (now.position.epoch < options.epochs && !stopped(options, now.position.best)) {
      now = await trainEpoch(run, now);
      const record = now.position.history.at(-1)!;
      await save(run, now);
      for (const log of logs) await log.epoch(record);
      options.progress?.epochEnd(record);
      options.onEpoch?.(record);
    }
  } finally {
    options.progress?.stop();
  }
  if (now.best !== null) await restoreSnapshot(options.step.state, now.best, 'the best epoch');
  const { history, best } = now.position;
  return { history, bestEpoch: best?.epoch ?? null, stoppedEarly: stopped(options, best), resumedAtStep };
}

function prepare(options: FitOptions): Run {
  const { data, batchSize, epochs, seed = 0, validation, earlyStopping, loss = 'loss' } = options;
  exampleCount(data);
  checkValues(data, options);
  if (!Number.isInteger(epochs) || epochs < 1)
    throw new UserError(`epochs is a whole number of at least 1, not ${epochs}`);
  if (!Number.isInteger(seed) || seed < 0) throw new UserError(`a seed is a whole number of at least 0, not ${seed}`);
  if (validation !== undefined && options.evaluate === undefined) {
    throw new UserError('validation needs `evaluate`, a compiled function with one value per example');
  }
  if (earlyStopping !== undefined) {
    if (validation === undefined) throw new UserError('early stopping needs `validation` and `evaluate`');
    checkRule(earlyStopping);
  }
  if (options.resume === true && options.checkpoint === undefined) {
    throw new UserError('`resume` needs `checkpoint`, the place to resume from');
  }
  const parts = typeof validation === 'number' ? splitDataset(data, validation, seed) : { training: data, validation };
  const batchesPerEpoch = batchCount(exampleCount(parts.training), batchSize);
  const scalars = scalarOutputs(options.step, loss);
  return { options, training: parts.training, validation: parts.validation ?? null, batchesPerEpoch, loss, scalars };
}

/** The names of the step's outputs of one element, where they are known. Throws UserError where the loss is none of them. */
function scalarOutputs({ program }: StepFunction, loss: string): string[] | undefined {
  if (program === undefined) return undefined;
  const sizes = program.outputs.map(({ name, type }) => [name, sizeOf(type.shape)] as const);
  if (!sizes.some(([name, size]) => name === loss && size === 1)) throw noLoss(loss, sizes);
  return sizes.filter(([, size]) => size === 1).map(([name]) => name);
}

function noLoss(loss: string, outputs: readonly (readonly [name: string, size: number])[]): UserError {
  const given = outputs.map(([name, size]) => `'${name}' (${size} values)`).join(', ') || 'no outputs';
  return new UserError(`the training step should have the scalar output '${loss}'; it has ${given}`);
}

/** The beginning, or with `resume` the checkpoint, whose state is then that of the step. */
async function restore(
  run: Run,
): Promise<{ readonly progression: Progression; readonly resumedAtStep: number | null }> {
  const { options, training } = run;
  const { seed = 0, batchSize, checkpoint, step } = options;
  const start = startPosition(seed, batchSize, exampleCount(training));
  const stored = options.resume === true ? (checkpoint?.read() ?? null) : null;
  if (checkpoint === undefined || stored === null)
    return { progression: { position: start, best: null }, resumedAtStep: null };
  const { position, state, best } = stored;
  for (const key of ['seed', 'batchSize', 'examples'] as const) {
    if (position[key] !== start[key]) {
      const values = `${key} ${position[key]}, this one has ${start[key]}`;
      throw new UserError(`${checkpoint.name} was written by a run with ${values}; a run is resumed with the same`);
    }
  }
  await restoreSnapshot(step.state, state, checkpoint.name);
  return { progression: { position, best }, resumedAtStep: position.step };
}

function stopped({ earlyStopping }: FitOptions, best: Best | null): boolean {
  return earlyStopping !== undefined && hasRunOut(earlyStopping, best);
}

/** Runs the epoch to its end from the batch where the position stands, then validates. */
async function trainEpoch(run: Run, start: Progression): Promise<Progression> {
  const { options, training, validation, batchesPerEpoch } = run;
  const { seed = 0, batchSize, checkpointSteps, progress } = options;
  const { epoch } = start.position;
  const began = performance.now();
  const elapsed = (): number => start.position.seconds + (performance.now() - began) / 1000;
  progress?.epochStart(epoch + 1, options.epochs, batchesPerEpoch, start.position.batch);
  let now = start;
  for (const batch of batches(training, { batchSize, seed, epoch, from: start.position.batch })) {
    now = {
      ...now,
      position: afterBatch(run, now.position, await callWith(options.step, batch, run.scalars), elapsed()),
    };
    const { step, batch: done, sums } = now.position;
    progress?.batch(done, means(sums, done));
    if (checkpointSteps !== undefined && step % checkpointSteps === 0 && done < batchesPerEpoch) await save(run, now);
  }
  const metrics = validation === null ? null : await validate(run, validation, epoch + 1);
  return afterEpoch(run, now, metrics, elapsed());
}

function afterBatch(run: Run, position: LoopPosition, outputs: Batch, seconds: number): LoopPosition {
  const sums: Record<string, number> = {};
  for (const [name, values] of Object.entries(outputs)) {
    if (values.length === 1) sums[name] = (position.sums[name] ?? 0) + values[0]!;
  }
  const loss = outputs[run.loss];
  if (loss === undefined || loss.length !== 1) {
    throw noLoss(
      run.loss,
      Object.entries(outputs).map(([name, values]) => [name, values.length]),
    );
  }
  if (!Number.isFinite(loss[0]!)) {
    const where = `epoch ${position.epoch + 1}, batch ${position.batch + 1} of ${run.batchesPerEpoch}`;
    throw new UserError(
      `the ${run.loss} is ${loss[0]} in ${where} (step ${position.step + 1}): training has diverged; ` +
        'try a lower learning rate, gradient clipping, or a loss taken from logits',
    );
  }
  return { ...position, batch: position.batch + 1, step: position.step + 1, sums, seconds };
}

async function validate(run: Run, validation: Dataset, epoch: number): Promise<Metrics> {
  const { options } = run;
  const metrics = await evaluate(options.evaluate!, validation, {
    batchSize: options.evaluationBatchSize ?? options.batchSize,
    classes: options.classes,
  });
  for (const [name, value] of Object.entries(metrics)) {
    if (!Number.isFinite(value))
      throw new UserError(`the validation metric '${name}' is ${value} after epoch ${epoch}`);
  }
  return metrics;
}

async function afterEpoch(
  run: Run,
  now: Progression,
  validation: Metrics | null,
  seconds: number,
): Promise<Progression> {
  const { earlyStopping, step } = run.options;
  const { position } = now;
  const epoch = position.epoch + 1;
  const training = means(position.sums, position.batch);
  const record: EpochRecord = { epoch, step: position.step, seconds, training, validation };
  const best =
    earlyStopping === undefined || validation === null
      ? position.best
      : considerEpoch(earlyStopping, position.best, epoch, validation);
  return {
    position: { ...position, epoch, batch: 0, sums: {}, seconds: 0, best, history: [...position.history, record] },
    best: best?.epoch === epoch ? await takeSnapshot(step.state) : now.best,
  };
}

async function save({ options }: Run, { position, best }: Progression): Promise<void> {
  options.checkpoint?.write({ position, state: await takeSnapshot(options.step.state), best });
}

function means(sums: Metrics, count: number): Metrics {
  return Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, sum / count]));
}
