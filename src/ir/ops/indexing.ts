// Operations whose indices are data: gather and its transpose scatter-add, and sorting.

import type { Node, Value } from '../graph.ts';
import { type Axis, add, flatten, type IndexExpr, axis as makeAxis, multiply, of } from '../index-expr.ts';
import { apply, castTo, choose, type Expr, indexValue, type Local, literal, type Stmt } from '../kernel.ts';
import { type NestContext, type OpTable, TypeMismatch } from '../optable.ts';
import { formatType, isFloat, isInteger, type Shape, sizeOf, type TensorType } from '../types.ts';
import { allCarried, carried, oneAxisDeeper, sameAttributes, toFront } from './batching.ts';
import { putAlong, takeAlong } from './reduce.ts';
import { expectAxis, expectOperands, forEachIndex, offsetOf, tabulate } from './rules.ts';

interface GatherAttrs {
  readonly axis: number;
  readonly batch: number;
}

/** The shape of gather's result (scatterAdd's updates): `[B.., P.., I.., S..]`. */
function gatheredShape(operand: TensorType, indices: TensorType, { axis, batch }: GatherAttrs): number[] {
  expectAxis(axis, operand.shape.length);
  if (!isInteger(indices.dtype)) throw new TypeMismatch(`integer indices expected, ${formatType(indices)} given`);
  if (batch < 0 || batch > axis || batch > indices.shape.length) {
    throw new TypeMismatch(
      `batch between 0 and axis ${axis} expected, ${batch} given for indices ${formatType(indices)}`,
    );
  }
  if (operand.shape[axis]! < 1) throw new TypeMismatch(`axis ${axis} of ${formatType(operand)} is empty`);
  for (let i = 0; i < batch; i++) {
    if (operand.shape[i] !== indices.shape[i])
      throw new TypeMismatch(
        `batch axis ${i} has ${operand.shape[i]} elements in the operand, ${indices.shape[i]} in the indices`,
      );
  }
  return [...operand.shape.slice(0, axis), ...indices.shape.slice(batch), ...operand.shape.slice(axis + 1)];
}

/** Splits an index of the gathered shape: the index into `indices`, and the operand's index without its gathered axis. */
function splitIndex<T>(
  index: readonly T[],
  indices: Shape,
  { axis, batch }: GatherAttrs,
): { at: T[]; rest: (gathered: T) => T[] } {
  const picked = indices.length - batch;
  return {
    at: [...index.slice(0, batch), ...index.slice(axis, axis + picked)],
    rest: (gathered) => [...index.slice(0, axis), gathered, ...index.slice(axis + picked)],
  };
}

function dynamic(expr: Expr, lower: number, upper: number): IndexExpr {
  return { terms: [{ atom: { kind: 'dynamic', expr, lower, upper }, coefficient: 1 }], constant: 0 };
}

/**
 * Columns that a task adds in lanes for each picked index: wide enough that an index is looked at once for two vectors or
 * more, narrow enough that a table of 128 columns gives four threads work. 4096 rows of 128 took 0.15 ms, where columns one
 * by one took 0.85.
 */
const scatterColumns = 32;

/**
 * Scatter: copies the operand, then walks the picked indices serially for every other index, which run in parallel; the
 * last of these in lanes where it lies beside its neighbours. No two tasks add to one element.
 */
