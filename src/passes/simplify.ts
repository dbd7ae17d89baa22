// Simplification. Canonical form, on which rules may rely:
//   a constant operand of a commutative operation stands on the right;
//   negation is neg(x), never mul(x, −1) or sub(0, x); subtraction of a constant is addition of its negative;
//   division by a power of two is multiplication by its exact reciprocal;
//   views are merged: no reshape of reshape, transpose of transpose, broadcast of broadcast, cast to the same dtype;
//   a moved constant is a constant;
//   squares and cubes are products: what pow would round once is rounded twice in a cube.
// Nothing else here changes a float result by more than the sign of a zero, nor hides a NaN: x·0 stays for floats.

import type { Builder } from '../ir/builder.ts';
import type { Node, Value } from '../ir/graph.ts';
import type { BinaryOp } from '../ir/opattrs.ts';
import { isFloat, sameShape, sameType } from '../ir/types.ts';
import type { Pass } from './pass.ts';
import { isIdentity, isSplat, madeBy, splatOf } from './patterns.ts';
import { type Rule, rewriteFunc, rule } from './rewrite.ts';

const commutative: readonly BinaryOp[] = ['add', 'mul', 'max', 'min', 'and', 'or', 'xor', 'eq', 'ne'];

function isPowerOfTwo(value: number): boolean {
  const exponent = Math.log2(Math.abs(value));
  return value !== 0 && Number.isInteger(exponent) && Math.abs(exponent) < 120;
}

const arithmetic: readonly Rule[] = [
  {
    name: 'constant-right',
    ops: commutative,
    apply: ({ op, operands: [x, y] }, b) =>
      splatOf(x) !== null && splatOf(y) === null ? b[op as 'add'](y!, x!) : null,
  },
  rule('add-zero', 'add', ({ operands: [x, y] }) => (isSplat(y, 0) ? x! : null)),
  rule('sub-zero', 'sub', ({ operands: [x, y] }) => (isSplat(y, 0) ? x! : null)),
  rule('zero-sub', 'sub', ({ operands: [x, y] }, b) => (isSplat(x, 0) ? b.neg(y!) : null)),
  rule('sub-same', 'sub', ({ operands: [x, y] }, b) => (x === y && !isFloat(x!.type.dtype) ? b.like(x!, 0) : null)),
  rule('sub-constant', 'sub', ({ operands: [x, y] }, b) => {
    const constant = splatOf(y);
    return constant === null || !isFloat(x!.type.dtype) ? null : b.add(x!, b.like(x!, -constant));
  }),
  rule('sub-neg', 'sub', ({ operands: [x, y] }, b) => {
    const negated = madeBy(y, 'neg');
    return negated === null ? null : b.add(x!, negated.operands[0]!);
  }),
  rule('add-neg', 'add', ({ operands: [x, y] }, b) => {
    const right = madeBy(y, 'neg');
    if (right !== null) return b.sub(x!, right.operands[0]!);
    const left = madeBy(x, 'neg');
    return left === null ? null : b.sub(y!, left.operands[0]!);
  }),
  rule('mul-one', 'mul', ({ operands: [x, y] }) => (isSplat(y, 1) ? x! : null)),
  rule('mul-minus-one', 'mul', ({ operands: [x, y] }, b) => (isSplat(y, -1) ? b.neg(x!) : null)),
  rule('mul-zero', 'mul', ({ operands: [x, y] }) => (isSplat(y, 0) && !isFloat(x!.type.dtype) ? y! : null)),
  rule('mul-neg', 'mul', ({ operands: [x, y] }, b) => {
    const left = madeBy(x, 'neg');
    if (left === null) return null;
    const right = madeBy(y, 'neg');
    if (right !== null) return b.mul(left.operands[0]!, right.operands[0]!);
    const constant = splatOf(y);
    return constant === null ? null : b.mul(left.operands[0]!, b.like(y!, -constant));
  }),
  rule('div-one', 'div', ({ operands: [x, y] }) => (isSplat(y, 1) ? x! : null)),
  rule('div-power-of-two', 'div', ({ operands: [x, y] }, b) => {
    const divisor = splatOf(y);
    return divisor !== null && isFloat(x!.type.dtype) && isPowerOfTwo(divisor)
      ? b.mul(x!, b.like(y!, 1 / divisor))
      : null;
  }),
  rule('neg-neg', 'neg', ({ operands: [x] }) => madeBy(x, 'neg')?.operands[0] ?? null),
  rule('not-not', 'not', ({ operands: [x] }) => madeBy(x, 'not')?.operands[0] ?? null),
  rule('pow-one', 'pow', ({ operands: [x, y] }) => (isSplat(y, 1) ? x! : null)),
  rule('pow-two', 'pow', ({ operands: [x, y] }, b) => (isSplat(y, 2) ? b.mul(x!, x!) : null)),
  rule('pow-three', 'pow', ({ operands: [x, y] }, b) => (isSplat(y, 3) ? b.mul(b.mul(x!, x!), x!) : null)),
  { name: 'same-operands', ops: ['max', 'min', 'and', 'or'], apply: ({ operands: [x, y] }) => (x === y ? x! : null) },
  rule('select-same', 'select', ({ operands: [, x, y] }) => (x === y ? x! : null)),
  rule('select-constant', 'select', ({ operands: [condition, x, y] }) => {
    const known = splatOf(condition);
    return known === null ? null : known !== 0 ? x! : y!;
  }),
  rule('select-not', 'select', ({ operands: [condition, x, y] }, b) => {
    const inverted = madeBy(condition, 'not');
    return inverted === null || condition!.type.dtype !== 'bool' ? null : b.select(inverted.operands[0]!, y!, x!);
  }),
];

