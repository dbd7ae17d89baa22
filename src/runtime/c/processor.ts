// The processor that this process runs on, as a tuning record names it.

import { readdirSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../../ir/errors.ts';
import type { ContractionChoice } from '../../passes/schedule-candidates.ts';
import { type CTuningRecord, choicesOf, type Processor, recordFor, type Tuned } from '../../passes/tuning.ts';
import { recordText, type Tuning } from '../tuning-file.ts';

const cacheFolder = '/sys/devices/system/cpu/cpu0/cache';

export function thisProcessor(vectorBytes: number): Processor {
  return { name: cpus()[0]?.model.trim() ?? 'unknown', vectorBytes, caches: cacheSizes() };
}

/** `L1 Data 32K`, `L2 Unified 1024K`, …; empty where the system does not say. */
function cacheSizes(): string[] {
  try {
    return readdirSync(cacheFolder)
      .filter((name) => /^index\d+$/.test(name))
      .sort()
      .map((name) => {
        const read = (file: string): string => readFileSync(join(cacheFolder, name, file), 'utf8').trim();
        return `L${read('level')} ${read('type')} ${read('size')}`;
      });
  } catch {
    return [];
  }
}

export interface TunedForC extends Tuned<ContractionChoice> {
  readonly record: CTuningRecord;
  readonly name: string;
}

/** Throws UserError where the record cannot be read or was made for vectors of another width. */
export function tunedChoices(tuning: Tuning, vectorBytes: number): TunedForC {
  const given = recordText(tuning);
  const { name } = given;
  const record = recordFor('c', given);
  const { vectorBytes: measured } = record.processor;
  if (measured !== vectorBytes)
    throw new UserError(
      `${name} was measured with vectors of ${measured} bytes, this target has ${vectorBytes}; tune for it`,
    );
  return { ...choicesOf(record.entries, name), record, name };
}

/** The same for code that runs here: a record of another processor is an error too. */
export function tunedHere(tuning: Tuning, vectorBytes: number): TunedForC {
  const tuned = tunedChoices(tuning, vectorBytes);
  const { processor } = tuned.record;
  const here = thisProcessor(processor.vectorBytes).name;
  if (processor.name !== here)
    throw new UserError(
      `${tuned.name} was measured on ${JSON.stringify(processor.name)}, this is ${JSON.stringify(here)}; tune again here`,
    );
  return tuned;
}
