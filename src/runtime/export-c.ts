// Export: a function as two C files that need nothing of Ashlar. Weights are constants in the code; a C compiler and
// the C library are all that is needed to build and run it.

import { join } from 'node:path';
import { printProgram } from '../codegen/c/program.ts';
import { writeAside } from '../io/write-aside.ts';
import { LimitationError, UserError } from '../ir/errors.ts';
import { builder } from '../ir/ops/index.ts';
import type { Program } from '../ir/program.ts';
import { bakePreparation } from '../passes/bake.ts';
import { bindStates } from '../passes/bind-states.ts';
import { cpuMachine } from '../passes/cpu.ts';
import { compileToProgram } from '../passes/pipeline.ts';
import { defaultTarget, type ScheduleTarget } from '../passes/schedule.ts';
import { type Tuning, tunedChoices } from './c/processor.ts';
import type { Definition } from './definition.ts';
import type { StateStore } from './state.ts';

export interface ExportOptions {
  /** Where NAME.c and NAME.h go; made if it does not exist. NAME is that of the function. */
  readonly directory: string;
  /** The trained state. Default: the first values of the variables. */
  readonly state?: StateStore;
  /** The vector width that loops are written for; wider than the machine's, compilers split it. Default: AVX-512. */
  readonly schedule?: ScheduleTarget;
  /** What `tune` measured on the machine that will run it, or the path of its file; its vectors must be those of `schedule`. */
  readonly tuning?: Tuning;
}

export interface ExportedC {
  readonly code: string;
  readonly header: string;
  readonly program: Program;
}

/**
 * Writes a function as C11, weights included. States that the function updates stay buffers of the caller. The same
 * function and weights give the same bytes. Throws UserError when the files cannot be written.
 */
export function exportC(definition: Definition, options: ExportOptions): ExportedC {
  const { directory, state, schedule = defaultTarget, tuning } = options;
  const initial = new Map(definition.variables.map((variable) => [variable.name, () => variable.initial()]));
  const bound = bindStates(definition.func, builder, (name) =>
    state?.has(name) === true ? numbersOf(name, state.get(name)) : initial.get(name)!(),
  );
  const choose = tuning === undefined ? undefined : tunedChoices(tuning, schedule.vectorBytes).choose;
  const program = bakePreparation(compileToProgram(bound, { machine: cpuMachine(schedule, choose) }));
  const source = printProgram(program);
  const files = { code: join(directory, `${source.name}.c`), header: join(directory, `${source.name}.h`) };
  try {
    writeAside(files.header, source.header);
    writeAside(files.code, source.code);
  } catch (error) {
    throw new UserError(`the C files cannot be written: ${error instanceof Error ? error.message : error}`);
  }
  return { ...files, program };
}

function numbersOf(name: string, elements: ArrayLike<number | bigint>): ArrayLike<number> {
  if (elements instanceof BigInt64Array) {
    throw new LimitationError(`state ${name} is i64; weights of that type cannot be exported, cast it to i32`);
  }
  return elements as ArrayLike<number>;
}
