// Binary elementwise operations on operands of one type: one record each, in the form of the unary ones.

import type { Builder } from '../builder.ts';
import type { Value } from '../graph.ts';
import { apply, type Expr } from '../kernel.ts';
import { type DType, isFloat } from '../types.ts';
import type { BinaryRecord } from './element-record.ts';

const one = (b: Builder, x: Value): Value => b.like(x, 1);
const square = (b: Builder, x: Value): Value => b.mul(x, x);
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

export class BinaryOperations {
  readonly add: BinaryRecord = {
    doc: 'x + y; integers wrap.',
    dtypes: 'number',
    evaluate: (x, y) => x + y,
    derivatives: [(b, x) => one(b, x), (b, x) => one(b, x)],
    scalar: both('add'),
  };
  readonly sub: BinaryRecord = {
    doc: 'x − y; integers wrap.',
    dtypes: 'number',
    evaluate: (x, y) => x - y,
    derivatives: [(b, x) => one(b, x), (b, x) => b.like(x, -1)],
    scalar: both('sub'),
  };
  readonly mul: BinaryRecord = {
    doc: 'x · y; integers wrap.',
    dtypes: 'number',
    evaluate: (x, y, dtype) => (dtype === 'i32' || dtype === 'u32' ? Math.imul(x, y) : x * y),
    derivatives: [(_b, _x, y) => y, (_b, x) => x],
    scalar: both('mul'),
  };
  readonly div: BinaryRecord = {
    doc: 'x / y; integers truncate, and x / 0 is 0.',
    dtypes: 'number',
    evaluate: divide,
    derivatives: [(b, x, y) => b.div(one(b, x), y), (b, _x, y, z) => b.neg(b.div(z, y))],
    scalar: both('div'),
    domain: [0.4, 3],
  };
  readonly rem: BinaryRecord = {
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
  };
  readonly pow: BinaryRecord = {
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
  };
  readonly max: BinaryRecord = {
    doc: 'The greater; NaN if either is NaN. At a tie both get half of the derivative.',
    dtypes: 'number',
    evaluate: (x, y) => Math.max(x, y),
    derivatives: [(b, x, y) => share(b, b.gt(x, y), x, y), (b, x, y) => share(b, b.gt(y, x), y, x)],
    scalar: both('max'),
  };
  readonly min: BinaryRecord = {
    doc: 'The lesser; NaN if either is NaN. At a tie both get half of the derivative.',
    dtypes: 'number',
    evaluate: (x, y) => Math.min(x, y),
    derivatives: [(b, x, y) => share(b, b.lt(x, y), x, y), (b, x, y) => share(b, b.lt(y, x), y, x)],
    scalar: both('min'),
  };
  readonly atan2: BinaryRecord = {
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
  };
  readonly and: BinaryRecord = {
    doc: 'Logical and of bools, bitwise and of integers.',
    dtypes: 'bits',
    evaluate: bitwise(
      (x, y) => x && y,
      (x, y) => x & y,
    ),
    derivatives: 'zero',
    scalar: both('and'),
  };
  readonly or: BinaryRecord = {
    doc: 'Logical or of bools, bitwise or of integers.',
    dtypes: 'bits',
    evaluate: bitwise(
      (x, y) => x || y,
      (x, y) => x | y,
    ),
    derivatives: 'zero',
    scalar: both('or'),
  };
  readonly xor: BinaryRecord = {
    doc: 'Exclusive or of bools or of bits.',
    dtypes: 'bits',
    evaluate: bitwise(
      (x, y) => x !== y,
      (x, y) => x ^ y,
    ),
    derivatives: 'zero',
    scalar: both('xor'),
  };
  readonly shl: BinaryRecord = {
    doc: 'x shifted left by y bits; 0 for y outside [0, width).',
    dtypes: 'integer',
    evaluate: shiftLeft,
    derivatives: 'zero',
    scalar: both('shl'),
  };
  readonly shr: BinaryRecord = {
    doc: 'x shifted right by y bits, filling with the sign; beyond the width only the sign remains.',
    dtypes: 'integer',
    evaluate: shiftRight,
    derivatives: 'zero',
    scalar: both('shr'),
  };
  readonly eq: BinaryRecord = {
    doc: 'x = y.',
    dtypes: 'any',
    result: 'bool',
    evaluate: (x, y) => truth(x === y),
    derivatives: 'zero',
    scalar: both('eq'),
  };
  readonly ne: BinaryRecord = {
    doc: 'x ≠ y; true if either is NaN.',
    dtypes: 'any',
    result: 'bool',
    evaluate: (x, y) => truth(x !== y),
    derivatives: 'zero',
    scalar: both('ne'),
  };
  readonly lt: BinaryRecord = {
    doc: 'x < y.',
    dtypes: 'number',
    result: 'bool',
    evaluate: (x, y) => truth(x < y),
    derivatives: 'zero',
    scalar: both('lt'),
  };
  readonly le: BinaryRecord = {
    doc: 'x ≤ y.',
    dtypes: 'number',
    result: 'bool',
    evaluate: (x, y) => truth(x <= y),
    derivatives: 'zero',
    scalar: both('le'),
  };
  readonly gt: BinaryRecord = {
    doc: 'x > y.',
    dtypes: 'number',
    result: 'bool',
    evaluate: (x, y) => truth(x > y),
    derivatives: 'zero',
    scalar: both('gt'),
  };
  readonly ge: BinaryRecord = {
    doc: 'x ≥ y.',
    dtypes: 'number',
    result: 'bool',
    evaluate: (x, y) => truth(x >= y),
    derivatives: 'zero',
    scalar: both('ge'),
  };
}

export const binaryRecords = new BinaryOperations();
