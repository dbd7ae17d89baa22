// A network written once for two sides. A model calls the layers of Net; these count floating-point operations, draw
// weights from one seeded stream and hand both to a backend, which builds Ashlar's expressions or ONNX's nodes.

export type DataType = 'f32' | 'i32';

/** A tensor of seeded numbers; every call of `values` gives the same. */
export interface Weight {
  readonly name: string;
  readonly shape: readonly number[];
  values(): Float32Array;
}

export interface ConvAttributes {
  readonly stride: number;
  readonly padding: number;
  readonly groups: number;
}

export interface PoolAttributes {
  readonly window: number;
  readonly stride: number;
  readonly padding: number;
}

export interface NormWeights {
  readonly scale: Weight;
  readonly shift: Weight;
  readonly mean: Weight;
  readonly variance: Weight;
}

/** Gates in ONNX's order (input, output, forget, cell), all four stacked: `[4·hidden, features]`. */
export interface LstmWeights {
  readonly input: Weight;
  readonly recurrent: Weight;
  readonly bias: Weight;
}

export type UnaryName = 'relu' | 'relu6' | 'tanh' | 'sigmoid' | 'geluTanh';

/** What a side must be able to build. Images are `[N, channels, height, width]`. */
export interface Backend<T extends { readonly shape: readonly number[] }> {
  input(name: string, shape: readonly number[], dtype: DataType): T;
  unary(name: UnaryName, x: T): T;
  add(x: T, y: T): T;
  scaleBy(x: T, factor: number): T;
  /** weight `[out, in / groups, K, K]`, bias `[out]` */
  conv(x: T, weight: Weight, bias: Weight, attributes: ConvAttributes): T;
  /** The adjoint of a convolution; weight `[out, in, K, K]`, already turned so that it slides over spread images. */
  convTranspose(x: T, weight: Weight, attributes: ConvAttributes): T;
  batchNorm(x: T, weights: NormWeights, epsilon: number): T;
  maxPool(x: T, attributes: PoolAttributes): T;
  globalAveragePool(x: T): T;
  /** `[N, in] · [in, out] + [out]` */
  dense(x: T, weight: Weight, bias: Weight): T;
  matmul(x: T, y: T): T;
  /** `[T, features] · tableᵀ`: a language model's head whose weight is its embedding. */
  tiedHead(x: T, table: Weight): T;
  embedding(table: Weight, indices: T): T;
  /** The first rows of a table, as a tensor. */
  rows(table: Weight, count: number): T;
  layerNorm(x: T, scale: Weight, shift: Weight, epsilon: number): T;
  softmax(x: T): T;
  /** Scores above the diagonal of the last two axes become so small that softmax makes them 0. */
  causal(scores: T): T;
  reshape(x: T, shape: readonly number[]): T;
  transpose(x: T, permutation: readonly number[]): T;
  /** Elements `start` up to, not including, `start + length` of the last axis. */
  columns(x: T, start: number, length: number): T;
  concat(tensors: readonly T[], axis: number): T;
  /** `[steps, 1, features] → [steps, 1, hidden]`, from a state of zeros. */
  lstm(x: T, weights: LstmWeights): T;
}

/** Numbers in [−1, 1), by the mulberry32 generator: enough for weights, and a nanosecond each. */
export function seededUniform(seed: number, count: number, scale: number, offset = 0): Float32Array {
  const values = new Float32Array(count);
  let state = Math.imul(seed + 1, 0x9e3779b1) | 0;
  for (let i = 0; i < count; i++) {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    values[i] = offset + scale * (((t ^ (t >>> 14)) >>> 0) / 2147483648 - 1);
  }
  return values;
}

const product = (dims: readonly number[]): number => dims.reduce((all, dim) => all * dim, 1);

export interface ConvOptions extends Partial<ConvAttributes> {
  /** Variance of the output over that of the input: 2 before ReLU (He et al., ICCV 2015), 1 where nothing is cut. */
  readonly gain?: number;
}

export class Net<T extends { readonly shape: readonly number[] }> {
  readonly backend: Backend<T>;
  /** Two for each multiply-add of convolutions and matrix products; nothing else is counted. */
  flops = 0;
  #drawn = 0;
  constructor(backend: Backend<T>) {
    this.backend = backend;
  }

