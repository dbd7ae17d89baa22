// Recurrent layers: a cell is what happens in one step, a layer is a scan of it. Cells can be stepped by hand, for text that is made a
// character at a time, and put into other loops.

import { refuse } from '../lang/checks.ts';
import { narrow } from '../lang/functions.ts';
import { scan } from '../lang/loops.ts';
import type { AnyTensor, Tensor } from '../lang/tensor.ts';
import { type AnyVariable, type Initializer, variable, zeros as zerosOf } from '../lang/variable.ts';
import { orthogonal, xavierUniform, zeros } from './initializers.ts';
import { type Layer, layer, nameOf } from './layers.ts';

// biome-ignore lint/suspicious/noExplicitAny: f32 tensors of any shape, as other layers take them
type F32 = Tensor<any, 'f32'>;

/** What a cell carries from step to step, each `[batch, hidden]`. The output of a step is `h`. */
export type CellState = { readonly h: F32; readonly [name: string]: F32 };

export interface Cell {
  readonly name: string;
  readonly inputs: number;
  readonly hidden: number;
  readonly variables: readonly AnyVariable[];
  /** Zeros. */
  initial(batch: number): CellState;
  /** x: `[batch, inputs]`. */
  step(state: CellState, x: F32): CellState;
}

export interface CellOptions {
  readonly name?: string;
  /** Of the weights of inputs. Default: Xavier's uniform. */
  readonly initializer?: Initializer;
  /** Of the weights of the state. Default: orthogonal. */
  readonly recurrentInitializer?: Initializer;
}

/** Weights of `gates` blocks side by side: of inputs `[inputs, gates · hidden]`, of the state `[hidden, gates · hidden]`, and a bias. */
function gated(kind: string, inputs: number, hidden: number, gates: number, options: CellOptions, bias: Initializer) {
  const name = nameOf(kind, options.name);
  const { initializer = xavierUniform(), recurrentInitializer = orthogonal() } = options;
  const weight = variable(`${name}.weight`, [inputs, gates * hidden], { initial: initializer }) as AnyTensor;
  const recurrent = variable(`${name}.recurrent`, [hidden, gates * hidden], {
    initial: recurrentInitializer,
  }) as AnyTensor;
  const shift = variable(`${name}.bias`, [gates * hidden], { initial: bias }) as AnyTensor;
  const variables = [weight, recurrent, shift] as unknown as AnyVariable[];
  return { name, inputs, hidden, variables, weight, recurrent, shift };
}

/** The block of a gate, or of `count` neighbouring ones, along the last axis. */
const block = (all: AnyTensor, gate: number, hidden: number, count = 1): AnyTensor =>
  narrow(all, -1, gate * hidden, count * hidden);

/** h ← tanh(x W + h U + b). J. L. Elman, Cognitive Science 14 (1990). */
export function rnnCell(inputs: number, hidden: number, options: CellOptions = {}): Cell {
  const { weight, recurrent, shift, ...cell } = gated('rnn', inputs, hidden, 1, options, zeros());
  return {
    ...cell,
    initial: (batch) => ({ h: zerosOf([batch, hidden]) }),
    step: ({ h }, x) => ({ h: x.matmul(weight).add(h.matmul(recurrent)).add(shift).tanh() }),
  };
}

/**
 * f, i, o ← σ(x W + h U + b), g ← tanh(the same), c ← f c + i g, h ← o tanh(c). S. Hochreiter, J. Schmidhuber, Neural Computation 9
 * (1997), with the forget gate of F. Gers et al. (2000), whose bias begins at 1. Blocks of the weights are in the order f, i, o, g.
 */
