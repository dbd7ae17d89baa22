// Functions with derivatives of their own: by a rule of the user's (customVjp, customJvp), or by computing what is inside
// again (checkpoint). Each call is traced into one operation that holds the function and its derivatives in both directions.

import { jvpOf } from '../autodiff/forward.ts';
import { vjpOf } from '../autodiff/reverse.ts';
import { type Closure, capturing } from '../ir/closure.ts';
import { type SourcePosition, UserError } from '../ir/errors.ts';
import { type Func, makeFunc, nodesOf, type Parameter, type Value } from '../ir/graph.ts';
import { inlineFunc } from '../ir/inline.ts';
import { builder, opTable } from '../ir/ops/index.ts';
import { formatType, isFloat, sameType } from '../ir/types.ts';
import { describe } from './checks.ts';
import { callerPosition } from './source.ts';
import { type Leaves, leavesOf } from './structure.ts';
import { type AnyTensor, expectTensor, here, Tensor } from './tensor.ts';
import { parametersFor, trace } from './trace.ts';
import type { Tensors } from './vmap.ts';

// biome-ignore lint/suspicious/noExplicitAny: any function of tensors; what it is made into has its very type
export type TensorFunction = (...inputs: any[]) => Tensors;

type OrNull<T extends readonly unknown[]> = { readonly [I in keyof T]: T[I] | null };

export interface VjpGiven<F extends TensorFunction> {
  readonly inputs: Parameters<F>;
  /** What the function returned for them. */
  readonly outputs: ReturnType<F>;
  /** The derivative of something by each output, in the structure of the outputs. */
  readonly cotangents: ReturnType<F>;
}

export interface JvpGiven<F extends TensorFunction> {
  readonly inputs: Parameters<F>;
  readonly outputs: ReturnType<F>;
  /** The direction of each input; null for one that is not of floats. */
  readonly tangents: Parameters<F>;
}

/**
 * The function with a reverse derivative of its own: `rule` gives the cotangent of each input, of its type, or null where there
 * is none. A rule is made of expressions, so it can be differentiated again and batched. Where it is linear in the cotangents
 * the forward derivative follows from it; where it is not (it clips them, or iterates until they settle), there is none.
 *
 * ```ts
 * const straightThrough = customVjp((x: Tensor<[8], 'f32'>) => x.round(), ({ cotangents }) => [cotangents]);
 * ```
 *
 * Calls throw UserError where the function reads floats that it does not take (their gradient would be lost), and where the
 * rule gives other types, with the line of this definition.
 */
export function customVjp<F extends TensorFunction>(f: F, rule: (given: VjpGiven<F>) => OrNull<Parameters<F>>): F {
  const problem = problemOf('customVjp');
  const call = (...inputs: AnyTensor[]): Tensors => {
    const traced = traceCall('customVjp', f, inputs);
    expectFloats(traced, problem);
    expectClosed(traced, problem);
    const { inputs: given, outputs, join } = traced;
    const ruled = traceRule(traced, outputs, (xs, ys, cotangents) => {
      const found: unknown = rule({ inputs: xs, outputs: join(ys), cotangents: join(cotangents) } as never);
      return cotangentsFor(given, found, problem);
    });
    const captured = [...new Set([...traced.closure.captured, ...ruled.captured])];
    const own = capturing(ruled, captured);
    const none = floatsOf(captured).map((value, i): Func['results'][number] => ({
      name: `none${i}`,
      role: 'output',
      value: builder.like(value, 0),
    }));
    const vjp = makeFunc(own.name, own.parameters, [...none, ...own.results]);
    const fixed = captured.length + given.length + outputs.length;
    return emit(traced, captured, { vjp, jvp: turnedAroundOrNull(vjp, fixed) });
  };
  return call as F;
}

/**
 * The function with a forward derivative of its own: `rule` gives the tangents of the outputs, in their structure. It must
 * be linear in the tangents; the reverse derivative follows from it.
 *
 * ```ts
 * const softplus = customJvp((x: Tensor<[], 'f32'>) => x.exp().log1p(), ({ inputs: [x], tangents: [t] }) => t.mul(x.sigmoid()));
 * ```
 *
 * Calls throw UserError as those of customVjp do, and where the rule is not linear.
 */
export function customJvp<F extends TensorFunction>(f: F, rule: (given: JvpGiven<F>) => ReturnType<F>): F {
  const problem = problemOf('customJvp');
  const call = (...inputs: AnyTensor[]): Tensors => {
    const traced = traceCall('customJvp', f, inputs);
    expectFloats(traced, problem);
    expectClosed(traced, problem);
    const { inputs: given, outputs, join } = traced;
    const ruled = traceRule(traced, floatsOf(given), (xs, ys, tangents) => {
      let next = 0;
      const each = given.map(({ type }) => (isFloat(type.dtype) ? tangents[next++]! : null));
      const found: unknown = rule({ inputs: xs, outputs: join(ys), tangents: each } as never);
      return tangentsFor(outputs, found, problem);
    });
    const captured = [...new Set([...traced.closure.captured, ...ruled.captured])];
    const own = capturing(ruled, captured);
    const fixed = captured.length + given.length + outputs.length;
    const unread = parametersLike('unread', floatsOf(captured));
    const parameters = [...own.parameters.slice(0, fixed), ...unread, ...own.parameters.slice(fixed)];
    const jvp = makeFunc(own.name, parameters, own.results);
    const vjp = turnedAround(jvp, fixed) ?? problem('a rule that is linear in the tangents expected, this one is not');
    return emit(traced, captured, { jvp, vjp });
  };
  return call as F;
}

