// Layers: functions of tensors that own their variables. A layer is called like a function; its variables are named
// `<name>.weight`, `<name>.bias`, where the name is given or is the kind numbered in order of creation.

import { UserError } from '../ir/errors.ts';
import { sameShape } from '../ir/types.ts';
import { refuse } from '../lang/checks.ts';
import {
  avgPool as avgPoolOf,
  type ConvOptions,
  conv,
  maxPool as maxPoolOf,
  type Padding,
  type PoolOptions,
  resolvePadding,
  sumPool,
} from '../lang/convolution.ts';
import type { Updates } from '../lang/func.ts';
import { gather } from '../lang/functions.ts';
import { type AnyTensor, expectTensor, type Tensor } from '../lang/tensor.ts';
import { type AnyVariable, type Initializer, variable } from '../lang/variable.ts';
import { heNormal, normal, ones, xavierUniform, zeros } from './initializers.ts';

// biome-ignore lint/suspicious/noExplicitAny: f32 tensors of any shape, so that calls check shapes by their own rules
type F32 = Tensor<any, 'f32'>;

/** Whether batch statistics are computed (training) or the running ones are used (inference). */
export type Mode = 'train' | 'infer';

export interface Layer {
  (x: F32, mode?: Mode): F32;
  readonly name: string;
  /** Every variable, trainable ones first. */
  readonly variables: readonly AnyVariable[];
  /** New values of running statistics, of the calls in mode 'train' so far. */
  updates(): Updates;
}

const counters = new Map<string, number>();

/** Starts the numbering of layers anew: for programs that build several models of the same names. */
export function resetNames(): void {
  counters.clear();
}

/** The name given, or the kind with the next number. */
export function nameOf(kind: string, given: string | undefined): string {
  if (given !== undefined) return given;
  const count = (counters.get(kind) ?? 0) + 1;
  counters.set(kind, count);
  return `${kind}${count}`;
}

/** A layer that is a function of a tensor; `updates`: new values of what it keeps beside its weights. */
export function layer(
  name: string,
  variables: readonly AnyVariable[],
  apply: (x: F32, mode: Mode) => F32,
  updates: () => Updates = () => [],
): Layer {
  const call = (x: F32, mode: Mode = 'train'): F32 => apply(x, mode);
  Object.defineProperty(call, 'name', { value: name });
  return Object.assign(call, { variables, updates }) as Layer;
}

export interface WeightOptions {
  readonly name?: string;
  /** Default true. */
  readonly bias?: boolean;
  /** Default: He's normal for convolutions, Xavier's uniform for dense layers. */
  readonly initializer?: Initializer;
}

/** x · weight + bias: `[.., inputs] → [.., outputs]`. */
export function dense(inputs: number, outputs: number, options: WeightOptions = {}): Layer {
  const name = nameOf('dense', options.name);
  const weight = variable(`${name}.weight`, [inputs, outputs], { initial: options.initializer ?? xavierUniform() });
  const bias = options.bias === false ? null : variable(`${name}.bias`, [outputs], { initial: zeros() });
  return layer(name, bias === null ? [weight] : [weight, bias], (x) => {
    const product: F32 = x.matmul(weight as AnyTensor);
    return bias === null ? product : product.add(bias as AnyTensor);
  });
}

export interface ConvLayerOptions extends WeightOptions {
  readonly strides?: number | readonly number[];
  readonly padding?: Padding;
  readonly dilation?: number | readonly number[];
  readonly groups?: number;
}

/** One number per spatial axis. `what` names them in the error. */
function perAxis(what: string, given: number | readonly number[], spatial: number): number[] {
  const numbers = typeof given === 'number' ? new Array<number>(spatial).fill(given) : [...given];
  if (numbers.length !== spatial)
    throw new UserError(
      `${what}: one number, or one for each of ${spatial} spatial axes, expected; [${numbers}] given`,
    );
  return numbers;
}

function expectGroups(name: string, inputs: number, outputs: number, groups: number): void {
  if (inputs % groups !== 0 || outputs % groups !== 0)
    throw new UserError(`${name}: ${inputs} inputs and ${outputs} outputs cannot be cut into ${groups} groups`);
}

