// Elementwise operations: one record each. The record's class gives the type rule; its evaluation, derivative and
// scalar expansion are a line each.

import type { Builder } from '../builder.ts';
import type { Node, Value } from '../graph.ts';
import { apply, type Expr, literal } from '../kernel.ts';
import type { BinaryOp, UnaryOp } from '../opattrs.ts';
import { type OpDef, type OpExample, type OpTable, TypeMismatch } from '../optable.ts';
import { type DType, formatType, isFloat, isInteger, sameShape, type TensorType } from '../types.ts';
import { expectOperands, refuse, tabulate } from './rules.ts';
import { erf, roundHalfEven } from './special.ts';

type DTypeClass = 'float' | 'number' | 'integer' | 'bits' | 'any';

const accepts: Readonly<Record<DTypeClass, (dtype: DType) => boolean>> = {
  float: isFloat,
  number: (dtype) => dtype !== 'bool',
  integer: isInteger,
  bits: (dtype) => !isFloat(dtype),
  any: () => true,
};
const classNames: Readonly<Record<DTypeClass, string>> = {
  float: 'a float',
  number: 'a number',
  integer: 'an integer',
  bits: 'an integer or bool',
  any: 'any dtype',
};

interface UnaryRecord {
  readonly doc: string;
  readonly dtypes: DTypeClass;
  readonly result?: 'bool';
  readonly evaluate: (x: number, dtype: DType) => number;
  /** d result / d operand, given the operand and the result. */
  readonly derivative: 'zero' | ((b: Builder, x: Value, y: Value) => Value);
  readonly scalar: (x: Expr) => Expr;
  readonly domain?: readonly [number, number];
  readonly cheap?: boolean;
}

const constantLike = (x: Expr, value: number): Expr => literal(x.dtype, value);
const one = (b: Builder, x: Value): Value => b.like(x, 1);
const square = (b: Builder, x: Value): Value => b.mul(x, x);

/** Makes the table entry of a unary elementwise operation from its record. */
export function unary(name: string, record: UnaryRecord): OpDef<UnaryOp> {
  const { derivative } = record;
  const scale = (b: Builder, node: Node<UnaryOp>, v: Value | null | undefined): Value | null =>
    derivative === 'zero' || v === null || v === undefined
      ? null
      : b.mul(v, derivative(b, node.operands[0]!, node.results[0]!));
  return {
    doc: record.doc,
    infer: (operands) => {
      expectOperands(operands, 1);
      const [x] = operands as [TensorType];
      if (!accepts[record.dtypes](x.dtype)) refuse(classNames[record.dtypes], x);
      return [{ dtype: record.result ?? x.dtype, shape: x.shape }];
    },
    evaluate: ([x], _attrs, [type]) => [tabulate(type!, (_index, at) => record.evaluate(x!.data[at]!, x!.type.dtype))],
    jvp: derivative === 'zero' ? 'zero' : (b, node, [t]) => [scale(b, node, t)],
    vjp: derivative === 'zero' ? 'zero' : (b, node, [c]) => [scale(b, node, c)],
    lowering: {
      class: 'element',
      cost: record.cheap === true ? 'cheap' : 'expensive',
      element: (s, index) => record.scalar(s.operand(0, index)),
    },
    examples: unaryExamples(name, record),
  };
}

function unaryExamples(name: string, record: UnaryRecord): OpExample[] {
  const example = (dtype: DType): OpExample => ({
    text: `func @f(%x: ${dtype}[2,3]) {\n  %0 = ${name}(%x)\n  return y = %0\n}`,
    ...(record.domain === undefined ? {} : { domain: record.domain }),
    differentiable: record.derivative !== 'zero' && isFloat(dtype),
  });
  const list: DType[] =
    record.dtypes === 'bits' ? ['bool', 'i32'] : record.dtypes === 'number' ? ['f32', 'f64', 'i32'] : ['f32', 'f64'];
  return list.map(example);
}

const direct =
  (op: Parameters<typeof apply>[0]) =>
  (x: Expr): Expr =>
    apply(op, x);

