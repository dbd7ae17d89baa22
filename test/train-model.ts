// A model written out by hand for the tests of the training loop: linear regression y = w·x + b with momentum, in f32
// like a compiled step, and with the bias correction of its step counter to show that slots matter.

import { parameter } from '../src/ir/graph.ts';
import type { TensorType } from '../src/ir/types.ts';
import type { Dataset } from '../src/train/dataset.ts';
import type { Batch, StateAccess, TensorData } from '../src/train/model.ts';

export const features = 3;

const stateTypes: Readonly<Record<string, TensorType>> = Object.fromEntries(
  (
    [
      ['weight', 'f32', [features]],
      ['bias', 'f32', []],
      ['momentum.weight', 'f32', [features]],
      ['momentum.bias', 'f32', []],
      ['step', 'i32', []],
    ] as const
  ).map(([name, dtype, shape]) => [name, parameter(name, { dtype, shape }).value.type]),
);

/** State in this process's memory, as that of C programs is. */
export interface LocalState extends StateAccess {
  get(name: string): ArrayLike<number>;
  set(name: string, elements: TensorData): void;
}

export interface LinearModel {
  readonly step: ((inputs: Batch) => Batch) & { readonly state: LocalState };
  readonly evaluate: (inputs: Batch) => Batch;
  /** The labels of every batch so far. */
  readonly seen: number[][];
}

export function linearModel(batchSize: number, learningRate = 0.05): LinearModel {
  const arrays: Record<string, Float32Array | Int32Array> = {
    weight: new Float32Array(features),
    bias: new Float32Array(1),
    'momentum.weight': new Float32Array(features),
    'momentum.bias': new Float32Array(1),
    step: new Int32Array(1),
  };
  const state: LocalState = {
    names: () => Object.keys(arrays),
    type: (name) => stateTypes[name]!,
    get: (name) => arrays[name]!,
    set: (name, elements) => arrays[name]!.set(elements),
  };
  const seen: number[][] = [];
  const predict = (x: TensorData, row: number): number => {
    let sum = arrays.bias![0]!;
    for (let k = 0; k < features; k++) sum += arrays.weight![k]! * x[row * features + k]!;
    return sum;
  };
  const run = (inputs: Batch): Batch => {
    const { x, y } = inputs as { x: TensorData; y: TensorData };
    seen.push(Array.from(y));
    const gradient = new Float64Array(features + 1);
    let loss = 0;
    for (let row = 0; row < batchSize; row++) {
      const error = predict(x, row) - y[row]!;
      loss += (error * error) / batchSize;
      for (let k = 0; k < features; k++) gradient[k]! += (2 * error * x[row * features + k]!) / batchSize;
      gradient[features]! += (2 * error) / batchSize;
    }
    const count = ++arrays.step![0]!;
    const update = (name: string, index: number, slope: number): void => {
      const momentum = arrays[`momentum.${name}`]!;
      momentum[index] = 0.9 * momentum[index]! + 0.1 * slope;
      arrays[name]![index]! -= (learningRate * momentum[index]!) / (1 - 0.9 ** count);
    };
    for (let k = 0; k < features; k++) update('weight', k, gradient[k]!);
    update('bias', 0, gradient[features]!);
    return { loss: Float32Array.of(loss) };
  };
  const evaluate = (inputs: Batch): Batch => {
    const { x, y } = inputs as { x: TensorData; y: TensorData };
    const errors = Float32Array.from({ length: batchSize }, (_, row) => predict(x, row) - y[row]!);
    return {
      loss: errors.map((error) => error * error),
      close: Uint8Array.from(errors, (e) => (Math.abs(e) < 0.1 ? 1 : 0)),
    };
  };
  return { step: Object.assign(run, { state }), evaluate, seen };
}

/** y = 2·x₀ − x₁ + ½·x₂ + 1, on points that fill [−1, 1]³ without chance. */
export function plane(examples: number): Dataset {
  const x = new Float32Array(examples * features);
  const y = new Float32Array(examples);
  for (let row = 0; row < examples; row++) {
    for (let k = 0; k < features; k++) x[row * features + k] = Math.sin(row * (k + 1.7) + k);
    y[row] = 2 * x[row * features]! - x[row * features + 1]! + 0.5 * x[row * features + 2]! + 1;
  }
  return { x: { shape: [examples, features], data: x }, y: { shape: [examples], data: y } };
}

/** Every state as hexadecimal bytes: equal only if equal bit for bit. */
export function bitsOf(state: StateAccess): Record<string, string> {
  return Object.fromEntries(
    state.names().map((name) => {
      const elements = state.get(name) as Float32Array | Int32Array;
      return [name, Buffer.from(elements.buffer, elements.byteOffset, elements.byteLength).toString('hex')];
    }),
  );
}
