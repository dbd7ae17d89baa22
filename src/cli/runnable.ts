// What `run` and `bench` run: a function compiled for a target, or an artifact.

import type { FileDType } from '../io/array.ts';
import type { RangeCheck } from '../ir/program.ts';
import type { TensorType } from '../ir/types.ts';
import { inputChecks } from '../passes/input-checks.ts';
import type { TypedArray } from '../runtime/arrays.ts';
import { loadArtifact } from '../runtime/artifact/load.ts';
import type { LoadedArtifact, LoadedFunction } from '../runtime/artifact/loaded.ts';
import { threadCount } from '../runtime/c/compile.ts';
import { compile } from '../runtime/compile.ts';
import type { AnyExecutable, Definition } from '../runtime/definition.ts';
import { WebGpuStateStore } from '../runtime/webgpu/state.ts';
import { Misuse } from './failure.ts';
import { isArtifact, loadDefinition, type ModelOptions } from './model/load.ts';
import type { OwnModules } from './model/module.ts';
import type { ModelDefinition } from './model/onnx.ts';
import { expectForTarget } from './options.ts';
import type { Target } from './stages.ts';
import { noteTuning } from './terminal.ts';

export interface Boundary {
  readonly name: string;
  readonly type: TensorType;
  /** The element type of its file, where that is no dtype. Default: the dtype. */
  readonly file?: FileDType;
}

export type Arrays = Readonly<Record<string, TypedArray>>;

export interface Runnable {
  readonly target: Target;
  readonly threads: number;
  readonly inputs: readonly Boundary[];
  readonly outputs: readonly Boundary[];
  /** Ranges of inputs that are indices. */
  readonly checks: readonly RangeCheck[];
  run(inputs: Arrays): Arrays | Promise<Arrays>;
  /** What the function keeps from call to call. */
  readonly state: {
    get(name: string): TypedArray | Promise<TypedArray>;
    set(name: string, elements: TypedArray): void;
  };
  close(): void;
}

export interface RunnableOptions extends ModelOptions {
  readonly target?: Target;
  readonly threads?: number;
  /** The path of a tuning record. */
  readonly tuning?: string;
}

export async function openRunnable(path: string, options: RunnableOptions, own: OwnModules): Promise<Runnable> {
  if (isArtifact(path)) return openArtifact(path, options);
  const { target } = options;
  if (target !== undefined) expectForTarget(target, { threads: options.threads, tuning: options.tuning });
  return compiled(await loadDefinition(path, options, own), target, options);
}

/** Options that say how a model is compiled: an artifact is compiled already. */
const ofModels = ['name', 'state', 'dim', 'shape', 'constant', 'tuning'] as const;

async function openArtifact(path: string, options: RunnableOptions): Promise<Runnable> {
  for (const option of ofModels)
    if (options[option] !== undefined)
      throw new Misuse(`--${option} is for models, ${path} is an artifact; give it to "ashlar compile"`);
  const { threads, target } = options;
  const artifact = await loadArtifact(path, threads === undefined ? {} : { threads });
  if (target !== undefined && target !== artifact.target)
    throw new Misuse(`${path} is an artifact of target ${artifact.target}; leave --target out`);
  if (threads !== undefined && artifact.target !== 'c')
    throw new Misuse(`--threads is for target c; leave it out for ${artifact.target}`);
  const run = functionOf(path, artifact, options.export);
  return {
    target: artifact.target,
    threads: artifact.target === 'c' ? threadCount(threads) : 1,
    inputs: run.inputs,
    outputs: run.outputs,
    checks: run.checks,
    run,
    state: artifact.state,
    close: () => artifact.close(),
  };
}

function functionOf(path: string, { functions }: LoadedArtifact, wanted: string | undefined): LoadedFunction {
  const names = Object.keys(functions);
  if (wanted === undefined && names.length > 1)
    throw new Misuse(`${path} has several functions; choose one with --export NAME: ${names.join(', ')}`);
  const name = wanted ?? names[0]!;
  if (!Object.hasOwn(functions, name))
    throw new Misuse(`${path} has no function ${name}; there are ${names.join(', ')}`);
  return functions[name]!;
}

/** A function on a target, or on the one that this machine has, its weights packed for it. */
export async function compiled(
  model: ModelDefinition,
  target: Target | undefined,
  { threads, tuning }: Pick<RunnableOptions, 'threads' | 'tuning'>,
): Promise<Runnable> {
  const run: AnyExecutable<Arrays, Arrays> = await compile(model as Definition<Arrays, Arrays>, {
    freeze: true,
    ...(target === undefined ? {} : { target }),
    ...(threads === undefined ? {} : { threads }),
    ...(tuning === undefined ? {} : { tuning, print: noteTuning }),
  });
  const { state } = run;
  return {
    ...boundariesOf(model),
    target: run.target,
    threads: run.target === 'c' ? threadCount(threads) : 1,
    state,
    run: (inputs) => run(inputs),
    // A device would keep the process alive.
    close: () => (state instanceof WebGpuStateStore ? state.device.destroy() : undefined),
  };
}

export function boundariesOf({ func, fileDTypes }: ModelDefinition): Pick<Runnable, 'inputs' | 'outputs' | 'checks'> {
  const boundary = (name: string, type: TensorType, file: FileDType | undefined): Boundary =>
    file === undefined ? { name, type } : { name, type, file };
  return {
    inputs: func.parameters
      .filter(({ role }) => role === 'input')
      .map(({ name, value }) => boundary(name, value.type, fileDTypes?.inputs.get(name))),
    outputs: func.results
      .filter(({ role }) => role === 'output')
      .map(({ name, value }) => boundary(name, value.type, fileDTypes?.outputs.get(name))),
    checks: inputChecks(func),
  };
}
