// What `run` and `bench` run: a function compiled for a target, or an artifact.

import type { RangeCheck } from '../ir/program.ts';
import type { TensorType } from '../ir/types.ts';
import { inputChecks } from '../passes/input-checks.ts';
import type { TypedArray } from '../runtime/arrays.ts';
import { threadCount } from '../runtime/c/compile.ts';
import { hasCompiler } from '../runtime/c/compiler.ts';
import { compile } from '../runtime/compile.ts';
import type { Definition, Executable } from '../runtime/definition.ts';
import { compileForWebGpu } from '../runtime/webgpu/compile.ts';
import { openDevice } from '../runtime/webgpu/device.ts';
import { nodeGpu } from '../runtime/webgpu/node-gpu.ts';
import { Misuse } from './failure.ts';
import { loadDefinition, type ModelOptions } from './model/load.ts';
import type { OwnModules } from './model/module.ts';
import type { Target } from './stages.ts';
import { note } from './terminal.ts';

export interface Boundary {
  readonly name: string;
  readonly type: TensorType;
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
  const target = options.target ?? defaultTarget();
  if (target !== 'c' && options.threads !== undefined)
    throw new Misuse(`--threads is for target c; leave it out for ${target}`);
  if (target !== 'c' && options.tuning !== undefined)
    throw new Misuse(`--tuning is for target c; leave it out for ${target}`);
  const definition = await loadDefinition(path, options, own);
  return compiled(definition as Definition<Arrays, Arrays>, target, options);
}

/** C, or JavaScript where there is no C compiler; $ASHLAR_TARGET may name another. */
function defaultTarget(): Target {
  const named = process.env.ASHLAR_TARGET;
  if (named === 'c' || named === 'wgsl' || named === 'js') return named;
  if (named !== undefined && named !== '')
    throw new Misuse(`$ASHLAR_TARGET is ${JSON.stringify(named)}; c, wgsl or js expected`);
  if (hasCompiler()) return 'c';
  note(
    'ashlar: no C compiler was found, so the model runs in JavaScript, some 20 times slower; --target js asks for that without this note',
  );
  return 'js';
}

/** A function on a target, its weights packed for it. */
export async function compiled(
  definition: Definition<Arrays, Arrays>,
  target: Target,
  options: Pick<RunnableOptions, 'threads' | 'tuning'>,
): Promise<Runnable> {
  const { func } = definition;
  const boundaries = {
    inputs: func.parameters
      .filter(({ role }) => role === 'input')
      .map(({ name, value }) => ({ name, type: value.type })),
    outputs: func.results
      .filter(({ role }) => role === 'output')
      .map(({ name, value }) => ({ name, type: value.type })),
    checks: inputChecks(func),
  };
  if (target === 'wgsl') {
    const device = await openDevice(await nodeGpu());
    const run = await compileForWebGpu(definition, { device, freeze: true });
    return {
      ...boundaries,
      target,
      threads: 1,
      state: run.state,
      run: (inputs) => run(inputs),
      close: () => device.destroy(),
    };
  }
  const { threads, tuning } = options;
  const run: Executable<Arrays, Arrays> = await compile(definition, {
    target,
    freeze: true,
    ...(threads === undefined ? {} : { threads }),
    ...(tuning === undefined ? {} : { tuning }),
  });
  return {
    ...boundaries,
    target,
    threads: target === 'c' ? threadCount(threads) : 1,
    state: run.state,
    run: (inputs) => run(inputs),
    close: () => {},
  };
}
