// The training log as CSV: one row per epoch, columns from the metrics of the first. The file follows the history of
// the run: a resumed run rewrites the rows it has behind it and goes on, so no row is ever doubled or lost.

import { appendFileSync } from 'node:fs';
import { writeAside } from '../io/write-aside.ts';
import { UserError } from '../ir/errors.ts';
import type { TrainingLog } from './fit.ts';
import type { EpochRecord } from './position.ts';

/** Writes `epoch, step, seconds`, each training metric, and each validation metric as `validation_NAME`. */
export function csvLog(path: string): TrainingLog {
  let columns: readonly string[] = [];
  const write = (action: () => void): void => {
    try {
      action();
    } catch (error) {
      throw new UserError(
        `the training log ${path} cannot be written: ${error instanceof Error ? error.message : error}`,
      );
    }
  };
  return {
    start(history) {
      columns = history[0] === undefined ? [] : Object.keys(cellsOf(history[0]));
      const lines = history.map((record) => line(columns, record));
      write(() =>
        writeAside(path, columns.length === 0 ? '' : [`${columns.map(quote).join(',')}\n`, ...lines].join('')),
      );
    },
    epoch(record) {
      const isFirst = columns.length === 0;
      if (isFirst) columns = Object.keys(cellsOf(record));
      write(() =>
        appendFileSync(path, `${isFirst ? `${columns.map(quote).join(',')}\n` : ''}${line(columns, record)}`),
      );
    },
  };
}

function cellsOf({ epoch, step, seconds, training, validation }: EpochRecord): Readonly<Record<string, number>> {
  const validated = Object.entries(validation ?? {}).map(([name, value]) => [`validation_${name}`, value]);
  return { epoch, step, seconds: Number(seconds.toFixed(3)), ...training, ...Object.fromEntries(validated) };
}

function line(columns: readonly string[], record: EpochRecord): string {
  const cells = cellsOf(record);
  return `${columns.map((column) => cells[column] ?? '').join(',')}\n`;
}

/** RFC 4180, section 2.6 and 2.7. */
function quote(name: string): string {
  return /[",\r\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name;
}