  /** Uniform in ±√(3·gain/fan-in), whose variance is gain/fan-in. */
  weight(name: string, shape: readonly number[], fanIn: number, gain = 2): Weight {
    return this.#draw(name, shape, Math.sqrt((3 * gain) / fanIn), 0);
  }
  /** Uniform in offset ± scale. */
  around(name: string, shape: readonly number[], offset: number, scale: number): Weight {
    return this.#draw(name, shape, scale, offset);
  }
  #draw(name: string, shape: readonly number[], scale: number, offset: number): Weight {
    const seed = this.#drawn++;
    return { name: `${name}.${seed}`, shape, values: () => seededUniform(seed, product(shape), scale, offset) };
  }

  input(shape: readonly number[], dtype: DataType = 'f32'): T {
    return this.backend.input('x', shape, dtype);
  }

  conv(x: T, outputs: number, kernel: number, options: ConvOptions = {}): T {
    const { stride = 1, padding = 0, groups = 1, gain = 2 } = options;
    const inputs = x.shape[1]! / groups;
    const weight = this.weight('conv', [outputs, inputs, kernel, kernel], inputs * kernel * kernel, gain);
    const bias = this.around('conv.bias', [outputs], 0, 0.1);
    const y = this.backend.conv(x, weight, bias, { stride, padding, groups });
    this.flops += 2 * product(y.shape) * inputs * kernel * kernel;
    return y;
  }

  convTranspose(x: T, outputs: number, kernel: number, { stride = 1, padding = 0 }: ConvOptions = {}): T {
    const inputs = x.shape[1]!;
    // Of K² taps, (K / stride)² meet an element of the image.
    const weight = this.weight('convTranspose', [outputs, inputs, kernel, kernel], inputs * (kernel / stride) ** 2);
    const y = this.backend.convTranspose(x, weight, { stride, padding, groups: 1 });
    this.flops += 2 * product(x.shape) * outputs * kernel * kernel;
    return y;
  }

  batchNorm(x: T): T {
    const shape = [x.shape[1]!];
    const weights = {
      scale: this.around('norm.scale', shape, 1, 0.2),
      shift: this.around('norm.shift', shape, 0, 0.2),
      mean: this.around('norm.mean', shape, 0, 0.2),
      variance: this.around('norm.variance', shape, 1, 0.5),
    };
    return this.backend.batchNorm(x, weights, 1e-5);
  }

  dense(x: T, outputs: number, gain = 2): T {
    const [rows, inputs] = [x.shape[0]!, x.shape[1]!];
    const weight = this.weight('dense', [inputs, outputs], inputs, gain);
    const bias = this.around('dense.bias', [outputs], 0, 0.1);
    this.flops += 2 * rows * inputs * outputs;
    return this.backend.dense(x, weight, bias);
  }

  matmul(x: T, y: T): T {
    this.flops += 2 * product(x.shape) * y.shape.at(-1)!;
    return this.backend.matmul(x, y);
  }

  tiedHead(x: T, table: Weight): T {
    this.flops += 2 * product(x.shape) * table.shape[0]!;
    return this.backend.tiedHead(x, table);
  }

  layerNorm(x: T): T {
    const shape = [x.shape.at(-1)!];
    const scale = this.around('layerNorm.scale', shape, 1, 0.2);
    return this.backend.layerNorm(x, scale, this.around('layerNorm.shift', shape, 0, 0.2), 1e-5);
  }

  lstm(x: T, hidden: number): T {
    const [steps, , features] = x.shape as readonly [number, number, number];
    const weights = {
      input: this.weight('lstm.input', [4 * hidden, features], features, 1),
      recurrent: this.weight('lstm.recurrent', [4 * hidden, hidden], hidden, 1),
      bias: this.around('lstm.bias', [4 * hidden], 0, 0.1),
    };
    this.flops += 2 * steps * 4 * hidden * (features + hidden);
    return this.backend.lstm(x, weights);
  }

  relu(x: T): T {
    return this.backend.unary('relu', x);
  }
  add(x: T, y: T): T {
    return this.backend.add(x, y);
  }
  maxPool(x: T, window: number, stride = window, padding = 0): T {
    return this.backend.maxPool(x, { window, stride, padding });
  }
  /** `[N, C, H, W] → [N, C·H·W]` */
  flatten(x: T): T {
    return this.backend.reshape(x, [x.shape[0]!, product(x.shape.slice(1))]);
  }
}
