// RNN, GRU and LSTM as scans, one for each direction. The product of all inputs with their weights is one matrix product before the
// steps. Sequences shorter than the longest keep their state, so that the number of steps does not depend on values.

import { narrow, stack } from '../../lang/functions.ts';
import { scan } from '../../lang/loops.ts';
import type { AnyTensor } from '../../lang/tensor.ts';
import { like, type NodeContext, type OnnxValue, type Operator } from '../node-context.ts';
import { type Activation, activationsOf, clipped } from './recurrent-activations.ts';

/** What a cell reads in one step. `gates` is the input's part [N, gates · H], biases of the input included. */
interface Step {
  readonly gates: AnyTensor;
  readonly hidden: AnyTensor;
  readonly cell: AnyTensor | null;
}

interface State {
  readonly hidden: AnyTensor;
  readonly cell: AnyTensor | null;
}

/** The weights of one direction. */
interface Weights {
  /** [gates · H, H]. */
  readonly recurrence: AnyTensor;
  /** Biases of the input and of the recurrence, [gates · H] each; null where there are none. */
  readonly bias: readonly [AnyTensor, AnyTensor] | null;
  readonly peepholes: AnyTensor | null;
  readonly hiddenSize: number;
  readonly activations: readonly Activation[];
}

interface Cell {
  readonly gates: number;
  /** Names of one direction's activations where the node gives none. */
  readonly activations: readonly string[];
  readonly hasCellState: boolean;
  step(node: NodeContext, weights: Weights, step: Step): State;
}

/** Part `at` of the last axis of [N, parts · H] or [parts · H]. */
function part(x: AnyTensor, at: number, size: number): AnyTensor {
  return narrow(x, x.rank - 1, at * size, size);
}

/** h · Rᵀ + b for some of the gates. */
function recurrent(
  { recurrence, bias, hiddenSize }: Weights,
  hidden: AnyTensor,
  from: number,
  count: number,
): AnyTensor {
  const [start, length] = [from * hiddenSize, count * hiddenSize];
  const product: AnyTensor = hidden.matmul((narrow(recurrence, 0, start, length) as AnyTensor).transpose([1, 0]));
  return bias === null ? product : product.add(narrow(bias[1], 0, start, length));
}

const simple: Cell = {
  gates: 1,
  activations: ['Tanh'],
  hasCellState: false,
  step: (node, weights, { gates, hidden }) => {
    const [f] = weights.activations as [Activation];
    return { hidden: f(clipped(node, gates.add(recurrent(weights, hidden, 0, 1)))), cell: null };
  },
};

/** Gates in the order z, r, h: K. Cho et al. 2014, with the standard's `linear_before_reset` for cuDNN's variant. */
const gated: Cell = {
  gates: 3,
  activations: ['Sigmoid', 'Tanh'],
  hasCellState: false,
  step: (node, weights, { gates, hidden }) => {
    const { hiddenSize, activations } = weights;
    const [f, g] = activations as [Activation, Activation];
    const sums: AnyTensor = part(gates, 0, 2 * hiddenSize).add(recurrent(weights, hidden, 0, 2));
    const both = clipped(node, sums);
    const [update, reset] = [f(part(both, 0, hiddenSize)), f(part(both, 1, hiddenSize))];
    const candidateInput = part(gates, 2, hiddenSize);
    const isLinearFirst = node.int('linear_before_reset', 0) !== 0;
    const past: AnyTensor = isLinearFirst
      ? reset.mul(recurrent(weights, hidden, 2, 1))
      : recurrent(weights, reset.mul(hidden), 2, 1);
    const candidate = g(clipped(node, candidateInput.add(past)));
    return { hidden: update.neg().add(1).mul(candidate).add(update.mul(hidden)), cell: null };
  },
};

