// Export: a function as two C files that need nothing of Ashlar. Weights are constants in the code; a C compiler and
// the C library are all that is needed to build and run it.

import { join } from 'node:path';
import { printVariants, type Variant } from '../codegen/c/variants.ts';
import { writeAside } from '../io/write-aside.ts';
import { LimitationError, UserError } from '../ir/errors.ts';
import { builder } from '../ir/ops/index.ts';
import { Baked, bakePreparation } from '../passes/bake.ts';
import { bindStates } from '../passes/bind-states.ts';
import { cpuMachine } from '../passes/cpu.ts';
import { compileForMachines } from '../passes/pipeline.ts';
import { type CpuName, targets } from '../passes/schedule.ts';
import { type Cpu, findCompiler } from './c/compiler.ts';
import { type Tuning, tunedChoices } from './c/processor.ts';
import type { Definition } from './definition.ts';
import type { StateStore } from './state.ts';

export interface ExportOptions {
  /** Where NAME.c and NAME.h go; made if it does not exist. NAME is that of the function. */
  readonly directory: string;
  /** The trained state. Default: the first values of the variables. */
  readonly state?: StateStore;
  /**
   * The processors that the code is for: one, or several among which it chooses where it runs; native is this machine's. Default: all that Ashlar knows, the last of which is any.
   */
  readonly cpu?: Cpu | readonly CpuName[];
  /** What `tune` measured on the machine that will run it, or the path of its file; `cpu` must name that processor alone. */
  readonly tuning?: Tuning;
}

export interface ExportedC {
  readonly code: string;
  readonly header: string;
  /** The program for each processor. */
  readonly programs: readonly Variant[];
}

/**
 * Writes a function as C11, weights included. States that the function updates stay buffers of the caller. The same
 * function and weights give the same bytes. Throws UserError when the files cannot be written.
 */
export function exportC(definition: Definition, options: ExportOptions): ExportedC {
  const { directory, state, tuning } = options;
  const cpus = cpusOf(options.cpu);
  const initial = new Map(definition.variables.map((variable) => [variable.name, () => variable.initial()]));
  const bound = bindStates(definition.func, builder, (name) =>
    state?.has(name) === true ? numbersOf(name, state.get(name)) : initial.get(name)!(),
  );
  const [widest] = cpus;
  if (tuning !== undefined && cpus.length > 1)
    throw new UserError('tuning holds for one processor: name the one that was measured as cpu');
  const choose = tuning === undefined ? undefined : tunedChoices(tuning, targets[widest].vectorBytes).choose;
  const machines = cpus.map((cpu) => cpuMachine({ ...targets[cpu], widest: targets[widest] }, choose));
  const baked = new Baked();
  const programs = compileForMachines(bound, machines).map((program) => bakePreparation(program, baked));
  const variants = cpus.map((cpu, i): Variant => ({ cpu, program: programs[i]! }));
  const source = printVariants(variants as [Variant, ...Variant[]]);
  const files = { code: join(directory, `${source.name}.c`), header: join(directory, `${source.name}.h`) };
  try {
    writeAside(files.header, source.header);
    writeAside(files.code, source.code);
  } catch (error) {
    throw new UserError(`the C files cannot be written: ${error instanceof Error ? error.message : error}`);
  }
  return { ...files, programs: variants };
}

function cpusOf(cpu: ExportOptions['cpu']): readonly [CpuName, ...CpuName[]] {
  const known = Object.keys(targets) as CpuName[];
  if (cpu === 'native') return [findCompiler().cpu];
  const wanted = cpu === undefined ? known : typeof cpu === 'string' ? [cpu] : cpu;
  const unknown = wanted.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new UserError(`cpu ${JSON.stringify(unknown)} is not known; there are native, ${known.join(', ')}`);
  // From the widest to what runs anywhere, each once, whatever the order given.
  const ordered = known.filter((name) => wanted.includes(name));
  if (ordered.length === 0) throw new UserError('cpu: at least one processor expected, none given');
  return ordered as [CpuName, ...CpuName[]];
}

function numbersOf(name: string, elements: ArrayLike<number | bigint>): ArrayLike<number> {
  if (elements instanceof BigInt64Array) {
    throw new LimitationError(`state ${name} is i64; weights of that type cannot be exported, cast it to i32`);
  }
  return elements as ArrayLike<number>;
}
