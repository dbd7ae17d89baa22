// Loops and branches. A step is a function of tensors that is traced once: what it makes becomes a function of the graph, what
// it reads of its surroundings is passed to it. So a step is written as if it stood in the middle of the expression.

import { capturing } from '../ir/closure.ts';
import type { Parameter, Value } from '../ir/graph.ts';
import { formatType, isInteger, sameType, type TensorType } from '../ir/types.ts';
import { describe, fail, refuse } from './checks.ts';
import type { HasOneLength, IsScalar, LengthOf, SameStructure, Slices, Stacked, Values } from './loop-types.ts';
import type { Shape } from './shape-types.ts';
import { type Leaves, leavesOf, type Structure } from './structure.ts';
import { type AnyTensor, expectTensor, here, Tensor } from './tensor.ts';
import { parametersFor, type Traced, trace } from './trace.ts';

export interface ScanOptions {
  /** From the last slice to the first; outputs stand at their slice's place. Default false. */
  readonly reverse?: boolean;
  /**
   * Integers `[batch]`: how many steps each row of a batch has, where carries, slices and outputs have the batch as their first
   * axis. The carries of a row that has ended stay, its outputs are zero.
   */
  readonly lengths?: AnyTensor;
  /**
   * What the gradient keeps of every step: `'keep'` whatever is costly to compute again (default), `'recompute'` the
   * carries alone. The second needs less memory and about one more run of all steps.
   */
  readonly residuals?: 'keep' | 'recompute';
}

/**
 * Steps through sequences along their first axis: `step(carry, slice)` gives the next carry and an output. Returns the last
 * carry, and all outputs stacked along a new first axis.
 *
 * ```ts
 * const [last, all] = scan(zeros([8, 32]), x, (h, xt) => {
 *   const next = xt.matmul(w).add(h.matmul(u)).tanh();
 *   return [next, next];
 * }); // x: [time, 8, 16] → last: [8, 32], all: [time, 8, 32]
 * ```
 *
 * Carry, slice and output are each a tensor, a list of tensors, tensors by names, or null for none. `arange(n)` as sequence
 * counts n steps. Throws UserError where sequences differ in length, or the next carry has other types than the first.
 */
export function scan<const C extends Structure, const X extends Structure, const R, const Y extends Structure>(
  initial: C,
  sequences: X & HasOneLength<X>,
  step: (carry: Values<C>, slice: Slices<X>) => readonly [carry: R & SameStructure<C, R>, output: Y],
  options: ScanOptions = {},
): [Values<C>, Stacked<Y, LengthOf<X> & number>] {
  const carries = leavesOf('carry', initial, problem('scan'));
  const given = leavesOf('sequence', sequences, problem('scan'));
  const length = lengthOf(given);
  const { lengths, reverse = false, residuals = 'keep' } = options;
  if (residuals !== 'keep' && residuals !== 'recompute')
    fail(`scan: residuals must be 'keep' or 'recompute', ${String(residuals)} given`);
  if (lengths !== undefined) expectLengths(lengths);
  const steps =
    lengths === undefined ? [] : [new Tensor(here('scan').iota({ dtype: 'i32', shape: [length], axis: 0 }))];
  const carried = parametersFor(carries.names, carries.tensors.map(typeOf));
  const sliceNames = given.names.map((name) => name.replace('sequence', 'slice'));
  const slices = parametersFor(sliceNames, given.tensors.map(sliceOf));
  const counter = parametersFor(
    steps.map(() => 'step'),
    steps.map(sliceOf),
  );
  let outputs: Leaves | undefined;
  const { func, captured } = trace('scan', [...carried, ...slices, ...counter], () => {
    const returned: unknown = step(carries.join(tensors(carried)) as never, given.join(tensors(slices)) as never);
    if (!Array.isArray(returned) || returned.length !== 2)
      fail('scan: a step that returns [carry, output] expected; null stands for no output');
    const next = nextCarries('scan', carries, returned[0]);
    outputs = leavesOf('output', returned[1], problem('scan'));
    const names = [...carries.names, ...outputs.names];
    const made = { names, values: [...next, ...outputs.tensors.map(({ value }) => value)] };
    return lengths === undefined ? made : masked(made, carried, counter[0]!.value, lengths);
  });
  if (func.results.length === 0) fail('scan: a carry or an output expected, the step gives neither');
  const operands = [...carries.tensors, ...given.tensors, ...steps].map(({ value }) => value);
  const attrs = { body: func, length, reverse, consts: captured.length, carries: carried.length, residuals };
  const results = tensorsOf(here('scan').scan(...captured, ...operands, attrs));
  return [carries.join(results.slice(0, carried.length)), outputs!.join(results.slice(carried.length))] as never;
}