/** Gates in the order i, o, f, c; peepholes i, o, f: F. Gers and J. Schmidhuber 2000. */
const longShort: Cell = {
  gates: 4,
  activations: ['Sigmoid', 'Tanh', 'Tanh'],
  hasCellState: true,
  step: (node, weights, { gates, hidden, cell }) => {
    const { hiddenSize, activations, peepholes } = weights;
    const [f, g, h] = activations as [Activation, Activation, Activation];
    const sums: AnyTensor = gates.add(recurrent(weights, hidden, 0, 4));
    const past = cell!;
    const gate = (at: number, seen: AnyTensor, peephole: number): AnyTensor => {
      const sum = part(sums, at, hiddenSize);
      return f(clipped(node, peepholes === null ? sum : sum.add(part(peepholes, peephole, hiddenSize).mul(seen))));
    };
    const entering = gate(0, past, 0);
    const forget: AnyTensor = node.int('input_forget', 0) !== 0 ? entering.neg().add(1) : gate(2, past, 2);
    const next: AnyTensor = forget.mul(past).add(entering.mul(g(clipped(node, part(sums, 3, hiddenSize)))));
    return { hidden: gate(1, next, 1).mul(h(next)), cell: next };
  },
};

/** The inputs of a node, time first: X [T, N, I], states [directions, N, H]. */
interface Sequences {
  readonly x: AnyTensor;
  readonly weights: AnyTensor;
  readonly recurrence: AnyTensor;
  readonly bias: AnyTensor | null;
  readonly lengths: AnyTensor | null;
  readonly hidden: AnyTensor | null;
  readonly cell: AnyTensor | null;
  readonly peepholes: AnyTensor | null;
}

const recurrence =
  (cell: Cell): Operator =>
  (node) => {
    const sequences = sequencesOf(node, cell);
    const directions = directionsOf(node);
    expectShapes(node, cell, sequences, directions.length);
    const activations = activationsOf(
      node,
      directions.flatMap(() => cell.activations),
    );
    const count = cell.activations.length;
    const runs = directions.map((direction, at) =>
      runDirection(node, cell, sequences, at, {
        isReverse: direction === 'reverse',
        activations: activations.slice(at * count, (at + 1) * count),
      }),
    );
    return resultsOf(node, cell, runs);
  };

function directionsOf(node: NodeContext): readonly ('forward' | 'reverse')[] {
  const direction = node.string('direction', 'forward');
  if (direction === 'bidirectional') return ['forward', 'reverse'];
  if (direction !== 'forward' && direction !== 'reverse') return node.invalid(`there is no direction ${direction}`);
  return [direction];
}

const isBatchFirst = (node: NodeContext): boolean => node.int('layout', 0) !== 0;

function sequencesOf(node: NodeContext, cell: Cell): Sequences {
  const turned = (value: OnnxValue | null): AnyTensor | null =>
    value === null ? null : isBatchFirst(node) ? (value.tensor.transpose([1, 0, 2]) as AnyTensor) : value.tensor;
  return {
    x: turned(node.input(0))!,
    weights: node.input(1).tensor,
    recurrence: node.input(2).tensor,
    bias: node.optional(3)?.tensor ?? null,
    lengths: node.optional(4)?.tensor.cast('i32') ?? null,
    hidden: turned(node.optional(5)),
    cell: cell.hasCellState ? turned(node.optional(6)) : null,
    peepholes: cell.hasCellState ? (node.optional(7)?.tensor ?? null) : null,
  };
}

