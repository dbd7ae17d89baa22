// Results as their own values: a result that is a parameter, a constant, or a second result of the same value gets a
// copy, so that every result has exactly one kernel that writes it.

import type { Builder } from '../ir/builder.ts';
import { type Func, makeFunc, type Result, type Value } from '../ir/graph.ts';

export function separateResults(func: Func, b: Builder): Func {
  const seen = new Set<Value>();
  let changed = false;
  const results = func.results.map((result): Result => {
    const { value } = result;
    const needsCopy = seen.has(value) || value.producer === null || value.producer.op === 'constant';
    seen.add(value);
    if (!needsCopy) return result;
    changed = true;
    return { ...result, value: b.emit('reshape', [value], { shape: value.type.shape }).results[0]! };
  });
  return changed ? makeFunc(func.name, func.parameters, results) : func;
}
