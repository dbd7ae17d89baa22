// The order of axes in memory. Inside a program a convolution's result, and what follows it element by element or window
// by window, has its channels last, whatever the order of its axes in the graph: lanes then run over channels, and no
// transposition is ever computed. Inputs, outputs, states and constants keep the row-major order that users see.

import type { Func, Node, Value } from '../ir/graph.ts';
import { flatten, type IndexExpr } from '../ir/index-expr.ts';
import type { OpTable } from '../ir/optable.ts';
import type { Shape } from '../ir/types.ts';

/** Axes from the slowest to the fastest in memory. Values that are missing are row-major. */
export type Layouts = ReadonlyMap<Value, readonly number[]>;

/** Fewer channels than this fill no vector: images with few of them stay as they are. */
const fewestChannels = 8;

export function chooseLayouts(func: Func, table: OpTable): Layouts {
  const fixed = new Set(func.results.map((result) => result.value));
  const layouts = new Map<Value, readonly number[]>();
  for (const node of func.nodes) {
    for (const value of node.results) {
      const order = orderOf(node, value, table, layouts);
      if (order !== null && !fixed.has(value)) layouts.set(value, order);
    }
  }
  return layouts;
}

function orderOf(node: Node, value: Value, table: OpTable, layouts: Layouts): readonly number[] | null {
  const { shape } = value.type;
  if (shape.length < 3) return null;
  const { lowering } = table[node.op];
  if (lowering.class === 'contraction')
    return node.op === 'conv' && shape[1]! >= fewestChannels ? channelsLast(shape.length) : null;
  if (lowering.class !== 'element' && lowering.class !== 'reduction') return null;
  for (const operand of node.operands) {
    const order = layouts.get(operand);
    if (order === undefined || operand.type.shape.length !== shape.length) continue;
    if (node.op !== 'transpose') return order;
    const { permutation } = (node as Node<'transpose'>).attrs;
    return order.map((axis) => permutation.indexOf(axis));
  }
  return null;
}

function channelsLast(rank: number): number[] {
  return [0, ...Array.from({ length: rank - 2 }, (_, d) => d + 2), 1];
}

/** Where an element lies in memory. */
export function offsetIn(order: readonly number[] | undefined, shape: Shape, index: readonly IndexExpr[]): IndexExpr {
  if (order === undefined) return flatten(index, shape);
  return flatten(
    order.map((axis) => index[axis]!),
    order.map((axis) => shape[axis]!),
  );
}