function convLayer(
  spatial: number,
  inputs: number,
  outputs: number,
  kernel: number | readonly number[],
  options: ConvLayerOptions,
): Layer {
  const name = nameOf(`conv${spatial}d`, options.name);
  const { groups = 1, strides, padding, dilation } = options;
  const sizes = perAxis(`${name}: kernel`, kernel, spatial);
  expectGroups(name, inputs, outputs, groups);
  const weight = variable(`${name}.weight`, [outputs, inputs / groups, ...sizes], {
    initial: options.initializer ?? heNormal(),
  });
  const bias = biasOf(name, outputs, spatial, options);
  const given: ConvOptions = {
    groups,
    ...(strides === undefined ? {} : { strides }),
    ...(padding === undefined ? {} : { padding }),
    ...(dilation === undefined ? {} : { dilation }),
  };
  return layer(name, [weight, ...bias.variables], (x) => bias.add(conv(x, weight as AnyTensor, given) as F32));
}

interface ChannelBias {
  readonly variables: readonly AnyVariable[];
  add(x: F32): F32;
}

/** One number per channel of `[N, C, S..]`. */
function biasOf(name: string, channels: number, spatial: number, options: WeightOptions): ChannelBias {
  if (options.bias === false) return { variables: [], add: (x) => x };
  const bias = variable(`${name}.bias`, [channels], { initial: zeros() });
  const shape = [channels, ...new Array<number>(spatial).fill(1)];
  return { variables: [bias], add: (x) => x.add(bias.reshape(shape) as AnyTensor) };
}

/** Convolution over one spatial axis: `[N, inputs, L] → [N, outputs, L']`. */
export const conv1d = (
  inputs: number,
  outputs: number,
  kernel: number | readonly number[],
  options: ConvLayerOptions = {},
): Layer => convLayer(1, inputs, outputs, kernel, options);
/** `[N, inputs, H, W] → [N, outputs, H', W']`. A depthwise convolution has as many groups as inputs. */
export const conv2d = (
  inputs: number,
  outputs: number,
  kernel: number | readonly number[],
  options: ConvLayerOptions = {},
): Layer => convLayer(2, inputs, outputs, kernel, options);
/** `[N, inputs, D, H, W] → [N, outputs, D', H', W']`. */
export const conv3d = (
  inputs: number,
  outputs: number,
  kernel: number | readonly number[],
  options: ConvLayerOptions = {},
): Layer => convLayer(3, inputs, outputs, kernel, options);

export interface ConvTransposeOptions extends WeightOptions {
  readonly strides?: number | readonly number[];
  /** Cells cut from the full result, as many as the convolution that this one transposes pads. 'same': result = size · stride. */
  readonly padding?: Padding;
  readonly groups?: number;
}

/**
 * The transpose of a convolution from `outputs` to `inputs` channels: `[N, inputs, S..] → [N, outputs, (S − 1)·stride + K −
 * cut..]`. That convolution's kernel [inputs, outputs, K..] is this weight [outputs, inputs, K..] with the first two axes
 * swapped and the others reversed.
 */
function convTransposeLayer(
  spatial: number,
  inputs: number,
  outputs: number,
  kernel: number | readonly number[],
  options: ConvTransposeOptions,
): Layer {
  const name = nameOf(`convTranspose${spatial}d`, options.name);
  const { groups = 1 } = options;
  const sizes = perAxis(`${name}: kernel`, kernel, spatial);
  const strides = perAxis(`${name}: strides`, options.strides ?? 1, spatial);
  if (typeof options.padding === 'object' && options.padding.length !== spatial)
    throw new UserError(`${name}: ${spatial} pairs of padding expected, ${options.padding.length} given`);
  expectGroups(name, inputs, outputs, groups);
  const weight = variable(`${name}.weight`, [outputs, inputs / groups, ...sizes], {
    initial: options.initializer ?? heNormal(),
  });
  const bias = biasOf(name, outputs, spatial, options);
  return layer(name, [weight, ...bias.variables], (x) => {
    expectImages(name, x, spatial);
    const results = x.value.type.shape.slice(2).map((dim, d) => dim * strides[d]!);
    const cut = resolvePadding(options.padding, results, sizes, strides);
    const padding = sizes.map((size, d): [number, number] => {
      // 'same' with a stride above the kernel leaves cells that no element reaches: they are added at the end.
      const full = (x.value.type.shape[d + 2]! - 1) * strides[d]! + size;
      const missing = options.padding === 'same' ? results[d]! - (full - cut[d]![0] - cut[d]![1]) : 0;
      return [size - 1 - cut[d]![0], size - 1 - cut[d]![1] + missing];
    });
    return bias.add(conv(x, weight as AnyTensor, { lhsDilation: strides, padding, groups }) as F32);
  });
}