function scatterNest(s: NestContext, node: Node<'scatterAdd'>): Stmt[] {
  const { attrs, operands } = node;
  const [operand, indices] = operands.map((value) => value.type) as [TensorType, TensorType, TensorType];
  const result = s.results[0]!;
  const { axis, batch } = attrs;
  const tasks = sizeOf(operand.shape) / operand.shape[axis]!;
  const comparisons = sizeOf(operand.shape) * sizeOf(indices.shape.slice(batch));
  if (tasks < s.machine.tasks && comparisons <= mostComparisons) return gatherNest(s, node);
  const all = operand.shape.map((extent, i) => makeAxis(`i${i}`, extent));
  const copy: Stmt = {
    kind: 'store',
    buffer: result,
    offset: flatten(all.map(of), operand.shape),
    value: s.operand(0, all.map(of)),
  };
  const last = operand.shape.length - 1;
  const inLanes = s.machine.lanes && axis !== last && operand.shape[last]! % scatterColumns === 0;
  const lane = makeAxis('lane', scatterColumns);
  const kept = operand.shape.map((extent, i) =>
    inLanes && i === last ? makeAxis('columns', extent / scatterColumns) : makeAxis(`j${i}`, extent),
  );
  const position = (next: Axis): IndexExpr =>
    inLanes && next === kept[last] ? add(multiply(of(next), scatterColumns), of(lane)) : of(next);
  const picked = indices.shape.slice(batch).map((extent, i) => makeAxis(`p${i}`, extent));
  const updateIndex = [...kept.slice(0, axis), ...picked, ...kept.slice(axis + 1)].map(position);
  const index: Local = { name: 'index', dtype: indices.dtype, lanes: 1 };
  const indexLocal: Expr = { kind: 'local', dtype: indices.dtype, local: index };
  const size = operand.shape[axis]!;
  const at = [...kept.slice(0, batch), ...picked].map(of);
  const target = kept.map((next, i) => (i === axis ? dynamic(castTo('i32', indexLocal), 0, size - 1) : position(next)));
  const inRange = apply(
    'and',
    apply('ge', indexLocal, literal(indices.dtype, 0)),
    apply('lt', indexLocal, literal(indices.dtype, size)),
  );
  const update: Stmt = {
    kind: 'update',
    buffer: result,
    offset: flatten(target, operand.shape),
    monoid: 'sum',
    value: s.operand(2, updateIndex),
  };
  const row: Stmt = inLanes ? { kind: 'loop', axis: lane, axisKind: 'vector', body: [update] } : update;
  const body: Stmt[] = [
    { kind: 'let', local: index, value: s.operand(1, at) },
    { kind: 'if', condition: inRange, otherwise: [], then: [row] },
  ];
  const others = kept.filter((_, i) => i !== axis);
  return [
    ...nested(all, 'parallel', [copy]),
    { kind: 'barrier' },
    ...nested(others, 'parallel', nested(picked, 'serial', body)),
  ];
}

/** More comparisons than this take longer than walking the indices in too few tasks. */
const mostComparisons = 2 ** 28;

/** Scatter from the side of the results: each looks through the picked indices for those that mean it, in their order. */
function gatherNest(s: NestContext, { attrs, operands }: Node<'scatterAdd'>): Stmt[] {
  const [operand, indices] = operands.map((value) => value.type) as [TensorType, TensorType, TensorType];
  const { axis, batch } = attrs;
  const axes = operand.shape.map((extent, i) => makeAxis(`i${i}`, extent));
  const picked = indices.shape.slice(batch).map((extent, i) => makeAxis(`p${i}`, extent));
  const sum: Local = { name: 'sum', dtype: operand.dtype, lanes: 1 };
  const index = s.operand(1, [...axes.slice(0, batch), ...picked].map(of));
  const here = castTo(indices.dtype, indexValue(of(axes[axis]!)));
  const take: Stmt = {
    kind: 'if',
    condition: apply('eq', index, here),
    then: [
      {
        kind: 'accumulate',
        local: sum,
        monoid: 'sum',
        value: s.operand(2, [...axes.slice(0, axis), ...picked, ...axes.slice(axis + 1)].map(of)),
      },
    ],
    otherwise: [],
  };
  return nested(axes, 'parallel', [
    { kind: 'accumulator', local: sum, initial: s.operand(0, axes.map(of)) },
    ...nested(picked, 'serial', [take]),
    {
      kind: 'store',
      buffer: s.results[0]!,
      offset: flatten(axes.map(of), operand.shape),
      value: { kind: 'local', dtype: sum.dtype, local: sum },
    },
  ]);
}

function nested(axes: readonly Axis[], axisKind: 'parallel' | 'serial', body: Stmt[]): Stmt[] {
  return axes.reduceRight<Stmt[]>(
    (nest, next) => (next.extent === 1 ? nest : [{ kind: 'loop', axis: next, axisKind, body: nest }]),
    body,
  );
}

/** True where `a` stands before `b` in a stable order: NaN is greater than every number. */
function precedes(a: number, b: number, descending: boolean): number {
  if (Number.isNaN(a) || Number.isNaN(b)) {
    const order = Number(Number.isNaN(a)) - Number(Number.isNaN(b));
    return descending ? -order : order;
  }
  return descending ? b - a : a - b;
}

/** Every row's positions along the last axis in sorted order. */
function sortedPositions(row: readonly number[], descending: boolean): number[] {
  return row.map((_, i) => i).sort((a, b) => precedes(row[a]!, row[b]!, descending) || a - b);
}