export const unaryRecords: Readonly<Record<UnaryOp, UnaryRecord>> = {
  neg: {
    doc: '−x; integers wrap.',
    dtypes: 'number',
    cheap: true,
    evaluate: (x) => -x,
    derivative: (b, x) => b.like(x, -1),
    scalar: direct('neg'),
  },
  abs: {
    doc: '|x|; its derivative at 0 is 0.',
    dtypes: 'number',
    cheap: true,
    evaluate: Math.abs,
    derivative: (b, x) => b.sign(x),
    scalar: direct('abs'),
  },
  sign: {
    doc: '−1, 0 or 1; NaN for NaN.',
    dtypes: 'number',
    cheap: true,
    evaluate: Math.sign,
    derivative: 'zero',
    scalar: direct('sign'),
  },
  floor: {
    doc: 'The greatest integer not above x.',
    dtypes: 'float',
    cheap: true,
    evaluate: Math.floor,
    derivative: 'zero',
    scalar: direct('floor'),
  },
  ceil: {
    doc: 'The least integer not below x.',
    dtypes: 'float',
    cheap: true,
    evaluate: Math.ceil,
    derivative: 'zero',
    scalar: direct('ceil'),
  },
  round: {
    doc: 'The nearest integer, ties to even.',
    dtypes: 'float',
    cheap: true,
    evaluate: roundHalfEven,
    derivative: 'zero',
    scalar: direct('round'),
  },
  sqrt: {
    doc: '√x.',
    dtypes: 'float',
    cheap: true,
    evaluate: Math.sqrt,
    derivative: (b, x, y) => b.div(b.like(x, 0.5), y),
    scalar: direct('sqrt'),
    domain: [0.3, 3],
  },
  rsqrt: {
    doc: '1/√x.',
    dtypes: 'float',
    cheap: true,
    evaluate: (x) => 1 / Math.sqrt(x),
    derivative: (b, x, y) => b.div(b.mul(b.like(x, -0.5), y), x),
    scalar: (x) => apply('div', constantLike(x, 1), apply('sqrt', x)),
    domain: [0.3, 3],
  },
  exp: { doc: 'eˣ.', dtypes: 'float', evaluate: Math.exp, derivative: (_b, _x, y) => y, scalar: direct('exp') },
  expm1: {
    doc: 'eˣ − 1, exact near 0.',
    dtypes: 'float',
    evaluate: Math.expm1,
    derivative: (b, x, y) => b.add(y, one(b, x)),
    scalar: direct('expm1'),
  },
  log: {
    doc: 'Natural logarithm.',
    dtypes: 'float',
    evaluate: Math.log,
    derivative: (b, x) => b.div(one(b, x), x),
    scalar: direct('log'),
    domain: [0.3, 3],
  },
  log1p: {
    doc: 'log(1 + x), exact near 0.',
    dtypes: 'float',
    evaluate: Math.log1p,
    derivative: (b, x) => b.div(one(b, x), b.add(one(b, x), x)),
    scalar: direct('log1p'),
    domain: [-0.6, 3],
  },
  sin: {
    doc: 'Sine of radians.',
    dtypes: 'float',
    evaluate: Math.sin,
    derivative: (b, x) => b.cos(x),
    scalar: direct('sin'),
  },
  cos: {
    doc: 'Cosine of radians.',
    dtypes: 'float',
    evaluate: Math.cos,
    derivative: (b, x) => b.neg(b.sin(x)),
    scalar: direct('cos'),
  },
  tan: {
    doc: 'Tangent of radians.',
    dtypes: 'float',
    evaluate: Math.tan,
    derivative: (b, x, y) => b.add(one(b, x), square(b, y)),
    scalar: direct('tan'),
    domain: [-1.2, 1.2],
  },
  asin: {
    doc: 'Inverse sine, in radians.',
    dtypes: 'float',
    evaluate: Math.asin,
    derivative: (b, x) => b.rsqrt(b.sub(one(b, x), square(b, x))),
    scalar: direct('asin'),
    domain: [-0.8, 0.8],
  },
  acos: {
    doc: 'Inverse cosine, in radians.',
    dtypes: 'float',
    evaluate: Math.acos,
    derivative: (b, x) => b.neg(b.rsqrt(b.sub(one(b, x), square(b, x)))),
    scalar: direct('acos'),
    domain: [-0.8, 0.8],
  },
  atan: {
    doc: 'Inverse tangent, in radians.',
    dtypes: 'float',
    evaluate: Math.atan,
    derivative: (b, x) => b.div(one(b, x), b.add(one(b, x), square(b, x))),
    scalar: direct('atan'),
  },
  sinh: {
    doc: 'Hyperbolic sine.',
    dtypes: 'float',
    evaluate: Math.sinh,
    derivative: (b, x) => b.cosh(x),
    scalar: direct('sinh'),
  },
  cosh: {
    doc: 'Hyperbolic cosine.',
    dtypes: 'float',
    evaluate: Math.cosh,
    derivative: (b, x) => b.sinh(x),
    scalar: direct('cosh'),
  },
  tanh: {
    doc: 'Hyperbolic tangent.',
    dtypes: 'float',
    evaluate: Math.tanh,
    derivative: (b, x, y) => b.sub(one(b, x), square(b, y)),
    scalar: direct('tanh'),
  },
  asinh: {
    doc: 'Inverse hyperbolic sine.',
    dtypes: 'float',
    evaluate: Math.asinh,
    derivative: (b, x) => b.rsqrt(b.add(one(b, x), square(b, x))),
    scalar: direct('asinh'),
  },
  acosh: {
    doc: 'Inverse hyperbolic cosine.',
    dtypes: 'float',
    evaluate: Math.acosh,
    derivative: (b, x) => b.rsqrt(b.sub(square(b, x), one(b, x))),
    scalar: direct('acosh'),
    domain: [1.3, 4],
  },
  atanh: {
    doc: 'Inverse hyperbolic tangent.',
    dtypes: 'float',
    evaluate: Math.atanh,
    derivative: (b, x) => b.div(one(b, x), b.sub(one(b, x), square(b, x))),
    scalar: direct('atanh'),
    domain: [-0.8, 0.8],
  },
  sigmoid: {
    doc: '1/(1 + e⁻ˣ).',
    dtypes: 'float',
    evaluate: (x) => 1 / (1 + Math.exp(-x)),
    derivative: (b, x, y) => b.mul(y, b.sub(one(b, x), y)),
    scalar: (x) => apply('div', constantLike(x, 1), apply('add', constantLike(x, 1), apply('exp', apply('neg', x)))),
  },
  softplus: {
    doc: 'log(1 + eˣ), without overflow.',
    dtypes: 'float',
    evaluate: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    derivative: (b, x) => b.sigmoid(x),
    scalar: (x) =>
      apply('add', apply('max', x, constantLike(x, 0)), apply('log1p', apply('exp', apply('neg', apply('abs', x))))),
  },
  erf: {
    doc: 'The error function 2/√π ∫₀ˣ e^(−t²) dt.',
    dtypes: 'float',
    evaluate: erf,
    derivative: (b, x) => b.mul(b.like(x, 2 / Math.sqrt(Math.PI)), b.exp(b.neg(square(b, x)))),
    scalar: direct('erf'),
  },
  not: {
    doc: 'Logical not of bool, bitwise complement of integers.',
    dtypes: 'bits',
    cheap: true,
    evaluate: (x, dtype) => (dtype === 'bool' ? 1 - x : dtype === 'i64' ? -x - 1 : ~x),
    derivative: 'zero',
    scalar: direct('not'),
  },
  isnan: {
    doc: 'True where x is NaN.',
    dtypes: 'float',
    result: 'bool',
    cheap: true,
    evaluate: (x) => (Number.isNaN(x) ? 1 : 0),
    derivative: 'zero',
    scalar: (x) => apply('ne', x, x),
  },
};

