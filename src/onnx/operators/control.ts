// If and Loop. A Loop is a scan where its number of iterations is known, a while loop where a value ends it, and written out where
// shapes in its body depend on the iteration or others on what it computes.

import { isInteger } from '../../ir/types.ts';
import { stack } from '../../lang/functions.ts';
import { cond, whileLoop } from '../../lang/loops.ts';
import type { AnyTensor, Tensor } from '../../lang/tensor.ts';
import { arange } from '../../lang/variable.ts';
import { like, type NodeContext, type OnnxValue, type Operator, shapeOf, typed } from '../node-context.ts';
import { axisOf, wholeRange } from './axes.ts';
import { nextOf, sameType, scanned, tensorsOf, typedAs } from './scan.ts';
import { choose } from './values.ts';

/** Iterations that are written out at most: beyond, a program would be mostly copies of one kernel. */
const mostWrittenOut = 1024;

/** Iterations that a loop of the graph can count. */
const mostIterations = 2 ** 31 - 1;

/** Refuses values of which a condition chooses one, but whose types differ. */
function expectSameType(node: NodeContext, then: OnnxValue, otherwise: OnnxValue): void {
  if (!sameType(then, otherwise))
    node.unsupported(
      `${then.type}[${shapeOf(then)}] or ${otherwise.type}[${shapeOf(otherwise)}], as a value decides that is not known at import`,
    );
}

/** Refuses a value of another type, or of several elements. */
function expectOne(node: NodeContext, what: string, value: OnnxValue | null, type: OnnxValue['type']): void {
  if (value === null || (value.type === type && shapeOf(value).every((dim) => dim === 1))) return;
  node.invalid(`${what} must be one ${type}, ${value.type}[${shapeOf(value)}] given`);
}

/** The branch that is known to be taken; else both, of which the program runs one. */
const branch: Operator = (node) => {
  const condition = node.input(0);
  expectOne(node, 'the condition', condition, 'bool');
  const known = node.known(condition);
  if (known !== null) return node.subgraph(known[0] !== 0 ? 'then_branch' : 'else_branch');
  let made: readonly OnnxValue[] = [];
  const results = cond(
    condition.tensor.reshape([]),
    () => {
      made = node.subgraph('then_branch');
      return tensorsOf(made);
    },
    () => {
      const others = node.subgraph('else_branch');
      if (others.length !== made.length) node.invalid('branches with as many outputs expected');
      others.forEach((other, i) => {
        expectSameType(node, made[i]!, other);
      });
      return tensorsOf(others);
    },
  );
  return typedAs(made, results);
};

const carriedOf = (node: NodeContext): OnnxValue[] => node.inputs.slice(2).map((_, i) => node.input(i + 2));

const countsScans = (node: NodeContext): number => node.graph('body').outputs.length - 1 - carriedOf(node).length;

/** The first form that can express the loop. */
const loop: Operator = (node) => {
  expectOne(node, 'the trip count', node.optional(0), 'int64');
  expectOne(node, 'the condition', node.optional(1), 'bool');
  const [expected, given] = [2 + carriedOf(node).length, node.graph('body').inputs.length];
  if (given !== expected) node.invalid(`a body with ${expected} inputs expected, it has ${given}`);
  for (const form of [evaluated, counted, repeated, writtenOut]) {
    const made = node.attempt(() => form(node));
    if (made !== null) return made;
  }
  // None can: the reason is that of the form which is meant for such loops.
  return countsScans(node) > 0 ? counted(node) : repeated(node);
};

/** The body's condition, then what it carries on and its scan outputs. */
function bodyOf(node: NodeContext, iteration: OnnxValue, carried: readonly OnnxValue[]): readonly OnnxValue[] {
  const step = iteration.tensor.cast('i32') as Tensor<[], 'i32'>;
  const results = node.subgraph('body', [iteration, node.numbers('bool', [], [1]), ...carried], step);
  if (results.length < 1 + carried.length)
    return node.invalid(`a body with a condition and ${carried.length} values expected`);
  expectOne(node, 'the condition of the body', results[0]!, 'bool');
  return results;
}

/** A loop over known integers, as shapes are computed by: written out, so that its results stay known. */
function evaluated(node: NodeContext): OnnxValue[] {
  const initial = carriedOf(node);
  const areKnown = (values: readonly OnnxValue[]): boolean => values.every((value) => node.known(value) !== null);
  const areIntegers = initial.every(({ tensor }) => isInteger(tensor.value.type.dtype));
  if (initial.length === 0 || countsScans(node) > 0 || !areIntegers || !areKnown(initial))
    return node.unsupported('carried values that are no known integers');
  const first = node.numbers('int64', [], [0]);
  if (!areKnown(bodyOf(node, first, initial))) return node.unsupported('a body that reads values that are not known');
  return writtenOut(node);
}

/** A loop whose number of iterations is known: a scan that counts. */
function counted(node: NodeContext): OnnxValue[] {
  const [trips, start] = [node.optional(0), node.optional(1)];
  const isNeverRun = start !== null && node.expectKnown(start, 'the condition')[0] === 0;
  if (trips === null && !isNeverRun) return node.unsupported(endlessReason);
  const length = isNeverRun ? 0 : Math.max(0, node.expectKnown(trips!, 'the trip count')[0]!);
  if (length > mostIterations) return node.unsupported(`${length} iterations: at most ${mostIterations} are counted`);
  const initial = carriedOf(node);
  return scanned(node, initial, [typed(arange(length) as AnyTensor)], (carried, [iteration]) => {
    const [condition, ...results] = bodyOf(node, typed(iteration!.tensor.cast('i64')), carried);
    // The body's condition counts only where the loop has one.
    if (start !== null && length > 0 && node.expectKnown(condition!, 'the condition')[0] === 0)
      node.unsupported('a condition that ends the loop');
    return results;
  });
}

