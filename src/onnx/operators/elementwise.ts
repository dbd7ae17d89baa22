// Operators that compute each element from those at the same place: arithmetic, comparison, logic, bits, activations, casts.

import type { BinaryOp, UnaryOp } from '../../ir/opattrs.ts';
import { elementwise } from '../../lang/functions.ts';
import type { AnyTensor } from '../../lang/tensor.ts';
import { elu, geluTanh, leakyRelu } from '../../nn/activations.ts';
import { type ElementType, elementTypeName, elementTypes, isFloatType, knownElementType } from '../element-types.ts';
import { like, type NodeContext, type OnnxValue, type Operator, shapeOf, typed } from '../node-context.ts';
import { axisOf } from './axes.ts';
import {
  choose,
  combine,
  converted,
  expectFloat,
  greater,
  less,
  lesser,
  quotient,
  shiftedRightUnsigned,
  wrap,
} from './values.ts';

/** An operation of the table on one tensor. */
const unary =
  (op: UnaryOp): Operator =>
  (node) => {
    const x = node.input(0);
    return wrap(x.type, elementwise(op, x.tensor) as AnyTensor);
  };

/** An operation on the sign, which uint64 does not have though its carrier does. */
const signed =
  (op: 'abs' | 'sign', ofUnsigned: (x: AnyTensor) => AnyTensor): Operator =>
  (node) => {
    const x = node.input(0);
    return x.type === 'uint64' ? like(x, ofUnsigned(x.tensor)) : unary(op)(node);
  };

/** A function of one tensor of floats. */
const floats =
  (compute: (x: AnyTensor, node: NodeContext) => AnyTensor): Operator =>
  (node) => {
    const x = expectFloat(node, node.input(0));
    return like(x, compute(x.tensor, node));
  };

const binary =
  (op: BinaryOp): Operator =>
  (node) =>
    combine(op, node.input(0), secondOperand(node));

/** Before version 7 the second operand is broadcast on request only, from an axis on. */
function secondOperand(node: NodeContext): OnnxValue {
  const y = node.input(1);
  if (node.opset >= 7 || node.int('broadcast', 0) === 0) return y;
  const rank = shapeOf(node.input(0)).length;
  const axis = axisOf(node, node.int('axis', rank - shapeOf(y).length), rank, rank + 1);
  const after = rank - axis - shapeOf(y).length;
  if (after < 0) node.invalid(`[${shapeOf(y)}] does not fit from axis ${axis} of ${rank}`);
  return like(y, y.tensor.reshape([...shapeOf(y), ...Array<number>(after).fill(1)]));
}

const compared =
  (compare: (x: OnnxValue, y: OnnxValue) => AnyTensor): Operator =>
  (node) =>
    typed(compare(node.input(0), secondOperand(node)), 'bool');

/** One operand after another, broadcast. */
const folded =
  (join: (x: OnnxValue, y: OnnxValue) => OnnxValue): Operator =>
  (node) =>
    node.allInputs().reduce(join);

/** Integers: the sign of the divisor, or with fmod, as for floats, of the dividend. */
const mod: Operator = (node) => {
  const [x, y] = [node.input(0), node.input(1)];
  if (node.int('fmod', 0) !== 0) return x.type === 'uint64' ? remainderUnsigned(x, y) : combine('rem', x, y);
  if (isFloatType(x.type)) return node.invalid('integers expected where fmod is 0');
  if (x.type === 'uint64') return remainderUnsigned(x, y);
  const rest: AnyTensor = x.tensor.rem(y.tensor);
  if (x.type.startsWith('u')) return like(x, rest);
  const turned: AnyTensor = rest.ne(0).and(rest.lt(0).ne(y.tensor.lt(0)));
  return like(x, choose(turned, rest.add(y.tensor), rest));
};

const remainderUnsigned = (x: OnnxValue, y: OnnxValue): OnnxValue =>
  like(x, x.tensor.sub(quotient(x, y).tensor.mul(y.tensor)));

/** The result has the type of the base. */
const pow: Operator = (node) => {
  const [x, y] = [node.input(0), secondOperand(node)];
  if (isFloatType(x.type)) return like(x, x.tensor.pow(converted(y, x.type).tensor));
  const exponent = converted(y, x.type).tensor;
  const whole = wholePower(x.tensor, exponent);
  if (!isFloatType(y.type)) return wrap(x.type, whole);
  const approximate = converted(like(y, converted(x, y.type).tensor.pow(y.tensor)), x.type).tensor;
  const isWhole: AnyTensor = y.tensor.floor().eq(y.tensor).and(y.tensor.ge(0));
  return wrap(x.type, choose(isWhole, whole, approximate));
};

