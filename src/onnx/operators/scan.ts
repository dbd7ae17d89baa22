// Scan over the graph's own scan: its body is one function, however many slices there are.

import { reverse } from '../../lang/functions.ts';
import { type ScanOptions, scan } from '../../lang/loops.ts';
import type { AnyTensor, Tensor } from '../../lang/tensor.ts';
import { arange } from '../../lang/variable.ts';
import { vmap } from '../../lang/vmap.ts';
import { like, type NodeContext, type OnnxValue, type Operator, shapeOf, typed } from '../node-context.ts';
import { axisOf, wholeRange } from './axes.ts';

export const tensorsOf = (values: readonly OnnxValue[]): AnyTensor[] => values.map(({ tensor }) => tensor);

/** Tensors with the types of what they stand for. */
export const typedAs = (originals: readonly OnnxValue[], tensors: readonly AnyTensor[]): OnnxValue[] =>
  originals.map((original, i) => like(original, tensors[i]!));

export const sameType = (x: OnnxValue, y: OnnxValue): boolean =>
  x.type === y.type && shapeOf(x).join() === shapeOf(y).join();

/** The tensors that a step carries on, where they have the types of the first. */
export function nextOf(node: NodeContext, initial: readonly OnnxValue[], next: readonly OnnxValue[]): AnyTensor[] {
  initial.forEach((first, i) => {
    const then = next[i]!;
    if (!sameType(first, then))
      node.unsupported(
        `a value that is ${first.type}[${shapeOf(first)}] at first and ${then.type}[${shapeOf(then)}] after a step`,
      );
  });
  return tensorsOf(next);
}

/** `scan` of lists whose lengths and shapes are not in types: those of a file. */
const scanLists = scan as unknown as (
  initial: readonly AnyTensor[],
  sequences: readonly AnyTensor[],
  step: (carried: AnyTensor[], slices: AnyTensor[]) => [carried: AnyTensor[], outputs: AnyTensor[]],
  options: ScanOptions,
) => [carried: AnyTensor[], outputs: AnyTensor[]];

/** What is carried, then slices → what is carried on, then what is stacked. */
export type Body = (carried: readonly OnnxValue[], slices: readonly OnnxValue[]) => readonly OnnxValue[];

/** What is carried in the end, then all outputs, stacked along a new first axis. Slices are along the first axis of sequences. */
export function scanned(
  node: NodeContext,
  initial: readonly OnnxValue[],
  sequences: readonly OnnxValue[],
  body: Body,
  isReverse = false,
): OnnxValue[] {
  let outputs: readonly OnnxValue[] = [];
  const [last, all] = scanLists(
    tensorsOf(initial),
    tensorsOf(sequences),
    (carried, slices) => {
      const results = body(typedAs(initial, carried), typedAs(sequences, slices));
      outputs = results.slice(initial.length);
      return [nextOf(node, initial, results.slice(0, initial.length)), tensorsOf(outputs)];
    },
    { reverse: isReverse },
  );
  return [...typedAs(initial, last), ...typedAs(outputs, all)];
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

const scanOperator: Operator = (node) => (node.opset < 9 ? batchedScan(node) : plainScan(node, node.allInputs()));

function plainScan(node: NodeContext, inputs: readonly OnnxValue[]): OnnxValue[] {
  const count = node.int('num_scan_inputs');
  const states = inputs.slice(0, inputs.length - count);
  const sequences = inputs.slice(inputs.length - count);
  if (count < 1 || sequences.length !== count) return node.invalid(`${count} scan inputs expected`);
  const outputs = node.graph('body').outputs.length - states.length;
  if (outputs < 0) return node.invalid(`a body with ${states.length} states expected`);
  const into = tracksOf(node, count, 'scan_input_axes', 'scan_input_directions');
  return scanOver(node, states, sequences, into, tracksOf(node, outputs, 'scan_output_axes', 'scan_output_directions'));
}

function scanOver(
  node: NodeContext,
  initial: readonly OnnxValue[],
  sequences: readonly OnnxValue[],
  into: readonly Track[],
  out: readonly Track[],
  isBatched = false,
): OnnxValue[] {
  const axes = sequences.map((value, i) => axisOf(node, into[i]!.axis, shapeOf(value).length));
  const lengths = sequences.map((value, i) => shapeOf(value)[axes[i]!]!);
  if (lengths.some((other) => other !== lengths[0]))
    node.invalid(`scan inputs of one length expected, [${lengths}] given`);
  // Where all sequences are read backwards the scan is, and none of them is turned.
  const isBackwards = into.every(({ isReverse }) => isReverse);
  const turned = (value: OnnxValue, { isReverse }: Track): OnnxValue =>
    isReverse === isBackwards ? value : like(value, reverse(value.tensor, 0) as AnyTensor);
  const straight = sequences.map((value, i) => turned(movedAxis(value, axes[i]!, 0), into[i]!));
  const body: Body = (carried, slices) => {
    const step = slices.at(-1)!.tensor as Tensor<[], 'i32'>;
    const results = node.subgraph('body', [...carried, ...slices.slice(0, -1)], isBatched ? null : step);
    if (results.length !== initial.length + out.length)
      node.invalid(`a body with ${initial.length} states expected, it has ${results.length} outputs`);
    return results;
  };
  // The number of the step, which random numbers ask for; what nobody reads is gone in the program.
  const steps = typed(arange(lengths[0]!) as AnyTensor);
  const results = scanned(node, initial, [...straight, steps], body, isBackwards);
  const outputs = results.slice(initial.length).map((value, i) => {
    const track = out[i]!;
    return movedAxis(turned(value, track), 0, axisOf(node, track.axis, shapeOf(value).length));
  });
  return [...results.slice(0, initial.length), ...outputs];
}

/** One axis at another place, the others in their order. */
function movedAxis(value: OnnxValue, from: number, to: number): OnnxValue {
  if (from === to) return value;
  const order = wholeRange(shapeOf(value).length).filter((axis) => axis !== from);
  order.splice(to, 0, from);
  return like(value, value.tensor.transpose(order) as AnyTensor);
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
  const out = wholeRange(node.graph('body').outputs.length - states).map((): Track => ({ axis: 0, isReverse: false }));
  let made: readonly OnnxValue[] = [];
  const run = (...rows: readonly AnyTensor[]): AnyTensor[] => {
    const own = typedAs(inputs, rows);
    made = scanOver(node, own.slice(0, states), own.slice(states), into, out, true);
    return tensorsOf(made);
  };
  const results: readonly AnyTensor[] = vmap(run)(...(tensorsOf(inputs) as never[]));
  return typedAs(made, results);
}

export const scanOperators: Readonly<Record<string, Operator>> = { Scan: scanOperator };
