// Typed tensors in expressions: results brought back into the range of their type, and integers of 64 bits without a sign, which the
// i64 of the same bits carries.

import type { BinaryOp } from '../../ir/opattrs.ts';
import { where } from '../../lang/functions.ts';
import { type AnyTensor, binary, reduceAxes } from '../../lang/tensor.ts';
import { carrierOf, type ElementType, isFloatType } from '../element-types.ts';
import type { NodeContext, OnnxValue } from '../node-context.ts';

/** Results of 16-bit arithmetic, which is carried in 32 bits, modulo 2^16; others are in range as they are. */
export function wrap(type: ElementType, tensor: AnyTensor): OnnxValue {
  if (type === 'uint16') return { type, tensor: tensor.and(0xffff) };
  if (type === 'int16') return { type, tensor: tensor.shl(16).shr(16) };
  return { type, tensor };
}

/** A binary operation with NumPy's broadcasting on two tensors of one type, which the result has. */
export function combine(op: BinaryOp, x: OnnxValue, y: OnnxValue): OnnxValue {
  return wrap(x.type, binary(op, x.tensor, y.tensor));
}

/** x < y in the order of their type. */
export function less(x: OnnxValue, y: OnnxValue): AnyTensor {
  if (x.type !== 'uint64') return x.tensor.lt(y.tensor);
  const isLarge: AnyTensor = y.tensor.lt(0);
  return choose(x.tensor.lt(0).ne(isLarge), isLarge, x.tensor.lt(y.tensor));
}

/** The greater of both; NaN if either is. */
export function greater(x: OnnxValue, y: OnnxValue): OnnxValue {
  if (x.type === 'uint64') return { type: x.type, tensor: choose(less(x, y), y.tensor, x.tensor) };
  return { type: x.type, tensor: x.tensor.maximum(y.tensor) };
}

/** The lesser of both; NaN if either is. */
export function lesser(x: OnnxValue, y: OnnxValue): OnnxValue {
  if (x.type === 'uint64') return { type: x.type, tensor: choose(less(x, y), x.tensor, y.tensor) };
  return { type: x.type, tensor: x.tensor.minimum(y.tensor) };
}

/** `where` on tensors and numbers of any type. */
export function choose(condition: AnyTensor, then: AnyTensor | number, otherwise: AnyTensor | number): AnyTensor {
  return where(condition, then as AnyTensor, otherwise as AnyTensor) as AnyTensor;
}

/** x / y, truncated for integers. */
export function quotient(x: OnnxValue, y: OnnxValue): OnnxValue {
  if (x.type !== 'uint64') return combine('div', x, y);
  return { type: x.type, tensor: dividedUnsigned(x.tensor, y.tensor) };
}

/**
 * The quotient of uint64 by signed division (H. Warren, Hacker's Delight, 2nd edition, section 9-3): half of x is not negative, so
 * q = ((x >> 1) / y) << 1 is right or one too small; a divisor of 2^63 or more goes into x once at most.
 */
function dividedUnsigned(x: AnyTensor, y: AnyTensor): AnyTensor {
  const half: AnyTensor = shiftedRightUnsigned(x, 1).div(y).shl(1);
  const rest: AnyTensor = x.sub(half.mul(y));
  const [typedX, typedY, typedRest] = [x, y, rest].map((tensor): OnnxValue => ({ type: 'uint64', tensor }));
  const small = choose(x.ge(0), x.div(y), half.add(less(typedRest!, typedY!).not().cast('i64')));
  return choose(y.lt(0), less(typedX!, typedY!).not().cast('i64'), small);
}

/** uint64 shifted right: zeros come in. The number of places is a number or a tensor. */
export function shiftedRightUnsigned(x: AnyTensor, places: AnyTensor | number): AnyTensor {
  // The first place clears the sign, so that the others bring in zeros.
  const cleared: AnyTensor = x.shr(1).sub(x.mul(0).add(1).shl(63));
  const most = choose(x.lt(0), cleared, x.shr(1));
  if (places === 1) return most;
  if (typeof places === 'number') return places === 0 ? x : most.shr(places - 1);
  const several = choose(places.gt(63), 0, most.shr(places.sub(1)));
  return choose(places.eq(0), x, several);
}

/**
 * A value as another type: floats to integers truncate, wider integers wrap, anything but 0 is true. float16 and bfloat16 become f32
 * with the range of the type but not its rounding.
 */
export function converted(x: OnnxValue, type: ElementType): OnnxValue {
  if (x.type === type) return x;
  if (type === 'bool') return { type, tensor: x.tensor.cast('bool') };
  if (x.type === 'uint64' && isFloatType(type)) return inRange(type, floatOfUnsigned(x.tensor, type));
  if (type === 'uint64' && isFloatType(x.type)) return { type, tensor: unsignedOfFloat(x.tensor) };
  if (isFloatType(type)) return inRange(type, x.tensor.cast(carrierOf[type]));
  return wrap(type, x.tensor.cast(carrierOf[type]));
}

/** Infinite beyond the largest float16. */
function inRange(type: ElementType, tensor: AnyTensor): OnnxValue {
  if (type !== 'float16') return { type, tensor };
  const infinite: AnyTensor = tensor.sign().mul(Number.POSITIVE_INFINITY);
  return { type, tensor: choose(tensor.abs().ge(65520), infinite, tensor) };
}

/** Halves of numbers from 2^63 on are converted, with the bit that was lost, so that they round in the same way. */
function floatOfUnsigned(x: AnyTensor, type: ElementType): AnyTensor {
  const half: AnyTensor = shiftedRightUnsigned(x, 1).or(x.and(1));
  const float = (tensor: AnyTensor): AnyTensor => tensor.cast(carrierOf[type]);
  return choose(x.lt(0), float(half).mul(2), float(x));
}

function unsignedOfFloat(x: AnyTensor): AnyTensor {
  const upper: AnyTensor = x.sub(2 ** 63).cast('i64');
  return choose(x.ge(2 ** 63), upper.add(upper.mul(0).add(1).shl(63)), x.cast('i64'));
}

/** uint64 in an order that i64 has: the upper 63 bits, then the last. */
export function orderOfUnsigned(x: AnyTensor): { readonly upper: AnyTensor; readonly last: AnyTensor } {
  return { upper: shiftedRightUnsigned(x, 1), last: x.and(1) };
}

/**
 * Of uint64, along axes that are kept as one element: the greatest or least of the upper bits, and of those that have them of the last.
 * Elements that lose have a last bit beyond all others, so that positions can be told by it.
 */
export function extremeOfUnsigned(
  x: AnyTensor,
  kind: 'max' | 'min',
  axes: readonly number[],
): { readonly extreme: AnyTensor; readonly last: AnyTensor } {
  const { upper, last } = orderOfUnsigned(x);
  const top: AnyTensor = reduceAxes(upper, kind, axes, { keepDims: true });
  const own = choose(upper.eq(top), last, kind === 'max' ? -1 : 2);
  return { extreme: top.shl(1).or(reduceAxes(own, kind, axes, { keepDims: true })), last: own };
}

/** Refuses elements of another type than the operator takes. */
export function expectFloat(node: NodeContext, x: OnnxValue): OnnxValue {
  return isFloatType(x.type) ? x : node.invalid(`floats expected, ${x.type} given`);
}
