// Early stopping as a pure step: from what was best so far and a new epoch's metrics to what is best now and whether
// training goes on.

import { UserError } from '../ir/errors.ts';
import type { Metrics } from './evaluate.ts';

export interface EarlyStopping {
  /** The validation metric that is watched. */
  readonly metric: string;
  /** Whether less is better (a loss) or more (an accuracy). */
  readonly mode: 'min' | 'max';
  /** Training stops after this many epochs in a row without improvement; Infinity only keeps the best weights. */
  readonly patience: number;
  /** An improvement must exceed this; 0 unless given. */
  readonly minDelta?: number | undefined;
}

/** The best epoch so far, and how many epochs have passed since. */
export interface Best {
  readonly epoch: number;
  readonly value: number;
  readonly waited: number;
}

/** What is best after `epoch`; the epoch is an improvement when the result names it. */
export function considerEpoch(rule: EarlyStopping, best: Best | null, epoch: number, metrics: Metrics): Best {
  const value = metrics[rule.metric];
  if (value === undefined) {
    const known = Object.keys(metrics).join(', ');
    throw new UserError(`early stopping watches '${rule.metric}', but the evaluation function gives only ${known}`);
  }
  const gain = best === null ? Infinity : rule.mode === 'min' ? best.value - value : value - best.value;
  if (best !== null && !(gain > (rule.minDelta ?? 0))) return { ...best, waited: best.waited + 1 };
  return { epoch, value, waited: 0 };
}

export function hasRunOut(rule: EarlyStopping, best: Best | null): boolean {
  return best !== null && best.waited >= rule.patience;
}

export function checkRule({ patience, minDelta = 0 }: EarlyStopping): void {
  if (!(patience >= 1)) throw new UserError(`early stopping needs a patience of at least 1 epoch, not ${patience}`);
  if (!(minDelta >= 0)) throw new UserError(`early stopping needs a minDelta of at least 0, not ${minDelta}`);
}
