// Operations that make tensors from nothing, choose between them, or change their dtype.

import { InternalError } from '../errors.ts';
import { castTo, choose, indexValue, literal } from '../kernel.ts';
import { wrapToDType } from '../ndarray.ts';
import { type OpTable, TypeMismatch } from '../optable.ts';
import { type DType, formatType, isFloat, sameType, sizeOf } from '../types.ts';
import { sameAttributes } from './batching.ts';
import { expectAxis, expectOperands, tabulate } from './rules.ts';

const integerRange: Readonly<Partial<Record<DType, readonly [number, number]>>> = {
  i8: [-128, 127],
  u8: [0, 255],
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
  i64: [-(2 ** 63), 2 ** 63],
};

/** Floats to integers saturate and NaN becomes 0; integers wrap; anything to bool is ≠ 0. */
export function convert(value: number, from: DType, to: DType): number {
  if (to === 'bool') return value !== 0 ? 1 : 0;
  if (!isFloat(from) || isFloat(to)) return wrapToDType(to, value);
  if (Number.isNaN(value)) return 0;
  const [low, high] = integerRange[to]!;
  return Math.min(high, Math.max(low, Math.trunc(value)));
}

export const creationOps: Pick<OpTable, 'constant' | 'iota' | 'select' | 'cast'> = {
  constant: {
    doc: 'A tensor known at compile time; one element fills the shape.',
    infer: (operands, { dtype, shape, data }) => {
      expectOperands(operands, 0);
      if (data.length !== 1 && data.length !== sizeOf(shape)) {
        throw new TypeMismatch(
          `${sizeOf(shape)} elements (or one that fills the shape) expected, ${data.length} given`,
        );
      }
      return [{ dtype, shape }];
    },
    evaluate: (_operands, { data }, [type]) => [
      tabulate(type!, (_index, at) => Number(data[data.length === 1 ? 0 : at])),
    ],
    jvp: 'zero',
    vjp: 'zero',
    batch: 'never',
    lowering: {
      class: 'element',
      cost: 'free',
      element: (_s, _index, { attrs }) => {
        if (attrs.data.length !== 1)
          throw new InternalError('a constant of several elements is a buffer, not an expression');
        return literal(attrs.dtype, Number(attrs.data[0]));
      },
    },
    examples: [
      { text: 'func @f() {\n  %0 = constant() {dtype=f32, shape=[2,2], data=[1.5]}\n  return y = %0\n}' },
      {
        text: 'func @f(%x: f32[3]) {\n  %0 = constant() {dtype=f32, shape=[3], data=[1,2,3]}\n  %1 = mul(%0, %x)\n  return y = %1\n}',
      },
    ],
  },
  iota: {
    doc: 'The index along an axis.',
    infer: (operands, { dtype, shape, axis }) => {
      expectOperands(operands, 0);
      expectAxis(axis, shape.length);
      if (dtype === 'bool') throw new TypeMismatch('a number expected, bool given');
      return [{ dtype, shape }];
    },
    evaluate: (_operands, { axis }, [type]) => [tabulate(type!, (index) => index[axis]!)],
    jvp: 'zero',
    vjp: 'zero',
    batch: 'never',
    lowering: {
      class: 'element',
      cost: 'free',
      element: (_s, index, { attrs }) => castTo(attrs.dtype, indexValue(index[attrs.axis]!)),
    },
    examples: [
      { text: 'func @f() {\n  %0 = iota() {dtype=i32, shape=[2,3], axis=1}\n  return y = %0\n}' },
      { text: 'func @f() {\n  %0 = iota() {dtype=f32, shape=[2,3], axis=0}\n  return y = %0\n}' },
    ],
  },
  select: {
    doc: 'Elements of the second operand where the first is true, else of the third.',
    infer: (operands) => {
      expectOperands(operands, 3);
      const [condition, then, otherwise] = operands as [
        (typeof operands)[0],
        (typeof operands)[0],
        (typeof operands)[0],
      ];
      if (condition.dtype !== 'bool')
        throw new TypeMismatch(`a bool condition expected, ${formatType(condition)} given`);
      if (!sameType(then, otherwise)) {
        throw new TypeMismatch(
          `two values of one type expected, ${formatType(then)} and ${formatType(otherwise)} given`,
        );
      }
      if (condition.shape.join() !== then.shape.join()) {
        throw new TypeMismatch(
          `a condition of the values' shape expected, ${formatType(condition)} and ${formatType(then)} given`,
        );
      }
      return [then];
    },
    evaluate: ([condition, then, otherwise], _attrs, [type]) => [
      tabulate(type!, (_index, at) => (condition!.data[at] !== 0 ? then!.data[at]! : otherwise!.data[at]!)),
    ],
    jvp: (b, { operands, results }, [, s, t]) => {
      if (!s && !t) return [null];
      const zero = b.like(results[0]!, 0);
      return [b.select(operands[0]!, s ?? zero, t ?? zero)];
    },
    vjp: (b, { operands }, [c]) => {
      const zero = b.like(c!, 0);
      return [null, b.select(operands[0]!, c!, zero), b.select(operands[0]!, zero, c!)];
    },
    batch: sameAttributes,
    lowering: {
      class: 'element',
      cost: 'cheap',
      element: (s, index) => choose(s.operand(0, index), s.operand(1, index), s.operand(2, index)),
    },
    examples: [
      { text: 'func @f(%c: bool[2,3], %x: f32[2,3], %y: f32[2,3]) {\n  %0 = select(%c, %x, %y)\n  return z = %0\n}' },
      { text: 'func @f(%c: bool[4], %x: i32[4], %y: i32[4]) {\n  %0 = select(%c, %x, %y)\n  return z = %0\n}' },
    ],
  },
  cast: {
    doc: 'Another dtype: floats to integers saturate (NaN becomes 0), integers wrap, anything but 0 is true.',
    infer: (operands, { dtype }) => {
      expectOperands(operands, 1);
      return [{ dtype, shape: operands[0]!.shape }];
    },
    evaluate: ([x], { dtype }, [type]) => [
      tabulate(type!, (_index, at) => convert(x!.data[at]!, x!.type.dtype, dtype)),
    ],
    jvp: (b, { operands, attrs }, [t]) => [
      t && isFloat(attrs.dtype) && isFloat(operands[0]!.type.dtype) ? b.castTo(t, attrs.dtype) : null,
    ],
    vjp: (b, { operands }, [c]) => [
      isFloat(operands[0]!.type.dtype) && isFloat(c!.type.dtype) ? b.castTo(c!, operands[0]!.type.dtype) : null,
    ],
    batch: sameAttributes,
    lowering: {
      class: 'element',
      cost: 'cheap',
      element: (s, index, { attrs }) => castTo(attrs.dtype, s.operand(0, index)),
    },
    examples: [
      ['f32', 'f64'],
      ['f64', 'f32'],
      ['f32', 'i32'],
      ['i32', 'f32'],
      ['f32', 'u32'],
      ['u32', 'f32'],
      ['i32', 'i8'],
      ['i32', 'u8'],
      ['bool', 'f32'],
      ['f32', 'bool'],
      ['i32', 'i64'],
      ['i64', 'i32'],
      ['i32', 'bool'],
    ].map(([from, to]) => ({
      text: `func @f(%x: ${from}[5]) {\n  %0 = cast(%x) {dtype=${to}}\n  return y = %0\n}`,
      domain: [-300, 300] as const,
    })),
  },
};