/** x to a whole power, exactly: the product of x^(2^i) over the exponent's bits. Negative powers of integers are 0, but of ±1. */
function wholePower(x: AnyTensor, exponent: AnyTensor): AnyTensor {
  const bits = { i8: 7, u8: 8, i32: 31, u32: 32, i64: 63 }[x.dtype as 'i8'];
  let [product, square]: AnyTensor[] = [choose(exponent.eq(exponent), 1, x), x];
  for (let bit = 0; bit < bits; bit++) {
    const taken: AnyTensor = exponent.shr(bit).and(1).ne(0);
    product = product!.mul(choose(taken, square!, 1));
    square = square!.mul(square!);
  }
  if (x.dtype.startsWith('u')) return product!;
  const odd: AnyTensor = exponent.and(1).ne(0);
  const one: AnyTensor = choose(
    x.eq(-1),
    choose(odd, -1, choose(x.eq(x), 1, x)),
    choose(x.eq(1), 1, choose(x.eq(x), 0, x)),
  );
  return choose(exponent.lt(0), one, product!);
}

const bitShift: Operator = (node) => {
  const [x, y] = [node.input(0), node.input(1)];
  if (node.string('direction') === 'LEFT') return combine('shl', x, y);
  return x.type === 'uint64' ? like(x, shiftedRightUnsigned(x.tensor, y.tensor)) : combine('shr', x, y);
};

const isInf: Operator = (node) => {
  const { tensor } = node.input(0);
  const infinity = Number.POSITIVE_INFINITY;
  const found: AnyTensor[] = [];
  if (node.int('detect_positive', 1) !== 0) found.push(tensor.eq(infinity));
  if (node.int('detect_negative', 1) !== 0) found.push(tensor.eq(-infinity));
  return typed(
    found.reduce((a, b) => a.or(b), tensor.isNaN().and(tensor.isNaN().not())),
    'bool',
  );
};

/** Bounds are attributes before version 11, then scalars that may be left out. */
const clip: Operator = (node) => {
  const x = node.input(0);
  const bound = (position: number, name: string): OnnxValue | null => {
    if (node.opset >= 11) return node.optional(position);
    return node.has(name) ? node.fill(x.type, [], node.float(name)) : null;
  };
  const [low, high] = [bound(1, 'min'), bound(2, 'max')];
  const raised = low === null ? x : greater(x, low);
  return high === null ? raised : lesser(raised, high);
};

const where: Operator = (node) => {
  const x = node.input(1);
  return like(x, choose(node.input(0).tensor, x.tensor, node.input(2).tensor));
};

/** Before version 6 the type is a name. */
const cast: Operator = (node) => {
  const number = node.opset < 6 ? elementTypes.indexOf(node.string('to').toLowerCase() as 'float') : node.int('to');
  return converted(node.input(0), targetType(node, number));
};

export function targetType(node: NodeContext, number: number): ElementType {
  const type = knownElementType(number);
  return type ?? node.unsupported(`elements of type ${elementTypeName(number) ?? number}`);
}

/** The slope is broadcast to x; in version 7 a vector may stand for channels. */
const prelu: Operator = (node) => {
  const [x, slope] = [node.input(0), node.input(1)];
  return like(x, choose(x.tensor.lt(0), combine('mul', x, slope).tensor, x.tensor));
};

const mean: Operator = (node) => {
  const sum = node.allInputs().reduce((x, y) => combine('add', x, y));
  return like(sum, sum.tensor.div(node.inputs.length));
};

const gelu = (x: AnyTensor, node: NodeContext): AnyTensor =>
  node.string('approximate', 'none') === 'tanh' ? geluTanh(x) : x.mul(0.5).mul(x.mul(Math.SQRT1_2).erf().add(1));

const celu = (x: AnyTensor, node: NodeContext): AnyTensor => {
  const alpha = node.float('alpha', 1);
  return choose(x.gt(0), x, x.minimum(0).div(alpha).expm1().mul(alpha));
};