const endlessReason = 'a loop whose end depends on values that are not known at import';

/** A loop that a value ends: repeated while its condition holds, at most as often as its trip count says. */
function repeated(node: NodeContext): OnnxValue[] {
  if (countsScans(node) > 0) return node.unsupported(endlessReason);
  const [trips, start] = [node.optional(0), node.optional(1)];
  if (trips === null && start === null) return node.unsupported('a loop without an end');
  const most = trips === null ? null : node.known(trips);
  const limit = most === null ? null : Math.max(0, most[0]!);
  const bound: AnyTensor | null =
    trips === null || most !== null ? null : trips.tensor.reshape([]).minimum(mostIterations).cast('i32');
  const initial = carriedOf(node);
  const goes: AnyTensor = (start ?? node.numbers('bool', [], [1])).tensor.reshape([]);
  const zero = node.numbers('int32', [], [0]).tensor;
  const [, , ...last] = whileLoop(
    [goes, zero, ...tensorsOf(initial)] as AnyTensor[],
    ([condition, iteration]) => (bound === null ? condition! : condition!.and(iteration!.lt(bound))),
    ([before, iteration, ...tensors]) => {
      const carried = typedAs(initial, tensors);
      const [condition, ...next] = bodyOf(node, typed(iteration!.cast('i64')), carried);
      const goesOn = start === null ? before! : condition!.tensor.reshape([]);
      return [goesOn, iteration!.add(1), ...nextOf(node, initial, next)];
    },
    limit === null || limit > mostIterations ? {} : { limit },
  );
  return typedAs(initial, last);
}

/** What a loop has after some iterations. */
interface LoopState {
  readonly carried: readonly OnnxValue[];
  /** Every iteration's scan outputs. */
  readonly scanned: readonly (readonly OnnxValue[])[];
  /** Whether the next iteration runs: null where that is certain. */
  readonly isActive: AnyTensor | null;
}

/**
 * Iterations up to the trip count or to a condition that is known to be false, one after the other. A condition that is not known masks
 * what later iterations change, up to a trip count that is known.
 */
function writtenOut(node: NodeContext): OnnxValue[] {
  const trips = node.optional(0);
  const most = trips === null ? Number.POSITIVE_INFINITY : node.expectKnown(trips, 'the trip count')[0]!;
  const start = node.optional(1);
  let state: LoopState = { carried: carriedOf(node), scanned: [], isActive: null };
  // A number of scan outputs is a shape, which no value may decide that is not known.
  const hasScans = countsScans(node) > 0;
  const conditionOf = (value: OnnxValue): boolean | AnyTensor => {
    const known = hasScans ? node.expectKnown(value, 'the condition') : node.known(value);
    return known === null ? value.tensor.reshape([]) : known[0] !== 0;
  };
  let goes = start === null || conditionOf(start);
  for (let iteration = 0; iteration < most && goes !== false; iteration++) {
    if (iteration === mostWrittenOut) return node.unsupported(`more than ${mostWrittenOut} iterations to write out`);
    if (goes !== true && most === Number.POSITIVE_INFINITY) return node.unsupported(endlessReason);
    if (goes !== true) state = { ...state, isActive: state.isActive === null ? goes : state.isActive.and(goes) };
    const condition = iterated(node, iteration, state);
    state = condition.state;
    // The body's condition counts only where the loop has one.
    goes = start === null || conditionOf(condition.value);
  }
  return [...state.carried, ...scanOutputs(node, state)];
}

function iterated(node: NodeContext, iteration: number, state: LoopState): { state: LoopState; value: OnnxValue } {
  const count = state.carried.length;
  const [value, ...results] = bodyOf(node, node.numbers('int64', [], [iteration]), state.carried);
  const { isActive } = state;
  const outputs = results.slice(count);
  const carried = results
    .slice(0, count)
    .map((next, i) => (isActive === null ? next : held(node, isActive, next, state.carried[i]!)));
  return { state: { carried, scanned: [...state.scanned, outputs], isActive }, value: value! };
}

/** What an iteration carries on: nothing new where it does not run any more. */
function held(node: NodeContext, isActive: AnyTensor, next: OnnxValue, before: OnnxValue): OnnxValue {
  expectSameType(node, next, before);
  return like(next, choose(isActive, next.tensor, before.tensor));
}

/** Each scan output of all iterations along a new first axis; where there was no iteration, of the shape that one would have had. */
function scanOutputs(node: NodeContext, { carried, scanned }: LoopState): OnnxValue[] {
  const count = countsScans(node);
  if (count <= 0) return [];
  if (scanned.length === 0) {
    const sample = iterated(node, 0, { carried, scanned: [], isActive: null }).state.scanned[0]!;
    return sample.map((value) => node.fill(value.type, [0, ...shapeOf(value)], 0));
  }
  return wholeRange(count).map((i) =>
    stacked(
      node,
      scanned.map((values) => values[i]!),
      0,
    ),
  );
}

/** Values of one type and shape along a new axis. */
function stacked(node: NodeContext, values: readonly OnnxValue[], axis: number): OnnxValue {
  const [first] = values as [OnnxValue];
  const other = values.find((value) => value.type !== first.type || shapeOf(value).join() !== shapeOf(first).join());
  if (other !== undefined)
    return node.unsupported(`iterations that give [${shapeOf(first)}] and [${shapeOf(other)}] as one scan output`);
  const at = axisOf(node, axis, shapeOf(first).length + 1);
  return like(
    first,
    stack(
      values.map(({ tensor }) => tensor),
      at,
    ) as AnyTensor,
  );
}

export const controlOperators: Readonly<Record<string, Operator>> = { If: branch, Loop: loop };
