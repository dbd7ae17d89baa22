// The training log as events for TensorBoard: training and validation are two runs below one folder, so that a metric's two curves
// are drawn over each other. A resumed run goes on where its checkpoint stands, whatever a crashed one wrote after that.

import { join } from 'node:path';
import { type EventWriter, eventWriter, hasEvents } from '../io/event-writer.ts';
import { UserError } from '../ir/errors.ts';
import type { TrainingLog } from './fit.ts';
import type { StateAccess } from './model.ts';
import type { EpochRecord } from './position.ts';

export interface TensorBoardOptions {
  /** The step's state, whose variables are then shown as histograms after each epoch: those that are named, or all of floats. */
  readonly histograms?: { readonly state: StateAccess; readonly names?: readonly string[] };
}

export interface TensorBoardLog extends TrainingLog {
  /** The training run's events, for images and whatever else a user adds. Throws UserError before `fit` has begun. */
  writer(): EventWriter;
}

/**
 * For `fit`'s `log`: after each epoch the metrics of `FOLDER/training` and `FOLDER/validation`, at the step that ends it. Look at them
 * with `tensorboard --logdir FOLDER`.
 */
export function tensorBoardLog(folder: string, { histograms }: TensorBoardOptions = {}): TensorBoardLog {
  const runs = { training: runIn(join(folder, 'training')), validation: runIn(join(folder, 'validation')) };
  const metricsOf = ({ step, seconds, training, validation }: EpochRecord): void => {
    const writer = runs.training.writer();
    for (const [name, value] of Object.entries(training)) writer.scalar(name, value, step);
    writer.scalar('seconds per epoch', seconds, step);
    if (validation === null) return;
    for (const [name, value] of Object.entries(validation)) runs.validation.writer().scalar(name, value, step);
  };
  return {
    writer: () => runs.training.writer(),
    start(history) {
      const isNew = !hasEvents(join(folder, 'training'));
      for (const run of Object.values(runs)) run.start(history.at(-1)?.step ?? -1);
      if (isNew) history.forEach(metricsOf);
    },
    async epoch(record) {
      metricsOf(record);
      if (histograms === undefined) return;
      const { state, names = floatsOf(histograms.state) } = histograms;
      for (const name of names)
        runs.training.writer().histogram(name, Array.from(await state.get(name), Number), record.step);
    },
  };
}

const floatsOf = (state: StateAccess): readonly string[] =>
  state.names().filter((name) => ['f16', 'f32', 'f64'].includes(state.type(name).dtype));

/** One folder of events, whose file begins with the first event. */
function runIn(folder: string) {
  let from: number | null = null;
  let made: EventWriter | null = null;
  return {
    start(lastStep: number): void {
      [from, made] = [lastStep + 1, null];
    },
    writer(): EventWriter {
      if (from === null) throw new UserError(`${folder}: events are written once \`fit\` has begun`);
      made ??= eventWriter(folder, hasEvents(folder) ? { restartAt: from } : {});
      return made;
    },
  };
}
