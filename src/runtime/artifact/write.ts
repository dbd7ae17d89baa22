// How artifacts reach their folders: all files or none, and no page of somebody else's is lost.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type FileContent, writeAllAside } from '../../io/write-aside.ts';
import { UserError } from '../../ir/errors.ts';

/**
 * Writes files of an artifact into its folder, which is made if it does not exist, and returns their paths. Throws UserError
 * when one cannot be written, and where the folder has a README.md that Ashlar did not write; then the folder is as it was.
 */
export function writeArtifact(directory: string, files: readonly (readonly [name: string, FileContent])[]): string[] {
  const page = join(directory, 'README.md');
  try {
    if (existsSync(page) && !readFileSync(page, 'utf8').includes('Made by Ashlar'))
      throw new UserError(`${page} is not Ashlar's and would be lost; an artifact goes into a folder of its own`);
    const paths = files.map(([name, content]) => [join(directory, name), content] as const);
    writeAllAside(paths);
    return paths.map(([path]) => path);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`the artifact cannot be written: ${error instanceof Error ? error.message : error}`);
  }
}
