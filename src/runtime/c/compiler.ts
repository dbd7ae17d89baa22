// The system's C compiler: which one, with which flags, and what to say when there is none.

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { LimitationError, UserError } from '../../ir/errors.ts';

export interface Compiler {
  readonly command: string;
  /** `--version`'s first line and a hash of every macro it predefines for this machine: part of the cache key. */
  readonly version: string;
  readonly flags: readonly string[];
  readonly openmp: boolean;
  /** Bytes of this machine's vector registers: 64, 32 or 16. */
  readonly vectorBytes: number;
}

/** Keep NaN and infinities, but let the compiler assume that nobody reads errno or the floating-point status. */
const portableFlags = ['-std=gnu11', '-O3', '-fno-math-errno', '-fno-trapping-math', '-ffp-contract=fast', '-fPIC'];

const known = new Map<string, Compiler>();

/**
 * Finds a compiler: the given one, else $ASHLAR_CC, else gcc, clang or cc. Throws UserError if the named one cannot run,
 * LimitationError if there is none at all.
 */
export function findCompiler(requested = process.env.ASHLAR_CC): Compiler {
  const candidates = requested === undefined || requested === '' ? ['gcc', 'clang', 'cc'] : [requested];
  for (const command of candidates) {
    const found = known.get(command) ?? probe(command);
    if (found !== null) {
      known.set(command, found);
      return found;
    }
  }
  if (requested)
    throw new UserError(`the C compiler ${requested} cannot be run; install it, or leave the choice to Ashlar`);
  throw new LimitationError(
    'no C compiler was found (looked for gcc, clang and cc). Install one: on Debian or Ubuntu "apt-get install gcc", on ' +
      'Fedora "dnf install gcc", on macOS "xcode-select --install"; or name one in ASHLAR_CC.',
  );
}

/** Whether one of the compilers that are looked for can run. */
export function hasCompiler(): boolean {
  try {
    findCompiler('');
    return true;
  } catch (error) {
    if (error instanceof LimitationError) return false;
    throw error;
  }
}

function probe(command: string): Compiler | null {
  const version = spawnSync(command, ['--version'], { encoding: 'utf8' });
  if (version.error !== undefined || version.status !== 0) return null;
  const native = accepts(command, ['-march=native']) ? ['-march=native'] : [];
  const macros =
    spawnSync(command, [...native, '-dM', '-E', '-x', 'c', '-'], { input: '', encoding: 'utf8' }).stdout ?? '';
  const vectorBytes = /__AVX512F__/.test(macros) ? 64 : /__AVX__/.test(macros) ? 32 : 16;
  const isClang = /__clang__/.test(macros);
  // clang splits 512-bit vectors into halves, and spills, unless told that they are welcome.
  const wide = isClang && vectorBytes === 64 ? ['-mprefer-vector-width=512'] : [];
  const openmp = links(command, ['-fopenmp'], '#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }');
  return {
    command,
    version: `${version.stdout.split('\n')[0]} ${createHash('sha256').update(macros).digest('hex').slice(0, 16)}`,
    flags: [...portableFlags, ...native, ...wide, ...(openmp ? ['-fopenmp'] : [])],
    openmp,
    vectorBytes,
  };
}

function accepts(command: string, flags: readonly string[]): boolean {
  return spawnSync(command, [...flags, '-E', '-x', 'c', '-'], { input: '', encoding: 'utf8' }).status === 0;
}

function links(command: string, flags: readonly string[], program: string): boolean {
  return (
    spawnSync(command, [...flags, '-x', 'c', '-', '-o', '/dev/null'], { input: program, encoding: 'utf8' }).status === 0
  );
}

/** Compiles `source` into the shared library `output`. Throws LimitationError with the compiler's first lines. */
export function compileLibrary(compiler: Compiler, source: string, output: string): void {
  try {
    execFileSync(compiler.command, [...compiler.flags, '-shared', '-o', output, source, '-lm'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  } catch (error) {
    const { stderr = '', message } = error as { stderr?: string; message: string };
    const lines = (stderr === '' ? message : stderr).split('\n').slice(0, 8).join('\n  ');
    throw new LimitationError(`${compiler.command} could not compile ${source}:\n  ${lines}`);
  }
}
