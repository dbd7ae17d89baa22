// Operations over whole axes: reductions, the position of the best element, running results.

import type { Builder } from '../builder.ts';
import type { Node, Value } from '../graph.ts';
import { fixed, flatten, type IndexExpr, axis as makeAxis, of, subtract } from '../index-expr.ts';
import { type Expr, type Local, literal, type Monoid, type Stmt } from '../kernel.ts';
import type { NdArray } from '../ndarray.ts';
import type { ReduceKind } from '../opattrs.ts';
import { type OpTable, TypeMismatch } from '../optable.ts';
import { formatType, type TensorType } from '../types.ts';
import { later, oneAxisDeeper } from './batching.ts';
import { identityOf } from './monoid.ts';
import { expectAxis, expectDistinctAxes, expectOperands, forEachIndex, offsetOf, tabulate } from './rules.ts';

const combine: Readonly<Record<ReduceKind, (a: number, b: number) => number>> = {
  sum: (a, b) => a + b,
  prod: (a, b) => a * b,
  max: Math.max,
  min: Math.min,
  and: (a, b) => (a !== 0 && b !== 0 ? 1 : 0),
  or: (a, b) => (a !== 0 || b !== 0 ? 1 : 0),
};

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

function keptAxes(rank: number, axes: readonly number[]): number[] {
  return range(rank).filter((axis) => !axes.includes(axis));
}

/** Puts a reduced value back over the axes it lost. */
function spread(b: Builder, value: Value, shape: readonly number[], axes: readonly number[]): Value {
  return b.broadcast(value, { shape, axes: keptAxes(shape.length, axes) });
}

/** 1/ties where x holds the best value of its reduced axes, else 0. */
function shares(b: Builder, node: Node<'reduce'>): Value {
  const x = node.operands[0]!;
  const { axes } = node.attrs;
  const best = b.eq(x, spread(b, node.results[0]!, x.type.shape, axes));
  const chosen = b.castTo(best, x.type.dtype);
  const ties = spread(b, b.reduce(chosen, { kind: 'sum', axes }), x.type.shape, axes);
  return b.div(chosen, ties);
}

/** ∏ of all other elements along the reduced axes: exclusive running products from both sides, so zeros are exact. */
function otherFactors(b: Builder, node: Node<'reduce'>): Value {
  const x = node.operands[0]!;
  const { shape } = x.type;
  const { axes } = node.attrs;
  const kept = keptAxes(shape.length, axes);
  const permutation = [...kept, ...axes];
  const moved = b.transpose(x, { permutation });
  const rows = kept.map((axis) => shape[axis]!);
  const length = axes.reduce((size, axis) => size * shape[axis]!, 1);
  const flat = b.reshape(moved, { shape: [...rows, length] });
  const running = { kind: 'prod', axis: rows.length, exclusive: true } as const;
  const others = b.mul(
    b.cumulative(flat, { ...running, reverse: false }),
    b.cumulative(flat, { ...running, reverse: true }),
  );
  const back = range(shape.length).map((axis) => permutation.indexOf(axis));
  return b.transpose(b.reshape(others, { shape: permutation.map((axis) => shape[axis]!) }), { permutation: back });
}

/** ∂ result / ∂ element, over the operand's shape; null where the kind has no derivative. */
function weights(b: Builder, node: Node<'reduce'>): Value | null {
  switch (node.attrs.kind) {
    case 'sum':
      return b.like(node.operands[0]!, 1);
    case 'prod':
      return otherFactors(b, node);
    case 'max':
    case 'min':
      return shares(b, node);
    case 'and':
    case 'or':
      return null;
  }
}

/** Which element along the axis a running maximum or minimum holds: the latest that equals it. */
function runningPosition(b: Builder, node: Node<'cumulative'>): Value {
  const x = node.operands[0]!;
  const { axis, reverse } = node.attrs;
  const { shape } = x.type;
  const index = b.iota({ dtype: 'i32', shape, axis });
  const none = b.fill({ dtype: 'i32', shape }, reverse ? shape[axis]! - 1 : 0);
  const holds = b.select(b.eq(x, node.results[0]!), index, none);
  return b.cumulative(holds, { kind: reverse ? 'min' : 'max', axis, reverse, exclusive: false });
}

/** Moves an axis last, with the permutation that undoes it. */
export function axisLast(rank: number, axis: number): { to: number[]; back: number[] } {
  const to = [...range(rank).filter((other) => other !== axis), axis];
  return { to, back: range(rank).map((other) => to.indexOf(other)) };
}

