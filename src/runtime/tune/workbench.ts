// What tuning needs of a machine: which choices there are, and candidates that can be run. The race is the same on all.

import type { Choose } from '../../passes/decision.ts';
import type { Fused, Group } from '../../passes/fuse.ts';
import type { Machine } from '../../passes/machine.ts';
import type { TuningEntry, TuningRecord } from '../../passes/tuning.ts';
import type { Contender } from './race.ts';

/** A candidate that can be run. */
export interface Trial<Choice> extends Contender {
  readonly choice: Choice;
}

/** Where the candidates of one group are run, over the same memory. */
export interface Ground<Choice> {
  /**
   * The group with a choice, once its results agree with those of the first trial; null where its code is that of an earlier
   * one, or where it is refused.
   */
  trial(choice: Choice): Promise<Trial<Choice> | null>;
  /** Choices that the machine cannot run, or whose results differ, with the reason. */
  readonly refused: readonly Refused<Choice>[];
  close(): void;
}

export interface Refused<Choice> {
  readonly choice: Choice;
  readonly reason: string;
}

export interface Workbench<Choice extends { readonly form: string }> {
  /** The groups of the function that is tuned. */
  readonly fused: Fused;
  machine(choose: Choose<Choice>): Machine;
  /** Problems of less estimated cost cannot be measured well and matter little. */
  readonly leastCost: number;
  /** Candidates that are estimated so many times worse than the best are left alone. */
  readonly mostCost: number;
  ground(group: Group): Ground<Choice>;
  record(entries: readonly TuningEntry<Choice>[]): TuningRecord;
  /** The whole program with states of its own, compiled with a record or untuned. */
  whole(tuning: TuningRecord | null): Promise<Contender & { close(): void }>;
  close(): void;
}
