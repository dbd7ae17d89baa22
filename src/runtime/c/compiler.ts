// The system's C compiler: which one, with which flags, and what to say when there is none.

import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { cpusInC, macrosOf } from '../../codegen/c/cpus.ts';
import { LimitationError, UserError } from '../../ir/errors.ts';
import { type CpuName, targets } from '../../passes/schedule.ts';

/** What code is for: this machine's processor, whatever it is, or one by name. */
export type Cpu = 'native' | CpuName;

export interface Compiler {
  readonly command: string;
  /** `--version`'s first line and a hash of every macro it predefines for this machine: part of the cache key. */
  readonly version: string;
  readonly flags: readonly string[];
  readonly openmp: boolean;
  /** The processor that code is scheduled for: the best that the flags allow. */
  readonly cpu: CpuName;
}

/** Keep NaN and infinities, but let the compiler assume that nobody reads errno or the floating-point status. */
export const portableFlags = [
  '-std=gnu11',
  '-O3',
  '-fno-math-errno',
  '-fno-trapping-math',
  '-ffp-contract=fast',
  '-fPIC',
];

/**
 * gcc 12 takes wide registers apart early; where a loop after a register tile has a condition it then keeps a sum in memory. With
 * AVX-512 its copy of a constant table is wrong: a register of equal elements that ends in zeros loses the zeros. No loop is made
 * such a copy then. Where a loop asks whether its thread is alone gcc makes two of it: a fifth more code, and a sixth more time.
 * Registers are given to a function as a whole: loop by loop, gcc keeps an epilogue's constants in them and reads a register tile's
 * operands from the stack (a weight gradient with Adam: 0.8 of the time without, a training step of a transformer 0.88).
 */
export const gccFlags = [
  '-fno-split-wide-types',
  '-fno-tree-loop-distribute-patterns',
  '-fno-split-loops',
  '-fira-region=one',
];

const known = new Map<string, Compiler>();

/**
 * Finds a compiler: the given one, else $ASHLAR_CC, else gcc, clang or cc. Throws UserError if the named one cannot run or this
 * machine's processor lacks what the named one has, LimitationError if there is no compiler at all.
 */
export function findCompiler(requested = process.env.ASHLAR_CC, cpu: Cpu = 'native'): Compiler {
  if (cpu !== 'native' && !(cpu in targets)) {
    throw new UserError(`cpu ${JSON.stringify(cpu)} is not known; there are native, ${cpuNames.join(', ')}`);
  }
  const candidates = requested === undefined || requested === '' ? ['gcc', 'clang', 'cc'] : [requested];
  for (const command of candidates) {
    const key = `${command} ${cpu}`;
    const found = known.get(key) ?? probe(command, cpu);
    if (found !== null) {
      known.set(key, found);
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

const cpuNames = Object.keys(targets) as CpuName[];

function probe(command: string, cpu: Cpu): Compiler | null {
  const version = spawnSync(command, ['--version'], { encoding: 'utf8' });
  if (version.error !== undefined || version.status !== 0) return null;
  const native = accepts(command, ['-march=native']) ? ['-march=native'] : [];
  const here = predefined(command, native);
  const runs = cpuNames.filter((name) => macrosOf(name).every((macro) => here.has(macro)));
  if (cpu !== 'native' && !runs.includes(cpu)) {
    throw new UserError(`code for ${cpu} does not run on this machine, which has ${runs.join(', ')}`);
  }
  const chosen = cpu === 'native' ? runs[0]! : cpu;
  const architecture = cpu === 'native' ? native : cpusInC[cpu].flags;
  const macros = cpu === 'native' ? here : predefined(command, architecture);
  // clang splits 512-bit vectors into halves, and spills, unless told that they are welcome.
  const wide = macros.has('__clang__') && targets[chosen].vectorBytes === 64 ? ['-mprefer-vector-width=512'] : [];
  const openmp = links(command, ['-fopenmp'], '#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }');
  const digest = createHash('sha256')
    .update([...macros].join('\n'))
    .digest('hex');
  return {
    command,
    version: `${version.stdout.split('\n')[0]} ${digest.slice(0, 16)}`,
    flags: [
      ...portableFlags,
      ...architecture,
      ...wide,
      ...(macros.has('__clang__') ? [] : gccFlags),
      ...(openmp ? ['-fopenmp'] : []),
    ],
    openmp,
    cpu: chosen,
  };
}

/** The names of the macros that a compiler predefines, and their values. */
function predefined(command: string, flags: readonly string[]): ReadonlyMap<string, string> {
  const { stdout } = spawnSync(command, [...flags, '-dM', '-E', '-x', 'c', '-'], { input: '', encoding: 'utf8' });
  return new Map([...(stdout ?? '').matchAll(/^#define (\w+)(.*)$/gm)].map(([, name, value]) => [name!, value!]));
}

function accepts(command: string, flags: readonly string[]): boolean {
  return spawnSync(command, [...flags, '-E', '-x', 'c', '-'], { input: '', encoding: 'utf8' }).status === 0;
}

function links(command: string, flags: readonly string[], program: string): boolean {
  return (
    spawnSync(command, [...flags, '-x', 'c', '-', '-o', '/dev/null'], { input: program, encoding: 'utf8' }).status === 0
  );
}

/**
 * Compiles files of C into the shared library `output`, all at once; objects lie beside it. Throws LimitationError with the
 * compiler's first lines.
 */
export async function compileLibrary(compiler: Compiler, sources: readonly string[], output: string): Promise<void> {
  const [only] = sources;
  if (sources.length === 1) return runCompiler(compiler, ['-shared', '-o', output, only!, '-lm'], only!);
  const objects = sources.map((source) => `${source}.o`);
  // All have ended when one has failed: nobody writes into a folder that is being removed.
  const ended = await Promise.allSettled(
    sources.map((source, i) => runCompiler(compiler, ['-c', '-o', objects[i]!, source], source)),
  );
  const failed = ended.find(({ status }) => status === 'rejected');
  if (failed !== undefined) throw (failed as PromiseRejectedResult).reason;
  return runCompiler(compiler, ['-shared', '-o', output, ...objects, '-lm'], output);
}

const run = promisify(execFile);
/** Of what a compiler says, warnings of code that a user wrote by hand included. */
const mostBytesSaid = 2 ** 24;

/** Compilers that wait for a processor: each takes one, and memory. */
const waiting: (() => void)[] = [];
let running = 0;

async function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
  if (running < availableParallelism()) running++;
  else await new Promise<void>((begin) => waiting.push(begin));
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next === undefined) running--;
    else next();
  }
}

async function runCompiler(compiler: Compiler, given: readonly string[], what: string): Promise<void> {
  const options = { encoding: 'utf8', maxBuffer: mostBytesSaid } as const;
  try {
    await inTurn(() => run(compiler.command, [...compiler.flags, ...given], options));
  } catch (error) {
    const { stderr = '', message } = error as { stderr?: string; message: string };
    const lines = (stderr === '' ? message : stderr).split('\n').slice(0, 8).join('\n  ');
    throw new LimitationError(`${compiler.command} could not compile ${what}:\n  ${lines}`);
  }
}