/** Elements of x at positions along an axis: `takeAlong`. */
export function takeAlong(b: Builder, x: Value, positions: Value, axis: number): Value {
  const rank = x.type.shape.length;
  const { to, back } = axisLast(rank, axis);
  const taken = b.gather(b.transpose(x, { permutation: to }), b.transpose(positions, { permutation: to }), {
    axis: rank - 1,
    batch: rank - 1,
  });
  return b.transpose(taken, { permutation: back });
}

/** The transpose of takeAlong: adds each update to a zero tensor of `shape` at its position along the axis. */
export function putAlong(b: Builder, shape: readonly number[], updates: Value, positions: Value, axis: number): Value {
  const rank = shape.length;
  const { to, back } = axisLast(rank, axis);
  const zeros = b.fill({ dtype: updates.type.dtype, shape: to.map((from) => shape[from]!) }, 0);
  const put = b.scatterAdd(
    zeros,
    b.transpose(positions, { permutation: to }),
    b.transpose(updates, { permutation: to }),
    { axis: rank - 1, batch: rank - 1 },
  );
  return b.transpose(put, { permutation: back });
}

function withoutAxes(type: TensorType, axes: readonly number[]): number[] {
  return type.shape.filter((_, axis) => !axes.includes(axis));
}

export const reduceOps: Pick<OpTable, 'reduce' | 'argreduce' | 'cumulative'> = {
  reduce: {
    doc: 'Combines all elements along some axes, which disappear.',
    infer: (operands, { kind, axes }) => {
      expectOperands(operands, 1);
      const x = operands[0]!;
      expectDistinctAxes(axes, x.shape.length);
      const logical = kind === 'and' || kind === 'or';
      if (logical !== (x.dtype === 'bool'))
        throw new TypeMismatch(`${logical ? 'bool' : 'a number'} expected for ${kind}, ${formatType(x)} given`);
      return [{ dtype: x.dtype, shape: withoutAxes(x, axes) }];
    },
    evaluate: ([x], { kind, axes }, [type]) => {
      const result = tabulate(type!, () => identityOf(kind, type!.dtype));
      forEachIndex(x!.type.shape, (index, position) => {
        const at = offsetOf(
          index.filter((_, axis) => !axes.includes(axis)),
          type!.shape,
        );
        result.data[at] = combine[kind](result.data[at]!, x!.data[position]!);
      });
      return [tabulate(type!, (_index, at) => result.data[at]!)];
    },
    jvp: (b, node, [t]) => {
      if (!t) return [null];
      if (node.attrs.kind === 'sum') return [b.reduce(t, node.attrs)];
      const factor = weights(b, node);
      return [factor && b.reduce(b.mul(t, factor), { kind: 'sum', axes: node.attrs.axes })];
    },
    vjp: (b, node, [c]) => {
      const cotangent = spread(b, c!, node.operands[0]!.type.shape, node.attrs.axes);
      if (node.attrs.kind === 'sum') return [cotangent];
      const factor = weights(b, node);
      return [factor && b.mul(cotangent, factor)];
    },
    batch: oneAxisDeeper(({ attrs }) => ({ ...attrs, axes: later(attrs.axes) })),
    lowering: {
      class: 'reduction',
      extents: ({ attrs, operands }) => attrs.axes.map((axis) => operands[0]!.type.shape[axis]!),
      monoid: ({ attrs }) => attrs.kind,
      position: false,
      element: (s, index, reduced, { attrs, operands }) =>
        s.operand(0, mergeIndex(operands[0]!.type.shape.length, attrs.axes, index, reduced)),
    },
    examples: [
      ...(['sum', 'prod', 'max', 'min'] as const).flatMap((kind) => [
        { text: `func @f(%x: f32[3,4]) {\n  %0 = reduce(%x) {kind=${kind}, axes=[0]}\n  return y = %0\n}` },
        { text: `func @f(%x: f32[2,3,4]) {\n  %0 = reduce(%x) {kind=${kind}, axes=[0,2]}\n  return y = %0\n}` },
        { text: `func @f(%x: i32[3,4]) {\n  %0 = reduce(%x) {kind=${kind}, axes=[1]}\n  return y = %0\n}` },
      ]),
      { text: 'func @f(%x: f32[3,4]) {\n  %0 = reduce(%x) {kind=sum, axes=[0,1]}\n  return y = %0\n}' },
      { text: 'func @f(%x: bool[3,4]) {\n  %0 = reduce(%x) {kind=and, axes=[1]}\n  return y = %0\n}' },
      { text: 'func @f(%x: bool[3,4]) {\n  %0 = reduce(%x) {kind=or, axes=[0]}\n  return y = %0\n}' },
    ],
  },
  argreduce: {
    doc: 'The position (i32) of the first greatest or least element along an axis; NaN counts as the best.',
    infer: (operands, { axis }) => {
      expectOperands(operands, 1);
      const x = operands[0]!;
      expectAxis(axis, x.shape.length);
      if (x.dtype === 'bool') throw new TypeMismatch(`a number expected, ${formatType(x)} given`);
      if (x.shape[axis] === 0) throw new TypeMismatch(`axis ${axis} of ${formatType(x)} is empty`);
      return [{ dtype: 'i32', shape: withoutAxes(x, [axis]) }];
    },
    evaluate: ([x], { kind, axis }, [type]) => [
      tabulate(type!, (index) =>
        bestPosition(x!, kind, x!.type.shape[axis]!, (i) =>
          offsetOf([...index.slice(0, axis), i, ...index.slice(axis)], x!.type.shape),
        ),
      ),
    ],
    jvp: 'zero',
    vjp: 'zero',
    batch: oneAxisDeeper(({ attrs }) => ({ ...attrs, axis: attrs.axis + 1 })),
    lowering: {
      class: 'reduction',
      extents: ({ attrs, operands }) => [operands[0]!.type.shape[attrs.axis]!],
      monoid: ({ attrs }) => attrs.kind,
      position: true,
      element: (s, index, reduced, { attrs, operands }) =>
        s.operand(0, mergeIndex(operands[0]!.type.shape.length, [attrs.axis], index, reduced)),
    },
    examples: (['max', 'min'] as const).flatMap((kind) => [
      { text: `func @f(%x: f32[3,4]) {\n  %0 = argreduce(%x) {kind=${kind}, axis=1}\n  return y = %0\n}` },
      { text: `func @f(%x: i32[5,20]) {\n  %0 = argreduce(%x) {kind=${kind}, axis=0}\n  return y = %0\n}` },
    ]),
  },
  cumulative: {
    doc: 'Running results along an axis, from either end; exclusive ones leave the element itself out.',
    infer: (operands, { kind, axis, exclusive }) => {
      expectOperands(operands, 1);
      const x = operands[0]!;
      expectAxis(axis, x.shape.length);
      if (x.dtype === 'bool') throw new TypeMismatch(`a number expected, ${formatType(x)} given`);
      if (exclusive && kind !== 'sum' && kind !== 'prod')
        throw new TypeMismatch(`an exclusive running ${kind} has no first element; take the inclusive one`);
      return [x];
    },
    evaluate: ([x], { kind, axis, reverse, exclusive }, [type]) => {
      const length = type!.shape[axis]!;
      return [
        tabulate(type!, (index) => {
          let result = identityOf(kind, type!.dtype);
          for (let step = 0; step < length; step++) {
            const at = reverse ? length - 1 - step : step;
            if (exclusive && at === index[axis]) break;
            result = combine[kind](
              result,
              x!.data[
                offsetOf(
                  index.map((i, a) => (a === axis ? at : i)),
                  type!.shape,
                )
              ]!,
            );
            if (at === index[axis]) break;
          }
          return result;
        }),
      ];
    },
    jvp: (b, node, [t]) => [t ? cumulativeTangent(b, node, t) : null],
    vjp: (b, node, [c]) => [cumulativeCotangent(b, node, c!)],
    batch: oneAxisDeeper(({ attrs }) => ({ ...attrs, axis: attrs.axis + 1 })),
    lowering: { class: 'nest', nest: (s, node) => cumulativeNest(s.results[0]!, node, (index) => s.operand(0, index)) },
    examples: (['sum', 'prod', 'max', 'min'] as const).flatMap((kind) => [
      {
        text: `func @f(%x: f32[3,4]) {\n  %0 = cumulative(%x) {kind=${kind}, axis=1, reverse=false, exclusive=false}\n  return y = %0\n}`,
      },
      {
        text: `func @f(%x: f32[3,2]) {\n  %0 = cumulative(%x) {kind=${kind}, axis=0, reverse=true, exclusive=${kind === 'sum' || kind === 'prod'}}\n  return y = %0\n}`,
      },
    ]),
  },
};

