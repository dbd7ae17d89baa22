// Sliding windows over the last axes: reductions, the tap that holds the best element, and the pair of linear
// operations that take the element at a tap and put it back. The pair makes max pooling differentiable to any order
// without atomic additions: each is the other's transpose, and both only gather.

import type { Node, Value } from '../graph.ts';
import {
  add,
  fixed,
  flatten,
  floorDiv,
  type IndexExpr,
  modulo,
  multiply,
  of,
  subtract,
  unflatten,
} from '../index-expr.ts';
import { apply, type Expr, indexValue, literal } from '../kernel.ts';
import type { WindowAttrs } from '../opattrs.ts';
import { type ElementContext, type OpTable, TypeMismatch } from '../optable.ts';
import { formatType, type Shape, sizeOf, type TensorType } from '../types.ts';
import { sameAttributes } from './batching.ts';
import { identityOf } from './monoid.ts';
import { expectLength, expectOperands, forEachIndex, offsetOf, tabulate } from './rules.ts';
import { both, divides, guarded, within } from './shape.ts';

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

function windowShape(x: TensorType, attrs: WindowAttrs): number[] {
  const rank = attrs.window.length;
  if (rank > x.shape.length) throw new TypeMismatch(`a window of ${rank} axes expected to fit ${formatType(x)}`);
  for (const name of ['strides', 'padding', 'dilation'] as const) expectLength(attrs[name], rank, name);
  const offset = x.shape.length - rank;
  return x.shape.map((dim, axis) => {
    if (axis < offset) return dim;
    const d = axis - offset;
    const [low, high] = attrs.padding[d]!;
    if (attrs.window[d]! < 1 || attrs.strides[d]! < 1 || attrs.dilation[d]! < 1)
      throw new TypeMismatch('window, strides and dilation of at least 1 expected');
    if (low < 0 || high < 0) throw new TypeMismatch(`window padding of at least 0 expected, [${low},${high}] given`);
    const span = (attrs.window[d]! - 1) * attrs.dilation[d]! + 1;
    if (dim + low + high < span)
      throw new TypeMismatch(
        `the window spans ${span} elements of axis ${axis}, the padded operand has ${dim + low + high}`,
      );
    return Math.floor((dim + low + high - span) / attrs.strides[d]!) + 1;
  });
}

/** The operand's index under a tap of the window at `index`; spatial parts may lie outside. */
function cellOf(index: readonly number[], tap: readonly number[], attrs: WindowAttrs): number[] {
  const offset = index.length - tap.length;
  return index.map((i, axis) => {
    const d = axis - offset;
    return d < 0 ? i : i * attrs.strides[d]! + tap[d]! * attrs.dilation[d]! - attrs.padding[d]![0];
  });
}

const inside = (cell: readonly number[], shape: Shape): boolean => cell.every((i, axis) => i >= 0 && i < shape[axis]!);

/** The operand's element under a tap, or `outside` in the padding. */
function cellExpr(
  read: (index: readonly IndexExpr[]) => Expr,
  shape: Shape,
  index: readonly IndexExpr[],
  tap: readonly IndexExpr[],
  attrs: WindowAttrs,
  outside: Expr,
): Expr {
  const offset = index.length - tap.length;
  let condition: Expr | null = null;
  const cell = index.map((i, axis) => {
    const d = axis - offset;
    if (d < 0) return i;
    const at = subtract(
      add(multiply(i, attrs.strides[d]!), multiply(tap[d]!, attrs.dilation[d]!)),
      fixed(attrs.padding[d]![0]),
    );
    condition = both(condition, within(at, 0, shape[axis]!));
    return at;
  });
  return guarded(condition, () => read(cell), outside);
}

const windowOf = ({ window, strides, padding, dilation }: WindowAttrs): WindowAttrs => ({
  window,
  strides,
  padding,
  dilation,
});
const spatialOf = (x: Value, attrs: WindowAttrs): number[] =>
  x.type.shape.slice(x.type.shape.length - attrs.window.length);

function expectTaps(taps: TensorType, shape: Shape): void {
  if (taps.dtype !== 'i32' || taps.shape.join() !== shape.join())
    throw new TypeMismatch(`taps i32[${shape}] expected, ${formatType(taps)} given`);
}

const plain = 'window=[2,2], strides=[2,2], padding=[[0,0],[0,0]], dilation=[1,1]';
const ragged = 'window=[3,2], strides=[1,2], padding=[[1,1],[0,1]], dilation=[1,1]';
const gaps = 'window=[2], strides=[4], padding=[[0,0]], dilation=[1]';
const spread = 'window=[3], strides=[2], padding=[[1,2]], dilation=[2]';

