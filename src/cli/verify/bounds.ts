// The reference values of a function and how far a correct target may be from them. The graph is evaluated in float64, then
// again with every operation disturbed by as much as it may be wrong in the dtype (Monte Carlo arithmetic: D. S. Parker, "Monte
// Carlo Arithmetic", UCLA CSD-970002, 1997): how far the results move is how much rounding can do to this model on these inputs.

import { evaluateFunc, evaluateNode } from '../../ir/evaluate.ts';
import type { Func, Node, Value } from '../../ir/graph.ts';
import { type NdArray, wrapToDType } from '../../ir/ndarray.ts';
import type { OpAttrs, OpName } from '../../ir/opattrs.ts';
import { opTable } from '../../ir/ops/index.ts';
import { type DType, isFloat, sizeOf } from '../../ir/types.ts';
import { optimize } from '../../passes/graph-passes.ts';
import { seeded } from '../arrays.ts';

/** Reference and bound of one result, element by element. */
export interface Judged {
  readonly name: string;
  readonly exact: NdArray;
  /**
   * Largest allowed distance; 0 where the result must be equal, NaN and infinities included; infinite where rounding decides the
   * result (a comparison, a value at the end of the dtype's range), so that any is right.
   */
  readonly bound: Float64Array;
}

/** Disturbed evaluations. An error whose own direction none of them meets is under-estimated, which `margin` covers. */
const trials = 3;
const margin = 3;
/** Units in the last place by which any target's elementwise operation may be wrong: docs/numerics.md. */
const elementwiseUlps = 5;
/** A sum of n terms is wrong by less than this and √n roundings of the sum of their magnitudes with high probability (N. J. Higham, T. Mary, SISC 41(5), 2019). */
const fewestRoundings = 8;
/** Winograd's transforms enlarge the error of a convolution by their norms: up to 4 × 4 results a tile, some 8-fold in two dimensions. */
const winogradFactor = 8;

/** Results of the function on one array per parameter, in order, with their bounds. The function has no calls. */
export function judge(func: Func, inputs: readonly NdArray[], seed: number): Judged[] {
  const exact = new Map<Value, NdArray>();
  const noise = new Map<Value, Float64Array>();
  for (const [i, { value }] of func.parameters.entries()) exact.set(value, inputs[i]!);
  for (const node of func.nodes) {
    const operands = node.operands.map((operand) => exact.get(operand)!);
    evaluateNode(node, operands).forEach((array, i) => {
      const value = node.results[i]!;
      exact.set(value, array);
      const size = noiseOf(node, operands, array);
      if (size !== null) noise.set(value, size);
    });
  }
  const disturbed = Array.from({ length: trials }, (_, trial) => disturb(func, inputs, noise, seed + trial));
  const judged = func.results.map(({ name, value }, i) => {
    const reference = exact.get(value)!;
    return {
      name,
      exact: reference,
      bound: boundOf(
        reference,
        disturbed.map((results) => results[i]!),
      ),
    };
  });
  excuseStable(func, inputs, judged);
  return judged;
}

/**
 * Rewrites such as log(softmax(x)) = x − logSumExp(x) keep numbers where the function as it is written leaves them: what only
 * the optimized graph keeps finite is not compared.
 */
function excuseStable(func: Func, inputs: readonly NdArray[], judged: readonly Judged[]): void {
  if (judged.every(({ exact }) => exact.data.every(Number.isFinite))) return;
  const optimized = evaluateFunc(optimize(func), inputs);
  for (const [i, { exact, bound }] of judged.entries())
    exact.data.forEach((value, at) => {
      if (!Number.isFinite(value) && Number.isFinite(optimized[i]!.data[at]!)) bound[at] = Number.POSITIVE_INFINITY;
    });
}

function disturb(
  func: Func,
  inputs: readonly NdArray[],
  noise: ReadonlyMap<Value, Float64Array>,
  seed: number,
): NdArray[] {
  const random = seeded(seed);
  type NoiseOf = (node: Node, operands: readonly NdArray[], result: NdArray, value: Value) => Float64Array | null;
  const run = (inner: Func, given: readonly NdArray[], noiseFor: NoiseOf): NdArray[] => {
    const values = new Map<Value, NdArray>();
    for (const [i, { value }] of inner.parameters.entries()) values.set(value, given[i]!);
    for (const node of inner.nodes) {
      const operands = node.operands.map((operand) => values.get(operand)!);
      // What a nested function computes is another value in every step.
      const results = evaluateNode(node, operands, opTable, (nested, args) => run(nested, args, noiseOf));
      results.forEach((array, i) => {
        const size = noiseFor(node, operands, array, node.results[i]!);
        values.set(node.results[i]!, size === null ? array : disturbedBy(array, size, random));
      });
    }
    return inner.results.map(({ value }) => values.get(value)!);
  };
  return run(func, inputs, (_node, _operands, _result, value) => noise.get(value) ?? null);
}

/** The array as the dtype could hold it: off by the noise in either direction, beyond its range infinite. */
function disturbedBy({ type, data }: NdArray, noise: Float64Array, random: () => number): NdArray {
  const moved = data.map((value, i) => {
    const size = noise[i]!;
    // Where the magnitudes overflow, so may sums of them.
    const next = Number.isFinite(size) ? value + (random() < 0.5 ? -size : size) : value;
    return type.dtype === 'f32' ? Math.fround(next) : wrapToDType(type.dtype, next);
  });
  return { type, data: moved };
}