const selu = (x: AnyTensor, node: NodeContext): AnyTensor => {
  const alpha = node.float('alpha', 1.6732631921768188);
  const gamma = node.float('gamma', 1.0507010221481323);
  return choose(x.gt(0), x, x.minimum(0).expm1().mul(alpha)).mul(gamma);
};

const hardSigmoid = (x: AnyTensor, alpha: number, beta: number): AnyTensor =>
  x.mul(alpha).add(beta).maximum(0).minimum(1);

const shrink: Operator = (node) => {
  const x = node.input(0);
  const [bias, lambd] = [node.float('bias', 0), node.float('lambd', 0.5)];
  const real = isFloatType(x.type) ? x : converted(x, 'float');
  const { tensor } = real;
  const shrunk = choose(tensor.gt(lambd), tensor.sub(bias), choose(tensor.lt(-lambd), tensor.add(bias), 0));
  return converted(like(real, shrunk), x.type);
};

const thresholdedRelu = (x: AnyTensor, node: NodeContext): AnyTensor => choose(x.gt(node.float('alpha', 1)), x, 0);

export const elementwiseOperators: Readonly<Record<string, Operator>> = {
  Abs: signed('abs', (x) => x),
  Neg: unary('neg'),
  Sign: signed('sign', (x) => x.ne(0).cast('i64')),
  Floor: unary('floor'),
  Ceil: unary('ceil'),
  Round: unary('round'),
  Sqrt: unary('sqrt'),
  Exp: unary('exp'),
  Log: unary('log'),
  Sin: unary('sin'),
  Cos: unary('cos'),
  Tan: unary('tan'),
  Asin: unary('asin'),
  Acos: unary('acos'),
  Atan: unary('atan'),
  Sinh: unary('sinh'),
  Cosh: unary('cosh'),
  Tanh: unary('tanh'),
  Asinh: unary('asinh'),
  Acosh: unary('acosh'),
  Atanh: unary('atanh'),
  Erf: unary('erf'),
  Not: unary('not'),
  BitwiseNot: unary('not'),
  Relu: unary('relu'),
  Sigmoid: floats((x) => x.sigmoid()),
  Softplus: floats((x) => x.softplus()),
  Reciprocal: floats((x) => x.mul(0).add(1).div(x)),
  Softsign: floats((x) => x.div(x.abs().add(1))),
  LeakyRelu: floats((x, node) => leakyRelu(node.float('alpha', 0.01))(x)),
  Elu: floats((x, node) => elu(node.float('alpha', 1))(x)),
  Celu: floats(celu),
  Selu: floats(selu),
  Gelu: floats(gelu),
  Mish: floats((x) => x.mul(x.softplus().tanh())),
  HardSigmoid: floats((x, node) => hardSigmoid(x, node.float('alpha', 0.2), node.float('beta', 0.5))),
  HardSwish: floats((x) => x.mul(hardSigmoid(x, 1 / 6, 0.5))),
  ThresholdedRelu: floats(thresholdedRelu),
  Shrink: shrink,
  PRelu: prelu,
  Clip: clip,

  Add: binary('add'),
  Sub: binary('sub'),
  Mul: binary('mul'),
  Div: (node) => quotient(node.input(0), secondOperand(node)),
  Mod: mod,
  Pow: pow,
  Sum: folded((x, y) => combine('add', x, y)),
  Mean: mean,
  Max: folded(greater),
  Min: folded(lesser),

  And: binary('and'),
  Or: binary('or'),
  Xor: binary('xor'),
  BitwiseAnd: binary('and'),
  BitwiseOr: binary('or'),
  BitwiseXor: binary('xor'),
  BitShift: bitShift,

  Equal: compared((x, y) => x.tensor.eq(y.tensor)),
  Less: compared(less),
  Greater: compared((x, y) => less(y, x)),
  LessOrEqual: compared((x, y) => notGreater(x, y)),
  GreaterOrEqual: compared((x, y) => notGreater(y, x)),
  IsNaN: (node) => typed(node.input(0).tensor.isNaN(), 'bool'),
  IsInf: isInf,

  Where: where,
  Cast: cast,
  CastLike: (node) => converted(node.input(0), node.input(1).type),
  Identity: (node) => node.input(0),
};

/** x ≤ y; false where either is NaN. */
function notGreater(x: OnnxValue, y: OnnxValue): AnyTensor {
  return x.type === 'uint64' ? less(y, x).not() : x.tensor.le(y.tensor);
}