const views: readonly Rule[] = [
  rule('cast-same', 'cast', ({ operands: [x], attrs }) => (x!.type.dtype === attrs.dtype ? x! : null)),
  rule('reshape-same', 'reshape', ({ operands: [x], attrs }) => (sameShape(x!.type.shape, attrs.shape) ? x! : null)),
  rule('reshape-reshape', 'reshape', ({ operands: [x], attrs }, b) => {
    const inner = madeBy(x, 'reshape');
    return inner === null ? null : b.reshape(inner.operands[0]!, attrs);
  }),
  rule('transpose-same', 'transpose', ({ operands: [x], attrs }) => (isIdentity(attrs.permutation) ? x! : null)),
  rule('transpose-transpose', 'transpose', ({ operands: [x], attrs }, b) => {
    const inner = madeBy(x, 'transpose');
    return inner === null
      ? null
      : b.transpose(inner.operands[0]!, {
          permutation: attrs.permutation.map((axis) => inner.attrs.permutation[axis]!),
        });
  }),
  rule('broadcast-same', 'broadcast', ({ operands: [x], attrs }) =>
    sameShape(x!.type.shape, attrs.shape) ? x! : null,
  ),
  rule('broadcast-broadcast', 'broadcast', ({ operands: [x], attrs }, b) => {
    const inner = madeBy(x, 'broadcast');
    return inner === null
      ? null
      : b.broadcast(inner.operands[0]!, {
          shape: attrs.shape,
          axes: inner.attrs.axes.map((axis) => attrs.axes[axis]!),
        });
  }),
  rule('slice-same', 'slice', ({ operands: [x], results }) => (sameType(x!.type, results[0]!.type) ? x! : null)),
  rule('pad-same', 'pad', ({ operands: [x], attrs }) => {
    const none = [attrs.low, attrs.high, attrs.interior].every((counts) => counts.every((count) => count === 0));
    return none ? x! : null;
  }),
  rule('concat-one', 'concat', ({ operands }) => (operands.length === 1 ? operands[0]! : null)),
  rule('reverse-none', 'reverse', ({ operands: [x], attrs }) =>
    attrs.axes.every((axis) => x!.type.shape[axis] === 1) ? x! : null,
  ),
  rule('reverse-reverse', 'reverse', ({ operands: [x], attrs }) => {
    const inner = madeBy(x, 'reverse');
    return inner !== null && [...inner.attrs.axes].sort().join() === [...attrs.axes].sort().join()
      ? inner.operands[0]!
      : null;
  }),
  {
    name: 'moved-constant',
    ops: ['broadcast', 'reshape', 'transpose', 'slice', 'reverse'],
    apply: ({ operands: [x], results }, b) => {
      const value = splatOf(x);
      return value === null ? null : b.fill(results[0]!.type, value);
    },
  },
];

const reductions: readonly Rule[] = [
  rule('reduce-none', 'reduce', ({ operands: [x], attrs }) => (attrs.axes.length === 0 ? x! : null)),
  rule('reduce-single', 'reduce', ({ operands: [x], attrs, results }, b) => {
    const single = attrs.axes.length > 0 && attrs.axes.every((axis) => x!.type.shape[axis] === 1);
    return single ? b.reshape(x!, { shape: results[0]!.type.shape }) : null;
  }),
  rule('max-of-broadcast', 'reduce', (node, b) => maxOfBroadcast(node, b)),
  rule('dot-transposed', 'dot', (node, b) => dotOfTransposed(node, b)),
  rule('dot-outer', 'dot', (node, b) => outerProduct(node, b)),
  rule('scatter-one-per-row', 'scatterAdd', (node, b) => scatterOnePerRow(node, b)),
];