export const convTranspose1d = (
  inputs: number,
  outputs: number,
  kernel: number | readonly number[],
  options: ConvTransposeOptions = {},
): Layer => convTransposeLayer(1, inputs, outputs, kernel, options);
export const convTranspose2d = (
  inputs: number,
  outputs: number,
  kernel: number | readonly number[],
  options: ConvTransposeOptions = {},
): Layer => convTransposeLayer(2, inputs, outputs, kernel, options);
export const convTranspose3d = (
  inputs: number,
  outputs: number,
  kernel: number | readonly number[],
  options: ConvTransposeOptions = {},
): Layer => convTransposeLayer(3, inputs, outputs, kernel, options);

/** Throws UserError unless x is `[N, C, S..]`, with as many spatial axes as said, or at least one. */
function expectImages(name: string, x: F32, spatial?: number): void {
  const found = x.rank - 2;
  if (spatial === undefined ? found < 1 : found !== spatial)
    refuse(
      name,
      [x],
      `images [N, channels, spatial..] expected${spatial === undefined ? '' : ` with ${spatial} spatial axes`}`,
    );
}

const poolingLayer = (name: string, apply: (x: F32) => AnyTensor): Layer =>
  layer(name, [], (x) => {
    expectImages(name, x);
    return apply(x) as F32;
  });

const spatialAxes = (x: F32): number[] => x.value.type.shape.map((_, axis) => axis).slice(2);

/** The greatest element under each position of a window over the spatial axes of `[N, C, S..]`. */
export const maxPool = (window: number | readonly number[], options: PoolOptions = {}): Layer =>
  poolingLayer('maxPool', (x) => maxPoolOf(x, window, options));
/** The mean under each position of a window; cells of padding do not count. */
export const avgPool = (window: number | readonly number[], options: PoolOptions = {}): Layer =>
  poolingLayer('avgPool', (x) => avgPoolOf(x, window, options));
/** `[N, C, S..] → [N, C]`. */
export const globalAvgPool = (): Layer => poolingLayer('globalAvgPool', (x) => x.mean(spatialAxes(x)));
export const globalMaxPool = (): Layer => poolingLayer('globalMaxPool', (x) => x.max(spatialAxes(x)));
/** `[N, ..] → [N, the rest]`. */
export const flatten = (): Layer => layer('flatten', [], (x) => x.flatten(1) as F32);

export interface BatchNormOptions {
  readonly name?: string;
  /** Weight of the new statistics in the running ones. Default 0.1. */
  readonly momentum?: number;
  /** Default 1e-5. */
  readonly epsilon?: number;
}

/**
 * Normalises each channel of `[N, C, ..]` to mean 0 and variance 1, then scales and shifts. S. Ioffe, C. Szegedy, ICML
 * 2015, algorithm 1. In mode 'train' with the batch's statistics, whose running averages are in `updates()`.
 */
export function batchNorm(channels: number, options: BatchNormOptions = {}): Layer {
  const name = nameOf('batchNorm', options.name);
  const { momentum = 0.1, epsilon = 1e-5 } = options;
  const scale = variable(`${name}.scale`, [channels], { initial: ones() });
  const shift = variable(`${name}.shift`, [channels], { initial: zeros() });
  const runningMean = variable(`${name}.mean`, [channels], { initial: zeros(), trainable: false });
  const runningVariance = variable(`${name}.variance`, [channels], { initial: ones(), trainable: false });
  const pending = new Map<AnyVariable, AnyTensor>();
  const apply = (x: F32, mode: Mode): F32 => {
    const { shape } = x.value.type;
    if (shape[1] !== channels) refuse(name, [x], `[N, channels, ..] of ${channels} channels expected`);
    const axes = shape.map((_, axis) => axis).filter((axis) => axis !== 1);
    const perChannel = (value: AnyTensor): AnyTensor =>
      value.reshape([channels, ...new Array<number>(shape.length - 2).fill(1)]);
    let mean: AnyTensor = runningMean;
    let variance: AnyTensor = runningVariance;
    if (mode === 'train') {
      mean = x.mean(axes);
      variance = x.variance(axes);
      const count = axes.reduce((product, axis) => product * shape[axis]!, 1);
      // The running variance is the unbiased one, as everywhere in the field.
      const unbiased: AnyTensor = variance.mul(count / Math.max(1, count - 1));
      pending.set(runningMean, runningMean.mul(1 - momentum).add(mean.mul(momentum)));
      pending.set(runningVariance, runningVariance.mul(1 - momentum).add(unbiased.mul(momentum)));
    }
    const factor: AnyTensor = variance
      .add(epsilon)
      .rsqrt()
      .mul(scale as AnyTensor);
    return (x as AnyTensor).sub(perChannel(mean)).mul(perChannel(factor)).add(perChannel(shift));
  };
  return layer(name, [scale, shift, runningMean, runningVariance], apply, () => pending.entries());
}

