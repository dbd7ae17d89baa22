// Calling a compiled program by names, on the caller's own arrays: everything is checked before a kernel runs.

import { UserError } from '../ir/errors.ts';
import type { RangeCheck } from '../ir/program.ts';
import type { TensorType } from '../ir/types.ts';
import { allocate, type TypedArray } from './arrays.ts';
import { expectArray, expectKnown, expectRange } from './call-checks.ts';
import type { CallOptions } from './definition.ts';
import type { StateStore } from './state.ts';

type Boundaries = readonly { readonly name: string; readonly type: TensorType }[];

/** What a caller of a program must know of it. */
export interface Callable {
  readonly inputs: Boundaries;
  readonly outputs: Boundaries;
  readonly states: Boundaries;
  readonly checks: readonly RangeCheck[];
}

/** A program's kernels on memory in the program's order. */
export type ProgramCall = (
  states: readonly TypedArray[],
  inputs: readonly TypedArray[],
  outputs: readonly TypedArray[],
) => void;

type Named = Readonly<Record<string, TypedArray>>;

export type Run = (inputs: Named, options?: CallOptions<Named, string>) => Record<string, TypedArray>;

/** Without a prototype: an output may have the name of any object's property. */
const noArrays: Named = Object.freeze(Object.create(null));

/** Which outputs a call returns, and the arrays that some of them go to. Throws UserError for an unknown one. */
export function expectOutputs(
  { outputs }: CallOptions<Named, string>,
  names: ReadonlySet<string>,
): { readonly wanted: ReadonlySet<string>; readonly into: Named } {
  const listed = Array.isArray(outputs);
  const [wanted, into] = listed ? [outputs as string[], noArrays] : [names, (outputs ?? noArrays) as Named];
  expectKnown('output', listed ? wanted : Object.keys(into), names);
  return { wanted: new Set(wanted), into };
}

/** The call by names, over the states of a store. */
export function runner(program: Callable, call: ProgramCall, state: StateStore): Run {
  const states = program.states.map(({ name }) => state.memory(name));
  const names = new Set(program.inputs.map(({ name }) => name));
  const outputNames = new Set(program.outputs.map(({ name }) => name));
  return (inputs, options = {}) => {
    expectKnown('input', Object.keys(inputs), names);
    const { wanted, into } = expectOutputs(options, outputNames);
    const given = program.inputs.map((buffer) => expectArray('input', buffer, inputs[buffer.name]));
    for (const check of program.checks) expectRange(inputs[check.input]!, check);
    const results = program.outputs.map((buffer) =>
      into[buffer.name] === undefined ? allocate(buffer.type) : expectArray('output', buffer, into[buffer.name]),
    );
    refuseOverlap(program, given, results, into);
    call(states, given, results);
    const named = program.outputs.map(({ name }, i) => [name, results[i]!] as const);
    return Object.fromEntries(named.filter(([name]) => wanted.has(name)));
  };
}

/** Kernels write outputs while they read inputs: memory given for an output must be its own. */
function refuseOverlap(
  program: Callable,
  inputs: readonly TypedArray[],
  results: readonly TypedArray[],
  given: Named,
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
