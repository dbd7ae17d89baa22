// Numerically stable forms: each replaces a formula by one that is equal in exact arithmetic and loses less in floats.

import type { Builder } from '../ir/builder.ts';
import type { Value } from '../ir/graph.ts';
import { isFloat } from '../ir/types.ts';
import type { Pass } from './pass.ts';
import { isSplat, madeBy } from './patterns.ts';
import { type Rule, rewriteFunc, rule } from './rewrite.ts';

export const stableRules: readonly Rule[] = [
  rule('log-of-one-plus', 'log', ({ operands: [x] }, b) => {
    const sum = madeBy(x, 'add');
    if (sum === null || !isSplat(sum.operands[1], 1)) return null;
    const exponential = madeBy(sum.operands[0], 'exp');
    return exponential === null ? b.log1p(sum.operands[0]!) : b.softplus(exponential.operands[0]!);
  }),
  rule('log1p-of-exp', 'log1p', ({ operands: [x] }, b) => {
    const exponential = madeBy(x, 'exp');
    return exponential === null ? null : b.softplus(exponential.operands[0]!);
  }),
  rule('log-of-sigmoid', 'log', ({ operands: [x] }, b) => {
    const sigmoid = madeBy(x, 'sigmoid');
    return sigmoid === null ? null : b.neg(b.softplus(b.neg(sigmoid.operands[0]!)));
  }),
  rule('log-of-exp', 'log', ({ operands: [x] }) => madeBy(x, 'exp')?.operands[0] ?? null),
  rule('exp-minus-one', 'add', ({ operands: [x, y] }, b) => {
    const exponential = madeBy(x, 'exp');
    return exponential === null || !isSplat(y, -1) ? null : b.expm1(exponential.operands[0]!);
  }),
  rule('log-of-quotient', 'log', ({ operands: [x] }, b) => logOfSoftmax(x!, b)),
  rule('log-of-sum-of-exp', 'log', ({ operands: [x] }, b) => logSumExp(x!, b)),
];

/** log(exp(x) / Σ exp(x)) = x − log Σ exp(x), whatever x is: the usual max(x) is already inside it. */
function logOfSoftmax(x: Value, b: Builder): Value | null {
  const quotient = madeBy(x, 'div');
  const numerator = madeBy(quotient?.operands[0], 'exp');
  const spread = madeBy(quotient?.operands[1], 'broadcast');
  const reshaped = madeBy(spread?.operands[0], 'reshape');
  const sum = madeBy(reshaped?.operands[0] ?? spread?.operands[0], 'reduce');
  if (numerator === null || spread === null || sum === null || sum.attrs.kind !== 'sum') return null;
  if (sum.operands[0] !== numerator.results[0]) return null;
  const logSum = logSumExp(sum.results[0]!, b) ?? b.log(sum.results[0]!);
  const shaped = reshaped === null ? logSum : b.reshape(logSum, reshaped.attrs);
  return b.sub(numerator.operands[0]!, b.broadcast(shaped, spread.attrs));
}

/** The log of Σ exp(x) is m + log Σ exp(x − m) with m = max x; null if x was shifted by its maximum already. */
function logSumExp(value: Value, b: Builder): Value | null {
  const sum = madeBy(value, 'reduce');
  const exponential = madeBy(sum?.operands[0], 'exp');
  if (sum === null || exponential === null || sum.attrs.kind !== 'sum') return null;
  const [inner] = exponential.operands as [Value];
  if (!isFloat(inner.type.dtype) || isShifted(inner)) return null;
  const { axes } = sum.attrs;
  const top = b.reduce(inner, { kind: 'max', axes });
  // An infinite maximum would give ∞ − ∞: shift by zero there, and let exp and log carry the infinity.
  const finite = b.lt(b.abs(top), b.like(top, Number.POSITIVE_INFINITY));
  const shift = b.select(finite, top, b.like(top, 0));
  const kept = inner.type.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const shifted = b.sub(inner, b.broadcast(shift, { shape: inner.type.shape, axes: kept }));
  return b.add(b.log(b.reduce(b.exp(shifted), sum.attrs)), shift);
}

/** True for x − broadcast(…): the form of an exponent that was made safe. */
function isShifted(value: Value): boolean {
  const difference = madeBy(value, 'sub');
  return difference !== null && madeBy(difference.operands[1], 'broadcast') !== null;
}

export const stabilize: Pass = {
  name: 'stabilize',
  guarantees: 'log, exp and softmax in forms that neither overflow nor cancel where the plain ones do',
  needs: 'canonical form',
  run: (func) => rewriteFunc(func, stableRules),
};