/** The distance of neighbouring numbers at 1. */
const epsilonOf = (dtype: DType): number => 2 ** -digitsOf(dtype);
/** Binary digits after the leading one. */
const digitsOf = (dtype: DType): number => (dtype === 'f64' ? 52 : dtype === 'f16' ? 10 : 23);
/** The exponent of the least number that has all digits. */
const leastExponent = (dtype: DType): number => (dtype === 'f64' ? -1022 : dtype === 'f16' ? -14 : -126);
/** Below it, numbers may count as zero on a GPU; of f16 it is a unit in the last place. */
const smallestOf = (dtype: DType): number => (dtype === 'f16' ? 2 ** -24 : 2 ** -126);

/** By how much an operation's result may be wrong when its operands are right; null where it is exact. */
function noiseOf(node: Node, operands: readonly NdArray[], result: NdArray): Float64Array | null {
  const { dtype } = result.type;
  if (!isFloat(dtype) || exactOps.has(node.op)) return null;
  const epsilon = epsilonOf(dtype);
  const { kind } = node.attrs as { readonly kind?: string };
  if (kind === 'max' || kind === 'min') return null;
  const terms = termsOf(node);
  if (terms === 0) return result.data.map((value) => elementwiseUlps * epsilon * Math.abs(value) + smallestOf(dtype));
  const [magnitudes] = sumOfMagnitudes(node, operands);
  const factor = node.op === 'conv' ? winogradFactor : 1;
  const roundings = factor * (fewestRoundings + Math.sqrt(terms));
  return magnitudes!.data.map((value) => (roundings * epsilon * value) / 2 + smallestOf(dtype));
}

/** What moves, chooses or makes elements without computing with them. */
const exactOps: ReadonlySet<OpName> = new Set<OpName>([
  'constant',
  'iota',
  'select',
  'broadcast',
  'reshape',
  'transpose',
  'slice',
  'pad',
  'reverse',
  'concat',
  'gather',
  'argreduce',
  'sort',
  'topk',
  'windowArg',
  'windowTake',
  'max',
  'min',
  'neg',
  'abs',
  'sign',
  'floor',
  'ceil',
  'round',
  'relu',
  'stopGradient',
  'scan',
  'while',
  'cond',
]);

/** How many terms a result's element is the sum of; 0 for what is no sum. */
function termsOf(node: Node): number {
  const lengthOf = (operand: number, axes: readonly number[]): number =>
    axes.reduce((product, axis) => product * node.operands[operand]!.type.shape[axis]!, 1);
  switch (node.op) {
    case 'add':
    case 'sub':
      return 2;
    case 'dot':
      return lengthOf(0, (node.attrs as OpAttrs['dot']).contract[0]);
    case 'conv':
      return sizeOf(node.operands[1]!.type.shape) / node.operands[1]!.type.shape[0]!;
    case 'reduce':
      return lengthOf(0, (node.attrs as OpAttrs['reduce']).axes);
    case 'cumulative':
      return lengthOf(0, [(node.attrs as OpAttrs['cumulative']).axis]);
    case 'reduceWindow':
    case 'windowPut':
      return sizeOf((node.attrs as OpAttrs['reduceWindow']).window);
    case 'scatterAdd':
      return 1 + sizeOf(node.operands[1]!.type.shape);
    default:
      return 0;
  }
}

/** The operation on the magnitudes of its operands: of a sum of products, the sum of the products' magnitudes. */
function sumOfMagnitudes(node: Node, operands: readonly NdArray[]): readonly NdArray[] {
  const magnitudes = operands.map((array) =>
    isFloat(array.type.dtype) ? { type: array.type, data: array.data.map(Math.abs) } : array,
  );
  return evaluateNode(node.op === 'sub' ? { ...node, op: 'add' } : node, magnitudes);
}

/** Distances of the disturbed results, enlarged, and a few units in the last place. */
function boundOf({ type, data }: NdArray, disturbed: readonly NdArray[]): Float64Array {
  const distance = data.map((value, i) =>
    disturbed.reduce((most, trial) => Math.max(most, apart(value, trial.data[i]!)), 0),
  );
  if (!isFloat(type.dtype)) return distance.map((size) => (size === 0 ? 0 : Number.POSITIVE_INFINITY));
  const relative = distance
    .map((size, i) => size / Math.abs(data[i]!))
    .filter(Number.isFinite)
    .sort();
  const typical = relative[relative.length >> 1] ?? 0;
  const epsilon = epsilonOf(type.dtype);
  return data.map((value, i) => {
    // Reference and trials agree on NaN or an infinity, so does a correct target; where they do not, rounding decides.
    if (!Number.isFinite(value) || !Number.isFinite(distance[i]!))
      return distance[i] === 0 ? 0 : Number.POSITIVE_INFINITY;
    const moved = Math.max(distance[i]!, typical * Math.abs(value));
    return margin * (moved + epsilon * Math.abs(value) + smallestOf(type.dtype));
  });
}

/** 0 for equal values, NaN equal to NaN. */
const apart = (a: number, b: number): number =>
  a === b || (Number.isNaN(a) && Number.isNaN(b)) ? 0 : distanceOf(a, b);
const distanceOf = (a: number, b: number): number => {
  const distance = Math.abs(a - b);
  return Number.isNaN(distance) ? Number.POSITIVE_INFINITY : distance;
};

/** The distance of neighbouring numbers of the dtype at a value. */
export function ulpOf(value: number, dtype: DType): number {
  if (!Number.isFinite(value)) return 1;
  const least = leastExponent(dtype);
  const exponent = value === 0 ? least : Math.max(least, Math.floor(Math.log2(Math.abs(value))));
  return 2 ** (exponent - digitsOf(dtype));
}
