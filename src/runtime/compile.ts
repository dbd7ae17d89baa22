// From a function to something that can be called, on the target that is asked for or that this machine has.

import { UserError } from '../ir/errors.ts';
import type { CompileOptions } from '../passes/pipeline.ts';
import { compileToC } from './c/compile.ts';
import { type Cpu, hasCompiler } from './c/compiler.ts';
import { type AnyExecutable, type Definition, type Executable, prepareDefinition } from './definition.ts';
import { compileToJs } from './js/compile.ts';
import { type AnyStateStore, StateStore } from './state.ts';
import { recordText, type Tuning } from './tuning-file.ts';
import { compileToWgsl, type WebGpuExecutable } from './webgpu/compile.ts';
import { defaultDevice, hasHardware } from './webgpu/default-device.ts';
import type { WebGpuDevice } from './webgpu/device.ts';
import { WebGpuStateStore } from './webgpu/state.ts';
import { type Weights, type WeightTensors, weightsOfStates, weightsOfTensors } from './weights.ts';
import { weightsOfFile } from './weights-file.ts';

export type Target = 'c' | 'wgsl' | 'js';

export interface CompileTargetOptions {
  /**
   * 'c': kernels in C, compiled by the system's compiler. 'wgsl': shaders on a WebGPU device, whose calls and states answer
   * with promises. 'js': JavaScript, which runs anywhere and some 20 times slower than C. Default: the one that the other
   * options are for, else $ASHLAR_TARGET, else C; without a C compiler, WebGPU on a graphics card or JavaScript, with a note
   * on stderr.
   */
  readonly target?: Target;
  /**
   * The device of target wgsl. Default: that of `state`, else one that all functions of this process share, found as
   * `nodeGpu` does.
   */
  readonly device?: WebGpuDevice;
  /** Threads that C kernels may use. Default: $OMP_NUM_THREADS, else 1. */
  readonly threads?: number;
  /** The C compiler's command. Default: $ASHLAR_CC, else gcc, clang or cc. */
  readonly compiler?: string;
  /**
   * The processor that C code is made for. Default: native, all that this machine has; a lesser one that it can run is for
   * measurements and tests.
   */
  readonly cpu?: Cpu;
  /** State to share with other compiled functions: a WebGpuStateStore for target wgsl. Default: a new store. */
  readonly state?: AnyStateStore;
  /**
   * True: states that the function does not update become constants with the values that they have now, packed once for
   * the kernels that read them; they should not change before `compile` has answered. Later changes are not seen; without a state given here, they are not kept
   * in one. Default false.
   */
  readonly freeze?: boolean;
  /**
   * Tensors with the values of the states that the function does not update, or the path of a safetensors file: as with
   * `freeze` they become constants. C and JavaScript read a file one tensor at a time, so that the model never lies in
   * memory beside its packed form.
   */
  readonly weights?: string | WeightTensors;
  /** Receives every stage in text form. $ASHLAR_DUMP=all prints them to stderr. */
  readonly print?: (stage: string, text: string) => void;
  /** False: one kernel per operation, for comparison. */
  readonly fusion?: boolean;
  /**
   * What `tune` measured on this machine, or the path of its file: for target c, or for target wgsl, which then has to be named
   * or given a device. Entries that fit nothing of the function are ignored, with a note to `print`.
   */
  readonly tuning?: Tuning;
}

/**
 * Compiles a function. Compiled C libraries are cached by content. What is returned answers at once on targets c and js and
 * with promises on wgsl; where the target is not named, `await` fits all. Throws UserError for options that do not go
 * together, LimitationError where an operation has no form on the target.
 */
export function compile<Inputs, Outputs>(
  definition: Definition<Inputs, Outputs>,
  options: CompileTargetOptions & OnDevice,
): Promise<WebGpuExecutable<Inputs, Outputs>>;
export function compile<Inputs, Outputs>(
  definition: Definition<Inputs, Outputs>,
  options: CompileTargetOptions & InMemory,
): Promise<Executable<Inputs, Outputs>>;
export function compile<Inputs, Outputs>(
  definition: Definition<Inputs, Outputs>,
  options?: CompileTargetOptions,
): Promise<AnyExecutable<Inputs, Outputs>>;
export async function compile(definition: Definition, options: CompileTargetOptions = {}): Promise<unknown> {
  const target = await targetOf(options);
  expectTogether(target, options);
  const passes = passOptions(options);
  if (target === 'wgsl') return compileOnDevice(definition, options, passes);
  const state = options.state as StateStore | undefined;
  const weights = weightsFor(definition, options);
  try {
    const prepared = prepareDefinition(definition, weights, state);
    const limited = { ...passes, mostInlineElements };
    return target === 'js'
      ? compileToJs(prepared, weights, limited)
      : await compileToC(prepared, weights, options, limited);
  } finally {
    weights?.close();
  }
}

type OnDevice =
  | { readonly target: 'wgsl' }
  | { readonly target?: never; readonly state: WebGpuStateStore }
  | { readonly target?: never; readonly device: WebGpuDevice };
