// jax-js's side of a network: its NumPy and lax functions, traced once by jit. Every use takes a reference (`.ref`), since
// its functions release their arguments.

import { lax, nn, numpy as np } from '@jax-js/jax';
import type {
  Backend,
  ConvAttributes,
  DataType,
  LstmWeights,
  NormWeights,
  PoolAttributes,
  UnaryName,
  Weight,
} from '../models/net.ts';

export interface JaxOperand {
  readonly shape: readonly number[];
  readonly array: np.Array;
}

const unaries: Readonly<Record<UnaryName, (x: np.Array) => np.Array>> = {
  relu: (x) => nn.relu(x),
  relu6: (x) => nn.relu6(x),
  tanh: (x) => np.tanh(x),
  sigmoid: (x) => nn.sigmoid(x),
  geluTanh: (x) => nn.gelu(x, { approximate: true }),
};

const made = (array: np.Array): JaxOperand => ({ shape: array.shape, array });

export class JaxBackend implements Backend<JaxOperand> {
  readonly #weights: Map<string, np.Array>;
  readonly #given: np.Array;
  /** Weights are put on the device once and kept in `weights`. */
  constructor(weights: Map<string, np.Array>, given: np.Array) {
    this.#weights = weights;
    this.#given = given;
  }

  #weight({ name, shape, values }: Weight): np.Array {
    const known = this.#weights.get(name) ?? np.array(values(), { shape: [...shape], dtype: np.float32 });
    this.#weights.set(name, known);
    return known.ref;
  }
  #channels(weight: Weight): np.Array {
    return this.#weight(weight).reshape([weight.shape[0]!, 1, 1]);
  }

  input(_name: string, shape: readonly number[], _dtype: DataType): JaxOperand {
    return { shape, array: this.#given };
  }
  unary(name: UnaryName, x: JaxOperand): JaxOperand {
    return made(unaries[name](x.array.ref));
  }
  add(x: JaxOperand, y: JaxOperand): JaxOperand {
    return made(x.array.ref.add(y.array.ref));
  }
  scaleBy(x: JaxOperand, factor: number): JaxOperand {
    return made(x.array.ref.mul(factor));
  }
  conv(x: JaxOperand, weight: Weight, bias: Weight, { stride, padding, groups }: ConvAttributes): JaxOperand {
    const pads: [number, number][] = [
      [padding, padding],
      [padding, padding],
    ];
    const options = groups === 1 ? {} : { featureGroupCount: groups };
    const images = lax.convGeneralDilated(x.array.ref, this.#weight(weight), [stride, stride], pads, options);
    return made(images.add(this.#channels(bias)));
  }
  convTranspose(x: JaxOperand, weight: Weight, { stride, padding }: ConvAttributes): JaxOperand {
    const cells = weight.shape[2]! - 1 - padding;
    const pads: [number, number][] = [
      [cells, cells],
      [cells, cells],
    ];
    const lhsDilation = [stride, stride];
    return made(lax.convGeneralDilated(x.array.ref, this.#weight(weight), [1, 1], pads, { lhsDilation }));
  }
  batchNorm(x: JaxOperand, { scale, shift, mean, variance }: NormWeights, epsilon: number): JaxOperand {
    const factor = this.#weight(scale).div(np.sqrt(this.#weight(variance).add(epsilon)));
    const centred = x.array.ref.sub(this.#channels(mean));
    return made(centred.mul(factor.reshape([scale.shape[0]!, 1, 1])).add(this.#channels(shift)));
  }
  maxPool(x: JaxOperand, { window, stride, padding }: PoolAttributes): JaxOperand {
    const around: [number, number][] = [
      [0, 0],
      [0, 0],
      [padding, padding],
      [padding, padding],
    ];
    // Images come from relu: nothing is below 0.
    const padded = padding === 0 ? x.array.ref : np.pad(x.array.ref, around);
    return made(lax.reduceWindow(padded, (cells) => np.max(cells), [1, 1, window, window], [1, 1, stride, stride]));
  }
  globalAveragePool(x: JaxOperand): JaxOperand {
    return made(np.mean(x.array.ref, [2, 3]));
  }
  dense(x: JaxOperand, weight: Weight, bias: Weight): JaxOperand {
    return made(np.matmul(x.array.ref, this.#weight(weight)).add(this.#weight(bias)));
  }
  matmul(x: JaxOperand, y: JaxOperand): JaxOperand {
    return made(np.matmul(x.array.ref, y.array.ref));
  }
  tiedHead(x: JaxOperand, table: Weight): JaxOperand {
    return made(np.matmul(x.array.ref, np.matrixTranspose(this.#weight(table))));
  }
  embedding(table: Weight, indices: JaxOperand): JaxOperand {
    return made(np.take(this.#weight(table), indices.array.ref, 0));
  }
  rows(table: Weight, count: number): JaxOperand {
    return made(this.#weight(table).slice([0, count]));
  }
  layerNorm(x: JaxOperand, scale: Weight, shift: Weight, epsilon: number): JaxOperand {
    const centred = x.array.ref.sub(np.mean(x.array.ref, -1, { keepdims: true }));
    const variance = np.mean(np.square(centred.ref), -1, { keepdims: true });
    const normal = centred.div(np.sqrt(variance.add(epsilon)));
    return made(normal.mul(this.#weight(scale)).add(this.#weight(shift)));
  }
  softmax(x: JaxOperand): JaxOperand {
    return made(nn.softmax(x.array.ref));
  }
  causal(scores: JaxOperand): JaxOperand {
    const [rows, columns] = scores.shape.slice(-2) as [number, number];
    const seen = np.greaterEqual(np.arange(rows).reshape([rows, 1]), np.arange(columns).reshape([1, columns]));
    return made(np.where(seen, scores.array.ref, -1e9));
  }
  reshape(x: JaxOperand, shape: readonly number[]): JaxOperand {
    return made(x.array.ref.reshape([...shape]));
  }
  transpose(x: JaxOperand, permutation: readonly number[]): JaxOperand {
    return made(np.transpose(x.array.ref, [...permutation]));
  }
  columns(x: JaxOperand, start: number, length: number): JaxOperand {
    const all = x.shape.slice(0, -1).map(() => [] as []);
    return made(x.array.ref.slice(...all, [start, start + length]));
  }
  concat(tensors: readonly JaxOperand[], axis: number): JaxOperand {
    return made(
      np.concatenate(
        tensors.map(({ array }) => array.ref),
        axis,
      ),
    );
  }
  lstm(x: JaxOperand, weights: LstmWeights): JaxOperand {
    const [steps, batch] = x.shape as readonly [number, number];
    const hidden = weights.recurrent.shape[1]!;
    const recurrent = np.matrixTranspose(this.#weight(weights.recurrent));
    const input = np.matrixTranspose(this.#weight(weights.input));
    const projected = np.matmul(x.array.ref, input).add(this.#weight(weights.bias));
    let state: np.Array | null = null;
    let cell: np.Array | null = null;
    const outputs: np.Array[] = [];
    for (let step = 0; step < steps; step++) {
      const given = projected.ref.slice(step);
      const gates: np.Array = state === null ? given : given.add(np.matmul(state.ref, recurrent.ref));
      const gate = (i: number): np.Array => gates.ref.slice([], [i * hidden, (i + 1) * hidden]);
      const fresh: np.Array = nn.sigmoid(gate(0)).mul(np.tanh(gate(3)));
      cell = cell === null ? fresh : nn.sigmoid(gate(2)).mul(cell).add(fresh);
      state = nn.sigmoid(gate(1)).mul(np.tanh(cell.ref));
      outputs.push(state.ref.reshape([1, batch, hidden]));
    }
    return made(np.concatenate(outputs, 0));
  }
}
