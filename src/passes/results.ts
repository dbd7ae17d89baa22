// Results as their own values: a result that is a parameter, a constant, or a second result of the same value gets a
// copy, so that every result has exactly one kernel that writes it.

import type { Builder } from '../ir/builder.ts';
import { type Func, makeFunc, type Result, type Value } from '../ir/graph.ts';
import type { OpTable } from '../ir/optable.ts';

/**
 * The results from position `sliced` on are to lie in part of a larger array; what writes its own loops, or is a loop itself,
 * knows whole buffers alone, so its results get a copy too. Default: none. `keepsSlices`: nothing but results lies there, so that all
 * of them get one.
 */
export function separateResults(
  func: Func,
  b: Builder,
  table: OpTable,
  sliced = Number.POSITIVE_INFINITY,
  keepsSlices = false,
): Func {
  const seen = new Set<Value>();
  let changed = false;
  const isWhole = ({ producer }: Value): boolean => {
    const loops = producer === null ? null : table[producer.op].lowering.class;
    return loops === 'nest' || loops === 'loop';
  };
  const results = func.results.map((result, position): Result => {
    const { value } = result;
    const isGiven = value.producer === null || value.producer.op === 'constant';
    const needsCopy = seen.has(value) || isGiven || (position >= sliced && (keepsSlices || isWhole(value)));
    seen.add(value);
    if (!needsCopy) return result;
    changed = true;
    return { ...result, value: b.emit('reshape', [value], { shape: value.type.shape }).results[0]! };
  });
  return changed ? makeFunc(func.name, func.parameters, results) : func;
}