type InMemory =
  | { readonly target: 'c' | 'js' }
  | { readonly target?: never; readonly state: StateStore }
  | { readonly target?: never; readonly compiler: string }
  | { readonly target?: never; readonly cpu: Cpu }
  | { readonly target?: never; readonly tuning: Tuning };

async function compileOnDevice(
  definition: Definition,
  options: CompileTargetOptions,
  passes: CompileOptions,
): Promise<unknown> {
  const state = options.state as WebGpuStateStore | undefined;
  const device = options.device ?? state?.device ?? (await defaultDevice());
  const { freeze = false, weights } = options;
  const tuning = options.tuning === undefined ? undefined : recordText(options.tuning);
  const file = typeof weights === 'string' ? weightsOfFile(weights) : null;
  const given = typeof weights === 'object' ? weightsOfTensors(weights) : file;
  try {
    return await compileToWgsl(definition, { device, state, freeze, tuning }, given, passes);
  } finally {
    file?.close();
  }
}

/** Constants beyond a few cache lines stay out of the text: it compiles faster and is the same for other weights. */
const mostInlineElements = 64;

const targets: readonly string[] = ['c', 'wgsl', 'js'] satisfies readonly Target[];

async function targetOf(options: CompileTargetOptions): Promise<Target> {
  const named = options.target ?? impliedBy(options) ?? (process.env.ASHLAR_TARGET || undefined);
  if (named !== undefined && !targets.includes(named))
    throw new UserError(`target: 'c', 'wgsl' or 'js' expected, ${JSON.stringify(named)} given`);
  if (named !== undefined) return named as Target;
  if (process.env.ASHLAR_CC || hasCompiler()) return 'c';
  const found = options.state === undefined && (await hasHardware()) ? 'wgsl' : 'js';
  note(found);
  return found;
}

/** The target that options are for, where they are for one alone. */
function impliedBy({ device, state, compiler, cpu, tuning }: CompileTargetOptions): Target | undefined {
  if (device !== undefined || state instanceof WebGpuStateStore) return 'wgsl';
  return compiler !== undefined || cpu !== undefined || tuning !== undefined ? 'c' : undefined;
}

/** Throws UserError for options that the target has no use for. */
function expectTogether(target: Target, options: CompileTargetOptions): void {
  const { state, device, compiler, cpu, threads, tuning } = options;
  const refuse = (problem: string): never => {
    throw new UserError(`target ${target} ${problem}`);
  };
  if (target === 'wgsl' && state !== undefined && !(state instanceof WebGpuStateStore))
    refuse(
      "keeps states on a device; the store given is in this process's memory. Leave state out, or name target c or js",
    );
  if (target !== 'wgsl' && state !== undefined && !(state instanceof StateStore))
    refuse("keeps states in this process's memory; the store given is on a device. Give StateStore.copyOf(store)");
  if (target !== 'wgsl' && device !== undefined) refuse('runs on no device; leave it out');
  if (target === 'c') return;
  if (compiler !== undefined) refuse('takes no compiler; leave it out');
  if (cpu !== undefined) refuse('is not compiled for a processor; leave cpu out');
  if (target === 'js' && tuning !== undefined) refuse('takes no tuning; leave it out');
  // A program that leaves the target open may still say how many threads C should have.
  if (options.target !== undefined && threads !== undefined && threads !== 1)
    refuse(`has no threads to set, ${threads} given`);
}

let noted = false;

function note(target: 'wgsl' | 'js'): void {
  if (noted) return;
  noted = true;
  const found =
    target === 'js'
      ? 'no C compiler and no graphics card was found, so programs run in JavaScript, some 20 times slower'
      : 'no C compiler was found, so programs run on the graphics card';
  process.stderr.write(
    `ashlar: ${found}; gcc or clang would be used (on Debian or Ubuntu "apt-get install gcc"), and target: '${target}' ` +
      'asks for this without the note\n',
  );
}

/** Where the elements of states that become constants come from; null where none do. The caller closes it. */
export function weightsFor(
  { func, variables }: Definition,
  { weights, freeze = false, state }: Pick<CompileTargetOptions, 'weights' | 'freeze' | 'state'>,
): Weights | null {
  if (typeof weights === 'string') return weightsOfFile(weights);
  if (weights !== undefined) return weightsOfTensors(weights);
  const hasWeights = func.parameters.some(({ role }) => role === 'weight');
  return freeze || hasWeights ? weightsOfStates(variables, state as StateStore | undefined, freeze) : null;
}

function passOptions({ fusion, print }: CompileTargetOptions): CompileOptions {
  const dump = (stage: string, text: string): void => void process.stderr.write(`--- ${stage}\n${text}\n`);
  const printed = print ?? (process.env.ASHLAR_DUMP === 'all' ? dump : undefined);
  return { ...(fusion === undefined ? {} : { fusion }), ...(printed === undefined ? {} : { print: printed }) };
}
