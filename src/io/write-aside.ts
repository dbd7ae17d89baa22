// A file is written beside its place and renamed into it, so that nobody ever reads half of it: not another process,
// and not this one after a crash.

import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Replaces the file at `path` whole, or leaves it as it was. Makes the folder when there is none. */
export function writeAside(path: string, content: string | Uint8Array): void {
  makeDirectory(dirname(path));
  const aside = `${path}.${process.pid}-${randomBytes(4).toString('hex')}.part`;
  try {
    const file = openSync(aside, 'wx');
    try {
      writeFileSync(file, content);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(aside, path);
  } catch (error) {
    rmSync(aside, { force: true });
    throw error;
  }
}

/** Like `mkdir -p`. Node's own recursive mkdir never returns where a file system has no such folder, as /proc. */
export function makeDirectory(directory: string, mode = 0o777): void {
  if (existsSync(directory)) return;
  if (dirname(directory) !== directory) makeDirectory(dirname(directory), mode);
  try {
    mkdirSync(directory, { mode });
  } catch (error) {
    // Another process may have been faster.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