/**
 * Normalises over the last axis, or over as many last axes as `features` has lengths, then scales and shifts each element of them.
 * J. L. Ba et al. 2016, eq. 4.
 */
export function layerNorm(
  features: number | readonly number[],
  options: { readonly name?: string; readonly epsilon?: number } = {},
): Layer {
  const name = nameOf('layerNorm', options.name);
  const lengths = typeof features === 'number' ? [features] : [...features];
  if (lengths.length === 0) throw new UserError(`${name}: the length of at least one last axis expected, [] given`);
  const scale = variable(`${name}.scale`, lengths, { initial: ones() });
  const shift = variable(`${name}.shift`, lengths, { initial: zeros() });
  const axes = lengths.map((_, i) => i - lengths.length);
  return layer(name, [scale, shift], (x) => {
    if (!sameShape(x.value.type.shape.slice(-lengths.length), lengths))
      refuse(
        name,
        [x],
        lengths.length === 1 ? `a last axis of ${lengths} expected` : `last axes [${lengths}] expected`,
      );
    const centred: AnyTensor = (x as AnyTensor).sub(x.mean(axes, { keepDims: true }) as AnyTensor);
    const variance: AnyTensor = centred.square().mean(axes, { keepDims: true });
    return centred
      .mul(variance.add(options.epsilon ?? 1e-5).rsqrt())
      .mul(scale as AnyTensor)
      .add(shift as AnyTensor);
  });
}

export interface LocalResponseNormOptions {
  /** Defaults: those of A. Krizhevsky et al., NIPS 2012, section 3.3. */
  readonly bias?: number;
  readonly alpha?: number;
  readonly beta?: number;
}

/**
 * x / (bias + α Σ x²)^β with the sum over `size` neighbouring channels, the element's own in the middle: `[N, C, ..]` → the same.
 * A. Krizhevsky, I. Sutskever, G. Hinton, NIPS 2012, section 3.3.
 */
export function localResponseNorm(size = 5, options: LocalResponseNormOptions = {}): Layer {
  const { bias = 2, alpha = 1e-4, beta = 0.75 } = options;
  return layer('localResponseNorm', [], (x) => {
    expectImages('localResponseNorm', x);
    const [count, channels, ...spatial] = x.value.type.shape as [number, number, ...number[]];
    const before = Math.floor((size - 1) / 2);
    const neighbours: AnyTensor = sumPool(
      (x as AnyTensor).square().reshape([count, 1, channels, spatial.reduce((product, dim) => product * dim, 1)]),
      [size, 1],
      {
        strides: 1,
        padding: [
          [before, size - 1 - before],
          [0, 0],
        ],
      },
    );
    return (x as AnyTensor).div(
      neighbours
        .reshape([...x.value.type.shape])
        .mul(alpha)
        .add(bias)
        .pow(beta),
    );
  });
}

export interface Embedding extends Layer {
  /** `[I..]` integers → `[I.., features]`. */
  (indices: AnyTensor): F32;
}

/** A table of vectors looked up by index. */
export function embedding(
  count: number,
  features: number,
  options: { readonly name?: string; readonly initializer?: Initializer } = {},
): Embedding {
  const name = nameOf('embedding', options.name);
  const table = variable(`${name}.weight`, [count, features], { initial: options.initializer ?? normal(0, 1) });
  return layer(name, [table], (indices) => gather(table, indices as AnyTensor, 0) as F32) as Embedding;
}

/**
 * Layers and functions one after another. A layer may stand in more than one place: its variables are the same ones. Throws
 * UserError where one of them gives no tensor.
 */
export function sequential(...layers: readonly (Layer | ((x: F32) => F32))[]): Layer {
  const owned = [...new Set(layers)].filter((next): next is Layer => 'variables' in next);
  return layer(
    'sequential',
    [...new Set(owned.flatMap((next) => next.variables))],
    // A function may have further parameters of its own (softmax has its axes): it is given the tensor alone.
    (x, mode) =>
      layers.reduce<F32>((value, next, i) => {
        const result: unknown = 'variables' in next ? next(value, mode) : next(value);
        expectTensor(`sequential, layer ${i + 1}${next.name && ` (${next.name})`}`, result, 'a tensor as its result');
        return result as F32;
      }, x),
    () => owned.flatMap((next) => [...next.updates()]),
  );
}
