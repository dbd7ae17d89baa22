// Tuning records as options give them: in memory, or in a file.

import { readFileSync } from 'node:fs';
import { UserError } from '../ir/errors.ts';
import { printRecord, type RecordText, type TuningRecord } from '../passes/tuning.ts';

/** A record, or the path of its file. */
export type Tuning = TuningRecord | string;

/** Its text, and what errors call it. Throws UserError where the file cannot be read. */
export function recordText(tuning: Tuning): RecordText {
  if (typeof tuning !== 'string') return { text: printRecord(tuning), name: 'the tuning record' };
  const name = `the tuning record ${tuning}`;
  try {
    return { text: readFileSync(tuning, 'utf8'), name };
  } catch (error) {
    throw new UserError(`${name} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}
