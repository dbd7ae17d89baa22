// Constant folding: an operation whose operands are all constants is computed now, by the reference, in the precision
// of its dtype, if its result is small.

import { evaluateNode } from '../ir/evaluate.ts';
import { type Node, nestedFuncs, type Value } from '../ir/graph.ts';
import { type NdArray, ndarray } from '../ir/ndarray.ts';
import type { OpName } from '../ir/opattrs.ts';
import { builder } from '../ir/ops/index.ts';
import { bytesPerElement, sizeOf } from '../ir/types.ts';
import type { Pass } from './pass.ts';
import { madeBy, splatOf } from './patterns.ts';
import { mapNodes } from './rewrite.ts';
import { fewestNarrowed } from './weight-operands.ts';

/** Results of up to this many elements are folded: larger ones cost more in the artifact than they save. */
const mostFolded = 4096;
/** Operands of more elements than this are not looked into. */
export const largestOperand = 16 * mostFolded;

/** Sums of i64 may leave 2^53, up to which the reference is exact, and come back. */
const summing: ReadonlySet<OpName> = new Set<OpName>([
  'reduce',
  'reduceWindow',
  'cumulative',
  'scatterAdd',
  'dot',
  'conv',
]);

export const foldConstants: Pass = {
  name: 'fold-constants',
  guarantees: 'small values that depend on constants alone, and those without elements, are constants',
  needs: 'nothing',
  run: (func) => mapNodes(func, fold),
};

function fold(node: Node): readonly Value[] {
  if (node.op !== 'constant' && node.results.every(isEmpty))
    return node.results.map(({ type }) => builder.fill(type, 0));
  if (node.op === 'constant') return [asSplat(node as Node<'constant'>)];
  const foldable = nestedFuncs(node).length === 0 && node.operands.length > 0;
  if (!foldable || (summing.has(node.op) && node.results[0]!.type.dtype === 'i64')) return node.results;
  if (!node.operands.every((operand) => madeBy(operand, 'constant') !== null) || widens(node)) return node.results;
  const b = builder.at(node.source);
  const splats = node.operands.map(splatOf);
  if (elementwise(node) && splats.every((value) => value !== null)) {
    const scalars = splats.map((value, i) => ndarray(node.operands[i]!.type.dtype, [], [value]));
    const scalarNode = {
      ...node,
      results: node.results.map((value) => ({ ...value, type: { ...value.type, shape: [] } })),
    } as unknown as Node;
    const [result] = evaluateNode(scalarNode, scalars);
    if (!isExact(result!)) return node.results;
    return [b.fill(node.results[0]!.type, rounded(result!)[0]!)];
  }
  if (
    node.results.some(({ type }) => sizeOf(type.shape) > mostFolded) ||
    node.operands.some(({ type }) => sizeOf(type.shape) > largestOperand)
  ) {
    return node.results;
  }
  const results = evaluateNode(node, node.operands.map(arrayOf));
  if (!results.every(isExact)) return node.results;
  return node.results.map(({ type }, i) => {
    const data = rounded(results[i]!);
    const same = data.length > 0 && data.every((value) => Object.is(value, data[0]));
    return b.constant({ ...type, data: same ? [data[0]!] : data });
  });
}

/** A value without elements depends on nothing, and index arithmetic cannot divide by its dimensions. */
function isEmpty({ type }: Value): boolean {
  return sizeOf(type.shape) === 0;
}

/** A constant of many equal elements as one element that fills its shape. */
function asSplat({ attrs, results, source }: Node<'constant'>): Value {
  const first = attrs.data[0];
  const same = attrs.data.length > 1 && Array.prototype.every.call(attrs.data, (value) => Object.is(value, first));
  return same ? builder.at(source).fill(results[0]!.type, Number(first)) : results[0]!;
}

/** A cast of a constant that someone chose to store in fewer bytes, or a broadcast, which costs a reader nothing. */
function widens({ op, operands, results }: Node): boolean {
  if (splatOf(operands[0]) !== null) return false;
  if (op !== 'broadcast' && (op !== 'cast' || sizeOf(operands[0]!.type.shape) < fewestNarrowed)) return false;
  const [from, to] = [operands[0]!, results[0]!].map(({ type }) => sizeOf(type.shape) * bytesPerElement[type.dtype]);
  return from! < to!;
}

/** The reference computes in float64, which rounds integers beyond 2^53. */
function isExact({ type, data }: NdArray): boolean {
  return type.dtype !== 'i64' || data.every(Number.isSafeInteger);
}

function elementwise(node: Node): boolean {
  const { shape } = node.results[0]!.type;
  return (
    'attrs' in node &&
    Object.keys(node.attrs).length === 0 &&
    node.operands.every(({ type }) => type.shape.join() === shape.join())
  );
}

function arrayOf(value: Value): NdArray {
  const { dtype, shape, data } = madeBy(value, 'constant')!.attrs;
  const size = sizeOf(shape);
  return ndarray(
    dtype,
    shape,
    data.length === 1 ? new Array<number>(size).fill(Number(data[0])) : Array.from(data, Number),
  );
}

/** The elements as the dtype holds them. */
function rounded({ type, data }: NdArray): number[] {
  return Array.from(data, (value) => (type.dtype === 'f32' ? Math.fround(value) : value));
}
