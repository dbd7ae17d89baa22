// Small questions that rewrite rules ask about values.

import type { Node, Value } from '../ir/graph.ts';
import type { OpName } from '../ir/opattrs.ts';

/** The producer, if it is this operation. */
export function madeBy<K extends OpName>(value: Value | undefined, op: K): Node<K> | null {
  const producer = value?.producer ?? null;
  return producer !== null && producer.op === op ? (producer as Node<K>) : null;
}

/** The one number that fills a constant; null for everything else. */
export function splatOf(value: Value | undefined): number | null {
  const constant = madeBy(value, 'constant');
  return constant !== null && constant.attrs.data.length === 1 ? Number(constant.attrs.data[0]) : null;
}

export function isSplat(value: Value | undefined, wanted: number): boolean {
  const found = splatOf(value);
  return found !== null && Object.is(found, wanted);
}

export function isIdentity(permutation: readonly number[]): boolean {
  return permutation.every((axis, i) => axis === i);
}
