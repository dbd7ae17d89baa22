// If, Loop and Scan, written out: what a condition or a number of iterations is must be known at import, or must not matter for shapes.

import { concat, narrow, reverse, stack } from '../../lang/functions.ts';
import type { AnyTensor } from '../../lang/tensor.ts';
import { like, type NodeContext, type OnnxValue, type Operator, shapeOf } from '../node-context.ts';
import { axisOf, wholeRange } from './axes.ts';
import { mostSteps } from './recurrent.ts';
import { choose } from './values.ts';

/** Elements of `then` where the condition holds, else of `otherwise`: values of one type and shape. */
function chosen(node: NodeContext, condition: AnyTensor, then: OnnxValue, otherwise: OnnxValue): OnnxValue {
  if (then.type !== otherwise.type || shapeOf(then).join() !== shapeOf(otherwise).join())
    node.unsupported(
      `${then.type}[${shapeOf(then)}] or ${otherwise.type}[${shapeOf(otherwise)}], as a value decides that is not known at import`,
    );
  return like(then, choose(condition, then.tensor, otherwise.tensor));
}

/** The branch that is known to be taken; else both, whose effect is the same, for there are no others than results. */
const branch: Operator = (node) => {
  const condition = node.input(0);
  const known = node.known(condition);
  if (known !== null) return node.subgraph(known[0] !== 0 ? 'then_branch' : 'else_branch');
  const [then, otherwise] = [node.subgraph('then_branch'), node.subgraph('else_branch')];
  if (then.length !== otherwise.length) return node.invalid('branches with as many outputs expected');
  const scalar: AnyTensor = condition.tensor.reshape([]);
  return then.map((value, i) => chosen(node, scalar, value, otherwise[i]!));
};

/** What a loop has after some iterations. */
interface LoopState {
  readonly carried: readonly OnnxValue[];
  /** Every iteration's scan outputs. */
  readonly scanned: readonly (readonly OnnxValue[])[];
  /** Whether the next iteration runs: null where that is certain. */
  readonly isActive: AnyTensor | null;
}

/**
 * Iterations up to the trip count or to a condition that is known to be false. A condition that is not known masks what later iterations
 * change, up to a trip count that is known.
 */
const loop: Operator = (node) => {
  const trips = node.optional(0);
  const most = trips === null ? Number.POSITIVE_INFINITY : node.expectKnown(trips, 'the trip count')[0]!;
  const start = node.optional(1);
  const initial = node.inputs.slice(2).map((_, i) => node.input(i + 2));
  let state: LoopState = { carried: initial, scanned: [], isActive: null };
  // A number of scan outputs is a shape, which no value may decide that is not known.
  const hasScans = node.graph('body').outputs.length - 1 > initial.length;
  const conditionOf = (value: OnnxValue): boolean | AnyTensor => {
    const known = hasScans ? node.expectKnown(value, 'the condition') : node.known(value);
    return known === null ? value.tensor.reshape([]) : known[0] !== 0;
  };
  let goes = start === null || conditionOf(start);
  for (let iteration = 0; iteration < most && goes !== false; iteration++) {
    if (iteration === mostSteps) return node.unsupported(`more than ${mostSteps} iterations, as many are written out`);
    if (goes !== true && most === Number.POSITIVE_INFINITY)
      return node.unsupported('a loop whose end depends on values that are not known at import');
    if (goes !== true) state = { ...state, isActive: state.isActive === null ? goes : state.isActive.and(goes) };
    const condition = iterated(node, iteration, state);
    state = condition.state;
    // The body's condition counts only where the loop has one.
    goes = start === null || conditionOf(condition.value);
  }
  return [...state.carried, ...scanOutputs(node, state)];
};

function iterated(node: NodeContext, iteration: number, state: LoopState): { state: LoopState; value: OnnxValue } {
  const count = state.carried.length;
  const inputs = [node.numbers('int64', [], [iteration]), node.numbers('bool', [], [1]), ...state.carried];
  const [value, ...results] = node.subgraph('body', inputs);
  if (value === undefined || results.length < count)
    return node.invalid(`a body with a condition and ${count} values expected`);
  const { isActive } = state;
  const scanned = results.slice(count);
  const carried = results
    .slice(0, count)
    .map((next, i) => (isActive === null ? next : chosen(node, isActive, next, state.carried[i]!)));
  return { state: { carried, scanned: [...state.scanned, scanned], isActive }, value };
}

