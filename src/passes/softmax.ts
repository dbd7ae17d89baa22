// Softmax along a row, where a group by rows is nothing more: weights e / Σ e of e = exp(x − max x), after what makes x of what
// the row begins with. It can then be summed tile by tile of the row, rescaled as the maximum grows (M. Milakov and
// N. Gimelshein, "Online normalizer calculation for softmax", 2018).

import type { Node, Value } from '../ir/graph.ts';
import type { OpName } from '../ir/opattrs.ts';
import { sameShape } from '../ir/types.ts';
import { isRowReduction } from './row-groups.ts';

export interface Softmax {
  /** What x is made by, operands first. */
  readonly before: readonly Node[];
  readonly logits: Value;
}

/** Null where the members compute anything else, or give anything but the weights. */
export function softmaxOf(members: readonly Node[], weights: Value): Softmax | null {
  const reductions = members.filter(isRowReduction);
  const [max, sum] = reductions;
  if (reductions.length !== 2 || max!.attrs.kind !== 'max' || sum!.attrs.kind !== 'sum') return null;
  const [logits] = max!.operands;
  const [e] = sum!.operands;
  const difference = made(e!, 'exp')?.operands[0];
  const [minuend, subtrahend] = (difference && made(difference, 'sub')?.operands) ?? [];
  const isShifted = minuend === logits && subtrahend !== undefined && source(subtrahend) === max!.results[0];
  if (!isShifted || !isShare(weights, e!, sum!.results[0]!)) return null;
  const after = new Set<Node>([max!, sum!]);
  const before = members.filter((node) => {
    const follows = node.operands.some(
      (operand) => after.has(source(operand).producer!) || after.has(operand.producer!),
    );
    if (follows) after.add(node);
    return !follows && !after.has(node);
  });
  if (before.some((node) => !sameShape(node.results[0]!.type.shape, weights.type.shape))) return null;
  // Maximum, difference, exponential, sum, and one or two operations that divide by it.
  return after.size <= 6 ? { before, logits: logits! } : null;
}

/** e / sum, or e · (1 / sum). */
function isShare(weights: Value, e: Value, sum: Value): boolean {
  const quotient = made(weights, 'div');
  if (quotient !== null) return quotient.operands[0] === e && source(quotient.operands[1]!) === sum;
  const factors = made(weights, 'mul')?.operands ?? [];
  const other = factors[0] === e ? factors[1] : factors[1] === e ? factors[0] : undefined;
  const inverse = other === undefined ? null : made(source(other), 'div');
  return inverse !== null && isOne(source(inverse.operands[0]!)) && source(inverse.operands[1]!) === sum;
}

function made<K extends OpName>({ producer }: Value, op: K): Node<K> | null {
  return producer?.op === op ? (producer as Node<K>) : null;
}

/** The value that a row's value is, behind broadcasts and reshapes. */
function source(value: Value): Value {
  const { producer } = value;
  return producer?.op === 'broadcast' || producer?.op === 'reshape' ? source(producer.operands[0]!) : value;
}

function isOne(value: Value): boolean {
  const constant = made(value, 'constant');
  return constant !== null && constant.attrs.data.length === 1 && Number(constant.attrs.data[0]) === 1;
}
