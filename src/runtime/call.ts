// Calling a compiled program by names, on the caller's own arrays: everything is checked before a kernel runs.

import { UserError } from '../ir/errors.ts';
import type { RangeCheck } from '../ir/program.ts';
import type { TensorType } from '../ir/types.ts';
import { allocate, type TypedArray } from './arrays.ts';
import { expectArray, expectKnown, expectRange } from './call-checks.ts';
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

export type Run = (
  inputs: Readonly<Record<string, TypedArray>>,
  outputs?: Readonly<Record<string, TypedArray>>,
) => Record<string, TypedArray>;

/** The call by names, over the states of a store. */
export function runner(program: Callable, call: ProgramCall, state: StateStore): Run {
  const states = program.states.map(({ name }) => state.memory(name));
  const names = new Set(program.inputs.map(({ name }) => name));
  const outputNames = new Set(program.outputs.map(({ name }) => name));
  return (inputs, outputs = {}) => {
    expectKnown('input', Object.keys(inputs), names);
    expectKnown('output', Object.keys(outputs), outputNames);
    const given = program.inputs.map((buffer) => expectArray('input', buffer, inputs[buffer.name]));
    for (const check of program.checks) expectRange(inputs[check.input]!, check);
    const results = program.outputs.map((buffer) =>
      outputs[buffer.name] === undefined ? allocate(buffer.type) : expectArray('output', buffer, outputs[buffer.name]),
    );
    refuseOverlap(program, given, results, outputs);
    call(states, given, results);
    return Object.fromEntries(program.outputs.map(({ name }, i) => [name, results[i]!]));
  };
}

/** Kernels write outputs while they read inputs: memory given for an output must be its own. */
function refuseOverlap(
  program: Callable,
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
