// Trials: the kernels of one fused group, with its epilogue and its layouts, as a program of their own. Candidates of a
// problem read and write the same memory and differ in their kernels alone.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { printProgram } from '../../codegen/c/program.ts';
import { makeFunc, type Parameter, type Value } from '../../ir/graph.ts';
import { opTable } from '../../ir/ops/index.ts';
import type { Program } from '../../ir/program.ts';
import { leavesOf } from '../../ir/steps.ts';
import type { TensorType } from '../../ir/types.ts';
import { cpuMachine } from '../../passes/cpu.ts';
import type { Fused, Group } from '../../passes/fuse.ts';
import { constantBuffers, lower } from '../../passes/lower.ts';
import { planProgram } from '../../passes/plan.ts';
import type { ScheduleTarget } from '../../passes/schedule.ts';
import type { ContractionChoice } from '../../passes/schedule-candidates.ts';
import { shareKernels } from '../../passes/share-kernels.ts';
import { allocate, type TypedArray } from '../arrays.ts';
import { type Compiler, compileLibrary } from '../c/compiler.ts';
import { bindLibrary, openLibrary } from '../c/library.ts';
import type { Weights } from '../weights.ts';

export interface Trial {
  readonly choice: ContractionChoice;
  run(): void;
}

/** Where and how trials are compiled. */
export interface Workshop {
  readonly compiler: Compiler;
  readonly target: ScheduleTarget;
  readonly threads: number;
  /** A folder for libraries; nobody needs them afterwards. */
  readonly folder: string;
}

/** Bytes read between two runs: what they leave in the first and second level is gone, as after other kernels. */
const sweptBytes = 4 * 2 ** 20;
const lineElements = 16;
/** What an earlier kernel has just written is near still, where it is no more than this. */
const nearBytes = 512 * 1024;

export class TrialGround {
  readonly #fused: Fused;
  readonly #group: Group;
  readonly #workshop: Workshop;
  readonly #memory = new Map<Value, TypedArray>();
  readonly #codes = new Set<string>();
  readonly #swept = new Float32Array(sweptBytes / 4);
  #near: Uint8Array[] = [];
  #sum = 0;

  constructor(fused: Fused, group: Group, workshop: Workshop) {
    this.#fused = around(fused, group)!;
    this.#group = group;
    this.#workshop = workshop;
  }

  /** The group compiled with a choice, or null where its code is that of an earlier trial. */
  trial(choice: ContractionChoice): Trial | null {
    const { program, inputs, outputs } = this.#program(choice);
    const source = printProgram(program);
    if (this.#codes.has(source.code)) return null;
    this.#codes.add(source.code);
    const { compiler, folder, threads } = this.#workshop;
    const place = join(folder, `${this.#codes.size}-${Math.random().toString(36).slice(2)}`);
    mkdirSync(place);
    writeFileSync(join(place, `${source.name}.h`), source.header);
    writeFileSync(join(place, `${source.name}.c`), source.code);
    compileLibrary(compiler, join(place, `${source.name}.c`), join(place, 'trial.so'));
    const call = bindLibrary(openLibrary(join(place, 'trial.so')), source, program, anyWeights);
    const [given, made] = [inputs, outputs].map((values) => values.map((value) => this.#memoryOf(value)));
    this.#near = given!.filter((array) => array.byteLength <= nearBytes).map(bytesOf);
    return { choice, run: () => call([], given!, made!, threads) };
  }

  /** Brings the caches into the state that kernels find in a larger program: what changes is near, the rest is not. */
  settle(): void {
    let sum = 0;
    for (let i = 0; i < this.#swept.length; i += lineElements) sum += this.#swept[i]!;
    for (const bytes of this.#near) for (let i = 0; i < bytes.length; i += 64) sum += bytes[i]!;
    // Kept, so that the reading is not optimized away.
    this.#sum += sum;
  }

  #program(choice: ContractionChoice): { program: Program; inputs: Value[]; outputs: readonly Value[] } {
    const { func, plan } = this.#fused;
    const outputs = this.#group.stored;
    const groups = [this.#group];
    const machine = cpuMachine(this.#workshop.target, () => choice);
    const lowered = shareKernels(lower({ ...this.#fused, plan: { ...plan, groups } }, opTable, machine));
    const known = new Set<Value>([...outputs, ...constantBuffers(func)]);
    const inputs = new Set<Value>();
    for (const { kernel } of leavesOf(lowered.steps)) {
      for (const { buffer } of kernel.parameters) {
        const value = lowered.buffers.get(buffer) ?? null;
        if (value !== null && !known.has(value)) inputs.add(value);
      }
    }
    const weights = func.parameters.filter(({ role }) => role === 'weight');
    const trial = makeFunc(
      'trial',
      [...weights, ...[...inputs].map((value, i): Parameter => ({ name: `in${i}`, role: 'input', value }))],
      outputs.map((value, i) => ({ name: `out${i}`, role: 'output', value })),
    );
    return {
      program: planProgram(trial, lowered, [], machine, { mostInlineElements: 64 }),
      inputs: [...inputs],
      outputs,
    };
  }

  #memoryOf(value: Value): TypedArray {
    const found = this.#memory.get(value) ?? filled(value.type);
    this.#memory.set(value, found);
    return found;
  }
}

/** The function whose group it is; what is the same in all iterations of its loop is a weight to it. */
function around(fused: Fused, group: Group): Fused | null {
  const { func, plan, nested, settled } = fused;
  if (plan.groups.includes(group)) {
    const parameters = func.parameters.map(
      (given, i): Parameter => (i < settled ? { ...given, role: 'weight' } : given),
    );
    return { ...fused, func: { ...func, parameters } };
  }
  for (const inner of [...nested.values()].flatMap((functions) => [...functions.values()])) {
    const found = around(inner, group);
    if (found !== null) return found;
  }
  return null;
}

/** Time does not depend on the numbers: those of a file or a store need not be read. */
const anyWeights: Weights = { freezes: true, elements: (_name, type) => filled(type), close: () => {} };

function bytesOf(array: TypedArray): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** Numbers in [−1, 1) that are the same every time; zeros for integers, which may be indices. */
export function filled(type: TensorType): TypedArray {
  const array = allocate(type);
  if (array instanceof Float32Array || array instanceof Float64Array)
    for (let i = 0; i < array.length; i++) array[i] = ((i * 7919) % 2003) / 1001.5 - 1;
  return array;
}
