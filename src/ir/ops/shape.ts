// Operations that move elements without computing: each is index arithmetic on its operand.

import {
  add,
  boundsOf,
  fixed,
  flatten,
  floorDiv,
  type IndexExpr,
  modulo,
  multiply,
  subtract,
  unflatten,
} from '../index-expr.ts';
import { apply, choose, type Expr, indexValue, literal } from '../kernel.ts';
import { type OpTable, TypeMismatch } from '../optable.ts';
import { formatType, isFloat, type Shape, sameShape, sizeOf } from '../types.ts';
import { later, oneAxisDeeper } from './batching.ts';
import { expectAxis, expectDistinctAxes, expectLength, expectOperands, offsetOf, tabulate } from './rules.ts';

const countUp = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** `index ≥ low and index < high` as a condition; the parts that bounds prove are left out. Null: always true. */
export function within(index: IndexExpr, low: number, high: number): Expr | null {
  const bounds = boundsOf(index);
  const above = bounds.lower >= low ? null : apply('ge', indexValue(index), literal('i32', low));
  const below = bounds.upper < high ? null : apply('lt', indexValue(index), literal('i32', high));
  return both(above, below);
}

/** The conjunction of two conditions where null is true. */
export function both(a: Expr | null, b: Expr | null): Expr | null {
  return a === null ? b : b === null ? a : apply('and', a, b);
}

/** The condition that `by` divides the index; null where it always does. */
export function divides(index: IndexExpr, by: number): Expr | null {
  const rest = modulo(index, by);
  return rest.terms.length === 0 && rest.constant === 0 ? null : apply('eq', indexValue(rest), literal('i32', 0));
}

export function guarded(condition: Expr | null, value: () => Expr, otherwise: Expr): Expr {
  return condition === null ? value() : choose(condition, value(), otherwise);
}

function paddedDim(dim: number, low: number, high: number, interior: number): number {
  return low + high + dim + Math.max(0, dim - 1) * interior;
}

function slicedDim(start: number, limit: number, stride: number): number {
  return Math.ceil((limit - start) / stride);
}

function inverse(permutation: readonly number[]): number[] {
  const result = new Array<number>(permutation.length);
  permutation.forEach((from, to) => {
    result[from] = to;
  });
  return result;
}

