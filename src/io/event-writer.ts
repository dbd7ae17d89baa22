// A file of events in a folder that TensorBoard watches. Every writer has a file of its own and every event is one append, so a
// crash costs at most the event under way, and never one that a reader has seen.

import { appendFileSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../ir/errors.ts';
import { type EventContent, type EventImage, eventRecord } from './events.ts';
import { makeDirectory } from './write-aside.ts';

/** Writes what TensorBoard shows of one run. Tags with a common part before a slash stand together there. */
export interface EventWriter {
  /** The file that events go to. */
  readonly path: string;
  scalar(tag: string, value: number, step: number): void;
  /** The distribution of finite values. */
  histogram(tag: string, values: ArrayLike<number>, step: number): void;
  /** `[height, width]` or `[height, width, channels]`, elements from 0 to 1. */
  image(tag: string, image: EventImage, step: number): void;
}

export interface EventWriterOptions {
  /** What earlier writers in the folder said of this step and later ones no longer counts. */
  readonly restartAt?: number;
}

const isEventFile = (name: string): boolean => name.includes('.tfevents.');

/** Whether a writer has written in a folder. */
export function hasEvents(folder: string): boolean {
  try {
    return readdirSync(folder).some(isEventFile);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** Begins a file of events in `folder`, which is made where there is none. Throws UserError where it cannot be written. */
export function eventWriter(folder: string, { restartAt }: EventWriterOptions = {}): EventWriter {
  const now = (): number => Date.now() / 1000;
  const begin = eventRecord({ kind: 'version' }, 0, now());
  const path = writing(folder, () => newFile(folder, begin));
  let length = begin.length;
  const append = (content: EventContent, step: number): void => {
    if (!Number.isSafeInteger(step)) throw new UserError(`an event's step: a whole number expected, ${step} given`);
    const record = eventRecord(content, step, now());
    writing(path, () => {
      try {
        appendFileSync(path, record);
      } catch (error) {
        // Half a record would hide all that follow it.
        truncateSync(path, length);
        throw error;
      }
    });
    length += record.length;
  };
  if (restartAt !== undefined) append({ kind: 'restart' }, restartAt);
  return {
    path,
    scalar: (tag, value, step) => append({ kind: 'scalar', tag, value }, step),
    histogram: (tag, values, step) => append({ kind: 'histogram', tag, values }, step),
    image: (tag, image, step) => append({ kind: 'image', tag, image }, step),
  };
}

/** TensorBoard reads the files of a folder in the order of their names: by the second, then as they were made. */
function newFile(folder: string, begin: Uint8Array): string {
  makeDirectory(folder);
  const second = String(Math.floor(Date.now() / 1000)).padStart(10, '0');
  const earlier = readdirSync(folder).filter((name) => name.startsWith(`events.out.tfevents.${second}.`)).length;
  const order = String(earlier).padStart(4, '0');
  const path = join(folder, `events.out.tfevents.${second}.${order}.${hostname()}.${process.pid}`);
  writeFileSync(path, begin, { flag: 'wx' });
  return path;
}

function writing<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new UserError(`${path}: events cannot be written: ${error instanceof Error ? error.message : error}`);
  }
}