interface BinaryRecord {
  readonly doc: string;
  readonly dtypes: DTypeClass;
  readonly result?: 'bool';
  readonly evaluate: (a: number, b: number, dtype: DType) => number;
  /** Partial derivatives by a and by b, given both operands and the result. */
  readonly derivatives: 'zero' | readonly [DerivativeRule, DerivativeRule];
  readonly scalar: (a: Expr, b: Expr) => Expr;
  readonly domain?: readonly [number, number];
  readonly expensive?: boolean;
}

type DerivativeRule = 'zero' | ((b: Builder, x: Value, y: Value, result: Value) => Value);

/** Makes the table entry of a binary elementwise operation from its record. */
export function binary(name: string, record: BinaryRecord): OpDef<BinaryOp> {
  const { derivatives } = record;
  const scale = (b: Builder, node: Node<BinaryOp>, side: 0 | 1, v: Value | null | undefined): Value | null => {
    if (derivatives === 'zero' || v === null || v === undefined) return null;
    const rule = derivatives[side];
    if (rule === 'zero') return null;
    return b.mul(v, rule(b, node.operands[0]!, node.operands[1]!, node.results[0]!));
  };
  return {
    doc: record.doc,
    infer: (operands) => {
      expectOperands(operands, 2);
      const [x, y] = operands as [TensorType, TensorType];
      if (x.dtype !== y.dtype)
        throw new TypeMismatch(`operands of one dtype expected, ${x.dtype} and ${y.dtype} given; cast one of them`);
      if (!sameShape(x.shape, y.shape))
        throw new TypeMismatch(`operands of one shape expected, ${formatType(x)} and ${formatType(y)} given`);
      if (!accepts[record.dtypes](x.dtype)) refuse(classNames[record.dtypes], x);
      return [{ dtype: record.result ?? x.dtype, shape: x.shape }];
    },
    evaluate: ([x, y], _attrs, [type]) => [
      tabulate(type!, (_index, at) => record.evaluate(x!.data[at]!, y!.data[at]!, x!.type.dtype)),
    ],
    jvp:
      derivatives === 'zero' ? 'zero' : (b, node, [s, t]) => [b.addMaybe(scale(b, node, 0, s), scale(b, node, 1, t))],
    vjp: derivatives === 'zero' ? 'zero' : (b, node, [c]) => [scale(b, node, 0, c), scale(b, node, 1, c)],
    lowering: {
      class: 'element',
      cost: record.expensive === true ? 'expensive' : 'cheap',
      element: (s, index) => record.scalar(s.operand(0, index), s.operand(1, index)),
    },
    examples: binaryExamples(name, record),
  };
}