/** The operand's cell under a tap; the monoid's identity in the padding. */
function cellUnderTap(
  s: ElementContext,
  index: readonly IndexExpr[],
  tap: readonly IndexExpr[],
  { attrs, operands }: Node<'reduceWindow'> | Node<'windowArg'>,
): Expr {
  const { dtype, shape } = operands[0]!.type;
  const outside = literal(dtype, identityOf(attrs.kind, dtype));
  return cellExpr((cell) => s.operand(0, cell), shape, index, tap, attrs, outside);
}

export const windowOps: Pick<OpTable, 'reduceWindow' | 'windowArg' | 'windowTake' | 'windowPut'> = {
  reduceWindow: {
    doc: 'Combines the elements under a window at each of its positions; padding holds the identity.',
    infer: (operands, attrs) => {
      expectOperands(operands, 1);
      const x = operands[0]!;
      if (x.dtype === 'bool') throw new TypeMismatch('a number expected, bool given');
      return [{ dtype: x.dtype, shape: windowShape(x, attrs) }];
    },
    evaluate: ([x], attrs, [type]) => [
      tabulate(type!, (index) => {
        let result = identityOf(attrs.kind, type!.dtype);
        forEachIndex(attrs.window, (tap) => {
          const cell = cellOf(index, tap, attrs);
          if (!inside(cell, x!.type.shape)) return;
          const value = x!.data[offsetOf(cell, x!.type.shape)]!;
          result =
            attrs.kind === 'sum'
              ? result + value
              : attrs.kind === 'max'
                ? Math.max(result, value)
                : Math.min(result, value);
        });
        return result;
      }),
    ],
    jvp: (b, { attrs, operands }, [t]) => {
      if (!t) return [null];
      if (attrs.kind === 'sum') return [b.reduceWindow(t, attrs)];
      return [b.windowTake(t, b.windowArg(operands[0]!, { ...windowOf(attrs), kind: attrs.kind }), windowOf(attrs))];
    },
    vjp: (b, { attrs, operands }, [c]) => {
      const x = operands[0]!;
      const spatial = spatialOf(x, attrs);
      if (attrs.kind !== 'sum')
        return [
          b.windowPut(c!, b.windowArg(x, { ...windowOf(attrs), kind: attrs.kind }), { ...windowOf(attrs), spatial }),
        ];
      // The transpose of a window sum is the sum of the spread cotangents under the same window, turned around.
      const offset = x.type.shape.length - spatial.length;
      const onSpatial = (value: (d: number) => number): number[] =>
        x.type.shape.map((_, axis) => (axis < offset ? 0 : value(axis - offset)));
      const span = (d: number): number => (attrs.window[d]! - 1) * attrs.dilation[d]!;
      const low = onSpatial((d) => span(d) - attrs.padding[d]![0]);
      const interior = onSpatial((d) => attrs.strides[d]! - 1);
      const spreadDim = (d: number): number => (c!.type.shape[offset + d]! - 1) * attrs.strides[d]! + 1;
      const high = onSpatial((d) => spatial[d]! + span(d) - spreadDim(d) - low[offset + d]!);
      const padded = b.pad(c!, { low, high, interior, value: 0 });
      return [
        b.reduceWindow(padded, {
          kind: 'sum',
          window: attrs.window,
          strides: attrs.window.map(() => 1),
          padding: attrs.window.map(() => [0, 0] as const),
          dilation: attrs.dilation,
        }),
      ];
    },
    batch: sameAttributes,
    lowering: {
      class: 'reduction',
      extents: ({ attrs }) => attrs.window,
      monoid: ({ attrs }) => attrs.kind,
      position: false,
      element: cellUnderTap,
    },
    examples: (['sum', 'max', 'min'] as const).flatMap((kind) => [
      { text: `func @f(%x: f32[1,2,4,4]) {\n  %0 = reduceWindow(%x) {kind=${kind}, ${plain}}\n  return y = %0\n}` },
      { text: `func @f(%x: f32[2,3,5]) {\n  %0 = reduceWindow(%x) {kind=${kind}, ${ragged}}\n  return y = %0\n}` },
      { text: `func @f(%x: f32[2,6]) {\n  %0 = reduceWindow(%x) {kind=${kind}, ${spread}}\n  return y = %0\n}` },
    ]),
  },
  windowArg: {
    doc: 'Which tap of the window (row-major) holds its first greatest or least element.',
    infer: (operands, attrs) => {
      expectOperands(operands, 1);
      const x = operands[0]!;
      if (x.dtype === 'bool') throw new TypeMismatch('a number expected, bool given');
      return [{ dtype: 'i32', shape: windowShape(x, attrs) }];
    },
    evaluate: ([x], attrs, [type]) => [
      tabulate(type!, (index) => {
        let best = identityOf(attrs.kind, x!.type.dtype);
        let position = 0;
        forEachIndex(attrs.window, (tap, at) => {
          const cell = cellOf(index, tap, attrs);
          const value = inside(cell, x!.type.shape)
            ? x!.data[offsetOf(cell, x!.type.shape)]!
            : identityOf(attrs.kind, x!.type.dtype);
          const better = attrs.kind === 'max' ? value > best : value < best;
          if (better || (Number.isNaN(value) && !Number.isNaN(best))) {
            best = value;
            position = at;
          }
        });
        return position;
      }),
    ],
    jvp: 'zero',
    vjp: 'zero',
    batch: sameAttributes,
    lowering: {
      class: 'reduction',
      extents: ({ attrs }) => attrs.window,
      monoid: ({ attrs }) => attrs.kind,
      position: true,
      element: cellUnderTap,
    },
    examples: (['max', 'min'] as const).flatMap((kind) => [
      { text: `func @f(%x: f32[1,2,4,4]) {\n  %0 = windowArg(%x) {kind=${kind}, ${plain}}\n  return y = %0\n}` },
      { text: `func @f(%x: f32[2,3,5]) {\n  %0 = windowArg(%x) {kind=${kind}, ${ragged}}\n  return y = %0\n}` },
    ]),
  },
  windowTake: {
    doc: 'The element under the given tap of the window at each position; zero in the padding. Linear in the first operand.',
    infer: (operands, attrs) => {
      expectOperands(operands, 2);
      const shape = windowShape(operands[0]!, attrs);
      expectTaps(operands[1]!, shape);
      return [{ dtype: operands[0]!.dtype, shape }];
    },
    evaluate: ([x, taps], attrs, [type]) => [
      tabulate(type!, (index, at) => {
        const cell = cellOf(index, tapAt(taps!.data[at]!, attrs.window), attrs);
        return inside(cell, x!.type.shape) ? x!.data[offsetOf(cell, x!.type.shape)]! : 0;
      }),
    ],
    jvp: (b, { attrs, operands }, [t]) => [t ? b.windowTake(t, operands[1]!, attrs) : null],
    vjp: (b, { attrs, operands }, [c]) => [
      b.windowPut(c!, operands[1]!, { ...attrs, spatial: spatialOf(operands[0]!, attrs) }),
      null,
    ],
    batch: sameAttributes,
    lowering: {
      class: 'element',
      cost: 'cheap',
      element: (s, index, { attrs, operands }) => {
        const { dtype, shape } = operands[0]!.type;
        const upper = sizeOf(attrs.window) - 1;
        const expr = clampedTap(s.operand(1, index), attrs);
        const tap = unflatten(of({ kind: 'dynamic', expr, lower: 0, upper }), attrs.window);
        return cellExpr((cell) => s.operand(0, cell), shape, index, tap, attrs, literal(dtype, 0));
      },
    },
    examples: [
      {
        text: `func @f(%x: f32[1,2,4,4]) {\n  %i = windowArg(%x) {kind=max, ${plain}}\n  %0 = windowTake(%x, %i) {${plain}}\n  return y = %0\n}`,
      },
      {
        text: `func @f(%x: f32[2,3,5], %z: f32[2,3,5]) {\n  %i = windowArg(%z) {kind=min, ${ragged}}\n  %0 = windowTake(%x, %i) {${ragged}}\n  return y = %0\n}`,
      },
    ],
  },
  windowPut: {
    doc: 'Adds each element to the cell under the given tap of its window: the transpose of windowTake.',
    infer: (operands, attrs) => {
      expectOperands(operands, 2);
      const c = operands[0]!;
      expectLength(attrs.spatial, attrs.window.length, 'spatial');
      const shape = [...c.shape.slice(0, c.shape.length - attrs.window.length), ...attrs.spatial];
      const expected = windowShape({ dtype: c.dtype, shape }, attrs);
      if (expected.join() !== c.shape.join())
        throw new TypeMismatch(
          `${c.dtype}[${expected}] expected for spatial [${attrs.spatial}], ${formatType(c)} given`,
        );
      expectTaps(operands[1]!, c.shape);
      return [{ dtype: c.dtype, shape }];
    },
    evaluate: ([c, taps], attrs, [type]) => {
      const result = tabulate(type!, () => 0);
      forEachIndex(c!.type.shape, (index, at) => {
        const cell = cellOf(index, tapAt(taps!.data[at]!, attrs.window), attrs);
        if (inside(cell, type!.shape)) result.data[offsetOf(cell, type!.shape)]! += c!.data[at]!;
      });
      return [result];
    },
    jvp: (b, { attrs, operands }, [t]) => [t ? b.windowPut(t, operands[1]!, attrs) : null],
    vjp: (b, { attrs, operands }, [c]) => [b.windowTake(c!, operands[1]!, windowOf(attrs)), null],
    batch: sameAttributes,
    lowering: {
      class: 'reduction',
      extents: ({ attrs }) => attrs.window.map((_, d) => coveringWindows(attrs, d)),
      monoid: () => 'sum',
      position: false,
      element: (s, index, covering, { attrs, operands }) => {
        const { dtype, shape } = operands[0]!.type;
        const offset = shape.length - covering.length;
        const found = covering.map((nth, d) => covered(index[offset + d]!, nth, shape[offset + d]!, attrs, d));
        const at = [...index.slice(0, offset), ...found.map(({ window }) => window)];
        const condition = found.reduce<Expr | null>((all, next) => both(all, next.condition), null);
        const here = indexValue(
          flatten(
            found.map(({ tap }) => tap),
            attrs.window,
          ),
        );
        const zero = literal(dtype, 0);
        const holds = (): Expr => apply('eq', clampedTap(s.operand(1, at), attrs), here);
        return guarded(condition, () => guarded(holds(), () => s.operand(0, at), zero), zero);
      },
    },
    examples: [
      {
        text: `func @f(%x: f32[1,2,4,4], %c: f32[1,2,2,2]) {\n  %i = windowArg(%x) {kind=max, ${plain}}\n  %0 = windowPut(%c, %i) {${plain}, spatial=[4,4]}\n  return y = %0\n}`,
      },
      {
        text: `func @f(%x: f32[2,3,5], %c: f32[2,3,3]) {\n  %i = windowArg(%x) {kind=max, ${ragged}}\n  %0 = windowPut(%c, %i) {${ragged}, spatial=[3,5]}\n  return y = %0\n}`,
      },
      {
        text: `func @f(%x: f32[2,6], %c: f32[2,3]) {\n  %i = windowArg(%x) {kind=max, ${spread}}\n  %0 = windowPut(%c, %i) {${spread}, spatial=[6]}\n  return y = %0\n}`,
      },
      {
        text: `func @f(%x: f32[2,11], %c: f32[2,3]) {\n  %i = windowArg(%x) {kind=max, ${gaps}}\n  %0 = windowPut(%c, %i) {${gaps}, spatial=[11]}\n  return y = %0\n}`,
      },
      {
        text: `func @f(%t: i32[2,3,3], %c: f32[2,3,3]) {\n  %0 = windowPut(%c, %t) {${ragged}, spatial=[3,5]}\n  return y = %0\n}`,
      },
    ],
  },
};

