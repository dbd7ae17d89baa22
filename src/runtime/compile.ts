// From a function to something that can be called: compile, load, bind state, check inputs.

import { rmSync } from 'node:fs';
import { type CSource, printProgram } from '../codegen/c/program.ts';
import { LimitationError, UserError } from '../ir/errors.ts';
import type { Func } from '../ir/graph.ts';
import { builder } from '../ir/ops/index.ts';
import type { Program, ProgramBuffer } from '../ir/program.ts';
import { formatType, sizeOf, type TensorType } from '../ir/types.ts';
import { bindStates } from '../passes/bind-states.ts';
import { largestOperand } from '../passes/fold.ts';
import { compileToProgram } from '../passes/pipeline.ts';
import { type ScheduleTarget, targets } from '../passes/schedule.ts';
import { allocate, arrayConstructor, type TypedArray } from './arrays.ts';
import { cachedLibrary } from './c/cache.ts';
import { type Compiler, findCompiler } from './c/compiler.ts';
import { bindLibrary, type Library, type NativeCall, openLibrary } from './c/library.ts';
import { StateStore } from './state.ts';
import { type Weights, weightsOfFile, weightsOfStates } from './weights.ts';

/** What can be compiled: a graph function and the first values of its states. */
export interface Definition<Inputs = unknown, Outputs = unknown> {
  readonly func: Func;
  readonly variables: readonly { readonly name: string; readonly type: TensorType; initial(): ArrayLike<number> }[];
  /** Carries the input and output types; never read. */
  readonly signature?: { readonly inputs: Inputs; readonly outputs: Outputs };
}

export interface CompileTargetOptions {
  readonly target?: 'c';
  /** Threads that kernels may use. Default: $OMP_NUM_THREADS, else 1. */
  readonly threads?: number;
  /** The C compiler's command. Default: $ASHLAR_CC, else gcc, clang or cc. */
  readonly compiler?: string;
  /** State to share with other compiled functions. Default: a new store. */
  readonly state?: StateStore;
  /**
   * True: states that the function does not update become constants with the values that they have now, packed once for
   * the kernels that read them. Later changes of those states are not seen; without a state given here, they are not kept
   * in one. Default false.
   */
  readonly freeze?: boolean;
  /**
   * A safetensors file with the values of the states that the function does not update: as with `freeze` they become
   * constants. They are read one at a time, so the model never lies in memory beside its packed form.
   */
  readonly weights?: string;
  /** Receives every stage in text form. $ASHLAR_DUMP=all prints them to stderr. */
  readonly print?: (stage: string, text: string) => void;
  /** False: one kernel per operation, for comparison. */
  readonly fusion?: boolean;
}

type Arrays<Types> = { readonly [Name in keyof Types]: Types[Name] };

/** A compiled function. Calling it runs every kernel before it returns. */
export interface Executable<Inputs = Record<string, TypedArray>, Outputs = Record<string, TypedArray>> {
  /**
   * Runs the function. Outputs are new arrays, or those given. Throws UserError for a missing or unknown input, another
   * array type or length, or an index out of its range.
   */
  (inputs: Arrays<Inputs>, outputs?: Partial<Arrays<Outputs>>): Arrays<Outputs>;
  readonly state: StateStore;
  readonly program: Program;
  /** The C text that was compiled. */
  readonly source: string;
}

/**
 * Compiles a function for this machine with the system's C compiler. Compiled libraries are cached by content.
 * Throws LimitationError where no compiler is found or an operation has no C form.
 */
export async function compile<Inputs, Outputs>(
  definition: Definition<Inputs, Outputs>,
  options: CompileTargetOptions = {},
): Promise<Executable<Inputs, Outputs>> {
  const weights = weightsFor(definition, options);
  try {
    return (await compileWith(definition, options, weights)) as Executable<Inputs, Outputs>;
  } finally {
    weights?.close();
  }
}

function weightsFor({ variables }: Definition, { weights, freeze, state }: CompileTargetOptions): Weights | null {
  if (weights !== undefined) return weightsOfFile(weights);
  return freeze === true ? weightsOfStates(variables, state) : null;
}

async function compileWith(
  definition: Definition,
  options: CompileTargetOptions,
  weights: Weights | null,
): Promise<unknown> {
  const compiler = findCompiler(options.compiler);
  const state = options.state ?? new StateStore();
  const func = weights === null ? definition.func : frozen(definition.func, weights);
  const kept = new Set(func.parameters.filter(({ role }) => role === 'state').map(({ name }) => name));
  for (const variable of definition.variables) {
    if (kept.has(variable.name)) state.declare(variable.name, variable.type, () => variable.initial());
  }
  const program = compileToProgram(func, {
    schedule: scheduleFor(compiler),
    mostInlineElements,
    ...(options.fusion === undefined ? {} : { fusion: options.fusion }),
    ...printer(options.print),
  });
  const source = printProgram(program);
  options.print?.('c', source.code);
  const call = bindLibrary(loadCached(source, compiler), source, program, weights);
  const light = withoutData(program);
  const run = runner(light, call, state, threadCount(options.threads));
  return Object.assign(run, { state, program: light, source: source.code });
}

/** Constants beyond a few cache lines stay out of the C text: it compiles faster and is the same for other weights. */
const mostInlineElements = 64;

/** The function with the states that it only reads as constants, or as weights where no pass looks at their elements. */
function frozen(func: Func, weights: Weights): Func {
  const values = (name: string): ArrayLike<number> => {
    const { type } = func.parameters.find((parameter) => parameter.name === name)!.value;
    const elements = weights.elements(name, type, () => allocate(type));
    if (elements instanceof BigInt64Array)
      throw new LimitationError(`state ${name} is i64; it cannot be frozen, cast it to i32`);
    return elements;
  };
  return bindStates(func, builder, values, largestOperand);
}

