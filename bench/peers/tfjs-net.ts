// TensorFlow.js's side of a network: the operations that its converter leaves in a graph model, bias and activation fused into
// convolutions and products where its kernels can. Images are kept channels last, as its WebGPU kernels want them.

import * as tf from '@tensorflow/tfjs-core';
import type {
  Backend,
  ConvAttributes,
  LstmWeights,
  NormWeights,
  PoolAttributes,
  UnaryName,
  Weight,
} from '../models/net.ts';

type Activation = 'linear' | 'relu' | 'relu6';

/** Its shape is that of the model; an image's tensor is `[N, H, W, C]`. Computed when it is first asked for. */
export class TfOperand {
  readonly shape: readonly number[];
  readonly isImage: boolean;
  readonly #compute: (activation: Activation) => tf.Tensor;
  #tensor: tf.Tensor | null = null;
  constructor(shape: readonly number[], isImage: boolean, compute: (activation: Activation) => tf.Tensor) {
    this.shape = shape;
    this.isImage = isImage;
    this.#compute = compute;
  }
  get tensor(): tf.Tensor {
    this.#tensor ??= this.#compute('linear');
    return this.#tensor;
  }
  /** The operand with an activation in the kernel that makes it; null where it is made already. */
  activated(activation: Activation): TfOperand | null {
    if (this.#tensor !== null || this.#compute.length === 0) return null;
    return new TfOperand(this.shape, this.isImage, () => this.#compute(activation));
  }
}

const images = (shape: readonly number[], compute: (activation: Activation) => tf.Tensor): TfOperand =>
  new TfOperand(shape, true, compute);

const unaries: Readonly<Record<UnaryName, (x: tf.Tensor) => tf.Tensor>> = {
  relu: (x) => tf.relu(x),
  relu6: (x) => tf.relu6(x),
  tanh: (x) => tf.tanh(x),
  sigmoid: (x) => tf.sigmoid(x),
  geluTanh: (x) => {
    const inner = tf.mul(tf.add(x, tf.mul(tf.pow(x, 3), 0.044715)), Math.sqrt(2 / Math.PI));
    return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
  },
};

const extent = (size: number, window: number, { stride, padding }: { stride: number; padding: number }): number =>
  Math.floor((size + 2 * padding - window) / stride) + 1;

export class TfjsBackend implements Backend<TfOperand> {
  readonly #weights: Map<string, tf.Tensor>;
  readonly #given: (shape: readonly number[]) => tf.Tensor;
  /** Weights are made once and kept in `weights` between runs; `given` makes the input, an image channels last. */
  constructor(weights: Map<string, tf.Tensor>, given: (shape: readonly number[]) => tf.Tensor) {
    this.#weights = weights;
    this.#given = given;
  }

  #weight(weight: Weight, key: string, make: (tensor: tf.Tensor) => tf.Tensor): tf.Tensor {
    const name = `${weight.name}:${key}`;
    const known = this.#weights.get(name);
    if (known !== undefined) return known;
    const made = tf.keep(tf.tidy(() => make(tf.tensor(weight.values(), [...weight.shape]))));
    this.#weights.set(name, made);
    return made;
  }
  #plain(weight: Weight): tf.Tensor {
    return this.#weight(weight, 'plain', (tensor) => tensor.clone());
  }
  #made(tensor: tf.Tensor): TfOperand {
    return new TfOperand(tensor.shape, false, () => tensor);
  }
  /** An image's tensor channels first. */
  #rowMajor(x: TfOperand): tf.Tensor {
    return x.isImage ? tf.transpose(x.tensor, [0, 3, 1, 2]) : x.tensor;
  }

  input(_name: string, shape: readonly number[]): TfOperand {
    return new TfOperand(shape, shape.length === 4, () => this.#given(shape));
  }
  unary(name: UnaryName, x: TfOperand): TfOperand {
    const fused = name === 'relu' || name === 'relu6' ? x.activated(name) : null;
    if (fused !== null) return fused;
    return new TfOperand(x.shape, x.isImage, () => unaries[name](x.tensor));
  }
  add(x: TfOperand, y: TfOperand): TfOperand {
    return new TfOperand(x.shape, x.isImage, () => tf.add(x.tensor, y.tensor));
  }
  scaleBy(x: TfOperand, factor: number): TfOperand {
    return new TfOperand(x.shape, x.isImage, () => tf.mul(x.tensor, factor));
  }
  conv(x: TfOperand, weight: Weight, bias: Weight, attributes: ConvAttributes): TfOperand {
    const [n, , height, width] = x.shape as readonly [number, number, number, number];
    const [out, , kernel] = weight.shape as readonly [number, number, number];
    const { stride, padding, groups } = attributes;
    const shape = [n, out, extent(height, kernel, attributes), extent(width, kernel, attributes)];
    const options = { strides: stride, pad: padding, bias: this.#plain(bias) };
    if (groups > 1) {
      const filter = this.#weight(weight, 'depthwise', (t) => tf.transpose(t, [2, 3, 0, 1])) as tf.Tensor4D;
      return images(shape, (activation) =>
        tf.fused.depthwiseConv2d({ x: x.tensor as tf.Tensor4D, filter, ...options, activation }),
      );
    }
    const filter = this.#weight(weight, 'filter', (t) => tf.transpose(t, [2, 3, 1, 0])) as tf.Tensor4D;
    return images(shape, (activation) =>
      tf.fused.conv2d({ x: x.tensor as tf.Tensor4D, filter, ...options, activation }),
    );
  }
  convTranspose(x: TfOperand, weight: Weight, { stride, padding }: ConvAttributes): TfOperand {
    const [n, , height, width] = x.shape as readonly [number, number, number, number];
    const [out, , kernel] = weight.shape as readonly [number, number, number];
    const size = (given: number): number => (given - 1) * stride - 2 * padding + kernel;
    const filter = this.#weight(weight, 'transposed', (t) =>
      tf.transpose(tf.reverse(t, [2, 3]), [2, 3, 0, 1]),
    ) as tf.Tensor4D;
    const shape: [number, number, number, number] = [n, size(height), size(width), out];
    return images([n, out, shape[1], shape[2]], () =>
      tf.conv2dTranspose(x.tensor as tf.Tensor4D, filter, shape, stride, padding),
    );
  }
  batchNorm(x: TfOperand, { scale, shift, mean, variance }: NormWeights, epsilon: number): TfOperand {
    const of = (weight: Weight): tf.Tensor1D => this.#plain(weight) as tf.Tensor1D;
    return images(x.shape, () =>
      tf.batchNorm(x.tensor as tf.Tensor4D, of(mean), of(variance), of(shift), of(scale), epsilon),
    );
  }
  maxPool(x: TfOperand, { window, stride, padding }: PoolAttributes): TfOperand {
    const [n, channels, height, width] = x.shape as readonly [number, number, number, number];
    const attributes = { stride, padding };
    const shape = [n, channels, extent(height, window, attributes), extent(width, window, attributes)];
    return images(shape, () => tf.maxPool(x.tensor as tf.Tensor4D, window, stride, padding));
  }
  globalAveragePool(x: TfOperand): TfOperand {
    return this.#made(tf.mean(x.tensor, [1, 2]));
  }
  dense(x: TfOperand, weight: Weight, bias: Weight): TfOperand {
    const shape = [x.shape[0]!, weight.shape[1]!];
    return new TfOperand(shape, false, (activation) =>
      tf.fused.matMul({
        a: x.tensor as tf.Tensor2D,
        b: this.#plain(weight) as tf.Tensor2D,
        bias: this.#plain(bias),
        activation,
      }),
    );
  }
  matmul(x: TfOperand, y: TfOperand): TfOperand {
    return this.#made(tf.matMul(x.tensor, y.tensor));
  }
  tiedHead(x: TfOperand, table: Weight): TfOperand {
    return this.#made(tf.matMul(x.tensor, this.#plain(table), false, true));
  }
  embedding(table: Weight, indices: TfOperand): TfOperand {
    return this.#made(tf.gather(this.#plain(table), indices.tensor as tf.Tensor1D));
  }
  rows(table: Weight, count: number): TfOperand {
    return this.#made(tf.slice(this.#plain(table), [0, 0], [count, table.shape[1]!]));
  }
  layerNorm(x: TfOperand, scale: Weight, shift: Weight, epsilon: number): TfOperand {
    const { mean, variance } = tf.moments(x.tensor, -1, true);
    const factor = tf.mul(tf.rsqrt(tf.add(variance, epsilon)), this.#plain(scale));
    return this.#made(tf.add(tf.mul(tf.sub(x.tensor, mean), factor), this.#plain(shift)));
  }
  softmax(x: TfOperand): TfOperand {
    return this.#made(tf.softmax(x.tensor));
  }
  causal(scores: TfOperand): TfOperand {
    const [rows, columns] = scores.shape.slice(-2) as [number, number];
    const mask: Weight = {
      name: `causal.${rows}x${columns}`,
      shape: [rows, columns],
      values: () =>
        Float32Array.from({ length: rows * columns }, (_, i) => (i % columns <= Math.floor(i / columns) ? 1 : 0)),
    };
    const seen = this.#weight(mask, 'bool', (t) => tf.cast(t, 'bool'));
    return this.#made(tf.where(seen, scores.tensor, tf.scalar(-1e9)));
  }
  reshape(x: TfOperand, shape: readonly number[]): TfOperand {
    return this.#made(tf.reshape(this.#rowMajor(x), [...shape]));
  }
  transpose(x: TfOperand, permutation: readonly number[]): TfOperand {
    return this.#made(tf.transpose(this.#rowMajor(x), [...permutation]));
  }
  columns(x: TfOperand, start: number, length: number): TfOperand {
    const begin = x.shape.map((_, axis) => (axis === x.shape.length - 1 ? start : 0));
    return this.#made(tf.slice(x.tensor, begin, [...x.shape.slice(0, -1), length]));
  }
  concat(tensors: readonly TfOperand[], axis: number): TfOperand {
    const isImage = tensors[0]!.isImage;
    const along = isImage ? [0, 3, 1, 2][axis]! : axis;
    const shape = tensors[0]!.shape.map((dim, i) =>
      i === axis ? tensors.reduce((sum, t) => sum + t.shape[i]!, 0) : dim,
    );
    return new TfOperand(shape, isImage, () =>
      tf.concat(
        tensors.map((t) => t.tensor),
        along,
      ),
    );
  }
  lstm(x: TfOperand, weights: LstmWeights): TfOperand {
    const [steps, batch] = x.shape as readonly [number, number];
    const hidden = weights.recurrent.shape[1]!;
    const recurrent = this.#weight(weights.recurrent, 'turned', (t) => tf.transpose(t));
    const input = this.#weight(weights.input, 'turned', (t) => tf.transpose(t));
    const flat = tf.reshape(x.tensor, [steps * batch, x.shape[2]!]);
    const projected = tf.add(tf.matMul(flat, input), this.#plain(weights.bias));
    let state: tf.Tensor | null = null;
    let cell: tf.Tensor | null = null;
    const outputs: tf.Tensor[] = [];
    for (let step = 0; step < steps; step++) {
      const given = tf.slice(projected, [step * batch, 0], [batch, 4 * hidden]);
      const gates: tf.Tensor = state === null ? given : tf.add(given, tf.matMul(state, recurrent));
      const [i, o, f, c] = tf.split(gates, 4, 1) as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
      const fresh: tf.Tensor = tf.mul(tf.sigmoid(i), tf.tanh(c));
      cell = cell === null ? fresh : tf.add(tf.mul(tf.sigmoid(f), cell), fresh);
      state = tf.mul(tf.sigmoid(o), tf.tanh(cell));
      outputs.push(tf.reshape(state, [1, batch, hidden]));
    }
    return this.#made(tf.concat(outputs, 0));
  }
}
