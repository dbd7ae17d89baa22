// The cache of compiled libraries: a directory that only the user can write, entries named by the hash of everything
// that decides their content, written aside and renamed so that no process ever sees half a file.

import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { partsOf } from '../../codegen/c/parts.ts';
import type { CSource } from '../../codegen/c/program.ts';
import { makeDirectory } from '../../io/write-aside.ts';
import { type Compiler, compileLibrary } from './compiler.ts';

let fallback: string | null = null;

/** $ASHLAR_CACHE, else $XDG_CACHE_HOME/ashlar, else ~/.cache/ashlar; a private temporary directory where that cannot be written. */
export function cacheDirectory(
  note: (message: string) => void = (message) => process.stderr.write(`${message}\n`),
): string {
  const wanted = resolve(
    process.env.ASHLAR_CACHE || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ashlar'),
  );
  const problem = prepare(wanted);
  if (problem === null) return wanted;
  if (fallback === null) {
    fallback = mkdtempSync(join(tmpdir(), 'ashlar-'));
    note(`ashlar: the cache ${wanted} cannot be used (${problem}); compiling into ${fallback} for this process`);
  }
  return fallback;
}

/** Null where the directory is ours alone; else what is wrong with it. */
function prepare(directory: string): string | null {
  try {
    makeDirectory(directory, 0o700);
    const probe = join(directory, `.probe-${process.pid}`);
    const status = lstatSync(directory);
    if (!status.isDirectory()) return 'it is not a directory';
    if (process.getuid !== undefined && status.uid !== process.getuid()) return 'it belongs to another user';
    if ((status.mode & 0o022) !== 0) return 'others may write to it';
    writeFileSync(probe, '');
    rmSync(probe);
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

/** The path of the compiled library, compiled now if the cache lacks it. */
export async function cachedLibrary(source: CSource, compiler: Compiler): Promise<string> {
  const key = createHash('sha256')
    .update(JSON.stringify([compiler.command, compiler.version, compiler.flags, source.header, source.code]))
    .digest('hex')
    .slice(0, 32);
  const directory = cacheDirectory();
  const library = join(directory, `${source.name}-${key}.so`);
  if (existsSync(library)) return library;
  const aside = mkdtempSync(join(directory, 'build-'));
  try {
    writeFileSync(join(aside, `${source.name}.h`), source.header);
    const parts = partsOf(source, availableParallelism()).map((code, i) => {
      const file = join(aside, i === 0 ? `${source.name}.c` : `${source.name}-${i + 1}.c`);
      writeFileSync(file, code);
      return file;
    });
    await compileLibrary(compiler, parts, join(aside, 'library.so'));
    renameSync(join(aside, 'library.so'), library);
  } finally {
    if (process.env.ASHLAR_KEEP === undefined) rmSync(aside, { recursive: true, force: true });
  }
  return library;
}