/** The program without the elements of its external constants, which the library holds by now, packed or copied. */
function withoutData(program: Program): Program {
  const light = new Map(program.externals.map((buffer) => [buffer, { ...buffer, data: null }]));
  const launches = (list: Program['steps']): Program['steps'] =>
    list.map((launch) => ({ ...launch, args: launch.args.map((buffer) => light.get(buffer) ?? buffer) }));
  return {
    ...program,
    steps: launches(program.steps),
    preparation: launches(program.preparation),
    externals: [...light.values()],
  };
}

/** A library in the cache that cannot be loaded (damaged, or of another system) is compiled again. */
function loadCached(source: CSource, compiler: Compiler): Library {
  const library = cachedLibrary(source, compiler);
  try {
    return openLibrary(library);
  } catch {
    rmSync(library, { force: true });
    return openLibrary(cachedLibrary(source, compiler));
  }
}

function printer(print: CompileTargetOptions['print']): { print?: (stage: string, text: string) => void } {
  if (print !== undefined) return { print };
  if (process.env.ASHLAR_DUMP !== 'all') return {};
  return { print: (stage, text) => process.stderr.write(`--- ${stage}\n${text}\n`) };
}

function scheduleFor({ vectorBytes }: Compiler): ScheduleTarget {
  return vectorBytes === 64 ? targets['x86-64-v4'] : vectorBytes === 32 ? targets['x86-64-v3'] : targets.plain;
}

function threadCount(requested: number | undefined): number {
  // OpenMP's own variable may hold a list, one number per level of nesting.
  const threads = requested ?? Number((process.env.OMP_NUM_THREADS || '1').split(',')[0]);
  if (!Number.isInteger(threads) || threads < 1)
    throw new UserError(`threads: a whole number of at least 1 expected, ${threads} given`);
  return threads;
}

type Run = (
  inputs: Readonly<Record<string, TypedArray>>,
  outputs?: Readonly<Record<string, TypedArray>>,
) => Record<string, TypedArray>;

function runner(program: Program, call: NativeCall, state: StateStore, threads: number): Run {
  const states = program.states.map(({ name }) => state.memory(name));
  const names = new Set(program.inputs.map(({ name }) => name));
  const outputNames = new Set(program.outputs.map(({ name }) => name));
  return (inputs, outputs = {}) => {
    for (const name of Object.keys(inputs)) if (!names.has(name)) unknown('input', name, names);
    for (const name of Object.keys(outputs)) if (!outputNames.has(name)) unknown('output', name, outputNames);
    const given = program.inputs.map((buffer) => checked('input', buffer, inputs[buffer.name]));
    for (const check of program.checks) {
      checkRange(inputs[check.input]!, check.input, check.lower, check.upper, check.reason);
    }
    const results = program.outputs.map((buffer) =>
      outputs[buffer.name] === undefined ? allocate(buffer.type) : checked('output', buffer, outputs[buffer.name]),
    );
    refuseOverlap(program, given, results, outputs);
    call(states, given, results, threads);
    return Object.fromEntries(program.outputs.map(({ name }, i) => [name, results[i]!]));
  };
}

/** Kernels write outputs while they read inputs: memory given for an output must be its own. */
function refuseOverlap(
  program: Program,
  inputs: readonly TypedArray[],
  results: readonly TypedArray[],
  given: Readonly<Record<string, TypedArray>>,
): void {
  program.outputs.forEach(({ name }, i) => {
    if (given[name] === undefined) return;
    const clash = (kind: string, other: string): never => {
      throw new UserError(
        `output ${JSON.stringify(name)} shares memory with ${kind} ${JSON.stringify(other)}: an output needs an array of its own`,
      );
    };
    inputs.forEach((input, k) => {
      if (overlaps(input, results[i]!)) clash('input', program.inputs[k]!.name);
    });
    results.forEach((other, k) => {
      if (k !== i && overlaps(other, results[i]!)) clash('output', program.outputs[k]!.name);
    });
  });
}

function overlaps(a: TypedArray, b: TypedArray): boolean {
  return (
    a.buffer === b.buffer && a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength
  );
}

function unknown(kind: string, name: string, names: ReadonlySet<string>): never {
  throw new UserError(
    `${kind} ${JSON.stringify(name)} does not exist; the function has ${[...names].join(', ') || 'none'}`,
  );
}

function checked(kind: string, { name, type }: ProgramBuffer, array: TypedArray | undefined): TypedArray {
  const expected = arrayConstructor(type.dtype);
  if (array === undefined)
    throw new UserError(
      `${kind} ${JSON.stringify(name)} is missing: ${formatType(type)}, a ${expected.name} of ${sizeOf(type.shape)}`,
    );
  if (!(array instanceof expected)) {
    const given = (array as object)?.constructor?.name ?? typeof array;
    throw new UserError(
      `${kind} ${JSON.stringify(name)} is ${formatType(type)}: a ${expected.name} expected, ${given} given`,
    );
  }
  if (array.length !== sizeOf(type.shape)) {
    throw new UserError(
      `${kind} ${JSON.stringify(name)} is ${formatType(type)}: ${sizeOf(type.shape)} elements expected, ${array.length} given`,
    );
  }
  return array;
}

function checkRange(array: TypedArray, name: string, lower: number, upper: number, reason: string): void {
  for (let i = 0; i < array.length; i++) {
    const value = array[i]!;
    if (value < lower || value > upper) {
      throw new UserError(
        `input ${JSON.stringify(name)}: indices from ${lower} to ${upper} expected, ${value} given at element ${i} (read by ${reason})`,
      );
    }
  }
}
