// Ashlar's side of a network: expressions as a user of the language writes them.

import {
  type AnyTensor,
  concat,
  conv,
  gather,
  input,
  iota,
  maxPool,
  narrow,
  nn,
  softmax,
  variable,
  where,
} from 'ashlar';
import type { Backend, LstmWeights, UnaryName, Weight } from './net.ts';

const unaries: Readonly<Record<UnaryName, (x: AnyTensor) => AnyTensor>> = {
  relu: (x) => x.relu(),
  relu6: (x) => x.maximum(0).minimum(6),
  tanh: (x) => x.tanh(),
  sigmoid: (x) => x.sigmoid(),
  geluTanh: (x) => nn.geluTanh(x),
};

export class AshlarBackend implements Backend<AnyTensor> {
  readonly inputs: ReturnType<typeof input<string, readonly number[], 'f32' | 'i32'>>[] = [];
  readonly #variables = new Map<Weight, AnyTensor>();

  #variable(weight: Weight): AnyTensor {
    const known = this.#variables.get(weight);
    if (known !== undefined) return known;
    const made = variable(weight.name, weight.shape, { initial: () => weight.values() });
    this.#variables.set(weight, made);
    return made;
  }
  /** One number per channel, to be spread over images. */
  #channels(weight: Weight): AnyTensor {
    return this.#variable(weight).reshape([weight.shape[0]!, 1, 1]);
  }

  input(name: string, shape: readonly number[], dtype: 'f32' | 'i32'): AnyTensor {
    const made = input(name, shape, dtype);
    this.inputs.push(made);
    return made;
  }
  unary(name: UnaryName, x: AnyTensor): AnyTensor {
    return unaries[name](x);
  }
  add(x: AnyTensor, y: AnyTensor): AnyTensor {
    return x.add(y);
  }
  scaleBy(x: AnyTensor, factor: number): AnyTensor {
    return x.mul(factor);
  }
  conv(
    x: AnyTensor,
    weight: Weight,
    bias: Weight,
    { stride, padding, groups }: { stride: number; padding: number; groups: number },
  ): AnyTensor {
    const images: AnyTensor = conv(x, this.#variable(weight), { strides: stride, padding, groups });
    return images.add(this.#channels(bias));
  }
  convTranspose(x: AnyTensor, weight: Weight, { stride, padding }: { stride: number; padding: number }): AnyTensor {
    const cells = weight.shape[2]! - 1 - padding;
    return conv(x, this.#variable(weight), { lhsDilation: stride, padding: cells });
  }
  batchNorm(x: AnyTensor, weights: Parameters<Backend<AnyTensor>['batchNorm']>[1], epsilon: number): AnyTensor {
    const factor = this.#variable(weights.variance).add(epsilon).rsqrt().mul(this.#variable(weights.scale));
    const centred = x.sub(this.#channels(weights.mean));
    return centred.mul(factor.reshape([-1, 1, 1])).add(this.#channels(weights.shift));
  }
  maxPool(x: AnyTensor, { window, stride, padding }: { window: number; stride: number; padding: number }): AnyTensor {
    return maxPool(x, window, { strides: stride, padding });
  }
  globalAveragePool(x: AnyTensor): AnyTensor {
    return x.mean([2, 3]);
  }
  dense(x: AnyTensor, weight: Weight, bias: Weight): AnyTensor {
    return x.matmul(this.#variable(weight)).add(this.#variable(bias));
  }
  matmul(x: AnyTensor, y: AnyTensor): AnyTensor {
    return x.matmul(y);
  }
  tiedHead(x: AnyTensor, table: Weight): AnyTensor {
    return x.matmul(this.#variable(table).transpose());
  }
  embedding(table: Weight, indices: AnyTensor): AnyTensor {
    return gather(this.#variable(table), indices, 0);
  }
  rows(table: Weight, count: number): AnyTensor {
    return narrow(this.#variable(table), 0, 0, count);
  }
  layerNorm(x: AnyTensor, scale: Weight, shift: Weight, epsilon: number): AnyTensor {
    const centred: AnyTensor = x.sub(x.mean(-1, { keepDims: true }));
    const variance: AnyTensor = centred.square().mean(-1, { keepDims: true });
    return centred.mul(variance.add(epsilon).rsqrt()).mul(this.#variable(scale)).add(this.#variable(shift));
  }
  softmax(x: AnyTensor): AnyTensor {
    return softmax(x);
  }
  causal(scores: AnyTensor): AnyTensor {
    const [rows, columns] = scores.shape.slice(-2) as [number, number];
    const seen: AnyTensor = iota([rows, columns], 1).le(iota([rows, columns], 0));
    return where(seen, scores, -1e9) as AnyTensor;
  }
  reshape(x: AnyTensor, shape: readonly number[]): AnyTensor {
    return x.reshape(shape);
  }
  transpose(x: AnyTensor, permutation: readonly number[]): AnyTensor {
    return x.transpose(permutation);
  }
  columns(x: AnyTensor, start: number, length: number): AnyTensor {
    return narrow(x, -1, start, length);
  }
  concat(tensors: readonly AnyTensor[], axis: number): AnyTensor {
    return concat(tensors as readonly [AnyTensor, ...AnyTensor[]], axis);
  }

  /** The input's share of all gates of all steps is one product; then the steps follow each other. */
  lstm(x: AnyTensor, weights: LstmWeights): AnyTensor {
    const [steps, batch] = x.shape as readonly number[] as [number, number];
    const hidden = weights.recurrent.shape[1]!;
    const recurrent = this.#variable(weights.recurrent).transpose();
    const projected: AnyTensor = x.matmul(this.#variable(weights.input).transpose()).add(this.#variable(weights.bias));
    let state: AnyTensor | null = null;
    let cell: AnyTensor | null = null;
    const outputs: AnyTensor[] = [];
    for (let step = 0; step < steps; step++) {
      const given: AnyTensor = narrow(projected, 0, step, 1).reshape([batch, 4 * hidden]);
      const gates: AnyTensor = state === null ? given : given.add(state.matmul(recurrent));
      const gate = (index: number): AnyTensor => narrow(gates, 1, index * hidden, hidden);
      const fresh: AnyTensor = gate(0).sigmoid().mul(gate(3).tanh());
      cell = cell === null ? fresh : gate(2).sigmoid().mul(cell).add(fresh);
      state = gate(1)
        .sigmoid()
        .mul((cell as AnyTensor).tanh()) as AnyTensor;
      outputs.push(state.reshape([1, batch, hidden]));
    }
    return this.concat(outputs, 0);
  }
}
