// Baking: the preparation of a program is run now, and what it computed becomes constants. The program then holds its weights
// in the form that kernels read, and nothing has to be called before the first run.

import type { Kernel } from '../ir/kernel.ts';
import { interpretKernel } from '../ir/kernel-interpreter.ts';
import { printKernelText } from '../ir/kernel-text.ts';
import type { Launch, Program, ProgramBuffer } from '../ir/program.ts';
import { leavesOf, mapSteps, predicatesOf } from '../ir/steps.ts';
import { sizeOf } from '../ir/types.ts';

/** What runs the kernels of a preparation: the interpreter, or a target that needs no compiler. */
export interface Baker<Memory extends ArrayLike<number>> {
  /** Memory for a buffer alone: a copy of its elements, a single one repeated; zeros for a buffer that a kernel fills. */
  hold(buffer: ProgramBuffer): Memory;
  /** Runs a kernel on memory in the order of its parameters. */
  run(kernel: Kernel, memory: readonly Memory[]): void;
}

/** The reference: in float64, and slow. */
export const interpretingBaker: Baker<Float64Array> = {
  hold: ({ type, data }) => {
    const size = sizeOf(type.shape);
    if (data === null) return new Float64Array(size);
    return data.length === 1 ? new Float64Array(size).fill(Number(data[0])) : Float64Array.from(data, Number);
  },
  run: (kernel, memory) =>
    interpretKernel(kernel, new Map(kernel.parameters.map(({ buffer }, i) => [buffer, memory[i]!]))),
};

/** What preparations computed, by kernel and operands: programs of one function for several processors share it. */
export class Baked<Memory extends ArrayLike<number>> {
  readonly baker: Baker<Memory>;
  readonly #results = new Map<string, readonly Memory[]>();
  readonly #numbers = new Map<ArrayLike<number>, number>();

  constructor(baker: Baker<Memory>) {
    this.baker = baker;
  }

  /** The arrays that a kernel writes when it reads these: known, or computed now. */
  results(kernel: Kernel, read: readonly ArrayLike<number>[], compute: () => readonly Memory[]): readonly Memory[] {
    const operands = read.map((array) => {
      const number = this.#numbers.get(array) ?? this.#numbers.size;
      this.#numbers.set(array, number);
      return number;
    });
    const key = `${operands.join(',')} ${printKernelText(kernel)}`;
    const found = this.#results.get(key) ?? compute();
    this.#results.set(key, found);
    return found;
  }
}

/** The program with nothing left to prepare. */
export function bakePreparation<Memory extends ArrayLike<number>>(program: Program, known: Baked<Memory>): Program {
  if (program.preparation.length === 0) return program;
  const { baker } = known;
  const memory = new Map<ProgramBuffer, Memory>();
  const memoryOf = (buffer: ProgramBuffer): Memory => {
    const found = memory.get(buffer) ?? baker.hold(buffer);
    memory.set(buffer, found);
    return found;
  };
  for (const { kernel, args } of program.preparation) {
    const isRead = (_: ProgramBuffer, i: number): boolean => kernel.parameters[i]!.access === 'read';
    const read = args.filter(isRead).map((buffer) => memory.get(buffer) ?? buffer.data!);
    const written = args.filter((buffer, i) => !isRead(buffer, i));
    const results = known.results(kernel, read, () => {
      baker.run(kernel, args.map(memoryOf));
      return written.map(memoryOf);
    });
    written.forEach((buffer, i) => {
      memory.set(buffer, results[i]!);
    });
  }
  const baked = new Map<ProgramBuffer, ProgramBuffer>();
  let index = program.constants.length;
  const replaced = (buffer: ProgramBuffer): ProgramBuffer => {
    if (buffer.storage !== 'prepared') return buffer;
    const constant: ProgramBuffer = baked.get(buffer) ?? {
      ...buffer,
      storage: 'constant',
      index: index++,
      offset: 0,
      data: memoryOf(buffer),
    };
    baked.set(buffer, constant);
    return constant;
  };
  const relaunch = (launch: Launch): Launch => ({ ...launch, args: launch.args.map(replaced) });
  const steps = mapSteps(program.steps, relaunch, replaced);
  const read = new Set([...leavesOf(steps).flatMap(({ args }) => args), ...predicatesOf(steps)]);
  const constants = [...program.constants, ...baked.values()].filter((buffer) => read.has(buffer));
  return { ...program, steps, constants, preparation: [], preparedBytes: 0 };
}