/** A maximum over axes that a broadcast made is the operand itself. */
function maxOfBroadcast({ operands: [x], attrs, results }: Node<'reduce'>, b: Builder): Value | null {
  const inner = madeBy(x, 'broadcast');
  if (inner === null || attrs.kind === 'sum' || attrs.kind === 'prod') return null;
  const { axes } = inner.attrs;
  if (attrs.axes.some((axis) => axes.includes(axis) || x!.type.shape[axis] === 0)) return null;
  const kept = x!.type.shape.map((_, axis) => axis).filter((axis) => !attrs.axes.includes(axis));
  return b.broadcast(inner.operands[0]!, {
    shape: results[0]!.type.shape,
    axes: axes.map((axis) => kept.indexOf(axis)),
  });
}

/** A transposed operand is contracted along its own axes, if its free axes stay in order. */
function dotOfTransposed({ operands, attrs }: Node<'dot'>, b: Builder): Value | null {
  for (const side of [0, 1] as const) {
    const inner = madeBy(operands[side], 'transpose');
    if (inner === null) continue;
    const { permutation } = inner.attrs;
    const moved = new Set([...attrs.contract[side], ...attrs.batch[side]]);
    const free = permutation.filter((_, axis) => !moved.has(axis));
    if (free.some((axis, i) => i > 0 && free[i - 1]! > axis)) continue;
    const through = (axes: readonly number[]): number[] => axes.map((axis) => permutation[axis]!);
    const pair = (
      list: readonly [readonly number[], readonly number[]],
    ): readonly [readonly number[], readonly number[]] =>
      side === 0 ? [through(list[0]), list[1]] : [list[0], through(list[1])];
    const [lhs, rhs] = side === 0 ? [inner.operands[0]!, operands[1]!] : [operands[0]!, inner.operands[0]!];
    return b.dot(lhs, rhs, { contract: pair(attrs.contract), batch: pair(attrs.batch) });
  }
  return null;
}

/** A product that sums nothing is one of elements: no element is read twice for one result, so there is nothing to tile. */
function outerProduct({ operands, attrs, results }: Node<'dot'>, b: Builder): Value | null {
  const { contract, batch } = attrs;
  if (contract[0].length > 0) return null;
  const { shape } = results[0]!.type;
  const free = operands.map(({ type }, side) =>
    type.shape.map((_, axis) => axis).filter((axis) => !batch[side]!.includes(axis)),
  );
  const spread = operands.map((operand, side) => {
    const order = [...batch[side]!, ...free[side]!];
    const batches = order.map((_, i) => i).slice(0, batch[side]!.length);
    const start = batches.length + (side === 0 ? 0 : free[0]!.length);
    const ordered = isIdentity(order) ? operand : b.transpose(operand, { permutation: order });
    return b.broadcast(ordered, {
      shape,
      axes: [...batches, ...free[side]!.map((_, i) => start + i)],
    });
  }) as [Value, Value];
  return b.mul(...spread);
}

/** Adding one update per row to zeros is a comparison with the index: every element is then computed on its own. */
function scatterOnePerRow({ operands: [zeros, index, updates], attrs }: Node<'scatterAdd'>, b: Builder): Value | null {
  const { shape } = zeros!.type;
  const rank = shape.length;
  const onePerRow =
    isSplat(zeros, 0) &&
    attrs.axis === rank - 1 &&
    attrs.batch === rank - 1 &&
    index!.type.shape.slice(rank - 1).every((dim) => dim === 1);
  if (!onePerRow) return null;
  const rows = shape.slice(0, -1);
  const axes = rows.map((_, axis) => axis);
  const spread = (value: Value): Value => b.broadcast(b.reshape(value, { shape: rows }), { shape, axes });
  const position = b.iota({ dtype: index!.type.dtype, shape, axis: rank - 1 });
  return b.select(b.eq(position, spread(index!)), spread(updates!), zeros!);
}

export const simplifyRules: readonly Rule[] = [...arithmetic, ...views, ...reductions];

export const simplify: Pass = {
  name: 'simplify',
  guarantees: 'the canonical form at the head of this file, values unchanged',
  needs: 'nothing',
  run: (func) => rewriteFunc(func, simplifyRules),
};
