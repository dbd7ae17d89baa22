// Tuning on a CPU: candidates are compiled by the system's compiler and run in this process.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { printProgram } from '../../codegen/c/program.ts';
import type { Value } from '../../ir/graph.ts';
import { cpuMachine } from '../../passes/cpu.ts';
import type { Fused, Group } from '../../passes/fuse.ts';
import { fuseGraph } from '../../passes/pipeline.ts';
import { type ScheduleTarget, targets } from '../../passes/schedule.ts';
import type { ContractionChoice } from '../../passes/schedule-candidates.ts';
import type { TuningRecord } from '../../passes/tuning.ts';
import type { TypedArray } from '../arrays.ts';
import { compileToC, threadCount } from '../c/compile.ts';
import { type Compiler, compileLibrary, findCompiler } from '../c/compiler.ts';
import { bindLibrary, openLibrary } from '../c/library.ts';
import { thisProcessor } from '../c/processor.ts';
import { type Definition, prepareDefinition } from '../definition.ts';
import { StateStore } from '../state.ts';
import type { Weights } from '../weights.ts';
import type { Contender } from './race.ts';
import { difference, filled, trialProgram } from './trial.ts';
import type { Ground, Refused, Trial, Workbench } from './workbench.ts';

type CTrial = Trial<ContractionChoice>;

export interface CWorkbenchOptions {
  readonly compiler: string | undefined;
  readonly threads: number | undefined;
  /** Where constants come from, opened anew each time. */
  readonly weights: () => Weights | null;
}

/** Where and how trials are compiled. */
interface Workshop {
  readonly compiler: Compiler;
  readonly target: ScheduleTarget;
  readonly threads: number;
  /** A folder for libraries; nobody needs them afterwards. */
  readonly folder: string;
}

/** Estimated cycles of a few microseconds. */
const fewestCycles = 4096;
/** Larger constants are memory, as in `compile`. */
const mostInlineElements = 64;

/** Throws LimitationError where there is no compiler. */
export function cWorkbench(definition: Definition, options: CWorkbenchOptions): Workbench<ContractionChoice> {
  const compiler = findCompiler(options.compiler);
  const threads = threadCount(options.threads);
  const target = targets[compiler.cpu];
  const prepared = prepareWith(definition, options);
  const fused = fuseGraph(prepared.func, cpuMachine(target));
  const folder = mkdtempSync(join(tmpdir(), 'ashlar-tune-'));
  const processor = thisProcessor(target.vectorBytes);
  return {
    fused,
    machine: (choose) => cpuMachine(target, choose),
    leastCost: fewestCycles,
    mostCost: 3,
    ground: (group) => new CGround(fused, group, { compiler, target, threads, folder }),
    record: (entries) => ({ target: 'c', processor, compiler: compiler.version, threads, entries }),
    whole: async (tuning) => wholeProgram(definition, options, tuning),
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** The function as `compile` sees it. */
function prepareWith(definition: Definition, options: CWorkbenchOptions) {
  const weights = options.weights();
  try {
    return prepareDefinition(definition, weights);
  } finally {
    weights?.close();
  }
}

async function wholeProgram(
  definition: Definition,
  { compiler, threads, weights: open }: CWorkbenchOptions,
  tuning: TuningRecord | null,
): Promise<Contender & { close(): void }> {
  const weights = open();
  try {
    const prepared = prepareDefinition(definition, weights, new StateStore());
    const options = { compiler, threads, ...(tuning === null ? {} : { tuning }) };
    const run = (await compileToC(prepared, weights, options, { mostInlineElements })) as WholeProgram;
    const { inputs, outputs } = run.program;
    const arrays = Object.fromEntries(inputs.map(({ name, type }) => [name, filled(type)]));
    const results = Object.fromEntries(outputs.map(({ name, type }) => [name, filled(type)]));
    return { measure: () => seconds(() => run(arrays, { outputs: results })), close: () => {} };
  } finally {
    weights?.close();
  }
}

type Boundaries = readonly { readonly name: string; readonly type: Value['type'] }[];
interface WholeProgram {
  (inputs: Record<string, TypedArray>, options: { readonly outputs: Record<string, TypedArray> }): unknown;
  readonly program: { readonly inputs: Boundaries; readonly outputs: Boundaries };
}

function seconds(run: () => void): number {
  const start = performance.now();
  run();
  return (performance.now() - start) / 1000;
}

/** Bytes read between two runs: what they leave in the first and second level is gone, as after other kernels. */
const sweptBytes = 4 * 2 ** 20;
const lineElements = 16;
/** What an earlier kernel has just written is near still, where it is no more than this. */
const nearBytes = 512 * 1024;

class CGround implements Ground<ContractionChoice> {
  readonly #fused: Fused;
  readonly #group: Group;
  readonly #workshop: Workshop;
  readonly #memory = new Map<Value, TypedArray>();
  readonly #codes = new Set<string>();
  readonly #swept = new Float32Array(sweptBytes / 4);
  readonly refused: Refused<ContractionChoice>[] = [];
  #expected: readonly TypedArray[] | null = null;
  #near: Uint8Array[] = [];
  #sum = 0;

  constructor(fused: Fused, group: Group, workshop: Workshop) {
    this.#fused = fused;
    this.#group = group;
    this.#workshop = workshop;
  }

  async trial(choice: ContractionChoice): Promise<CTrial | null> {
    const { compiler, target, folder, threads } = this.#workshop;
    const machine = cpuMachine(target, () => choice);
    const { program, inputs, outputs } = trialProgram(this.#fused, this.#group, machine, 'weight');
    const source = printProgram(program);
    if (this.#codes.has(source.code)) return null;
    this.#codes.add(source.code);
    const place = join(folder, `${this.#codes.size}-${Math.random().toString(36).slice(2)}`);
    mkdirSync(place);
    writeFileSync(join(place, `${source.name}.h`), source.header);
    writeFileSync(join(place, `${source.name}.c`), source.code);
    await compileLibrary(compiler, [join(place, `${source.name}.c`)], join(place, 'trial.so'));
    const call = bindLibrary(openLibrary(join(place, 'trial.so')), source, program, anyWeights);
    const [given, made] = [inputs, outputs].map((values) => values.map((value) => this.#memoryOf(value))) as [
      TypedArray[],
      TypedArray[],
    ];
    this.#near = given.filter((array) => array.byteLength <= nearBytes).map(bytesOf);
    const run = (): void => call([], given, made, threads);
    run();
    this.#expected ??= made.map((array) => array.slice());
    const reason = difference(this.#expected, made);
    if (reason !== null) {
      this.refused.push({ choice, reason });
      return null;
    }
    const measure = (): number => {
      this.#settle();
      return seconds(run);
    };
    return { choice, measure };
  }

  close(): void {}

  /** Brings the caches into the state that kernels find in a larger program: what changes is near, the rest is not. */
  #settle(): void {
    let sum = 0;
    for (let i = 0; i < this.#swept.length; i += lineElements) sum += this.#swept[i]!;
    for (const bytes of this.#near) for (let i = 0; i < bytes.length; i += 64) sum += bytes[i]!;
    // Kept, so that the reading is not optimized away.
    this.#sum += sum;
  }

  #memoryOf(value: Value): TypedArray {
    const found = this.#memory.get(value) ?? filled(value.type);
    this.#memory.set(value, found);
    return found;
  }
}

/** Time does not depend on the numbers: those of a file or a store need not be read. */
const anyWeights: Weights = { freezes: true, elements: (_name, type) => filled(type), close: () => {} };

function bytesOf(array: TypedArray): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
