// What the parts of a run on a card share: each is a process that writes its figures as it goes, so that those which it has
// when it fails or is stopped are kept.

import { mkdtempSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What every part is told on its command line, as JSON. */
export interface PartOrder {
  /** The folder of results. */
  readonly out: string;
  /** Sizes for a software adapter, to see that everything works. */
  readonly small: boolean;
  readonly models: readonly string[];
  /** When the part is stopped, in milliseconds since 1970. */
  readonly deadline: number;
}

export const order = (): PartOrder => JSON.parse(process.argv[2]!) as PartOrder;

/** Writes a part's figures, all of them each time. */
export function keeper<Figures>(part: string): (figures: Figures) => void {
  const path = join(order().out, `${part}.json`);
  return (figures) => {
    writeFileSync(`${path}.new`, `${JSON.stringify(figures, null, 2)}\n`);
    renameSync(`${path}.new`, path);
  };
}

/** True while so many seconds are left to the part. */
export const isTimeFor = (seconds: number): boolean => Date.now() + seconds * 1000 < order().deadline;

let scratch: string | null = null;

/** A file for arrays that another process reads or writes. */
export function scratchFile(name: string): string {
  scratch ??= mkdtempSync(join(tmpdir(), 'arrays-'));
  return join(scratch, name);
}

export const writeArray = (path: string, array: Float32Array): void =>
  writeFileSync(path, new Uint8Array(array.buffer, array.byteOffset, array.byteLength));

export function readArray(path: string): Float32Array {
  const bytes = readFileSync(path);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}
