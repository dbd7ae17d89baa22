// A file is written beside its place and renamed into it, so that nobody ever reads half of it: not another process,
// and not this one after a crash.

import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';

/** What a file is to hold: all of it, or its pieces in order. */
export type FileContent = string | Uint8Array | Iterable<Uint8Array>;

/** Replaces the file at `path` whole, or leaves it as it was. Makes the folder when there is none. */
export function writeAside(path: string, content: FileContent): void {
  writeAllAside([[path, content]]);
}

/**
 * Replaces files, in the order given, once all of them are on the disk, so that a full disk or a wrong path leaves every one
 * as it was, and leaves no folder that was not there. A file that tells readers of the others goes last.
 */
export function writeAllAside(files: Iterable<readonly [path: string, content: FileContent]>): void {
  const written: { readonly aside: string; readonly path: string }[] = [];
  const folders: string[] = [];
  try {
    for (const [path, content] of files) {
      folders.push(...makeDirectory(dirname(path)));
      const aside = `${path}.${process.pid}-${randomBytes(4).toString('hex')}.part`;
      written.push({ aside, path });
      writeSynced(aside, content);
    }
    // A folder in a file's place is what renaming could still fail on.
    for (const { path } of written)
      if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw new Error(`${path} is a folder`);
    for (const { aside, path } of written) renameSync(aside, path);
  } catch (error) {
    for (const { aside } of written) rmSync(aside, { force: true });
    for (const folder of folders.reverse()) if (readdirSync(folder).length === 0) rmdirSync(folder);
    throw error;
  }
}

function writeSynced(path: string, content: FileContent): void {
  const file = openSync(path, 'wx');
  try {
    if (typeof content === 'string' || content instanceof Uint8Array) writeFileSync(file, content);
    else for (const piece of content) writeFileSync(file, piece);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Like `mkdir -p`; gives the folders that it made. Node's own recursive mkdir never returns where a file system has no such folder, as /proc. */
export function makeDirectory(directory: string, mode = 0o777): string[] {
  if (existsSync(directory)) return [];
  const made = dirname(directory) === directory ? [] : makeDirectory(dirname(directory), mode);
  try {
    mkdirSync(directory, { mode });
    return [...made, directory];
  } catch (error) {
    // Another process may have been faster.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return made;
  }
}
