// To the C target: emit, compile with the system's compiler, load, bind memory.

import { rmSync } from 'node:fs';
import { type CSource, printProgram } from '../../codegen/c/program.ts';
import { UserError } from '../../ir/errors.ts';
import { cpuMachine } from '../../passes/cpu.ts';
import { type CompileOptions, compileToProgram } from '../../passes/pipeline.ts';
import { targets } from '../../passes/schedule.ts';
import { noteUnused } from '../../passes/tuning.ts';
import { runner } from '../call.ts';
import { type Prepared, withoutData } from '../definition.ts';
import type { Tuning } from '../tuning-file.ts';
import type { Weights } from '../weights.ts';
import { cachedLibrary } from './cache.ts';
import { type Compiler, type Cpu, findCompiler } from './compiler.ts';
import { bindLibrary, type Library, openLibrary } from './library.ts';
import { tunedHere } from './processor.ts';

export interface CTargetOptions {
  readonly compiler?: string | undefined;
  readonly cpu?: Cpu | undefined;
  readonly threads?: number | undefined;
  readonly tuning?: Tuning;
}

/**
 * Throws LimitationError where no compiler is found or an operation has no C form, UserError for a compiler or
 * code that cannot run here, or a number of threads that is none.
 */
export async function compileToC(
  { func, state }: Prepared,
  weights: Weights | null,
  { compiler: command, cpu, threads: requested, tuning }: CTargetOptions,
  passes: CompileOptions,
): Promise<unknown> {
  const compiler = findCompiler(command, cpu);
  const threads = threadCount(requested);
  const schedule = targets[compiler.cpu];
  const tuned = tuning === undefined ? null : tunedHere(tuning, schedule.vectorBytes);
  const machine = cpuMachine(schedule, tuned?.choose);
  const program = compileToProgram(func, { ...passes, machine });
  if (tuned !== null) noteUnused(tuned, tuned.name, passes.print);
  const source = printProgram(program);
  passes.print?.('c', source.code);
  const call = bindLibrary(await loadCached(source, compiler), source, program, weights);
  const light = withoutData(program);
  const run = runner(light, (states, inputs, outputs) => call(states, inputs, outputs, threads), state);
  return Object.assign(run, { target: 'c', state, program: light, source: source.code });
}

/** A library in the cache that cannot be loaded (damaged, or of another system) is compiled again. */
export async function loadCached(source: CSource, compiler: Compiler): Promise<Library> {
  const library = await cachedLibrary(source, compiler);
  try {
    return openLibrary(library);
  } catch {
    rmSync(library, { force: true });
    return openLibrary(await cachedLibrary(source, compiler));
  }
}

export function threadCount(requested: number | undefined): number {
  // OpenMP's own variable may hold a list, one number per level of nesting.
  const threads = requested ?? Number((process.env.OMP_NUM_THREADS || '1').split(',')[0]);
  if (!Number.isInteger(threads) || threads < 1)
    throw new UserError(`threads: a whole number of at least 1 expected, ${threads} given`);
  return threads;
}
