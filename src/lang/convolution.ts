// Convolutions and pooling over any number of spatial axes: images [N, channels, S..], kernels [out, in / groups, K..].

import type { DType } from '../ir/types.ts';
import { checkFloat, fail, refuse } from './checks.ts';
import type { ConvMode, Convolvable, Convolved, Shape } from './shape-types.ts';
import { type AnyTensor, binary, expectTensor, here, Tensor } from './tensor.ts';

/** 'valid': none; 'same': the result has ⌈size / stride⌉ elements; or cells before and after each axis. */
export type Padding = 'valid' | 'same' | number | readonly (readonly [number, number])[];

export interface ConvOptions {
  readonly strides?: number | readonly number[];
  readonly padding?: Padding;
  /** Distance between kernel taps. */
  readonly dilation?: number | readonly number[];
  /** Zeros are put between image elements: a transposed convolution strides by this. */
  readonly lhsDilation?: number | readonly number[];
  readonly groups?: number;
}

type ModeOf<O> = O extends
  | { readonly strides: number | readonly number[] }
  | { readonly dilation: number | readonly number[] }
  | { readonly lhsDilation: number | readonly number[] }
  ? 'open'
  : O extends { readonly padding: infer P }
    ? P extends 'same'
      ? 'same'
      : P extends 'valid'
        ? 'valid'
        : 'open'
    : 'valid';
type GroupsOf<O> = O extends { readonly groups: infer G } ? G : 1;

type PerAxis = number | readonly number[] | undefined;

function perAxis(what: string, given: PerAxis, rank: number, otherwise = 1): number[] {
  if (given === undefined || typeof given === 'number') return new Array<number>(rank).fill(given ?? otherwise);
  if (given.length !== rank) fail(`${what}: one number for each of ${rank} axes expected, [${given}] given`);
  return [...given];
}

/** Cells before and after each axis. `spans` are the kernels' extents with dilation. */
export function resolvePadding(
  padding: Padding | undefined,
  sizes: readonly number[],
  spans: readonly number[],
  strides: readonly number[],
): [number, number][] {
  if (padding === undefined || padding === 'valid') return sizes.map(() => [0, 0]);
  if (typeof padding === 'number') return sizes.map(() => [padding, padding]);
  if (padding !== 'same') {
    if (!Array.isArray(padding)) fail(`padding: 'valid', 'same', a number or pairs expected, '${padding}' given`);
    return padding.map(([low, high]) => [low, high]);
  }
  return sizes.map((size, d) => {
    const total = Math.max(0, (Math.ceil(size / strides[d]!) - 1) * strides[d]! + spans[d]! - size);
    return [Math.floor(total / 2), total - Math.floor(total / 2)];
  });
}

/**
 * Cross-correlation. Throws UserError where channels, groups or ranks do not fit. The type of the result is exact for
 * stride 1; other spatial dimensions are `number`.
 */
export function conv<X extends Shape, W extends Shape, D extends DType, const O extends ConvOptions = object>(
  images: Tensor<X, D>,
  kernels: Tensor<W, D> & Convolvable<X, W, GroupsOf<O>>,
  options?: O,
): Tensor<Convolved<X, W, ModeOf<O> extends ConvMode ? ModeOf<O> : 'open'>, D> {
  const given: ConvOptions = options ?? {};
  expectTensor('conv', images);
  expectTensor('conv', kernels);
  const [x, w] = [images.value.type.shape, (kernels as AnyTensor).value.type.shape];
  const rank = x.length - 2;
  if (rank < 1 || w.length !== x.length) {
    refuse(
      'conv',
      [images, kernels as AnyTensor],
      'images [N, channels, spatial..] and kernels [out, in, spatial..] of one rank expected',
    );
  }
  const strides = perAxis('conv: strides', given.strides, rank);
  const rhsDilation = perAxis('conv: dilation', given.dilation, rank);
  const lhsDilation = perAxis('conv: lhsDilation', given.lhsDilation, rank);
  const spans = rhsDilation.map((dilation, d) => (w[d + 2]! - 1) * dilation + 1);
  const sizes = lhsDilation.map((dilation, d) => (x[d + 2]! - 1) * dilation + 1);
  const padding = resolvePadding(given.padding, sizes, spans, strides);
  return new Tensor(
    here().conv(images.value, (kernels as AnyTensor).value, {
      strides,
      padding,
      lhsDilation,
      rhsDilation,
      groups: given.groups ?? 1,
    }),
  );
}

export interface PoolOptions {
  /** Default: the window. */
  readonly strides?: number | readonly number[];
  readonly padding?: Padding;
  readonly dilation?: number | readonly number[];
}

function windowAttrs(callee: string, x: AnyTensor, window: number | readonly number[], options: PoolOptions) {
  const { shape } = x.value.type;
  const rank = typeof window === 'number' ? shape.length - 2 : window.length;
  if (rank < 1 || rank > shape.length)
    refuse(callee, [x], 'a tensor [N, channels, spatial..], or a window of at most its axes, expected');
  const sizes = perAxis(callee, window, rank);
  const strides = options.strides === undefined ? sizes : perAxis(`${callee}: strides`, options.strides, rank);
  const dilation = perAxis(`${callee}: dilation`, options.dilation, rank);
  const spans = sizes.map((size, d) => (size - 1) * dilation[d]! + 1);
  const spatial = shape.slice(shape.length - rank);
  return { window: sizes, strides, dilation, padding: resolvePadding(options.padding, spatial, spans, strides) };
}

type Pooled<S extends Shape> = S extends readonly [
  infer N extends number,
  infer C extends number,
  ...infer R extends Shape,
]
  ? [N, C, ...{ [I in keyof R]: number }]
  : readonly number[];

/** The greatest element under each position of a window over the spatial axes (or, given a list, over the last axes). */
export function maxPool<S extends Shape, D extends DType>(
  x: Tensor<S, D>,
  window: number | readonly number[],
  options: PoolOptions = {},
): Tensor<Pooled<S>, D> {
  return new Tensor(
    here('maxPool').reduceWindow(x.value, { kind: 'max', ...windowAttrs('maxPool', x, window, options) }),
  );
}

export function sumPool<S extends Shape, D extends DType>(
  x: Tensor<S, D>,
  window: number | readonly number[],
  options: PoolOptions = {},
): Tensor<Pooled<S>, D> {
  return new Tensor(
    here('sumPool').reduceWindow(x.value, { kind: 'sum', ...windowAttrs('sumPool', x, window, options) }),
  );
}

/** The mean under each position of a window; cells of padding do not count. */
export function avgPool<S extends Shape, D extends DType>(
  x: Tensor<S, D>,
  window: number | readonly number[],
  options: PoolOptions = {},
): Tensor<Pooled<S>, D> {
  checkFloat('avgPool', x);
  const attrs = windowAttrs('avgPool', x, window, options);
  const b = here('avgPool');
  const sum = new Tensor(b.reduceWindow(x.value, { kind: 'sum', ...attrs }));
  if (attrs.padding.every(([low, high]) => low === 0 && high === 0)) {
    return binary(
      'div',
      sum,
      attrs.window.reduce((product, size) => product * size, 1),
    );
  }
  const counts = b.reduceWindow(b.like(x.value, 1), { kind: 'sum', ...attrs });
  return binary('div', sum, new Tensor(counts));
}