/** The operand's index from the result's index and the reduced axes' indices. */
function mergeIndex(
  rank: number,
  axes: readonly number[],
  index: readonly IndexExpr[],
  reduced: readonly IndexExpr[],
): IndexExpr[] {
  let next = 0;
  return range(rank).map((axis) => {
    const at = axes.indexOf(axis);
    return at >= 0 ? reduced[at]! : index[next++]!;
  });
}

function bestPosition(x: NdArray, kind: 'max' | 'min', length: number, offset: (i: number) => number): number {
  let best = 0;
  for (let i = 1; i < length; i++) {
    const value = x.data[offset(i)]!;
    const held = x.data[offset(best)]!;
    if (Number.isNaN(held)) break;
    if (Number.isNaN(value) || (kind === 'max' ? value > held : value < held)) best = i;
  }
  return best;
}

/**
 * ∂yᵢ/∂xⱼ of a running product is the product of the other elements up to i: an [L, L] table of masked elements whose
 * exclusive products from both sides are multiplied, so zeros are exact. Returns the table `[rows.., i, j]`.
 */
function productTable(b: Builder, node: Node<'cumulative'>): { table: Value; to: number[]; back: number[] } {
  const x = node.operands[0]!;
  const { axis, reverse, exclusive } = node.attrs;
  const rank = x.type.shape.length;
  const { to, back } = axisLast(rank, axis);
  const moved = b.transpose(x, { permutation: to });
  const length = x.type.shape[axis]!;
  const shape = [...moved.type.shape.slice(0, -1), length, length];
  const spreadX = b.broadcast(moved, { shape, axes: [...range(rank - 1), rank] });
  const i = b.iota({ dtype: 'i32', shape, axis: rank - 1 });
  const j = b.iota({ dtype: 'i32', shape, axis: rank });
  const before = reverse ? (exclusive ? b.gt(j, i) : b.ge(j, i)) : exclusive ? b.lt(j, i) : b.le(j, i);
  const masked = b.select(before, spreadX, b.like(spreadX, 1));
  const running = { kind: 'prod', axis: rank, exclusive: true } as const;
  const others = b.mul(
    b.cumulative(masked, { ...running, reverse: false }),
    b.cumulative(masked, { ...running, reverse: true }),
  );
  return { table: b.select(before, others, b.like(others, 0)), to, back };
}

