// The files of an artifact, each believed only where its length and hash are the manifest's.

import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { ManifestFile } from '../../codegen/bindings/manifest.ts';
import { UserError } from '../../ir/errors.ts';

/**
 * Reads a file into memory that is asked for once its length is known to be right. Throws UserError for another length, as
 * of a file that was cut off, or another hash.
 */
export function readListed<Memory extends Uint8Array>(
  folder: string,
  { path, bytes, sha256 }: ManifestFile,
  memory: (bytes: number) => Memory,
): Memory {
  const whole = join(folder, path);
  let file: number;
  try {
    file = openSync(whole, 'r');
  } catch (error) {
    throw new UserError(`${whole} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
  try {
    const status = fstatSync(file);
    if (!status.isFile()) throw new UserError(`${whole} is no file`);
    if (status.size !== bytes)
      throw new UserError(`${whole} has ${status.size} bytes, the manifest says ${bytes}; copy the artifact again`);
    const content = memory(bytes);
    let at = 0;
    while (at < bytes) {
      const read = readSync(file, content, at, Math.min(bytes - at, 2 ** 30), null);
      if (read === 0) throw new UserError(`${whole} ended after ${at} of ${bytes} bytes while it was read`);
      at += read;
    }
    const found = createHash('sha256').update(content).digest('hex');
    if (found !== sha256)
      throw new UserError(
        `${whole} is not the artifact's: its SHA-256 is ${found}, the manifest says ${sha256}; copy or export it again`,
      );
    return content;
  } finally {
    closeSync(file);
  }
}

export const readListedText = (folder: string, file: ManifestFile): string =>
  Buffer.from(readListed(folder, file, (bytes) => new Uint8Array(bytes))).toString('utf8');