export function lstmCell(inputs: number, hidden: number, options: CellOptions = {}): Cell {
  const bias: Initializer = () => Float32Array.from({ length: 4 * hidden }, (_, i) => (i < hidden ? 1 : 0));
  const { weight, recurrent, shift, ...cell } = gated('lstm', inputs, hidden, 4, options, bias);
  return {
    ...cell,
    initial: (batch) => ({ h: zerosOf([batch, hidden]), c: zerosOf([batch, hidden]) }),
    step: ({ h, c }, x) => {
      const all: AnyTensor = x.matmul(weight).add(h.matmul(recurrent)).add(shift);
      const [forget, take, give] = [0, 1, 2].map((gate) => block(all, gate, hidden).sigmoid()) as [
        AnyTensor,
        AnyTensor,
        AnyTensor,
      ];
      const next: AnyTensor = forget.mul(c!).add(take.mul(block(all, 3, hidden).tanh()));
      return { h: give.mul(next.tanh()), c: next };
    },
  };
}

/**
 * z, r ← σ(x W + h U + b), g ← tanh(x W' + (r h) U' + b'), h ← (1 − z) h + z g. J. Chung et al. 2014, equations 5 to 8. Blocks of the
 * weights are in the order z, r, g.
 */
export function gruCell(inputs: number, hidden: number, options: CellOptions = {}): Cell {
  const { weight, recurrent, shift, ...cell } = gated('gru', inputs, hidden, 3, options, zeros());
  const ofGates = block(recurrent, 0, hidden, 2);
  const ofCandidate = block(recurrent, 2, hidden);
  return {
    ...cell,
    initial: (batch) => ({ h: zerosOf([batch, hidden]) }),
    step: ({ h }, x) => {
      const given: AnyTensor = x.matmul(weight).add(shift);
      const gates: AnyTensor = block(given, 0, hidden, 2).add(h.matmul(ofGates)).sigmoid();
      const [update, reset] = [block(gates, 0, hidden), block(gates, 1, hidden)];
      const candidate: AnyTensor = block(given, 2, hidden).add(reset.mul(h).matmul(ofCandidate)).tanh();
      return { h: (h as AnyTensor).add(update.mul(candidate.sub(h))) };
    },
  };
}

export interface UnrollOptions {
  /** Default: zeros. */
  readonly initial?: CellState;
  /** Integers `[batch]`: the steps of each row. Its state stays after them, its outputs are zero. */
  readonly lengths?: AnyTensor;
  /** From the last step to the first. */
  readonly reverse?: boolean;
}

export interface Recurrent extends Layer {
  readonly cell: Cell;
  /** `[time, batch, inputs]` → the outputs of all steps `[time, batch, hidden]`, and the state after the last. */
  unroll(x: F32, options?: UnrollOptions): { readonly outputs: F32; readonly last: CellState };
}

/** A cell along the first axis: `[time, batch, inputs] → [time, batch, hidden]`. */
export function recurrent(cell: Cell): Recurrent {
  const unroll: Recurrent['unroll'] = (x, { initial, ...options } = {}) => {
    const { shape } = x.value.type;
    if (shape.length !== 3 || shape[2] !== cell.inputs)
      refuse(cell.name, [x], `sequences [time, batch, ${cell.inputs}] expected`);
    const [last, outputs] = scan(
      initial ?? cell.initial(shape[1]!),
      x as AnyTensor,
      (state, slice) => {
        const next = cell.step(state as CellState, slice as F32);
        return [next, next.h] as never;
      },
      options,
    );
    return { outputs: outputs as F32, last: last as CellState };
  };
  return Object.assign(
    layer(cell.name, cell.variables, (x) => unroll(x).outputs),
    { cell, unroll },
  );
}

/** A layer of `rnnCell`. */
export const rnn = (inputs: number, hidden: number, options: CellOptions = {}): Recurrent =>
  recurrent(rnnCell(inputs, hidden, options));
/** A layer of `lstmCell`. */
export const lstm = (inputs: number, hidden: number, options: CellOptions = {}): Recurrent =>
  recurrent(lstmCell(inputs, hidden, options));
/** A layer of `gruCell`. */
export const gru = (inputs: number, hidden: number, options: CellOptions = {}): Recurrent =>
  recurrent(gruCell(inputs, hidden, options));
