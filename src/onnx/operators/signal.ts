// Discrete Fourier transforms, windows and mel filters.

import { gather, pad, slice, stack } from '../../lang/functions.ts';
import { type AnyTensor, here, Tensor } from '../../lang/tensor.ts';
import { iota } from '../../lang/variable.ts';
import { like, type NodeContext, type OnnxValue, type Operator, shapeOf } from '../node-context.ts';
import { axisOf, wholeRange } from './axes.ts';
import { targetType } from './elementwise.ts';
import { pickAlong } from './picking.ts';

/** A signal along some axis; `imaginary` is null where it is real. */
interface Complex {
  readonly real: AnyTensor;
  readonly imaginary: AnyTensor | null;
}

/** Longer transforms would have angles that i32 cannot count. */
const mostPoints = 46340;

/** cos(2π i/n) and sin(2π i/n) for all i below n, exactly 0 where they are. */
function circle(n: number): { cos: number[]; sin: number[] } {
  const angle = (i: number): number => (2 * Math.PI * i) / n;
  return {
    cos: wholeRange(n).map((i) => (4 * i === n || 4 * i === 3 * n ? 0 : Math.cos(angle(i)))),
    sin: wholeRange(n).map((i) => (2 * i === n ? 0 : Math.sin(angle(i)))),
  };
}

/** The matrix [rows, columns] of cos or sin of 2π · row · column / n: a table of one turn, read at places that are counted. */
function waves(node: NodeContext, x: OnnxValue, table: readonly number[], rows: number, columns: number): AnyTensor {
  const places: AnyTensor = iota([rows, columns], 0)
    .mul(iota([rows, columns], 1))
    .rem(table.length);
  return gather(node.numbers(x.type, [table.length], table).tensor, places, 0);
}

/** `[.., N, ..]` · `[N, K]` along an axis → `[.., K, ..]`. */
function alongMatrix(x: AnyTensor, matrix: AnyTensor, axis: number): AnyTensor {
  const product: AnyTensor = new Tensor(
    here('dft').dot(x.value, matrix.value, { contract: [[axis], [0]], batch: [[], []] }),
  );
  const order = wholeRange(product.rank - 1);
  return product.transpose([...order.slice(0, axis), product.rank - 1, ...order.slice(axis)]);
}

/** The first `length` elements along an axis, zeros where there are fewer. */
function resized(x: AnyTensor, axis: number, length: number): AnyTensor {
  const shape: readonly number[] = x.value.type.shape;
  const limits = shape.map((dim, i) => (i === axis ? Math.min(dim, length) : dim));
  const cut: AnyTensor = slice(
    x,
    shape.map(() => 0),
    limits,
  );
  return pad(
    cut,
    limits.map((dim, i): [number, number] => [0, i === axis ? length - dim : 0]),
  );
}

/** Σ x[n] e^(∓2πi kn/N) for the first `count` k; the inverse is divided by N. */
function transformed(
  node: NodeContext,
  x: OnnxValue,
  signal: Complex,
  axis: number,
  n: number,
  options: { readonly inverse: boolean; readonly count: number },
): Complex {
  if (n > mostPoints) return node.unsupported(`a transform of ${n} points: at most ${mostPoints}`);
  const { cos, sin } = circle(n);
  const scale = options.inverse ? 1 / n : 1;
  const matrix = (table: readonly number[]): AnyTensor =>
    waves(
      node,
      x,
      table.map((value) => value * scale),
      n,
      options.count,
    );
  const [cosines, sines] = [matrix(cos), matrix(options.inverse ? sin.map((value) => -value) : sin)];
  const real = resized(signal.real, axis, n);
  const [realCos, realSin] = [alongMatrix(real, cosines, axis), alongMatrix(real, sines, axis)];
  if (signal.imaginary === null) return { real: realCos, imaginary: realSin.neg() };
  const imaginary = resized(signal.imaginary, axis, n);
  return {
    real: realCos.add(alongMatrix(imaginary, sines, axis)),
    imaginary: alongMatrix(imaginary, cosines, axis).sub(realSin),
  };
}

/** [.., 1] or [.., 2] as real and imaginary parts without the last axis. */
function complexOf(node: NodeContext, x: OnnxValue): Complex {
  const shape = shapeOf(x);
  const parts = shape.at(-1);
  if (parts !== 1 && parts !== 2)
    return node.invalid(`real or complex numbers in the last axis expected, [${shape}] given`);
  const part = (at: number): AnyTensor =>
    slice(
      x.tensor,
      shape.map((_, i) => (i === shape.length - 1 ? at : 0)),
      shape.map((dim, i) => (i === shape.length - 1 ? at + 1 : dim)),
    ).reshape(shape.slice(0, -1));
  return { real: part(0), imaginary: parts === 2 ? part(1) : null };
}

const dft: Operator = (node) => {
  const x = node.input(0);
  const rank = shapeOf(x).length;
  const chosen = node.opset >= 20 ? node.optional(2) : null;
  const given = node.opset < 20 ? node.int('axis', 1) : chosen === null ? -2 : node.expectKnown(chosen, 'axis')[0]!;
  const axis = axisOf(node, given, rank, rank - 1);
  const [inverse, onesided] = [node.int('inverse', 0) !== 0, node.int('onesided', 0) !== 0];
  const dim = shapeOf(x)[axis]!;
  const length = node.optional(1);
  const implied = inverse && onesided ? 2 * (dim - 1) : dim;
  const n = length === null ? implied : node.expectKnown(length, 'dft_length')[0]!;
  if (!(n >= 1)) node.invalid(`a transform of ${n} points`);
  const signal = complexOf(node, x);
  if (inverse && onesided) return like(x, realInverse(node, x, signal, axis, n));
  const count = onesided ? Math.floor(n / 2) + 1 : n;
  const { real, imaginary } = transformed(node, x, signal, axis, n, { inverse, count });
  return like(x, stack([real, imaginary!], -1) as AnyTensor);
};

