// Values that are known at import: initializers, and whatever depends on them alone. They are evaluated when an operator asks (for the
// shape of a Reshape, the axes of a Squeeze), by the operation table's own reference, and stay ordinary expressions in the graph.
//
// The reference computes in float64. For int64 it is exact where every element is below 2^53; beyond, elements are BigInts, and only
// operations that move them are evaluated, by moving their positions. Anything else counts as unknown, so nothing is ever rounded.
// What loops and branches of the graph make counts as unknown too.

import { evaluateNode } from '../ir/evaluate.ts';
import { type Node, nestedFuncs, type Value } from '../ir/graph.ts';
import { type NdArray, ndarray } from '../ir/ndarray.ts';
import type { OpName } from '../ir/opattrs.ts';
import { sizeOf } from '../ir/types.ts';
import type { KnownTensor } from './tensors.ts';

/** A known value. `exact` is there where some elements are beyond 2^53, which `array` has rounded. */
export interface Known {
  readonly array: NdArray;
  readonly exact: BigInt64Array | null;
}

/** Elements that the evaluations of one import may make, beside as many as the file has bytes: 64 MB. */
const evaluatedElements = 2 ** 23;

/** Operations that move elements, and which of their operands they move: all of them where the list is null. */
const moves: Partial<Record<OpName, readonly number[] | null>> = {
  reshape: [0],
  broadcast: [0],
  transpose: [0],
  slice: [0],
  reverse: [0],
  gather: [0],
  concat: null,
  select: [1, 2],
};

/** Sums of int64 may leave 2^53 on the way and come back; these are not evaluated. */
const summing: ReadonlySet<OpName> = new Set<OpName>(['dot', 'conv', 'cumulative', 'scatterAdd', 'reduceWindow']);

export class KnownValues {
  readonly #known = new Map<Value, Known | null>();
  #budget: number;

  constructor(fileBytes: number) {
    this.#budget = evaluatedElements + fileBytes;
  }

  /** Says what a leaf holds. */
  define(value: Value, tensor: KnownTensor): void {
    const elements = tensor.elements();
    const isWide = elements instanceof BigInt64Array;
    const data = isWide ? Float64Array.from(elements, Number) : Float64Array.from(elements as Float32Array);
    const exact = isWide && !data.every(Number.isSafeInteger) ? elements : null;
    this.#known.set(value, { array: { type: value.type, data }, exact });
  }

  /** What a value holds, or null where it depends on an input or is not evaluated. */
  get(value: Value): Known | null {
    const stack: Value[] = [value];
    while (stack.length > 0) {
      const next = stack[stack.length - 1]!;
      if (this.#known.has(next)) {
        stack.pop();
        continue;
      }
      const { producer } = next;
      const operands = producer?.operands.map((operand) => this.#known.get(operand)) ?? [null];
      if (producer === null || operands.includes(null)) {
        this.#known.set(next, null);
        stack.pop();
      } else if (operands.includes(undefined)) {
        for (const operand of producer.operands) if (!this.#known.has(operand)) stack.push(operand);
      } else {
        this.#evaluate(producer, operands as Known[]);
        stack.pop();
      }
    }
    return this.#known.get(value)!;
  }

  #evaluate(node: Node, operands: readonly Known[]): void {
    // How long a loop runs has no bound that its results would show.
    const isLoop = nestedFuncs(node).length > 0;
    const size = node.results.reduce((sum, { type }) => sum + sizeOf(type.shape), 0);
    const results = !isLoop && size <= this.#budget ? evaluateExactly(node, operands) : null;
    if (results !== null) this.#budget -= size;
    node.results.forEach((value, i) => {
      this.#known.set(value, results?.[i] ?? null);
    });
  }
}

function evaluateExactly(node: Node, operands: readonly Known[]): Known[] | null {
  if (operands.some(({ exact }) => exact !== null)) return evaluateWide(node, operands);
  const isWide = node.results.some(({ type }) => type.dtype === 'i64');
  if (isWide && (summing.has(node.op) || !sumsExactly(node, operands))) return null;
  const results = evaluateNode(
    node,
    operands.map(({ array }) => array),
  ).map(rounded);
  if (isWide && !results.every(({ type, data }) => type.dtype !== 'i64' || data.every(Number.isSafeInteger)))
    return null;
  return results.map((array) => ({ array, exact: null }));
}

function sumsExactly(node: Node, [operand]: readonly Known[]): boolean {
  if (node.op !== 'reduce' || (node as Node<'reduce'>).attrs.kind !== 'sum') return true;
  return operand!.array.data.reduce((sum, element) => sum + Math.abs(element), 0) <= Number.MAX_SAFE_INTEGER;
}

/** float32 results as float32 has them. */
function rounded(array: NdArray): NdArray {
  return array.type.dtype === 'f32' ? { type: array.type, data: Float64Array.from(array.data, Math.fround) } : array;
}

/** Elements beyond 2^53: the reference moves their positions instead of them, or sees their rounded values where it makes floats. */
function evaluateWide(node: Node, operands: readonly Known[]): Known[] | null {
  const arrays = operands.map(({ array }) => array);
  if (node.op === 'cast' && ['f32', 'f64', 'bool'].includes(node.results[0]!.type.dtype))
    return evaluateNode(node, arrays).map((array) => ({ array: rounded(array), exact: null }));
  const moved = moves[node.op];
  if (moved === undefined || node.results[0]!.type.dtype !== 'i64') return null;
  const all: bigint[] = [];
  const positions = operands.map(({ array, exact }, i) => {
    if (moved !== null && !moved.includes(i)) return array;
    const first = all.length;
    for (let at = 0; at < array.data.length; at++) all.push(exact?.[at] ?? BigInt(array.data[at]!));
    return ndarray(
      'i64',
      array.type.shape,
      Float64Array.from(array.data, (_, at) => first + at),
    );
  });
  const [result] = evaluateNode(node, positions);
  const exact = BigInt64Array.from(result!.data, (position) => all[position]!);
  const data = Float64Array.from(exact, Number);
  const isSafe = data.every(Number.isSafeInteger);
  return [{ array: { type: result!.type, data }, exact: isSafe ? null : exact }];
}