function binaryExamples(name: string, record: BinaryRecord): OpExample[] {
  const lists: Readonly<Record<DTypeClass, readonly DType[]>> = {
    float: ['f32', 'f64'],
    number: ['f32', 'f64', 'i32', 'u32'],
    integer: ['i32', 'u32'],
    bits: ['bool', 'i32', 'u32'],
    any: ['f32', 'i32', 'bool'],
  };
  return lists[record.dtypes].map((dtype) => ({
    text: `func @f(%x: ${dtype}[2,3], %y: ${dtype}[2,3]) {\n  %0 = ${name}(%x, %y)\n  return z = %0\n}`,
    ...(record.domain === undefined ? {} : { domain: record.domain }),
    differentiable: record.derivatives !== 'zero' && isFloat(dtype),
  }));
}

const both =
  (op: Parameters<typeof apply>[0]) =>
  (x: Expr, y: Expr): Expr =>
    apply(op, x, y);
const truth = (value: boolean): number => (value ? 1 : 0);
const width = (dtype: DType): number => (dtype === 'i64' ? 64 : dtype === 'i8' || dtype === 'u8' ? 8 : 32);

/** 1 where `first` is preferred, 0 where the other is, ½ at a tie. */
function share(b: Builder, preferred: Value, first: Value, second: Value): Value {
  const tie = b.select(b.eq(first, second), b.like(first, 0.5), b.like(first, 0));
  return b.select(preferred, b.like(first, 1), tie);
}

