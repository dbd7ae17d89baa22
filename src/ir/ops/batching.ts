// What batching rules share. A new leading axis is nothing to most operations: other operands are repeated along it, which
// is a view, and attributes that count axes count one more.

import type { Builder } from '../builder.ts';
import type { Node, Value } from '../graph.ts';
import type { OpAttrs, OpName } from '../opattrs.ts';
import type { BatchedOperands } from '../optable.ts';

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** An operand with the axis, repeated along it where it does not carry it. */
export function carried(b: Builder, { values, batched, size }: BatchedOperands, position: number): Value {
  return batched[position]! ? values[position]! : repeated(b, values[position]!, size);
}

/** `[S..]` → `[size, S..]` */
export function repeated(b: Builder, value: Value, size: number): Value {
  const { shape } = value.type;
  return b.broadcast(value, { shape: [size, ...shape], axes: range(shape.length).map((axis) => axis + 1) });
}

export function allCarried(b: Builder, operands: BatchedOperands): Value[] {
  return operands.values.map((_, position) => carried(b, operands, position));
}

/** The same operation, one axis deeper: `attrs` are those of the operands with the axis. */
export function oneAxisDeeper<K extends OpName>(attrs: (node: Node<K>, size: number) => OpAttrs[K]) {
  return (b: Builder, node: Node<K>, operands: BatchedOperands): readonly Value[] =>
    b.emit(node.op, allCarried(b, operands), attrs(node, operands.size)).results;
}

/** For operations whose attributes count no axis, or count them from the last. */
export const sameAttributes = <K extends OpName>(
  b: Builder,
  node: Node<K>,
  operands: BatchedOperands,
): readonly Value[] => b.emit(node.op, allCarried(b, operands), node.attrs).results;

export const later = (axes: readonly number[]): number[] => axes.map((axis) => axis + 1);

/** Moves one axis to the front; the others keep their order. */
export function toFront(b: Builder, value: Value, axis: number): Value {
  if (axis === 0) return value;
  const others = range(value.type.shape.length).filter((other) => other !== axis);
  return b.transpose(value, { permutation: [axis, ...others] });
}

/** Moves the first axis to a place between the others, which keep their order. */
export function fromFront(b: Builder, value: Value, axis: number): Value {
  if (axis === 0) return value;
  const rank = value.type.shape.length;
  const permutation = [...range(axis).map((other) => other + 1), 0, ...range(rank).slice(axis + 1)];
  return b.transpose(value, { permutation });
}
