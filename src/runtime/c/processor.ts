// The processor that this process runs on, as a tuning record names it.

import { readdirSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../../ir/errors.ts';
import {
  choicesOf,
  type Processor,
  parseRecord,
  printRecord,
  type Tuned,
  type TuningRecord,
} from '../../passes/tuning.ts';

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

/** A record, or the path of its file. */
export type Tuning = TuningRecord | string;

/** Throws UserError where the record cannot be read or was made for vectors of another width. */
export function tunedChoices(
  tuning: Tuning,
  vectorBytes: number,
): Tuned & { readonly record: TuningRecord; readonly name: string } {
  const name = typeof tuning === 'string' ? `the tuning record ${tuning}` : 'the tuning record';
  const record = parseRecord(typeof tuning === 'string' ? readText(tuning, name) : printRecord(tuning), name);
  const { vectorBytes: measured } = record.processor;
  if (measured !== vectorBytes)
    throw new UserError(
      `${name} was measured with vectors of ${measured} bytes, this target has ${vectorBytes}; tune for it`,
    );
  return { ...choicesOf(record, name), record, name };
}

/** The same for code that runs here: a record of another processor is an error too. */
export function tunedHere(tuning: Tuning, vectorBytes: number): ReturnType<typeof tunedChoices> {
  const tuned = tunedChoices(tuning, vectorBytes);
  const { processor } = tuned.record;
  const here = thisProcessor(processor.vectorBytes).name;
  if (processor.name !== here)
    throw new UserError(
      `${tuned.name} was measured on ${JSON.stringify(processor.name)}, this is ${JSON.stringify(here)}; tune again here`,
    );
  return tuned;
}

/** Says which entries of a record fitted no contraction of a program. */
export function noteUnused(
  tuned: ReturnType<typeof tunedChoices>,
  print: ((stage: string, text: string) => void) | undefined,
): void {
  const unused = tuned.unused();
  if (unused.length === 0) return;
  print?.('tuning', `${tuned.name}: ${unused.length} entries fit no contraction:\n${unused.join('\n')}`);
}

function readText(path: string, name: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UserError(`${name} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}