/** The real signal of half a spectrum: what is left out is the conjugate of what is there. */
function realInverse(node: NodeContext, x: OnnxValue, signal: Complex, axis: number, n: number): AnyTensor {
  if (n > mostPoints) return node.unsupported(`a transform of ${n} points: at most ${mostPoints}`);
  const half = Math.floor(n / 2) + 1;
  const { cos, sin } = circle(n);
  const rows = wholeRange(half).map((k) => (k === 0 || 2 * k === n ? 1 : 2) / n);
  const weights = node.numbers(x.type, [half, 1], rows).tensor;
  const sum = alongMatrix(resized(signal.real, axis, half), waves(node, x, cos, half, n).mul(weights), axis);
  if (signal.imaginary === null) return sum.reshape([...sum.shape, 1]);
  const turned = alongMatrix(resized(signal.imaginary, axis, half), waves(node, x, sin, half, n).mul(weights), axis);
  return sum.sub(turned).reshape([...sum.shape, 1]);
}

/** signal [N, L, 1 or 2] in overlapping frames, each times a window → their spectra [N, frames, bins, 2]. */
const shortTimeTransform: Operator = (node) => {
  const x = node.input(0);
  const [step] = node.expectKnown(node.input(1), 'frame_step') as [number];
  const window = node.optional(2);
  const told = node.optional(3);
  const [batch, length, parts] = shapeOf(x) as [number, number, number];
  const size =
    told === null ? (window === null ? length : shapeOf(window)[0]!) : node.expectKnown(told, 'frame_length')[0]!;
  const taken = window === null ? size : shapeOf(window)[0]!;
  if (!(step >= 1 && size >= 1 && size <= length && taken <= size))
    return node.invalid(`frames of ${size} every ${step} in a signal of ${length}, with a window of ${taken}`);
  const frames = Math.floor((length - size) / step) + 1;
  const places = wholeRange(frames * taken).map((i) => Math.floor(i / taken) * step + (i % taken));
  const cut: AnyTensor = pickAlong(node, x.tensor, places, 1).reshape([batch, frames, taken, parts]);
  const shaped = like(x, window === null ? cut : cut.mul(window.tensor.reshape([taken, 1])));
  const count = node.int('onesided', 1) !== 0 ? Math.floor(size / 2) + 1 : size;
  const { real, imaginary } = transformed(node, x, complexOf(node, shaped), 2, size, { inverse: false, count });
  return like(x, stack([real, imaginary!], -1) as AnyTensor);
};

/** A window over `size` points, which must be known; a periodic one is the first part of one that is longer by 1. */
const windowOf =
  (value: (turn: number) => number): Operator =>
  (node) => {
    const [size] = node.expectKnown(node.input(0), 'size') as [number];
    const type = targetType(node, node.int('output_datatype', 1));
    const period = node.int('periodic', 1) !== 0 ? size : size - 1;
    return node.numbers(
      type,
      [size],
      wholeRange(size).map((i) => value((2 * Math.PI * i) / period)),
    );
  };

/** Triangular filters at equal distances on the mel scale: float [dft_length / 2 + 1, filters]. */
const melWeights: Operator = (node) => {
  const scalar = (position: number, name: string): number => node.expectKnown(node.input(position), name)[0]!;
  const [filters, length, rate] = [scalar(0, 'num_mel_bins'), scalar(1, 'dft_length'), scalar(2, 'sample_rate')];
  const [low, high] = [scalar(3, 'lower_edge_hertz'), scalar(4, 'upper_edge_hertz')].map(
    (hertz) => 2595 * Math.log10(1 + hertz / 700),
  ) as [number, number];
  const bins = Math.floor(length / 2) + 1;
  const edges = wholeRange(filters + 2).map((i) => {
    const hertz = 700 * (10 ** ((low + (i * (high - low)) / (filters + 2)) / 2595) - 1);
    return Math.floor(((length + 1) * hertz) / rate);
  });
  if (!edges.every((edge, i) => edge >= 0 && edge < bins + (i > filters ? 1 : 0)))
    node.invalid('edges below half of the sample rate expected');
  const weights = wholeRange(bins * filters).fill(0);
  for (let filter = 0; filter < filters; filter++) {
    const [left, centre, right] = edges.slice(filter, filter + 3) as [number, number, number];
    if (left === centre) weights[centre * filters + filter] = 1;
    else for (let bin = left; bin <= centre; bin++) weights[bin * filters + filter] = (bin - left) / (centre - left);
    for (let bin = centre; bin < right; bin++) weights[bin * filters + filter] = (right - bin) / (right - centre);
  }
  return node.numbers(targetType(node, node.int('output_datatype', 1)), [bins, filters], weights);
};

export const signalOperators: Readonly<Record<string, Operator>> = {
  DFT: dft,
  STFT: shortTimeTransform,
  HannWindow: windowOf((turn) => 0.5 - 0.5 * Math.cos(turn)),
  HammingWindow: windowOf((turn) => 25 / 46 - (21 / 46) * Math.cos(turn)),
  BlackmanWindow: windowOf((turn) => 0.42 - 0.5 * Math.cos(turn) + 0.08 * Math.cos(2 * turn)),
  MelWeightMatrix: melWeights,
};