function cumulativeTangent(b: Builder, node: Node<'cumulative'>, t: Value): Value {
  const { attrs } = node;
  switch (attrs.kind) {
    case 'sum':
      return b.cumulative(t, attrs);
    case 'prod': {
      const { table, to, back } = productTable(b, node);
      const rank = t.type.shape.length;
      const spreadT = b.broadcast(b.transpose(t, { permutation: to }), {
        shape: table.type.shape,
        axes: [...range(rank - 1), rank],
      });
      return b.transpose(b.reduce(b.mul(table, spreadT), { kind: 'sum', axes: [rank] }), { permutation: back });
    }
    case 'max':
    case 'min':
      return takeAlong(b, t, runningPosition(b, node), attrs.axis);
  }
}

function cumulativeCotangent(b: Builder, node: Node<'cumulative'>, c: Value): Value {
  const { attrs } = node;
  switch (attrs.kind) {
    case 'sum':
      return b.cumulative(c, { ...attrs, reverse: !attrs.reverse });
    case 'prod': {
      const { table, to, back } = productTable(b, node);
      const rank = c.type.shape.length;
      const spreadC = b.broadcast(b.transpose(c, { permutation: to }), { shape: table.type.shape, axes: range(rank) });
      return b.transpose(b.reduce(b.mul(table, spreadC), { kind: 'sum', axes: [rank - 1] }), { permutation: back });
    }
    case 'max':
    case 'min':
      return putAlong(b, c.type.shape, c, runningPosition(b, node), attrs.axis);
  }
}

function cumulativeNest(
  result: Parameters<typeof storeAt>[0],
  { attrs, results }: Node<'cumulative'>,
  element: (index: IndexExpr[]) => Expr,
): Stmt[] {
  const { dtype, shape } = results[0]!.type;
  const axes = shape.map((extent, i) => makeAxis(`i${i}`, extent));
  const along = axes[attrs.axis]!;
  const at = attrs.reverse ? subtract(fixed(along.extent - 1), of(along)) : of(along);
  const index = axes.map((next) => (next === along ? at : of(next)));
  const running: Local = { name: attrs.kind, dtype, lanes: 1 };
  const value: Expr = { kind: 'local', dtype, local: running };
  const take: Stmt = { kind: 'accumulate', local: running, monoid: attrs.kind as Monoid, value: element(index) };
  const put = storeAt(result, flatten(index, shape), value);
  const body: Stmt[] = [
    { kind: 'accumulator', local: running, initial: literal(dtype, identityOf(attrs.kind, dtype)) },
    { kind: 'loop', axis: along, axisKind: 'serial', body: attrs.exclusive ? [put, take] : [take, put] },
  ];
  return axes
    .filter((next) => next !== along)
    .reduceRight<Stmt[]>((nest, next) => [{ kind: 'loop', axis: next, axisKind: 'parallel', body: nest }], body);
}

function storeAt(buffer: Extract<Stmt, { kind: 'store' }>['buffer'], offset: IndexExpr, value: Expr): Stmt {
  return { kind: 'store', buffer, offset, value };
}