/** Each scan output of all iterations along a new first axis; where there was no iteration, of the shape that one would have had. */
function scanOutputs(node: NodeContext, { carried, scanned }: LoopState): OnnxValue[] {
  const count = node.graph('body').outputs.length - 1 - carried.length;
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

/** How the slices of one scan input or output lie. */
interface Track {
  readonly axis: number;
  readonly isReverse: boolean;
}

function tracksOf(node: NodeContext, count: number, axes: string, directions: string): Track[] {
  const zeros = wholeRange(count).map(() => 0);
  const [places, turns] = [node.ints(axes, zeros), node.ints(directions, zeros)];
  if (places.length !== count || turns.length !== count)
    node.invalid(`${count} ${axes} and ${directions} expected, [${places}] and [${turns}] given`);
  return places.map((axis, i) => ({ axis, isReverse: turns[i] !== 0 }));
}

const scan: Operator = (node) => (node.opset < 9 ? batchedScan(node) : plainScan(node, node.allInputs()));

function plainScan(node: NodeContext, inputs: readonly OnnxValue[]): OnnxValue[] {
  const count = node.int('num_scan_inputs');
  const states = inputs.slice(0, inputs.length - count);
  const scanned = inputs.slice(inputs.length - count);
  if (count < 1 || scanned.length !== count) return node.invalid(`${count} scan inputs expected`);
  const outputs = node.graph('body').outputs.length - states.length;
  if (outputs < 0) return node.invalid(`a body with ${states.length} states expected`);
  const into = tracksOf(node, count, 'scan_input_axes', 'scan_input_directions');
  return scanOver(node, states, scanned, into, tracksOf(node, outputs, 'scan_output_axes', 'scan_output_directions'));
}

function scanOver(
  node: NodeContext,
  initial: readonly OnnxValue[],
  scanned: readonly OnnxValue[],
  into: readonly Track[],
  out: readonly Track[],
): OnnxValue[] {
  const axes = scanned.map((value, i) => axisOf(node, into[i]!.axis, shapeOf(value).length));
  const lengths = scanned.map((value, i) => shapeOf(value)[axes[i]!]!);
  const [length] = lengths as [number];
  if (lengths.some((other) => other !== length)) node.invalid(`scan inputs of one length expected, [${lengths}] given`);
  if (length > mostSteps) node.unsupported(`${length} iterations: at most ${mostSteps} are written out`);
  if (length === 0) node.unsupported('a scan over nothing');
  let states = initial;
  const steps: OnnxValue[][] = [];
  for (const time of wholeRange(length)) {
    const slices = scanned.map((value, i) => {
      const at = into[i]!.isReverse ? length - 1 - time : time;
      const shape = shapeOf(value).filter((_, axis) => axis !== axes[i]);
      return like(value, (narrow(value.tensor, axes[i]!, at, 1) as AnyTensor).reshape(shape));
    });
    const results = node.subgraph('body', [...states, ...slices]);
    if (results.length !== initial.length + out.length)
      node.invalid(`a body with ${initial.length} states expected, it has ${results.length} outputs`);
    states = results.slice(0, initial.length);
    steps.push(results.slice(initial.length));
  }
  const outputs = out.map(({ axis, isReverse }, i) => {
    const whole = stacked(
      node,
      steps.map((step) => step[i]!),
      axis,
    );
    const at = axisOf(node, axis, shapeOf(whole).length);
    return isReverse ? like(whole, reverse(whole.tensor, at) as AnyTensor) : whole;
  });
  return [...states, ...outputs];
}

/** Version 8: a first input of lengths, then a batch of scans, each along its first axis. */
function batchedScan(node: NodeContext): OnnxValue[] {
  if (node.optional(0) !== null) return node.unsupported('sequences of different lengths');
  const inputs = node.inputs.slice(1).map((_, i) => node.input(i + 1));
  const count = node.int('num_scan_inputs');
  const zeros = wholeRange(count).map(() => 0);
  const into = node.ints('directions', zeros).map((turn): Track => ({ axis: 0, isReverse: turn !== 0 }));
  const states = inputs.length - count;
  if (count < 1 || states < 0 || into.length !== count)
    return node.invalid(`${count} scan inputs and directions expected, ${inputs.length} and ${into.length} given`);
  const batch = shapeOf(inputs[0]!)[0] ?? node.invalid('a first axis of scans expected');
  if (batch > mostSteps) return node.unsupported(`${batch} scans: at most ${mostSteps} are written out`);
  const out = wholeRange(node.graph('body').outputs.length - states).map((): Track => ({ axis: 0, isReverse: false }));
  const runs = wholeRange(batch).map((i) => {
    const own = inputs.map((value) =>
      like(value, (narrow(value.tensor, 0, i, 1) as AnyTensor).reshape(shapeOf(value).slice(1))),
    );
    return scanOver(node, own.slice(0, states), own.slice(states), into, out);
  });
  if (batch === 0) return node.unsupported('a scan over nothing');
  return runs[0]!.map((first, i) => {
    const rows = runs.map((run): AnyTensor => run[i]!.tensor.reshape([1, ...shapeOf(run[i]!)]));
    return like(first, concat(rows as [AnyTensor, ...AnyTensor[]], 0) as AnyTensor);
  });
}

export const controlOperators: Readonly<Record<string, Operator>> = { If: branch, Loop: loop, Scan: scan };