function evaluateSorted(
  x: { type: TensorType; data: Float64Array },
  axis: number,
  descending: boolean,
  results: readonly TensorType[],
) {
  const length = x.type.shape[axis]!;
  const along = (index: readonly number[], i: number): number =>
    x.data[
      offsetOf(
        index.map((n, a) => (a === axis ? i : n)),
        x.type.shape,
      )
    ]!;
  const values = tabulate(results[0]!, () => 0);
  const positions = tabulate(results[1]!, () => 0);
  forEachIndex(results[0]!.shape, (index, at) => {
    const order = sortedPositions(
      Array.from({ length }, (_, i) => along(index, i)),
      descending,
    );
    positions.data[at] = order[index[axis]!]!;
    values.data[at] = along(index, order[index[axis]!]!);
  });
  return [values, positions];
}

/** a before b as an expression: strictly, or equal and earlier. `earlier` says that a stands before b in the row. */
function precedesExpr(a: Expr, b: Expr, earlier: Expr, descending: boolean): Expr {
  const ordered = apply(descending ? 'gt' : 'lt', a, b);
  const tied = apply('and', apply('eq', a, b), earlier);
  const number = apply('or', ordered, tied);
  if (!isFloat(a.dtype)) return number;
  const aNaN = apply('ne', a, a);
  const bNaN = apply('ne', b, b);
  const onlyFirst = descending ? apply('and', aNaN, apply('not', bNaN)) : apply('and', bNaN, apply('not', aNaN));
  const bothNaN = apply('and', apply('and', aNaN, bNaN), earlier);
  return apply('or', number, apply('or', onlyFirst, bothNaN));
}

/**
 * Sorting by rank: an element's place is the number of elements before it. n² comparisons per row, but every element is
 * independent, stable, and the same loops run on every target. `keep` is how many places are written.
 */
function rankNest(s: NestContext, shape: Shape, axis: number, descending: boolean, keep: number): Stmt[] {
  const axes = shape.map((extent, i) => makeAxis(`i${i}`, extent));
  const along = axes[axis]!;
  const other = makeAxis('other', along.extent);
  const here: Local = { name: 'here', dtype: s.results[0]!.dtype, lanes: 1 };
  const hereValue: Expr = { kind: 'local', dtype: here.dtype, local: here };
  const rank: Local = { name: 'rank', dtype: 'i32', lanes: 1 };
  const rankValue: Expr = { kind: 'local', dtype: 'i32', local: rank };
  const compared = s.operand(
    0,
    axes.map((next) => of(next === along ? other : next)),
  );
  const earlier = apply('lt', indexValue(of(other)), indexValue(of(along)));
  const outShape = shape.map((extent, i) => (i === axis ? keep : extent));
  const place = flatten(
    axes.map((next, i) => (i === axis ? dynamic(rankValue, 0, keep - 1) : of(next))),
    outShape,
  );
  const store: Stmt[] = [
    { kind: 'store', buffer: s.results[0]!, offset: place, value: hereValue },
    { kind: 'store', buffer: s.results[1]!, offset: place, value: indexValue(of(along)) },
  ];
  const body: Stmt[] = [
    { kind: 'let', local: here, value: s.operand(0, axes.map(of)) },
    { kind: 'accumulator', local: rank, initial: literal('i32', 0) },
    {
      kind: 'loop',
      axis: other,
      axisKind: 'serial',
      body: [
        {
          kind: 'accumulate',
          local: rank,
          monoid: 'sum',
          value: choose(precedesExpr(compared, hereValue, earlier, descending), literal('i32', 1), literal('i32', 0)),
        },
      ],
    },
    ...(keep === along.extent
      ? store
      : [{ kind: 'if', condition: apply('lt', rankValue, literal('i32', keep)), then: store, otherwise: [] } as const]),
  ];
  return nested(axes, 'parallel', body);
}

const gatherText = (x: string, i: string, attrs: string): { text: string } => ({
  text: `func @f(%x: f32[${x}], %i: i32[${i}]) {\n  %0 = gather(%x, %i) {${attrs}}\n  return y = %0\n}`,
});
const scatterText = (x: string, i: string, u: string, attrs: string): { text: string } => ({
  text: `func @f(%x: f32[${x}], %i: i32[${i}], %u: f32[${u}]) {\n  %0 = scatterAdd(%x, %i, %u) {${attrs}}\n  return y = %0\n}`,
});

