// What the compilers of all targets take and give.

import { LimitationError } from '../ir/errors.ts';
import type { Func } from '../ir/graph.ts';
import { builder } from '../ir/ops/index.ts';
import type { Launch, Program, ProgramBuffer } from '../ir/program.ts';
import { mapSteps } from '../ir/steps.ts';
import type { TensorType } from '../ir/types.ts';
import { bindStates } from '../passes/bind-states.ts';
import { largestOperand } from '../passes/fold.ts';
import { allocate, type TypedArray } from './arrays.ts';
import { type AnyStateStore, StateStore } from './state.ts';
import type { Weights } from './weights.ts';

/** What can be compiled: a graph function and the first values of its states. */
export interface Definition<Inputs = unknown, Outputs = unknown> {
  readonly func: Func;
  readonly variables: readonly { readonly name: string; readonly type: TensorType; initial(): ArrayLike<number> }[];
  /** Carries the input and output types; never read. */
  readonly signature?: { readonly inputs: Inputs; readonly outputs: Outputs };
}

export type Arrays<Types> = { readonly [Name in keyof Types]: Types[Name] };

export interface CallOptions<Outputs, Name extends keyof Outputs = keyof Outputs> {
  /**
   * The outputs that are wanted, by name; nothing else is returned, or read from a device. Or arrays by name that
   * results are written to; the other outputs are new arrays. Default: all, in new arrays.
   */
  readonly outputs?: readonly Name[] | Partial<Arrays<Outputs>>;
}

/** What compiled functions of all targets have. */
interface Compiled {
  readonly target: 'c' | 'wgsl' | 'js';
  /** The text that runs. */
  readonly source: string;
}

/** A compiled function, whatever its target: `await` a call and what its states hold. */
export interface AnyExecutable<Inputs = Record<string, TypedArray>, Outputs = Record<string, TypedArray>>
  extends Compiled {
  <Name extends keyof Outputs = keyof Outputs>(
    inputs: Arrays<Inputs>,
    options?: CallOptions<Outputs, Name>,
  ): Arrays<Pick<Outputs, Name>> | Promise<Arrays<Pick<Outputs, Name>>>;
  readonly state: AnyStateStore;
  /** `steps` has an entry for each kernel of a call, and for each loop or branch one with entries inside. */
  readonly program: {
    readonly outputs: readonly { readonly name: string; readonly type: TensorType }[];
    readonly steps: readonly unknown[];
  };
}

/** A function compiled to C or JavaScript. Calling it runs every kernel before it returns. */
export interface Executable<Inputs = Record<string, TypedArray>, Outputs = Record<string, TypedArray>>
  extends Compiled {
  /** Runs the function. Throws UserError for a missing or unknown input, another array type or length, or an index out of its range. */
  <Name extends keyof Outputs = keyof Outputs>(
    inputs: Arrays<Inputs>,
    options?: CallOptions<Outputs, Name>,
  ): Arrays<Pick<Outputs, Name>>;
  readonly target: 'c' | 'js';
  readonly state: StateStore;
  readonly program: Program;
}

/** A function whose weights, if there are any, became constants, and the store with the states that it has left. */
export interface Prepared {
  readonly func: Func;
  readonly state: StateStore;
}

/** Binds the weights and declares the remaining states in the store given, or in a new one. */
export function prepareDefinition(
  { func, variables }: Definition,
  weights: Weights | null,
  state = new StateStore(),
): Prepared {
  const bound = weights === null ? func : frozen(func, weights);
  const kept = new Set(bound.parameters.filter(({ role }) => role === 'state').map(({ name }) => name));
  for (const variable of variables) {
    if (kept.has(variable.name)) state.declare(variable.name, variable.type, () => variable.initial());
  }
  return { func: bound, state };
}

/** The function with the states that it only reads as constants, or as weights where no pass looks at their elements. */
function frozen(func: Func, weights: Weights): Func {
  const values = (name: string): ArrayLike<number> => {
    const { type } = func.parameters.find((parameter) => parameter.name === name)!.value;
    const elements = weights.elements(name, type, () => allocate(type));
    if (elements instanceof BigInt64Array)
      throw new LimitationError(`state ${name} is i64; it cannot be frozen, cast it to i32`);
    return elements;
  };
  const states = func.parameters.filter(({ role }) => role === 'state').map(({ name }) => name);
  return bindStates(func, builder, values, largestOperand, new Set(weights.freezes ? [] : states));
}

/** The program without the elements of its external constants, which its runtime holds by now, packed or copied. */
export function withoutData(program: Program): Program {
  const light = new Map(program.externals.map((buffer) => [buffer, { ...buffer, data: null }]));
  const lightened = (buffer: ProgramBuffer): ProgramBuffer => light.get(buffer) ?? buffer;
  const relaunch = (launch: Launch): Launch => ({ ...launch, args: launch.args.map(lightened) });
  return {
    ...program,
    steps: mapSteps(program.steps, relaunch, lightened),
    preparation: program.preparation.map(relaunch),
    externals: [...light.values()],
  };
}