export const shapeOps: Pick<OpTable, 'broadcast' | 'reshape' | 'transpose' | 'slice' | 'pad' | 'reverse' | 'concat'> = {
  broadcast: {
    doc: 'Repeats the operand along new axes.',
    infer: (operands, { shape, axes }) => {
      expectOperands(operands, 1);
      const x = operands[0]!;
      expectLength(axes, x.shape.length, 'axes');
      expectDistinctAxes(axes, shape.length);
      axes.forEach((axis, i) => {
        if (shape[axis] !== x.shape[i])
          throw new TypeMismatch(
            `axis ${i} of ${formatType(x)} has ${x.shape[i]} elements, axis ${axis} of [${shape}] has ${shape[axis]}`,
          );
        if (i > 0 && axes[i - 1]! >= axis) throw new TypeMismatch(`axes in increasing order expected, [${axes}] given`);
      });
      return [{ dtype: x.dtype, shape }];
    },
    evaluate: ([x], { axes }, [type]) => [
      tabulate(
        type!,
        (index) =>
          x!.data[
            offsetOf(
              axes.map((axis) => index[axis]!),
              x!.type.shape,
            )
          ]!,
      ),
    ],
    jvp: (b, { attrs }, [t]) => [t ? b.broadcast(t, attrs) : null],
    vjp: (b, { attrs }, [c]) => {
      const axes = countUp(attrs.shape.length).filter((axis) => !attrs.axes.includes(axis));
      return [axes.length === 0 ? c! : b.reduce(c!, { kind: 'sum', axes })];
    },
    batch: oneAxisDeeper(({ attrs }, size) => ({ shape: [size, ...attrs.shape], axes: [0, ...later(attrs.axes)] })),
    lowering: {
      class: 'element',
      cost: 'free',
      element: (s, index, { attrs }) =>
        s.operand(
          0,
          attrs.axes.map((axis) => index[axis]!),
        ),
    },
    examples: [
      { text: 'func @f(%x: f32[3]) {\n  %0 = broadcast(%x) {shape=[2,3], axes=[1]}\n  return y = %0\n}' },
      { text: 'func @f(%x: f32[]) {\n  %0 = broadcast(%x) {shape=[2,2], axes=[]}\n  return y = %0\n}' },
      { text: 'func @f(%x: f32[2,3]) {\n  %0 = broadcast(%x) {shape=[2,4,3], axes=[0,2]}\n  return y = %0\n}' },
    ],
  },
  reshape: {
    doc: 'The same elements in row-major order under another shape.',
    infer: (operands, { shape }) => {
      expectOperands(operands, 1);
      const x = operands[0]!;
      if (sizeOf(shape) !== sizeOf(x.shape)) {
        throw new TypeMismatch(
          `${sizeOf(x.shape)} elements of ${formatType(x)} do not fit [${shape}], which has ${sizeOf(shape)}`,
        );
      }
      return [{ dtype: x.dtype, shape }];
    },
    evaluate: ([x], _attrs, [type]) => [{ type: type!, data: x!.data }],
    jvp: (b, { attrs }, [t]) => [t ? b.reshape(t, attrs) : null],
    vjp: (b, { operands }, [c]) => [b.reshape(c!, { shape: operands[0]!.type.shape })],
    batch: oneAxisDeeper(({ attrs }, size) => ({ shape: [size, ...attrs.shape] })),
    lowering: {
      class: 'element',
      cost: 'free',
      element: (s, index, { attrs, operands }) =>
        s.operand(0, unflatten(flatten(index, attrs.shape), operands[0]!.type.shape)),
    },
    examples: [
      { text: 'func @f(%x: f32[2,6]) {\n  %0 = reshape(%x) {shape=[3,4]}\n  return y = %0\n}' },
      { text: 'func @f(%x: f32[1]) {\n  %0 = reshape(%x) {shape=[]}\n  return y = %0\n}' },
    ],
  },
  transpose: {
    doc: 'Axes in another order.',
    infer: (operands, { permutation }) => {
      expectOperands(operands, 1);
      const x = operands[0]!;
      expectLength(permutation, x.shape.length, 'permutation');
      expectDistinctAxes(permutation, x.shape.length);
      return [{ dtype: x.dtype, shape: permutation.map((axis) => x.shape[axis]!) }];
    },
    evaluate: ([x], { permutation }, [type]) => {
      const back = inverse(permutation);
      return [
        tabulate(
          type!,
          (index) =>
            x!.data[
              offsetOf(
                back.map((axis) => index[axis]!),
                x!.type.shape,
              )
            ]!,
        ),
      ];
    },
    jvp: (b, { attrs }, [t]) => [t ? b.transpose(t, attrs) : null],
    vjp: (b, { attrs }, [c]) => [b.transpose(c!, { permutation: inverse(attrs.permutation) })],
    batch: oneAxisDeeper(({ attrs }) => ({ permutation: [0, ...later(attrs.permutation)] })),
    lowering: {
      class: 'element',
      cost: 'free',
      element: (s, index, { attrs }) =>
        s.operand(
          0,
          inverse(attrs.permutation).map((axis) => index[axis]!),
        ),
    },
    examples: [{ text: 'func @f(%x: f32[2,3,4]) {\n  %0 = transpose(%x) {permutation=[2,0,1]}\n  return y = %0\n}' }],
  },
  slice: {
    doc: 'Every stride-th element from start up to, not including, limit, along each axis.',
    infer: (operands, { starts, limits, strides }) => {
      expectOperands(operands, 1);
      const x = operands[0]!;
      for (const [list, what] of [
        [starts, 'starts'],
        [limits, 'limits'],
        [strides, 'strides'],
      ] as const) {
        expectLength(list, x.shape.length, what);
      }
      x.shape.forEach((dim, axis) => {
        const ok = starts[axis]! >= 0 && starts[axis]! <= limits[axis]! && limits[axis]! <= dim && strides[axis]! >= 1;
        if (!ok)
          throw new TypeMismatch(
            `0 ≤ start ≤ limit ≤ ${dim} and stride ≥ 1 expected on axis ${axis}, start ${starts[axis]}, limit ${limits[axis]}, stride ${strides[axis]} given`,
          );
      });
      return [
        { dtype: x.dtype, shape: x.shape.map((_, axis) => slicedDim(starts[axis]!, limits[axis]!, strides[axis]!)) },
      ];
    },
    evaluate: ([x], { starts, strides }, [type]) => [
      tabulate(
        type!,
        (index) =>
          x!.data[
            offsetOf(
              index.map((i, axis) => starts[axis]! + i * strides[axis]!),
              x!.type.shape,
            )
          ]!,
      ),
    ],
    jvp: (b, { attrs }, [t]) => [t ? b.slice(t, attrs) : null],
    vjp: (b, { attrs, operands, results }, [c]) => {
      const shape = operands[0]!.type.shape;
      const interior = attrs.strides.map((stride) => stride - 1);
      const high = shape.map(
        (dim, axis) => dim - paddedDim(results[0]!.type.shape[axis]!, attrs.starts[axis]!, 0, interior[axis]!),
      );
      return [b.pad(c!, { low: attrs.starts, high, interior, value: 0 })];
    },
    batch: oneAxisDeeper(({ attrs }, size) => ({
      starts: [0, ...attrs.starts],
      limits: [size, ...attrs.limits],
      strides: [1, ...attrs.strides],
    })),
    lowering: {
      class: 'element',
      cost: 'free',
      element: (s, index, { attrs }) =>
        s.operand(
          0,
          index.map((i, axis) => add(multiply(i, attrs.strides[axis]!), fixed(attrs.starts[axis]!))),
        ),
    },
    examples: [
      {
        text: 'func @f(%x: f32[5,6]) {\n  %0 = slice(%x) {starts=[1,0], limits=[4,6], strides=[1,2]}\n  return y = %0\n}',
      },
      { text: 'func @f(%x: f32[7]) {\n  %0 = slice(%x) {starts=[1], limits=[7], strides=[3]}\n  return y = %0\n}' },
    ],
  },
  pad: {
    doc: 'Cells of one value before, after and between elements; negative counts crop.',
    infer: (operands, { low, high, interior }) => {
      expectOperands(operands, 1);
      const x = operands[0]!;
      for (const [list, what] of [
        [low, 'low'],
        [high, 'high'],
        [interior, 'interior'],
      ] as const)
        expectLength(list, x.shape.length, what);
      const shape = x.shape.map((dim, axis) => {
        if (interior[axis]! < 0)
          throw new TypeMismatch(`interior padding of at least 0 expected on axis ${axis}, ${interior[axis]} given`);
        const padded = paddedDim(dim, low[axis]!, high[axis]!, interior[axis]!);
        if (padded < 0)
          throw new TypeMismatch(
            `padding ${low[axis]} and ${high[axis]} crops more than axis ${axis} of ${formatType(x)} has`,
          );
        return padded;
      });
      return [{ dtype: x.dtype, shape }];
    },
    evaluate: ([x], { low, interior, value }, [type]) => [
      tabulate(type!, (index) => {
        const at = index.map((i, axis) => (i - low[axis]!) / (interior[axis]! + 1));
        const inside = at.every((i, axis) => Number.isInteger(i) && i >= 0 && i < x!.type.shape[axis]!);
        return inside ? x!.data[offsetOf(at, x!.type.shape)]! : value;
      }),
    ],
    jvp: (b, { attrs }, [t]) => [t ? b.pad(t, { ...attrs, value: 0 }) : null],
    vjp: (b, { attrs, operands }, [c]) => {
      // Undo the outer padding (crop, or put back what was cropped), then take every (interior + 1)-th element.
      const shape = operands[0]!.type.shape;
      const none = attrs.low.map(() => 0);
      const cropped = b.pad(c!, {
        low: attrs.low.map((n) => -n),
        high: attrs.high.map((n) => -n),
        interior: none,
        value: 0,
      });
      const strides = attrs.interior.map((n) => n + 1);
      return [
        strides.every((stride) => stride === 1)
          ? cropped
          : b.slice(cropped, {
              starts: none,
              limits: cropped.type.shape.map((dim, axis) =>
                Math.min(dim, Math.max(0, (shape[axis]! - 1) * strides[axis]! + 1)),
              ),
              strides,
            }),
      ];
    },
    batch: oneAxisDeeper(({ attrs: { low, high, interior, value } }) => ({
      low: [0, ...low],
      high: [0, ...high],
      interior: [0, ...interior],
      value,
    })),
    lowering: {
      class: 'element',
      cost: 'cheap',
      element: (s, index, { attrs, operands }) => {
        const { dtype, shape } = operands[0]!.type;
        let condition: Expr | null = null;
        const at = index.map((i, axis) => {
          const step = attrs.interior[axis]! + 1;
          const shifted = subtract(i, fixed(attrs.low[axis]!));
          condition = both(condition, within(shifted, 0, (shape[axis]! - 1) * step + 1));
          condition = both(condition, divides(shifted, step));
          return floorDiv(shifted, step);
        });
        return guarded(condition, () => s.operand(0, at), literal(dtype, attrs.value));
      },
    },
    examples: [
      {
        text: 'func @f(%x: f32[2,3]) {\n  %0 = pad(%x) {low=[1,0], high=[0,2], interior=[0,0], value=0.5}\n  return y = %0\n}',
      },
      {
        text: 'func @f(%x: f32[3,4]) {\n  %0 = pad(%x) {low=[1,-1], high=[2,-1], interior=[1,2], value=0}\n  return y = %0\n}',
      },
      {
        text: 'func @f(%x: f32[5]) {\n  %0 = pad(%x) {low=[-1], high=[-2], interior=[0], value=0}\n  return y = %0\n}',
      },
    ],
  },
  reverse: {
    doc: 'The elements along some axes in opposite order.',
    infer: (operands, { axes }) => {
      expectOperands(operands, 1);
      expectDistinctAxes(axes, operands[0]!.shape.length);
      return [operands[0]!];
    },
    evaluate: ([x], { axes }, [type]) => [
      tabulate(
        type!,
        (index) =>
          x!.data[
            offsetOf(
              index.map((i, axis) => (axes.includes(axis) ? type!.shape[axis]! - 1 - i : i)),
              type!.shape,
            )
          ]!,
      ),
    ],
    jvp: (b, { attrs }, [t]) => [t ? b.reverse(t, attrs) : null],
    vjp: (b, { attrs }, [c]) => [b.reverse(c!, attrs)],
    batch: oneAxisDeeper(({ attrs }) => ({ axes: later(attrs.axes) })),
    lowering: {
      class: 'element',
      cost: 'free',
      element: (s, index, { attrs, operands }) => {
        const { shape } = operands[0]!.type;
        return s.operand(
          0,
          index.map((i, axis) => (attrs.axes.includes(axis) ? subtract(fixed(shape[axis]! - 1), i) : i)),
        );
      },
    },
    examples: [{ text: 'func @f(%x: f32[2,3]) {\n  %0 = reverse(%x) {axes=[1]}\n  return y = %0\n}' }],
  },
  concat: {
    doc: 'The operands one after another along an axis.',
    infer: (operands, { axis }) => {
      const [first] = operands;
      if (first === undefined) throw new TypeMismatch('at least one operand expected, none given');
      expectAxis(axis, first.shape.length);
      for (const operand of operands) {
        const fits =
          operand.dtype === first.dtype &&
          operand.shape.length === first.shape.length &&
          operand.shape.every((dim, i) => i === axis || dim === first.shape[i]);
        if (!fits)
          throw new TypeMismatch(
            `operands that differ on axis ${axis} only expected, ${formatType(first)} and ${formatType(operand)} given`,
          );
      }
      const length = operands.reduce((sum, operand) => sum + operand.shape[axis]!, 0);
      return [{ dtype: first.dtype, shape: first.shape.map((dim, i) => (i === axis ? length : dim)) }];
    },
    evaluate: (operands, { axis }, [type]) => [
      tabulate(type!, (index) => {
        const at = [...index];
        let position = 0;
        while (at[axis]! >= operands[position]!.type.shape[axis]!) at[axis]! -= operands[position++]!.type.shape[axis]!;
        return operands[position]!.data[offsetOf(at, operands[position]!.type.shape)]!;
      }),
    ],
    jvp: (b, { attrs, operands }, tangents) => {
      if (tangents.every((t) => !t)) return [null];
      return [b.concat(...operands.map((operand, i) => tangents[i] ?? b.like(operand, 0)), attrs)];
    },
    vjp: (b, { attrs, operands }, [c]) => {
      let start = 0;
      return operands.map((operand) => {
        const shape = operand.type.shape;
        const begin = start;
        start += shape[attrs.axis]!;
        if (!isFloat(operand.type.dtype)) return null;
        return b.slice(c!, {
          starts: shape.map((_, axis) => (axis === attrs.axis ? begin : 0)),
          limits: shape.map((dim, axis) => (axis === attrs.axis ? begin + dim : dim)),
          strides: shape.map(() => 1),
        });
      });
    },
    batch: oneAxisDeeper(({ attrs }) => ({ axis: attrs.axis + 1 })),
    lowering: {
      class: 'element',
      cost: 'cheap',
      element: (s, index, { attrs, operands }) => {
        const at = index[attrs.axis]!;
        const part = (position: number, start: number): Expr =>
          s.operand(
            position,
            index.map((i, axis) => (axis === attrs.axis ? subtract(at, fixed(start)) : i)),
          );
        let start = operands.reduce((sum, operand) => sum + operand.type.shape[attrs.axis]!, 0);
        let expr: Expr | null = null;
        for (let position = operands.length - 1; position >= 0; position--) {
          const end = start;
          start -= operands[position]!.type.shape[attrs.axis]!;
          if (end === start) continue;
          const here = part(position, start);
          expr = expr === null ? here : guarded(within(at, Number.NEGATIVE_INFINITY, end), () => here, expr);
        }
        return expr ?? literal(operands[0]!.type.dtype, 0);
      },
    },
    examples: [
      { text: 'func @f(%x: f32[2,3], %y: f32[2,1]) {\n  %0 = concat(%x, %y) {axis=1}\n  return z = %0\n}' },
      { text: 'func @f(%x: f32[2], %y: f32[3], %z: f32[1]) {\n  %0 = concat(%x, %y, %z) {axis=0}\n  return w = %0\n}' },
    ],
  },
};

export type { Shape };
export { sameShape };