export const indexingOps: Pick<OpTable, 'gather' | 'scatterAdd' | 'sort' | 'topk'> = {
  gather: {
    doc: 'Slices of the operand at integer indices along an axis; indices are clamped.',
    infer: (operands, attrs) => {
      expectOperands(operands, 2);
      return [{ dtype: operands[0]!.dtype, shape: gatheredShape(operands[0]!, operands[1]!, attrs) }];
    },
    evaluate: ([x, i], attrs, [type]) => [
      tabulate(type!, (index) => {
        const { at, rest } = splitIndex(index, i!.type.shape, attrs);
        const picked = Math.min(Math.max(i!.data[offsetOf(at, i!.type.shape)]!, 0), x!.type.shape[attrs.axis]! - 1);
        return x!.data[offsetOf(rest(picked), x!.type.shape)]!;
      }),
    ],
    jvp: (b, { attrs, operands }, [t]) => [t ? b.gather(t, operands[1]!, attrs) : null],
    vjp: (b, { attrs, operands }, [c]) => {
      // Gather clamps where scatterAdd drops.
      const [x, i] = operands as [Value, Value];
      const clamped = b.min(b.max(i, b.like(i, 0)), b.like(i, x.type.shape[attrs.axis]! - 1));
      return [b.scatterAdd(b.like(x, 0), clamped, c!, attrs), null];
    },
    batch: (b, { attrs }, given) => {
      const { axis, batch } = attrs;
      const [x, i] = given.values as [Value, Value];
      if (batch > 0 || (given.batched[0]! && given.batched[1]!))
        return [b.gather(carried(b, given, 0), carried(b, given, 1), { axis: axis + 1, batch: batch + 1 })];
      return [given.batched[0]! ? b.gather(x, i, { axis: axis + 1, batch }) : toFront(b, b.gather(x, i, attrs), axis)];
    },
    lowering: {
      class: 'element',
      cost: 'cheap',
      element: (s, index, { attrs, operands }) => {
        const { at, rest } = splitIndex(index, operands[1]!.type.shape, attrs);
        const last = operands[0]!.type.shape[attrs.axis]! - 1;
        const raw = s.operand(1, at);
        const clamped = apply('min', apply('max', raw, literal(raw.dtype, 0)), literal(raw.dtype, last));
        return s.operand(0, rest(dynamic(castTo('i32', clamped), 0, last)));
      },
    },
    examples: [
      gatherText('4,3', '5', 'axis=0, batch=0'),
      gatherText('2,4,3', '2,2', 'axis=1, batch=0'),
      gatherText('3,4', '3,2', 'axis=1, batch=1'),
      gatherText('2,5', '2', 'axis=1, batch=1'),
      gatherText('2,3,4,2', '2,3', 'axis=2, batch=1'),
    ],
  },
  scatterAdd: {
    doc: 'Adds updates to the operand at integer indices along an axis; indices out of range add nothing.',
    infer: (operands, attrs) => {
      expectOperands(operands, 3);
      const [x, i, u] = operands as [TensorType, TensorType, TensorType];
      const shape = gatheredShape(x, i, attrs);
      if (x.dtype === 'bool' || u.dtype !== x.dtype || u.shape.join() !== shape.join()) {
        throw new TypeMismatch(`numbers and updates ${x.dtype}[${shape}] expected, ${formatType(u)} given`);
      }
      return [x];
    },
    evaluate: ([x, i, u], attrs, [type]) => {
      const result = tabulate(type!, (_index, at) => x!.data[at]!);
      forEachIndex(u!.type.shape, (index, at) => {
        const split = splitIndex(index, i!.type.shape, attrs);
        const picked = i!.data[offsetOf(split.at, i!.type.shape)]!;
        if (picked < 0 || picked >= type!.shape[attrs.axis]!) return;
        result.data[offsetOf(split.rest(picked), type!.shape)]! += u!.data[at]!;
      });
      return [tabulate(type!, (_index, at) => result.data[at]!)];
    },
    jvp: (b, { attrs, operands }, [s, , t]) => {
      if (!s && !t) return [null];
      return [b.scatterAdd(s ?? b.like(operands[0]!, 0), operands[1]!, t ?? b.like(operands[2]!, 0), attrs)];
    },
    vjp: (b, { attrs, operands }, [c]) => {
      // Gather clamps where scatter drops, so updates that went nowhere get no cotangent.
      const i = operands[1]!;
      const size = operands[0]!.type.shape[attrs.axis]!;
      const kept = b.and(b.ge(i, b.like(i, 0)), b.lt(i, b.like(i, size)));
      const shape = operands[2]!.type.shape;
      const picked = i.type.shape.length - attrs.batch;
      const axes = [...Array(attrs.batch).keys(), ...Array.from({ length: picked }, (_, n) => attrs.axis + n)];
      const taken = b.gather(c!, i, attrs);
      return [c!, null, b.select(b.broadcast(kept, { shape, axes }), taken, b.like(taken, 0))];
    },
    batch: (b, { attrs: { axis, batch } }, given) => {
      const shared = !given.batched[1] && batch === 0;
      const [operand, indices, updates] = allCarried(b, given) as [Value, Value, Value];
      return [
        shared
          ? b.scatterAdd(operand, given.values[1]!, updates, { axis: axis + 1, batch })
          : b.scatterAdd(operand, indices, updates, { axis: axis + 1, batch: batch + 1 }),
      ];
    },
    lowering: { class: 'nest', nest: scatterNest },
    examples: [
      scatterText('4,3', '5', '5,3', 'axis=0, batch=0'),
      scatterText('3,4', '3,2', '3,2', 'axis=1, batch=1'),
      scatterText('2,4,3', '2,2', '2,2,2,3', 'axis=1, batch=0'),
      scatterText('3,64', '4', '4,64', 'axis=0, batch=0'),
    ],
  },
  sort: {
    doc: 'Values sorted along an axis and their old positions; stable; NaN counts as the greatest.',
    infer: (operands, { axis }) => {
      expectOperands(operands, 1);
      const x = operands[0]!;
      expectAxis(axis, x.shape.length);
      if (x.dtype === 'bool') throw new TypeMismatch('a number expected, bool given');
      return [x, { dtype: 'i32', shape: x.shape }];
    },
    evaluate: ([x], { axis, descending }, results) => evaluateSorted(x!, axis, descending, results),
    jvp: (b, { attrs, results }, [t]) => [t ? takeAlong(b, t, results[1]!, attrs.axis) : null, null],
    vjp: (b, { attrs, results }, [c]) => [c ? putAlong(b, c.type.shape, c, results[1]!, attrs.axis) : null],
    batch: oneAxisDeeper(({ attrs }) => ({ ...attrs, axis: attrs.axis + 1 })),
    lowering: {
      class: 'nest',
      nest: (s, { attrs, operands }) =>
        rankNest(s, operands[0]!.type.shape, attrs.axis, attrs.descending, operands[0]!.type.shape[attrs.axis]!),
    },
    examples: [
      { text: 'func @f(%x: f32[2,5]) {\n  %0, %1 = sort(%x) {axis=1, descending=false}\n  return y = %0, i = %1\n}' },
      { text: 'func @f(%x: f32[4,2]) {\n  %0, %1 = sort(%x) {axis=0, descending=true}\n  return y = %0, i = %1\n}' },
      { text: 'func @f(%x: i32[12]) {\n  %0, %1 = sort(%x) {axis=0, descending=false}\n  return y = %0, i = %1\n}' },
    ],
  },
  topk: {
    doc: 'The k greatest along the last axis in descending order, and their positions; NaN counts as the greatest.',
    infer: (operands, { k }) => {
      expectOperands(operands, 1);
      const x = operands[0]!;
      const length = x.shape[x.shape.length - 1];
      if (x.dtype === 'bool') throw new TypeMismatch('a number expected, bool given');
      if (length === undefined || k < 1 || k > length)
        throw new TypeMismatch(`k between 1 and the last axis of ${formatType(x)} expected, ${k} given`);
      const shape = [...x.shape.slice(0, -1), k];
      return [
        { dtype: x.dtype, shape },
        { dtype: 'i32', shape },
      ];
    },
    evaluate: ([x], _attrs, results) => evaluateSorted(x!, x!.type.shape.length - 1, true, results),
    jvp: (b, { results }, [t]) => [t ? takeAlong(b, t, results[1]!, t.type.shape.length - 1) : null, null],
    vjp: (b, { operands, results }, [c]) => {
      const shape = operands[0]!.type.shape;
      return [c ? putAlong(b, shape, c, results[1]!, shape.length - 1) : null];
    },
    batch: sameAttributes,
    lowering: {
      class: 'nest',
      nest: (s, { attrs, operands }) =>
        rankNest(s, operands[0]!.type.shape, operands[0]!.type.shape.length - 1, true, attrs.k),
    },
    examples: [{ text: 'func @f(%x: f32[2,6]) {\n  %0, %1 = topk(%x) {k=3}\n  return y = %0, i = %1\n}' }],
  },
};