function divide(x: number, y: number, dtype: DType): number {
  if (isFloat(dtype)) return x / y;
  return y === 0 ? 0 : Math.trunc(x / y);
}

function remainder(x: number, y: number, dtype: DType): number {
  return !isFloat(dtype) && y === 0 ? 0 : x % y;
}

function shiftRight(x: number, y: number, dtype: DType): number {
  const places = y < 0 || y >= width(dtype) ? width(dtype) - 1 : y;
  if (dtype === 'u32' || dtype === 'u8') return y < 0 || y >= width(dtype) ? 0 : Math.floor(x / 2 ** places);
  return Math.floor(x / 2 ** places);
}

function shiftLeft(x: number, y: number, dtype: DType): number {
  return y < 0 || y >= width(dtype) ? 0 : dtype === 'i64' ? x * 2 ** y : x << y;
}

/** C's pow: like JavaScript's, but 1 to any power and −1 to an infinite power are 1. */
function power(x: number, y: number): number {
  if (x === 1 || (x === -1 && !Number.isFinite(y) && !Number.isNaN(y))) return 1;
  return x ** y;
}

const bitwise =
  (logical: (x: boolean, y: boolean) => boolean, bits: (x: bigint, y: bigint) => bigint) =>
  (x: number, y: number, dtype: DType): number =>
    dtype === 'bool' ? truth(logical(x !== 0, y !== 0)) : Number(BigInt.asIntN(64, bits(BigInt(x), BigInt(y))));

