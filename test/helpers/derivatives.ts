// Second derivatives of a program in every way they can be asked for, and what they are held against: central differences of its
// first derivative by the float64 reference.

import { evaluateFunc } from '../../src/ir/evaluate.ts';
import { type Func, makeFunc, type Parameter, type Result } from '../../src/ir/graph.ts';
import type { NdArray } from '../../src/ir/ndarray.ts';
import { type AnyTensor, grad, input, jvp } from '../../src/lang/index.ts';
import { sample, seeded } from './samples.ts';

/** A scalar that is smooth where its inputs are drawn from. */
export interface SmoothProgram {
  readonly what: string;
  /** What it is differentiated by: inputs or variables of floats. */
  readonly by: readonly AnyTensor[];
  /** What else it reads: integers. */
  readonly given?: readonly { readonly tensor: AnyTensor; readonly data: readonly number[] }[];
  readonly loss: AnyTensor;
  /** A scalar made of the loss's gradient. Default: (‖∂loss/∂x‖ − 1)² with the first tensor of `by` as x. */
  readonly ofGradient?: AnyTensor;
}

type Tensors = readonly AnyTensor[];
type Point = readonly NdArray[];

export const inner = (a: Tensors, b: Tensors): AnyTensor =>
  a.map((tensor, i) => tensor.mul(b[i]!).sum() as AnyTensor).reduce((sum, next) => sum.add(next));

/** The norm's distance from 1, squared: the penalty of I. Gulrajani et al., NIPS 2017, equation 3. */
export const penaltyOf = (gradient: AnyTensor): AnyTensor => gradient.square().sum().sqrt().sub(1).square();

export const ofGradient = ({ loss, by, ofGradient: own }: SmoothProgram): AnyTensor =>
  own ?? penaltyOf(grad(loss, by[0]!) as AnyTensor);

/** One more input for each tensor, of its type. */
export const directions = (by: Tensors, name = 'along'): AnyTensor[] =>
  by.map(({ value }) => input(`${name}_${value.name}`, value.type.shape) as AnyTensor);

const gradients = (scalar: AnyTensor, by: Tensors): Tensors => grad(scalar, by) as Tensors;

/** The Hessian of a scalar times a direction, by each pair of modes. */
export const hessianProducts = (scalar: AnyTensor, by: Tensors, along: Tensors): Readonly<Record<string, Tensors>> => ({
  'reverse over reverse': gradients(inner(gradients(scalar, by), along), by),
  'forward over reverse': jvp(gradients(scalar, by), by, along),
  'reverse over forward': gradients(jvp([scalar], by, along)[0]!, by),
});

/** A function of these parameters and no others. */
export function funcOf(parameters: Tensors, results: Tensors): Func {
  return makeFunc(
    'derivatives',
    parameters.map(({ value }): Parameter => ({ name: value.name!, role: 'input', value })),
    results.map(({ value }, i): Result => ({ name: `r${i}`, role: 'output', value })),
  );
}

/** Numbers for tensors; exact in f32, so that all targets can have the same. */
export function drawn(tensors: Tensors, seed: number, domain: readonly [number, number]): Point {
  const random = seeded(seed);
  return tensors.map(({ value }) => sample(value.type, random, domain));
}

/** The same direction with a length of 1. */
export function unit(along: Point): Point {
  const length = Math.hypot(...elementsOf(along));
  return along.map(({ type, data }) => ({ type, data: data.map((value) => value / length) }));
}

export const givenOf = ({ given = [] }: SmoothProgram): { readonly tensors: Tensors; readonly values: Point } => ({
  tensors: given.map(({ tensor }) => tensor),
  values: given.map(({ tensor, data }) => ({ type: tensor.value.type, data: Float64Array.from(data) })),
});

/** All elements of all arrays. */
export const elementsOf = (arrays: Point): number[] => arrays.flatMap(({ data }) => [...data]);

const moved = (at: Point, along: Point, by: number): Point =>
  at.map(({ type, data }, i) => ({ type, data: data.map((value, j) => value + by * along[i]!.data[j]!) }));

/** (f(x + h v) − f(x − h v)) / 2h, whose error falls with h². `rest` are the parameters behind those that move. */
export function centralDifference(f: Func, at: Point, along: Point, h: number, rest: Point = []): number[] {
  const [above, below] = [h, -h].map((by) => elementsOf(evaluateFunc(f, [...moved(at, along, by), ...rest])));
  return above!.map((value, i) => (value - below![i]!) / (2 * h));
}

/** Two central differences, so that the errors of order h² cancel (L. F. Richardson 1911). */
export function extrapolated(f: Func, at: Point, along: Point, h: number, rest: Point = []): number[] {
  const [coarse, fine] = [h, h / 2].map((step) => centralDifference(f, at, along, step, rest));
  return fine!.map((value, i) => (4 * value - coarse![i]!) / 3);
}

export const distance = (a: readonly number[], b: readonly number[]): number =>
  Math.hypot(...a.map((value, i) => value - b[i]!));