/** Refuses inputs of other shapes than the standard's, where H is the attribute `hidden_size`. */
function expectShapes(node: NodeContext, cell: Cell, sequences: Sequences, directions: number): void {
  const expectShape = (what: string, tensor: AnyTensor | null, shape: readonly (number | string)[]): void => {
    const fits =
      tensor?.rank === shape.length && shape.every((dim, i) => dim === tensor.shape[i] || typeof dim === 'string');
    if (tensor !== null && !fits) node.invalid(`${what} [${shape}] expected, [${tensor.shape}] given`);
  };
  const { x, weights, recurrence, bias, lengths, hidden, cell: state, peepholes } = sequences;
  expectShape('X', x, ['T', 'N', 'I']);
  expectShape('R', recurrence, [directions, `${cell.gates}H`, 'H']);
  const [, batch, inputs] = x.shape as readonly number[] as [number, number, number];
  const size = node.int('hidden_size', recurrence.shape[2] as number);
  expectShape('W', weights, [directions, cell.gates * size, inputs]);
  expectShape('R', recurrence, [directions, cell.gates * size, size]);
  expectShape('B', bias, [directions, 2 * cell.gates * size]);
  expectShape('sequence_lens', lengths, [batch]);
  expectShape('initial_h', hidden, [directions, batch, size]);
  expectShape('initial_c', state, [directions, batch, size]);
  expectShape('P', peepholes, [directions, 3 * size]);
}

interface Run {
  /** What each step gives, in the order of time, [T, N, H]; 0 beyond a sequence's end. */
  readonly outputs: AnyTensor;
  readonly last: State;
}

function runDirection(
  node: NodeContext,
  cell: Cell,
  sequences: Sequences,
  direction: number,
  { isReverse, activations }: { readonly isReverse: boolean; readonly activations: readonly Activation[] },
): Run {
  const own = (tensor: AnyTensor | null): AnyTensor | null =>
    tensor === null ? null : narrow(tensor, 0, direction, 1).reshape(tensor.shape.slice(1));
  const batch = sequences.x.shape[1] as number;
  const hiddenSize = sequences.recurrence.shape[2] as number;
  const bias = own(sequences.bias);
  const split = cell.gates * hiddenSize;
  const weights: Weights = {
    recurrence: own(sequences.recurrence)!,
    bias: bias === null ? null : [narrow(bias, 0, 0, split), narrow(bias, 0, split, split)],
    peepholes: own(sequences.peepholes),
    hiddenSize,
    activations,
  };
  const product: AnyTensor = sequences.x.matmul(own(sequences.weights)!.transpose([1, 0]));
  const gates: AnyTensor = weights.bias === null ? product : product.add(weights.bias[0]);
  const nothing = node.fill(node.input(0).type, [batch, hiddenSize], 0).tensor;
  const hidden = own(sequences.hidden) ?? nothing;
  const initial = cell.hasCellState ? [hidden, own(sequences.cell) ?? nothing] : [hidden];
  const [last, outputs] = scan(
    initial,
    gates,
    (before, now) => {
      const next = cell.step(node, weights, { gates: now, ...stateOf(before) });
      return [next.cell === null ? [next.hidden] : [next.hidden, next.cell], next.hidden];
    },
    { reverse: isReverse, ...(sequences.lengths === null ? {} : { lengths: sequences.lengths }) },
  );
  return { outputs, last: stateOf(last) };
}

function stateOf([hidden, cell]: readonly AnyTensor[]): State {
  return { hidden: hidden!, cell: cell ?? null };
}

/** Y [T, directions, N, H], then the last states [directions, N, H]; with the batch first where the node's layout says so. */
function resultsOf(node: NodeContext, cell: Cell, runs: readonly Run[]): OnnxValue[] {
  const x = node.input(0);
  const states = (of: (state: State) => AnyTensor): OnnxValue =>
    like(
      x,
      stack(
        runs.map(({ last }) => of(last)),
        isBatchFirst(node) ? 1 : 0,
      ) as AnyTensor,
    );
  const all = stack(
    runs.map(({ outputs }) => outputs),
    1,
  ) as AnyTensor;
  const y = like(x, isBatchFirst(node) ? all.transpose([2, 0, 1, 3]) : all);
  return [y, states(({ hidden }) => hidden), ...(cell.hasCellState ? [states((state) => state.cell!)] : [])];
}

export const recurrentOperators: Readonly<Record<string, Operator>> = {
  RNN: recurrence(simple),
  GRU: recurrence(gated),
  LSTM: recurrence(longShort),
};