export interface WhileOptions {
  /** Most steps. A loop has a gradient only with a limit. Default: no bound. */
  readonly limit?: number;
}

/**
 * Repeats `step` while `condition` holds of what it gave: both take the carry, a tensor, a list of tensors or tensors by names.
 * Returns the carry for which the condition is false, or that of the last step.
 *
 * ```ts
 * const [root] = whileLoop([a, a.mul(0)], ([x, before]) => x.sub(before).abs().gt(1e-6), ([x]) => [x.add(a.div(x)).mul(0.5), x]);
 * ```
 *
 * Throws UserError where the condition is no bool[], or the next carry has other types than the first.
 */
export function whileLoop<const C extends Exclude<Structure, null>, P extends Shape, const R>(
  initial: C,
  condition: (carry: Values<C>) => Tensor<P, 'bool'> & IsScalar<P>,
  step: (carry: Values<C>) => R & SameStructure<C, R>,
  { limit }: WhileOptions = {},
): Values<C> {
  const carries = leavesOf('carry', initial, problem('whileLoop'));
  if (carries.tensors.length === 0) fail('whileLoop: at least one tensor as carry expected');
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit >= 0))
    fail(`whileLoop: a limit of whole steps expected, ${limit} given`);
  const traceOn = (make: (carry: Values<C>) => Traced) => {
    const carried = parametersFor(carries.names, carries.tensors.map(typeOf));
    return trace('whileLoop', carried, () => make(carries.join(tensors(carried)) as never));
  };
  const tested = traceOn((carry) => ({
    names: ['condition'],
    values: [truthOf('whileLoop: condition', condition(carry))],
  }));
  const stepped = traceOn((carry) => ({
    names: carries.names,
    values: nextCarries('whileLoop', carries, step(carry)),
  }));
  const captured = [...new Set([...tested.captured, ...stepped.captured])];
  const results = here('whileLoop').while(...captured, ...carries.tensors.map(({ value }) => value), {
    condition: capturing(tested, captured),
    body: capturing(stepped, captured),
    consts: captured.length,
    limit: limit ?? null,
  });
  return carries.join(tensorsOf(results)) as never;
}

export interface CondOptions {
  /**
   * What the gradient keeps of the function that ran: `'keep'` whatever is costly to compute again (default), `'recompute'` nothing, so
   * that it runs again.
   */
  readonly residuals?: 'keep' | 'recompute';
}

/**
 * What `then` makes where the predicate is true, else what `otherwise` makes. Only the chosen one runs; it need not take
 * arguments, it reads what it needs. Unlike `where`, which computes both, the predicate is one for all elements.
 *
 * Both return a tensor, a list of tensors or tensors by names. Throws UserError where their types differ.
 */
export function cond<P extends Shape, const T extends Exclude<Structure, null>, const U>(
  predicate: Tensor<P, 'bool'> & IsScalar<P>,
  then: () => T,
  otherwise: () => U & SameStructure<T, U>,
  { residuals = 'keep' }: CondOptions = {},
): Values<T> {
  const chosen = truthOf('cond: predicate', predicate);
  let made: Leaves | undefined;
  const first = trace('cond', [], () => {
    made = leavesOf('result', then(), problem('cond'));
    return { names: made.names, values: made.tensors.map(({ value }) => value) };
  });
  if (made!.tensors.length === 0) fail('cond: functions that return at least one tensor expected');
  const second = trace('cond', [], () => ({ names: made!.names, values: nextCarries('cond', made!, otherwise()) }));
  const captured = [...new Set([...first.captured, ...second.captured])];
  const results = here('cond').cond(chosen, ...captured, {
    then: capturing(first, captured),
    otherwise: capturing(second, captured),
    residuals,
  });
  return made!.join(tensorsOf(results)) as never;
}

