// Unary elementwise operations: one record each, and nothing else anywhere. The record's class of dtypes gives the type rule;
// evaluation, derivative and scalar expansion are a line each. The names of operations are the names of these properties:
// a class, because its properties state their types, so that names can be taken from it without evaluating the records.

import type { Builder } from '../builder.ts';
import type { Value } from '../graph.ts';
import { apply, choose, type Expr, literal } from '../kernel.ts';
import type { UnaryRecord } from './element-record.ts';
import { erf, roundHalfEven } from './special.ts';

const constantLike = (x: Expr, value: number): Expr => literal(x.dtype, value);
const one = (b: Builder, x: Value): Value => b.like(x, 1);
const square = (b: Builder, x: Value): Value => b.mul(x, x);
const direct =
  (op: Parameters<typeof apply>[0]) =>
  (x: Expr): Expr =>
    apply(op, x);

export class UnaryOperations {
  readonly neg: UnaryRecord = {
    doc: '−x; integers wrap.',
    dtypes: 'number',
    cheap: true,
    evaluate: (x) => -x,
    derivative: (b, x) => b.like(x, -1),
    scalar: direct('neg'),
  };
  readonly abs: UnaryRecord = {
    doc: '|x|; its derivative at 0 is 0.',
    dtypes: 'number',
    cheap: true,
    evaluate: Math.abs,
    derivative: (b, x) => b.sign(x),
    scalar: direct('abs'),
  };
  readonly sign: UnaryRecord = {
    doc: '−1, 0 or 1; NaN for NaN.',
    dtypes: 'number',
    cheap: true,
    evaluate: Math.sign,
    derivative: 'zero',
    scalar: direct('sign'),
  };
  readonly floor: UnaryRecord = {
    doc: 'The greatest integer not above x.',
    dtypes: 'float',
    cheap: true,
    evaluate: Math.floor,
    derivative: 'zero',
    scalar: direct('floor'),
  };
  readonly ceil: UnaryRecord = {
    doc: 'The least integer not below x.',
    dtypes: 'float',
    cheap: true,
    evaluate: Math.ceil,
    derivative: 'zero',
    scalar: direct('ceil'),
  };
  readonly round: UnaryRecord = {
    doc: 'The nearest integer, ties to even.',
    dtypes: 'float',
    cheap: true,
    evaluate: roundHalfEven,
    derivative: 'zero',
    scalar: direct('round'),
  };
  readonly sqrt: UnaryRecord = {
    doc: '√x.',
    dtypes: 'float',
    cheap: true,
    evaluate: Math.sqrt,
    derivative: (b, x, y) => b.div(b.like(x, 0.5), y),
    scalar: direct('sqrt'),
    domain: [0.3, 3],
  };
  readonly rsqrt: UnaryRecord = {
    doc: '1/√x.',
    dtypes: 'float',
    cheap: true,
    evaluate: (x) => 1 / Math.sqrt(x),
    derivative: (b, x, y) => b.div(b.mul(b.like(x, -0.5), y), x),
    scalar: (x) => apply('div', constantLike(x, 1), apply('sqrt', x)),
    domain: [0.3, 3],
  };
  readonly exp: UnaryRecord = {
    doc: 'eˣ.',
    dtypes: 'float',
    evaluate: Math.exp,
    derivative: (_b, _x, y) => y,
    scalar: direct('exp'),
  };
  readonly expm1: UnaryRecord = {
    doc: 'eˣ − 1, exact near 0.',
    dtypes: 'float',
    evaluate: Math.expm1,
    derivative: (b, x, y) => b.add(y, one(b, x)),
    scalar: direct('expm1'),
  };
  readonly log: UnaryRecord = {
    doc: 'Natural logarithm.',
    dtypes: 'float',
    evaluate: Math.log,
    derivative: (b, x) => b.div(one(b, x), x),
    scalar: direct('log'),
    domain: [0.3, 3],
  };
  readonly log1p: UnaryRecord = {
    doc: 'log(1 + x), exact near 0.',
    dtypes: 'float',
    evaluate: Math.log1p,
    derivative: (b, x) => b.div(one(b, x), b.add(one(b, x), x)),
    scalar: direct('log1p'),
    domain: [-0.6, 3],
  };
  readonly sin: UnaryRecord = {
    doc: 'Sine of radians.',
    dtypes: 'float',
    evaluate: Math.sin,
    derivative: (b, x) => b.cos(x),
    scalar: direct('sin'),
  };
  readonly cos: UnaryRecord = {
    doc: 'Cosine of radians.',
    dtypes: 'float',
    evaluate: Math.cos,
    derivative: (b, x) => b.neg(b.sin(x)),
    scalar: direct('cos'),
  };
  readonly tan: UnaryRecord = {
    doc: 'Tangent of radians.',
    dtypes: 'float',
    evaluate: Math.tan,
    derivative: (b, x, y) => b.add(one(b, x), square(b, y)),
    scalar: direct('tan'),
    domain: [-1.2, 1.2],
  };
  readonly asin: UnaryRecord = {
    doc: 'Inverse sine, in radians.',
    dtypes: 'float',
    evaluate: Math.asin,
    derivative: (b, x) => b.rsqrt(b.sub(one(b, x), square(b, x))),
    scalar: direct('asin'),
    domain: [-0.8, 0.8],
  };
  readonly acos: UnaryRecord = {
    doc: 'Inverse cosine, in radians.',
    dtypes: 'float',
    evaluate: Math.acos,
    derivative: (b, x) => b.neg(b.rsqrt(b.sub(one(b, x), square(b, x)))),
    scalar: direct('acos'),
    domain: [-0.8, 0.8],
  };
  readonly atan: UnaryRecord = {
    doc: 'Inverse tangent, in radians.',
    dtypes: 'float',
    evaluate: Math.atan,
    derivative: (b, x) => b.div(one(b, x), b.add(one(b, x), square(b, x))),
    scalar: direct('atan'),
  };
  readonly sinh: UnaryRecord = {
    doc: 'Hyperbolic sine.',
    dtypes: 'float',
    evaluate: Math.sinh,
    derivative: (b, x) => b.cosh(x),
    scalar: direct('sinh'),
  };
  readonly cosh: UnaryRecord = {
    doc: 'Hyperbolic cosine.',
    dtypes: 'float',
    evaluate: Math.cosh,
    derivative: (b, x) => b.sinh(x),
    scalar: direct('cosh'),
  };
  readonly tanh: UnaryRecord = {
    doc: 'Hyperbolic tangent.',
    dtypes: 'float',
    evaluate: Math.tanh,
    derivative: (b, x, y) => b.sub(one(b, x), square(b, y)),
    scalar: direct('tanh'),
  };
  readonly asinh: UnaryRecord = {
    doc: 'Inverse hyperbolic sine.',
    dtypes: 'float',
    evaluate: Math.asinh,
    derivative: (b, x) => b.rsqrt(b.add(one(b, x), square(b, x))),
    scalar: direct('asinh'),
  };
  readonly acosh: UnaryRecord = {
    doc: 'Inverse hyperbolic cosine.',
    dtypes: 'float',
    evaluate: Math.acosh,
    derivative: (b, x) => b.rsqrt(b.sub(square(b, x), one(b, x))),
    scalar: direct('acosh'),
    domain: [1.3, 4],
  };
  readonly atanh: UnaryRecord = {
    doc: 'Inverse hyperbolic tangent.',
    dtypes: 'float',
    evaluate: Math.atanh,
    derivative: (b, x) => b.div(one(b, x), b.sub(one(b, x), square(b, x))),
    scalar: direct('atanh'),
    domain: [-0.8, 0.8],
  };
  readonly relu: UnaryRecord = {
    doc: 'max(x, 0); NaN stays NaN, and the derivative at 0 is 0.',
    dtypes: 'number',
    cheap: true,
    evaluate: (x) => (x <= 0 ? 0 : x),
    // In terms of the result, so that the operand need not be kept for the way back.
    derivative: (b, _x, y) => b.select(b.gt(y, b.like(y, 0)), b.like(y, 1), b.like(y, 0)),
    scale: (b, v, y) => b.select(b.gt(y, b.like(y, 0)), v, b.like(v, 0)),
    scalar: (x) => choose(apply('le', x, constantLike(x, 0)), constantLike(x, 0), x),
  };
  readonly sigmoid: UnaryRecord = {
    doc: '1/(1 + e⁻ˣ).',
    dtypes: 'float',
    evaluate: (x) => 1 / (1 + Math.exp(-x)),
    derivative: (b, x, y) => b.mul(y, b.sub(one(b, x), y)),
    // e^−|x|/(1 + e^−|x|) left of 0: nothing overflows, and small results keep their digits.
    scalar: (x) => {
      const e = apply('exp', apply('neg', apply('abs', x)));
      const numerator = choose(apply('lt', x, constantLike(x, 0)), e, constantLike(x, 1));
      return apply('div', numerator, apply('add', constantLike(x, 1), e));
    },
  };
  readonly softplus: UnaryRecord = {
    doc: 'log(1 + eˣ), without overflow.',
    dtypes: 'float',
    evaluate: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    derivative: (b, x) => b.sigmoid(x),
    scalar: (x) =>
      apply('add', apply('max', x, constantLike(x, 0)), apply('log1p', apply('exp', apply('neg', apply('abs', x))))),
  };
  readonly erf: UnaryRecord = {
    doc: 'The error function 2/√π ∫₀ˣ e^(−t²) dt.',
    dtypes: 'float',
    evaluate: erf,
    derivative: (b, x) => b.mul(b.like(x, 2 / Math.sqrt(Math.PI)), b.exp(b.neg(square(b, x)))),
    scalar: direct('erf'),
  };
  readonly stopGradient: UnaryRecord = {
    doc: 'x itself, which derivatives take as a constant.',
    dtypes: 'float',
    free: true,
    evaluate: (x) => x,
    derivative: 'zero',
    scalar: (x) => x,
  };
  readonly not: UnaryRecord = {
    doc: 'Logical not of bool, bitwise complement of integers.',
    dtypes: 'bits',
    cheap: true,
    evaluate: (x, dtype) => (dtype === 'bool' ? 1 - x : dtype === 'i64' ? -x - 1 : ~x),
    derivative: 'zero',
    scalar: direct('not'),
  };
  readonly isnan: UnaryRecord = {
    doc: 'True where x is NaN.',
    dtypes: 'float',
    result: 'bool',
    cheap: true,
    evaluate: (x) => (Number.isNaN(x) ? 1 : 0),
    derivative: 'zero',
    scalar: (x) => apply('ne', x, x),
  };
}

export const unaryRecords = new UnaryOperations();