/**
 * The function, of which a gradient keeps the inputs alone: what is inside is computed again when the gradient gets there.
 * Memory for time: a chain of n layers in √n checkpoints keeps about 2√n of their values instead of n, for one more
 * evaluation (T. Chen et al., arXiv:1604.06174). The operations are the same; in C, which of them a compiler fuses into one
 * rounding may differ between a kernel and the one that computes it again.
 *
 * Only what depends on the arguments is computed again. Layers may be read as in any function; running statistics that
 * they update inside cannot be had.
 */
export function checkpoint<F extends TensorFunction>(f: F): F {
  const call = (...inputs: AnyTensor[]): Tensors => {
    const traced = traceCall('checkpoint', f, inputs);
    const { captured, func } = traced.closure;
    const floatOutputs = floatsOf(traced.outputs);
    const operandParameters = (): Parameter[] => parametersLike('x', [...captured, ...traced.inputs]);
    const outputParameters = parametersLike('y', traced.outputs);
    return emit(traced, captured, {
      vjp: reverseAgain(func, operandParameters(), outputParameters, parametersLike('cotangent', floatOutputs)),
      jvp: forwardOf(func, operandParameters(), outputParameters),
    });
  };
  return call as F;
}

const valuesOf = (list: readonly { readonly value: Value }[]): Value[] => list.map(({ value }) => value);
const floatsOf = (values: readonly Value[]): Value[] => values.filter(({ type }) => isFloat(type.dtype));
const tensorsOf = (values: readonly Value[]): AnyTensor[] => values.map((value) => new Tensor(value));

function parametersLike(name: string, values: readonly Value[]): Parameter[] {
  return parametersFor(
    values.map((_, i) => `${name}${i}`),
    values.map(({ type }) => type),
  );
}

type Problem = (message: string) => never;

/** Throws errors that name the line where the function was given its derivative: that of the caller of the caller. */
function problemOf(callee: string): Problem {
  const defined: SourcePosition | null = callerPosition();
  return (message) => {
    throw new UserError(`${callee}: ${message}`, defined);
  };
}

/** One call of a function: what it was given, and what became of it. */
interface TracedCall {
  readonly callee: string;
  readonly given: readonly AnyTensor[];
  readonly closure: Closure;
  /** What stands for inputs and outputs. */
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly join: Leaves['join'];
}

function traceCall(callee: string, f: TensorFunction, given: readonly AnyTensor[]): TracedCall {
  for (const tensor of given) expectTensor(callee, tensor);
  const parameters = parametersLike('x', valuesOf(given));
  const refuse = (message: string): never => {
    throw new UserError(`${callee}: ${message}`, callerPosition());
  };
  let outputs: Leaves | undefined;
  const closure = trace(callee, parameters, () => {
    outputs = leavesOf('result', f(...tensorsOf(valuesOf(parameters))), refuse);
    return { names: outputs.names, values: valuesOf(outputs.tensors) };
  });
  if (outputs!.tensors.length === 0) refuse('a function that returns tensors expected');
  return {
    callee,
    given,
    closure,
    inputs: valuesOf(given),
    outputs: valuesOf(outputs!.tensors),
    join: outputs!.join,
  };
}

/** The rule as a function of inputs, outputs and one more value for each of `linear`. */
function traceRule(
  { callee, inputs, outputs }: TracedCall,
  linear: readonly Value[],
  make: (xs: AnyTensor[], ys: AnyTensor[], linear: AnyTensor[]) => readonly Value[],
): Closure {
  const parts = [parametersLike('x', inputs), parametersLike('y', outputs), parametersLike('d', linear)] as const;
  return trace(callee, parts.flat(), () => {
    const [xs, ys, ds] = parts.map((part) => tensorsOf(valuesOf(part))) as [AnyTensor[], AnyTensor[], AnyTensor[]];
    const values = make(xs, ys, ds);
    return { names: values.map((_, i) => `r${i}`), values };
  });
}

/** The operation, on the given inputs and on what the function and its rule read of their surroundings. */
function emit(
  { callee, given, closure, join }: TracedCall,
  captured: readonly Value[],
  rules: { readonly jvp: Func | null; readonly vjp: Func | null },
): Tensors {
  const attrs = { callee: capturing(closure, captured), ...rules };
  return join(tensorsOf(here(callee).custom(...captured, ...valuesOf(given), attrs))) as Tensors;
}

function expectFloats({ outputs }: TracedCall, problem: Problem): void {
  const other = outputs.find(({ type }) => !isFloat(type.dtype));
  if (other !== undefined)
    problem(
      `a function that returns floats expected, ${formatType(other.type)} given; return it from a function of its own`,
    );
}