const problem =
  (callee: string) =>
  (what: string): never =>
    fail(`${callee}: ${what}`);

const typeOf = ({ value }: AnyTensor): TensorType => value.type;
const sliceOf = ({ value }: AnyTensor): TensorType => ({ ...value.type, shape: value.type.shape.slice(1) });
const tensorsOf = (values: readonly Value[]): AnyTensor[] => values.map((value) => new Tensor(value));
const tensors = (parameters: readonly Parameter[]): AnyTensor[] => tensorsOf(parameters.map(({ value }) => value));

/** The number of steps. */
function lengthOf({ tensors: sequences, names }: Leaves): number {
  const [first] = sequences;
  if (first === undefined) fail('scan: at least one sequence expected; arange(n) counts n steps');
  const length = first.value.type.shape[0];
  for (const [i, sequence] of sequences.entries()) {
    const { shape } = sequence.value.type;
    if (shape.length === 0) fail(`scan: ${names[i]} must have an axis to walk, ${describe(sequence)} given`);
    if (shape[0] !== length)
      fail(`scan: sequences of one length expected, ${names[0]} has ${length} slices, ${names[i]} has ${shape[0]}`);
  }
  return length!;
}

/** What a step returned as carry, where it has the structure and types of the first. */
function nextCarries(callee: string, first: Leaves, returned: unknown): Value[] {
  const next = leavesOf(callee === 'cond' ? 'result' : 'carry', returned, problem(callee));
  const byName = new Map(next.names.map((name, i) => [name, next.tensors[i]!]));
  if (next.names.length !== first.names.length || !first.names.every((name) => byName.has(name)))
    fail(
      `${callee}: ${first.names.join(', ') || 'null'} expected of every function, ${next.names.join(', ') || 'null'} given`,
    );
  return first.names.map((name, i) => {
    const { value } = byName.get(name)!;
    const expected = first.tensors[i]!.value.type;
    if (!sameType(value.type, expected))
      fail(`${callee}: ${name} is ${formatType(expected)} at first, then ${formatType(value.type)}`);
    return value;
  });
}

function truthOf(what: string, given: AnyTensor): Value {
  expectTensor(what, given, 'a tensor bool[]');
  if (!sameType(given.value.type, { dtype: 'bool', shape: [] }))
    fail(`${what} must be bool[], ${describe(given)} given; all() or any() makes one of many`);
  return given.value;
}

/** The values of a step in rows that are not over: in the others carries stay, and outputs are zero. */
function masked({ names, values }: Traced, carried: readonly Parameter[], step: Value, lengths: AnyTensor): Traced {
  const b = here('scan');
  const { dtype, shape } = lengths.value.type;
  const counted = b.castTo(step, dtype);
  const active = b.lt(b.broadcast(counted, { shape, axes: [] }), lengths.value);
  const chosen = values.map((value, i) => {
    if (value.type.shape[0] !== shape[0])
      fail(
        `scan: lengths of ${shape[0]} rows, but ${names[i]} is ${formatType(value.type)}: rows as its first axis expected`,
      );
    const rows = b.broadcast(active, { shape: value.type.shape, axes: [0] });
    return b.select(rows, value, carried[i]?.value ?? b.like(value, 0));
  });
  return { names, values: chosen };
}

function expectLengths(lengths: AnyTensor): void {
  expectTensor('scan: lengths', lengths);
  const { dtype, shape } = lengths.value.type;
  if (shape.length !== 1 || !isInteger(dtype)) refuse('scan', [lengths], 'integers [batch] as lengths expected');
}
