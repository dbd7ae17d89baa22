// ONNX's side of a network: the nodes that PyTorch's exporter writes for the same layers in evaluation mode, so that
// onnxruntime finds the patterns which it fuses.

import type { OnnxAttribute, OnnxGraph, OnnxNode, OnnxTensor, OnnxValue } from '../onnx-file.ts';
import type {
  Backend,
  ConvAttributes,
  DataType,
  LstmWeights,
  NormWeights,
  PoolAttributes,
  UnaryName,
  Weight,
} from './net.ts';

export interface OnnxOperand {
  readonly name: string;
  readonly shape: readonly number[];
}

export class OnnxBackend implements Backend<OnnxOperand> {
  readonly #nodes: OnnxNode[] = [];
  readonly #initializers = new Map<string, OnnxTensor>();
  readonly #inputs: OnnxValue[] = [];
  #made = 0;

  graph(name: string, output: OnnxOperand): OnnxGraph {
    return {
      name,
      nodes: [...this.#nodes, { op: 'Identity', inputs: [output.name], outputs: ['y'], attributes: {} }],
      initializers: [...this.#initializers.values()],
      inputs: this.#inputs,
      outputs: [{ name: 'y', shape: output.shape, dtype: 'f32' }],
    };
  }

  #node(
    op: string,
    inputs: readonly string[],
    shape: readonly number[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
  ): OnnxOperand {
    const name = `v${this.#made++}`;
    this.#nodes.push({ op, inputs, outputs: [name], attributes });
    return { name, shape };
  }
  #initializer(name: string, shape: readonly number[], data: OnnxTensor['data']): string {
    if (!this.#initializers.has(name)) this.#initializers.set(name, { name, shape, data });
    return name;
  }
  #weight({ name, shape, values }: Weight): string {
    return this.#initializer(name, shape, values);
  }
  #scalar(value: number): string {
    return this.#initializer(`number.${value}`, [], () => new Float32Array([value]));
  }
  #integers(values: readonly number[]): string {
    return this.#initializer(`integers.${values.join('_')}`, [values.length], () => BigInt64Array.from(values, BigInt));
  }

  input(name: string, shape: readonly number[], dtype: DataType): OnnxOperand {
    this.#inputs.push({ name, shape, dtype });
    return { name, shape };
  }

  unary(name: UnaryName, x: OnnxOperand): OnnxOperand {
    switch (name) {
      case 'relu':
        return this.#node('Relu', [x.name], x.shape);
      case 'relu6':
        return this.#node('Clip', [x.name, this.#scalar(0), this.#scalar(6)], x.shape);
      case 'tanh':
        return this.#node('Tanh', [x.name], x.shape);
      case 'sigmoid':
        return this.#node('Sigmoid', [x.name], x.shape);
      case 'geluTanh':
        return this.#geluTanh(x);
    }
  }
  /** As GPT-2's exported graph has it: ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))). */
  #geluTanh(x: OnnxOperand): OnnxOperand {
    const { shape } = x;
    const cube = this.#node('Pow', [x.name, this.#scalar(3)], shape);
    const scaled = this.#node('Mul', [cube.name, this.#scalar(0.044715)], shape);
    const sum = this.#node('Add', [x.name, scaled.name], shape);
    const inner = this.#node('Mul', [sum.name, this.#scalar(Math.sqrt(2 / Math.PI))], shape);
    const tanh = this.#node('Tanh', [inner.name], shape);
    const shifted = this.#node('Add', [tanh.name, this.#scalar(1)], shape);
    const half = this.#node('Mul', [x.name, this.#scalar(0.5)], shape);
    return this.#node('Mul', [half.name, shifted.name], shape);
  }

  add(x: OnnxOperand, y: OnnxOperand): OnnxOperand {
    return this.#node('Add', [x.name, y.name], x.shape.length >= y.shape.length ? x.shape : y.shape);
  }
  scaleBy(x: OnnxOperand, factor: number): OnnxOperand {
    return this.#node('Mul', [x.name, this.#scalar(factor)], x.shape);
  }

  conv(x: OnnxOperand, weight: Weight, bias: Weight, { stride, padding, groups }: ConvAttributes): OnnxOperand {
    const kernel = weight.shape[2]!;
    const size = (dim: number): number => Math.floor((dim + 2 * padding - kernel) / stride) + 1;
    const [batch, , height, width] = x.shape as [number, number, number, number];
    return this.#node(
      'Conv',
      [x.name, this.#weight(weight), this.#weight(bias)],
      [batch, weight.shape[0]!, size(height), size(width)],
      {
        kernel_shape: [kernel, kernel],
        strides: [stride, stride],
        pads: [padding, padding, padding, padding],
        dilations: [1, 1],
        group: groups,
      },
    );
  }
  convTranspose(x: OnnxOperand, weight: Weight, { stride, padding }: ConvAttributes): OnnxOperand {
    const [outputs, inputs, kernel] = weight.shape as [number, number, number, number];
    const size = (dim: number): number => (dim - 1) * stride + kernel - 2 * padding;
    const [batch, , height, width] = x.shape as [number, number, number, number];
    const turned = this.#initializer(weight.name, [inputs, outputs, kernel, kernel], () =>
      turnKernel(weight.values(), outputs, inputs, kernel * kernel),
    );
    return this.#node('ConvTranspose', [x.name, turned], [batch, outputs, size(height), size(width)], {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [padding, padding, padding, padding],
      dilations: [1, 1],
      group: 1,
    });
  }
  batchNorm(x: OnnxOperand, { scale, shift, mean, variance }: NormWeights, epsilon: number): OnnxOperand {
    const weights = [scale, shift, mean, variance].map((weight) => this.#weight(weight));
    return this.#node('BatchNormalization', [x.name, ...weights], x.shape, { epsilon: { float: epsilon } });
  }
  maxPool(x: OnnxOperand, { window, stride, padding }: PoolAttributes): OnnxOperand {
    const size = (dim: number): number => Math.floor((dim + 2 * padding - window) / stride) + 1;
    const [batch, channels, height, width] = x.shape as [number, number, number, number];
    return this.#node('MaxPool', [x.name], [batch, channels, size(height), size(width)], {
      kernel_shape: [window, window],
      strides: [stride, stride],
      pads: [padding, padding, padding, padding],
    });
  }
  globalAveragePool(x: OnnxOperand): OnnxOperand {
    const [batch, channels] = x.shape as [number, number];
    const means = this.#node('GlobalAveragePool', [x.name], [batch, channels, 1, 1]);
    return this.#node('Flatten', [means.name], [batch, channels], { axis: 1 });
  }

  dense(x: OnnxOperand, weight: Weight, bias: Weight): OnnxOperand {
    return this.#node('Gemm', [x.name, this.#weight(weight), this.#weight(bias)], [x.shape[0]!, weight.shape[1]!]);
  }
  matmul(x: OnnxOperand, y: OnnxOperand): OnnxOperand {
    return this.#node('MatMul', [x.name, y.name], [...x.shape.slice(0, -1), y.shape.at(-1)!]);
  }
  tiedHead(x: OnnxOperand, table: Weight): OnnxOperand {
    const turned = this.#node('Transpose', [this.#weight(table)], [...table.shape].reverse(), { perm: [1, 0] });
    return this.matmul(x, turned);
  }
  embedding(table: Weight, indices: OnnxOperand): OnnxOperand {
    const shape = [...indices.shape, table.shape[1]!];
    return this.#node('Gather', [this.#weight(table), indices.name], shape, { axis: 0 });
  }
  rows(table: Weight, count: number): OnnxOperand {
    const features = table.shape[1]!;
    const name = this.#initializer(table.name, [count, features], () => table.values().subarray(0, count * features));
    return { name, shape: [count, features] };
  }
  layerNorm(x: OnnxOperand, scale: Weight, shift: Weight, epsilon: number): OnnxOperand {
    return this.#node('LayerNormalization', [x.name, this.#weight(scale), this.#weight(shift)], x.shape, {
      axis: -1,
      epsilon: { float: epsilon },
    });
  }
  softmax(x: OnnxOperand): OnnxOperand {
    return this.#node('Softmax', [x.name], x.shape, { axis: -1 });
  }
  causal(scores: OnnxOperand): OnnxOperand {
    const [rows, columns] = scores.shape.slice(-2) as [number, number];
    const mask = this.#initializer(`causal.${rows}_${columns}`, [1, 1, rows, columns], () =>
      Float32Array.from({ length: rows * columns }, (_, i) => (i % columns <= Math.floor(i / columns) ? 0 : -1e9)),
    );
    return this.#node('Add', [scores.name, mask], scores.shape);
  }

  reshape(x: OnnxOperand, shape: readonly number[]): OnnxOperand {
    return this.#node('Reshape', [x.name, this.#integers(shape)], shape);
  }
  transpose(x: OnnxOperand, permutation: readonly number[]): OnnxOperand {
    return this.#node(
      'Transpose',
      [x.name],
      permutation.map((axis) => x.shape[axis]!),
      { perm: permutation },
    );
  }
  columns(x: OnnxOperand, start: number, length: number): OnnxOperand {
    const bounds = [[start], [start + length], [x.shape.length - 1]].map((values) => this.#integers(values));
    return this.#node('Slice', [x.name, ...bounds], [...x.shape.slice(0, -1), length]);
  }
  concat(tensors: readonly OnnxOperand[], axis: number): OnnxOperand {
    const shape = [...tensors[0]!.shape];
    shape[axis] = tensors.reduce((sum, tensor) => sum + tensor.shape[axis]!, 0);
    return this.#node(
      'Concat',
      tensors.map(({ name }) => name),
      shape,
      { axis },
    );
  }

  lstm(x: OnnxOperand, { input, recurrent, bias }: LstmWeights): OnnxOperand {
    const [steps, batch] = x.shape as [number, number];
    const hidden = recurrent.shape[1]!;
    const [w, r] = [input, recurrent].map(({ name, shape, values }) =>
      this.#initializer(name, [1, ...shape], values),
    ) as [string, string];
    // ONNX has a bias for each of the two products; the second is zero.
    const b = this.#initializer(bias.name, [1, 8 * hidden], () => {
      const both = new Float32Array(8 * hidden);
      both.set(bias.values());
      return both;
    });
    const all = this.#node('LSTM', [x.name, w, r, b], [steps, 1, batch, hidden], { hidden_size: hidden });
    return this.#node('Squeeze', [all.name, this.#integers([1])], [steps, batch, hidden]);
  }
}

/** `[out, in, cells]` → `[in, out, cells]`, cells in reverse: the adjoint's kernel as ONNX stores it. */
function turnKernel(values: Float32Array, outputs: number, inputs: number, cells: number): Float32Array {
  const turned = new Float32Array(values.length);
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) {
      for (let c = 0; c < cells; c++)
        turned[(i * outputs + o) * cells + c] = values[(o * inputs + i) * cells + cells - 1 - c]!;
    }
  }
  return turned;
}