/** Refuses floats from outside that could have a gradient: all but constants and what is read through stopGradient alone. */
function expectClosed({ closure: { captured, func } }: TracedCall, problem: Problem): void {
  for (const [i, value] of captured.entries()) {
    const inside = func.parameters[i]!.value;
    const isRead =
      func.nodes.some(({ op, operands }) => op !== 'stopGradient' && operands.includes(inside)) ||
      func.results.some((result) => result.value === inside);
    if (!isRead || !isFloat(value.type.dtype) || value.producer?.op === 'stopGradient') continue;
    const lost = [value, ...nodesOf([value]).flatMap(({ operands }) => operands)].find(
      ({ producer }) => producer === null,
    );
    if (lost === undefined) continue;
    problem(
      `the function reads ${describe({ value: lost })}, which it does not take, so that its gradient would be lost; pass it as an argument, or stopGradient of it where it has none`,
    );
  }
}

/** The cotangents of float inputs, zeros for null. Refuses another number of them and other types. */
function cotangentsFor(inputs: readonly Value[], found: unknown, problem: Problem): Value[] {
  const list: readonly unknown[] = Array.isArray(found)
    ? found
    : problem('a rule that returns a list expected: a cotangent or null for each input');
  if (list.length !== inputs.length)
    problem(
      `a rule that returns a cotangent or null for each of ${inputs.length} inputs expected, it returns ${list.length}`,
    );
  return inputs.flatMap((input, i) => {
    const cotangent = list[i];
    if (cotangent !== null) expectLike(cotangent, input, `the cotangent of input ${i + 1}`, problem);
    if (!isFloat(input.type.dtype)) return [];
    return [cotangent === null ? builder.like(input, 0) : (cotangent as AnyTensor).value];
  });
}

function tangentsFor(outputs: readonly Value[], found: unknown, problem: Problem): Value[] {
  const { tensors, names } = leavesOf('tangent', found, problem);
  if (tensors.length !== outputs.length)
    problem(
      `a rule that returns a tangent for each of ${outputs.length} outputs expected, it returns ${tensors.length}`,
    );
  return tensors.map((tensor, i) => {
    expectLike(tensor, outputs[i]!, names[i]!, problem);
    return tensor.value;
  });
}

function expectLike(given: unknown, like: Value, what: string, problem: Problem): void {
  const shown = given instanceof Tensor ? formatType(given.value.type) : typeof given;
  if (!(given instanceof Tensor) || !sameType(given.value.type, like.type))
    problem(`${what} must be ${formatType(like.type)} as that is, ${shown} given`);
}

/**
 * A rule for the other direction: of y = A·d with A from the first `fixed` parameters, Aᵀ. Null where results are not linear
 * in the other parameters.
 */
function turnedAround(rule: Func, fixed: number): Func | null {
  const linear = valuesOf(rule.parameters.slice(fixed));
  const into = parametersLike('d', valuesOf(rule.results));
  const found = vjpOf(builder, opTable, valuesOf(rule.results), valuesOf(into), linear).map(
    (value, i) => value ?? builder.like(linear[i]!, 0),
  );
  const used = new Set(nodesOf(found).flatMap(({ operands }) => operands));
  if (linear.some((value) => used.has(value) || found.includes(value))) return null;
  return makeFunc(rule.name, [...rule.parameters.slice(0, fixed), ...into], outputsOf(found));
}

/** Null also where the rule has no derivative itself, as a loop without a limit: then nothing can be turned around. */
function turnedAroundOrNull(rule: Func, fixed: number): Func | null {
  try {
    return turnedAround(rule, fixed);
  } catch (error) {
    if (error instanceof UserError) return null;
    throw error;
  }
}

function outputsOf(values: readonly Value[]): Func['results'] {
  return values.map((value, i) => ({ name: `r${i}`, role: 'output', value }));
}

/** The gradient of a function that is evaluated again for it, not before its cotangents are there. */
function reverseAgain(func: Func, operands: Parameter[], outputs: Parameter[], cotangents: Parameter[]): Func {
  const incoming = valuesOf(cotangents);
  const again =
    incoming.length === 0 ? valuesOf(operands) : valuesOf(operands).map((value) => builder.after(value, ...incoming));
  const made = inlineFunc(func, again);
  const wrt = floatsOf(again);
  const found = vjpOf(builder, opTable, floatsOf(made), incoming, wrt).map(
    (value, i) => value ?? builder.like(wrt[i]!, 0),
  );
  return makeFunc(func.name, [...operands, ...outputs, ...cotangents], outputsOf(found));
}

function forwardOf(func: Func, operands: Parameter[], outputs: Parameter[]): Func {
  const wrt = floatsOf(valuesOf(operands));
  const tangents = parametersLike('tangent', wrt);
  const made = floatsOf(inlineFunc(func, valuesOf(operands)));
  const found = jvpOf(builder, opTable, made, wrt, valuesOf(tangents)).map(
    (value, i) => value ?? builder.like(made[i]!, 0),
  );
  return makeFunc(func.name, [...operands, ...outputs, ...tangents], outputsOf(found));
}
