// The first thing to try with a network that does not learn: on one batch, again and again, its loss has to vanish.

import { UserError } from '../ir/errors.ts';
import { type Batch, callWith, type StepFunction } from './model.ts';
import { takeSnapshot } from './snapshot.ts';

export interface OverfitOptions {
  /** How many steps it may take. Default 300. */
  readonly steps?: number;
  /** The scalar output that has to vanish. Default 'loss'. */
  readonly loss?: string;
  /** The share of the first loss that counts as vanished. Default 0.01. */
  readonly share?: number;
}

export interface Overfit {
  /** Whether the loss fell to that share; where it does not, model, loss and labels do not belong together. */
  readonly succeeded: boolean;
  /** At each step, to the one that succeeded. */
  readonly losses: readonly number[];
  /** Variables that did not change at all: no update or no gradient reaches them. */
  readonly unmoved: readonly string[];
}

/** Trains on one batch alone, until its loss has vanished or the steps are used up. The step's state is changed. */
export async function overfitOneBatch(
  step: StepFunction,
  batch: Batch,
  options: OverfitOptions = {},
): Promise<Overfit> {
  const { steps = 300, loss: name = 'loss', share = 0.01 } = options;
  const before = await takeSnapshot(step.state);
  const losses: number[] = [];
  let succeeded = false;
  while (losses.length < steps && !succeeded) {
    const loss = (await callWith(step, batch, [name]))[name];
    if (loss === undefined || loss.length !== 1)
      throw new UserError(`overfitOneBatch: the step should have the scalar output '${name}'`);
    losses.push(loss[0]!);
    succeeded = loss[0]! <= share * losses[0]!;
  }
  const after = await takeSnapshot(step.state);
  const unmoved = Object.keys(before).filter((variable) => {
    const [was, is] = [before[variable]!.data, after[variable]!.data];
    return is.every((element, i) => element === was[i]);
  });
  return { succeeded, losses, unmoved };
}
