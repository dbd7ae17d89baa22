// To the JavaScript target: the program's text, evaluated here. Needs nothing but the language, so it runs in a page too.

import { printProgram } from '../../codegen/js/program.ts';
import { InternalError } from '../../ir/errors.ts';
import type { ProgramBuffer } from '../../ir/program.ts';
import { type CompileOptions, compileToProgram } from '../../passes/pipeline.ts';
import { scriptTarget } from '../../passes/schedule.ts';
import { allocate, arrayFrom, type TypedArray } from '../arrays.ts';
import { runner } from '../call.ts';
import { type Prepared, withoutData } from '../definition.ts';
import type { Weights } from '../weights.ts';

type Run = (inputs: readonly TypedArray[], outputs: readonly TypedArray[]) => void;
type Bind = (states: readonly TypedArray[], externals: readonly TypedArray[]) => Run;

/**
 * Throws LimitationError where an operation has no JavaScript form, and EvalError in a page whose content security policy
 * forbids code from text: such a page loads the text as a module.
 */
export function compileToJs({ func, state }: Prepared, weights: Weights | null, passes: CompileOptions): unknown {
  const program = compileToProgram(func, { ...passes, schedule: scriptTarget });
  const source = printProgram(program);
  passes.print?.('js', source);
  const bind = new Function(`'use strict';\n${source}\nreturn bind;`)() as Bind;
  const states = program.states.map(({ name }) => state.memory(name));
  const run = bind(
    states,
    program.externals.map((buffer) => externalElements(buffer, weights)),
  );
  const light = withoutData(program);
  const call = runner(light, (_states, inputs, outputs) => run(inputs, outputs), state);
  return Object.assign(call, { target: 'js', state, program: light, source });
}

/** A copy, since the source may change. */
function externalElements({ name, type, data }: ProgramBuffer, weights: Weights | null): TypedArray {
  if (data !== null) return arrayFrom(type, data);
  if (weights === null) throw new InternalError(`no elements are known for the weight ${name}`);
  const memory = allocate(type);
  const given = weights.elements(name, type, () => memory) as ArrayLike<number>;
  return given === memory ? memory : arrayFrom(type, given);
}