export const binaryRecords: Readonly<Record<BinaryOp, BinaryRecord>> = {
  add: {
    doc: 'x + y; integers wrap.',
    dtypes: 'number',
    evaluate: (x, y) => x + y,
    derivatives: [(b, x) => one(b, x), (b, x) => one(b, x)],
    scalar: both('add'),
  },
  sub: {
    doc: 'x − y; integers wrap.',
    dtypes: 'number',
    evaluate: (x, y) => x - y,
    derivatives: [(b, x) => one(b, x), (b, x) => b.like(x, -1)],
    scalar: both('sub'),
  },
  mul: {
    doc: 'x · y; integers wrap.',
    dtypes: 'number',
    evaluate: (x, y, dtype) => (dtype === 'i32' || dtype === 'u32' ? Math.imul(x, y) : x * y),
    derivatives: [(_b, _x, y) => y, (_b, x) => x],
    scalar: both('mul'),
  },
  div: {
    doc: 'x / y; integers truncate, and x / 0 is 0.',
    dtypes: 'number',
    evaluate: divide,
    derivatives: [(b, x, y) => b.div(one(b, x), y), (b, _x, y, z) => b.neg(b.div(z, y))],
    scalar: both('div'),
    domain: [0.4, 3],
  },
  rem: {
    doc: 'The remainder of truncated division (the sign of x); integers: x rem 0 is 0.',
    dtypes: 'number',
    evaluate: remainder,
    derivatives: [
      (b, x) => one(b, x),
      (b, x, y) => b.neg(b.select(b.lt(b.div(x, y), b.like(x, 0)), b.ceil(b.div(x, y)), b.floor(b.div(x, y)))),
    ],
    scalar: both('rem'),
    domain: [1.1, 1.9],
    expensive: true,
  },
  pow: {
    doc: 'x to the power y, as C pow.',
    dtypes: 'float',
    evaluate: power,
    derivatives: [
      (b, x, y) => b.mul(y, b.pow(x, b.sub(y, one(b, y)))),
      (b, x, _y, z) => b.mul(z, b.log(b.select(b.gt(x, b.like(x, 0)), x, one(b, x)))),
    ],
    scalar: both('pow'),
    domain: [0.4, 2],
    expensive: true,
  },
  max: {
    doc: 'The greater; NaN if either is NaN. At a tie both get half of the derivative.',
    dtypes: 'number',
    evaluate: (x, y) => Math.max(x, y),
    derivatives: [(b, x, y) => share(b, b.gt(x, y), x, y), (b, x, y) => share(b, b.gt(y, x), y, x)],
    scalar: both('max'),
  },
  min: {
    doc: 'The lesser; NaN if either is NaN. At a tie both get half of the derivative.',
    dtypes: 'number',
    evaluate: (x, y) => Math.min(x, y),
    derivatives: [(b, x, y) => share(b, b.lt(x, y), x, y), (b, x, y) => share(b, b.lt(y, x), y, x)],
    scalar: both('min'),
  },
  atan2: {
    doc: 'The angle of the point (y, x) given as atan2(y, x), in radians.',
    dtypes: 'float',
    evaluate: Math.atan2,
    derivatives: [
      (b, y, x) => b.div(x, b.add(square(b, x), square(b, y))),
      (b, y, x) => b.neg(b.div(y, b.add(square(b, x), square(b, y)))),
    ],
    scalar: both('atan2'),
    domain: [0.4, 2],
    expensive: true,
  },
  and: {
    doc: 'Logical and of bools, bitwise and of integers.',
    dtypes: 'bits',
    evaluate: bitwise(
      (x, y) => x && y,
      (x, y) => x & y,
    ),
    derivatives: 'zero',
    scalar: both('and'),
  },
  or: {
    doc: 'Logical or of bools, bitwise or of integers.',
    dtypes: 'bits',
    evaluate: bitwise(
      (x, y) => x || y,
      (x, y) => x | y,
    ),
    derivatives: 'zero',
    scalar: both('or'),
  },
  xor: {
    doc: 'Exclusive or of bools or of bits.',
    dtypes: 'bits',
    evaluate: bitwise(
      (x, y) => x !== y,
      (x, y) => x ^ y,
    ),
    derivatives: 'zero',
    scalar: both('xor'),
  },
  shl: {
    doc: 'x shifted left by y bits; 0 for y outside [0, width).',
    dtypes: 'integer',
    evaluate: shiftLeft,
    derivatives: 'zero',
    scalar: both('shl'),
  },
  shr: {
    doc: 'x shifted right by y bits, filling with the sign; beyond the width only the sign remains.',
    dtypes: 'integer',
    evaluate: shiftRight,
    derivatives: 'zero',
    scalar: both('shr'),
  },
  eq: {
    doc: 'x = y.',
    dtypes: 'any',
    result: 'bool',
    evaluate: (x, y) => truth(x === y),
    derivatives: 'zero',
    scalar: both('eq'),
  },
  ne: {
    doc: 'x ≠ y; true if either is NaN.',
    dtypes: 'any',
    result: 'bool',
    evaluate: (x, y) => truth(x !== y),
    derivatives: 'zero',
    scalar: both('ne'),
  },
  lt: {
    doc: 'x < y.',
    dtypes: 'number',
    result: 'bool',
    evaluate: (x, y) => truth(x < y),
    derivatives: 'zero',
    scalar: both('lt'),
  },
  le: {
    doc: 'x ≤ y.',
    dtypes: 'number',
    result: 'bool',
    evaluate: (x, y) => truth(x <= y),
    derivatives: 'zero',
    scalar: both('le'),
  },
  gt: {
    doc: 'x > y.',
    dtypes: 'number',
    result: 'bool',
    evaluate: (x, y) => truth(x > y),
    derivatives: 'zero',
    scalar: both('gt'),
  },
  ge: {
    doc: 'x ≥ y.',
    dtypes: 'number',
    result: 'bool',
    evaluate: (x, y) => truth(x >= y),
    derivatives: 'zero',
    scalar: both('ge'),
  },
};

function entries<K extends string, R, D>(
  records: Readonly<Record<K, R>>,
  make: (name: string, record: R) => D,
): Readonly<Record<K, D>> {
  return Object.fromEntries(Object.entries(records).map(([name, record]) => [name, make(name, record as R)])) as Record<
    K,
    D
  >;
}

export const elementwiseOps = {
  ...entries(unaryRecords, unary),
  ...entries(binaryRecords, binary),
} as Pick<OpTable, UnaryOp | BinaryOp>;