/** A tap from memory, brought into the window. */
function clampedTap(tap: Expr, { window }: WindowAttrs): Expr {
  return apply('min', apply('max', tap, literal('i32', 0)), literal('i32', sizeOf(window) - 1));
}

/** How many windows along axis d may cover one cell; under a dilation they are counted by taps, which are fewer. */
function coveringWindows({ window, strides, dilation }: WindowAttrs, d: number): number {
  return dilation[d]! === 1 ? Math.ceil(window[d]! / strides[d]!) : window[d]!;
}

/**
 * The `nth` window along axis d that may cover a cell, the tap under which it does, and the condition that both exist:
 * window · stride + tap · dilation = cell + padding. Without a dilation the windows are counted back from the last one
 * that begins at or before the cell; where windows neither overlap nor leave gaps that one needs no condition.
 */
function covered(
  cell: IndexExpr,
  nth: IndexExpr,
  windows: number,
  attrs: WindowAttrs,
  d: number,
): { window: IndexExpr; tap: IndexExpr; condition: Expr | null } {
  const stride = attrs.strides[d]!;
  const padded = add(cell, fixed(attrs.padding[d]![0]));
  if (attrs.dilation[d]! === 1) {
    const window = subtract(floorDiv(padded, stride), nth);
    const tap = add(modulo(padded, stride), multiply(nth, stride));
    return { window, tap, condition: both(within(window, 0, windows), within(tap, 0, attrs.window[d]!)) };
  }
  const start = subtract(padded, multiply(nth, attrs.dilation[d]!));
  const reached = both(within(start, 0, (windows - 1) * stride + 1), divides(start, stride));
  return { window: floorDiv(start, stride), tap: nth, condition: reached };
}

function tapAt(position: number, window: readonly number[]): number[] {
  const clamped = Math.min(Math.max(position, 0), sizeOf(window) - 1);
  let rest = clamped;
  const tap = new Array<number>(window.length);
  for (const d of range(window.length).reverse()) {
    tap[d] = rest % window[d]!;
    rest = Math.floor(rest / window[d]!);
  }
  return tap;
}
