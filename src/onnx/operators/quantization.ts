// Integers that stand for reals: q stands for (q − zero point) · scale. Products of them are computed exactly, in 32 bits.

import { pad } from '../../lang/functions.ts';
import type { AnyTensor } from '../../lang/tensor.ts';
import { carrierOf, type ElementType, isFloatType } from '../element-types.ts';
import { like, type NodeContext, type OnnxValue, type Operator, shapeOf, typed } from '../node-context.ts';
import { axisOf, wholeRange } from './axes.ts';
import { convolved } from './contraction.ts';
import { targetType } from './elementwise.ts';
import { choose, converted } from './values.ts';

const ranges: Partial<Record<ElementType, readonly [number, number]>> = {
  uint8: [0, 255],
  int8: [-128, 127],
  uint16: [0, 65535],
  int16: [-32768, 32767],
};

/** Reals as integers of a type that has 8 or 16 bits, saturated. */
function saturated(node: NodeContext, reals: AnyTensor, type: ElementType): OnnxValue {
  const range = ranges[type] ?? node.unsupported(`quantized elements of type ${type}`);
  const bounded: AnyTensor = reals.maximum(range[0]).minimum(range[1]);
  return { type, tensor: bounded.cast('i32').cast(carrierOf[type]) };
}

/**
 * A scale or zero point so that it broadcasts with x: one number, one for each element of an axis, or, in blocks, one for `block`
 * neighbours along it.
 */
function spread(node: NodeContext, parameter: AnyTensor, shape: readonly number[]): AnyTensor {
  const own: readonly number[] = parameter.value.type.shape;
  if (own.every((dim) => dim === 1)) return parameter.reshape([]);
  const axis = axisOf(node, node.int('axis', 1), shape.length);
  const block = node.int('block_size', 0);
  if (block === 0) {
    if (own.length !== 1 || own[0] !== shape[axis])
      node.invalid(`one scale for each of ${shape[axis]} elements expected, [${own}] given`);
    return parameter.reshape(shape.map((dim, i) => (i === axis ? dim : 1)));
  }
  const expected = shape.map((dim, i) => (i === axis ? Math.ceil(dim / block) : dim));
  if (own.join() !== expected.join()) node.invalid(`scales of [${expected}] expected, [${own}] given`);
  const [before, after] = [expected.slice(0, axis + 1), expected.slice(axis + 1)];
  const repeated: AnyTensor = parameter
    .reshape([...before, 1, ...after])
    .broadcastTo([...before, block, ...after])
    .reshape(expected.map((dim, i) => (i === axis ? dim * block : dim)));
  const widths = shape.map((dim, i): [number, number] => [0, i === axis ? dim - expected[i]! * block : 0]);
  return pad(repeated, widths) as AnyTensor;
}

const quantize: Operator = (node) => {
  const [x, scale, zero] = [node.input(0), node.input(1), node.optional(2)];
  const asked = node.int('output_dtype', 0);
  const type = zero?.type ?? (asked === 0 ? 'uint8' : targetType(node, asked));
  const real = converted(x, isFloatType(x.type) ? x.type : 'float');
  const factor = converted(scale, real.type).tensor;
  const shape = shapeOf(x);
  const steps: AnyTensor = real.tensor.div(spread(node, factor, shape)).round();
  if (zero === null) return saturated(node, steps, type);
  return saturated(node, steps.add(spread(node, converted(zero, real.type).tensor, shape)), type);
};

const dequantize: Operator = (node) => {
  const [x, scale, zero] = [node.input(0), node.input(1), node.optional(2)];
  const shape = shapeOf(x);
  const wide = converted(x, 'int32').tensor;
  const shifted: AnyTensor = zero === null ? wide : wide.sub(spread(node, converted(zero, 'int32').tensor, shape));
  const reals = converted({ type: 'int32', tensor: shifted }, scale.type);
  return like(scale, reals.tensor.mul(spread(node, scale.tensor, shape)));
};

/** Scale and zero point of uint8 from the least and greatest element, 0 among them. */
const dynamicQuantize: Operator = (node) => {
  const x = node.input(0);
  const [low, high] = [x.tensor.min().minimum(0), x.tensor.max().maximum(0)] as [AnyTensor, AnyTensor];
  const range: AnyTensor = high.sub(low);
  const scale: AnyTensor = range.div(255);
  // All elements are 0: any scale gives 0.
  const divisor = choose(scale.eq(0), 1, scale);
  const zero = saturated(node, low.neg().div(divisor).round(), 'uint8');
  const shift: AnyTensor = converted(zero, x.type).tensor;
  return [saturated(node, x.tensor.div(divisor).round().add(shift), 'uint8'), like(x, scale), zero];
};

/** Quantized elements less their zero point, in 32 bits. `places` says which axis has a zero point for each of its elements. */
function centred(x: OnnxValue, zero: OnnxValue | null, axis: number): OnnxValue {
  const wide = converted(x, 'int32').tensor;
  if (zero === null) return typed(wide);
  const shape = shapeOf(x);
  const shift: AnyTensor = converted(zero, 'int32').tensor;
  const own = shapeOf(zero);
  if (own.every((dim) => dim === 1)) return typed(wide.sub(shift.reshape([])));
  const aligned = own.length === 1 ? shift.reshape(shape.map((_, i) => (i === axis ? own[0]! : 1))) : shift;
  return typed(wide.sub(aligned));
}

function productOf(
  node: NodeContext,
  a: OnnxValue,
  b: OnnxValue,
  zeros: readonly [OnnxValue | null, OnnxValue | null],
) {
  const [rows, columns] = [Math.max(0, shapeOf(a).length - 2), shapeOf(b).length - 1];
  if (shapeOf(a).length === 0 || columns < 0) node.invalid('matrices expected');
  return centred(a, zeros[0], rows).tensor.matmul(centred(b, zeros[1], columns).tensor) as AnyTensor;
}

const matMulInteger: Operator = (node) =>
  typed(productOf(node, node.input(0), node.input(1), [node.optional(2), node.optional(3)]));

const convInteger: Operator = (node) => {
  const [x, w] = [node.input(0), node.input(1)];
  return typed(convolved(node, centred(x, node.optional(2), 1), centred(w, node.optional(3), 0)));
};

/** Sums of products as integers of another scale: round(sums · sa · sb / sy) + zero point. */
function requantized(
  node: NodeContext,
  sums: AnyTensor,
  scales: readonly [a: AnyTensor, b: AnyTensor, y: AnyTensor],
  zero: OnnxValue,
): OnnxValue {
  const [a, b, y] = scales;
  const factor: AnyTensor = a.mul(b).div(y);
  const steps: AnyTensor = sums.cast('f32').mul(factor).round();
  return saturated(node, steps.add(converted(zero, 'float').tensor.reshape([])), zero.type);
}

/** A scale in f32: one number, or one for each element of an axis of `rank`. */
function scaleOf(scale: OnnxValue, axis: number, rank: number): AnyTensor {
  const { tensor } = converted(scale, 'float');
  const own = shapeOf(scale);
  if (own.every((dim) => dim === 1)) return tensor.reshape([]);
  if (own.length > 1) return tensor;
  return tensor.reshape(wholeRange(rank).map((i) => (i === axis ? own[0]! : 1)));
}

/** a, its scale and zero point, those of b, and the result's scale and zero point. */
function quantizedOperands(node: NodeContext) {
  const x = [node.input(0), node.input(1), node.input(2)] as const;
  const y = [node.input(3), node.input(4), node.input(5)] as const;
  return [...x, ...y, node.input(6), node.input(7)] as const;
}

const quantizedMatMul: Operator = (node) => {
  const [a, aScale, aZero, b, bScale, bZero, yScale, yZero] = quantizedOperands(node);
  const sums = productOf(node, a, b, [aZero, bZero]);
  const rank = sums.rank;
  const scales = [
    scaleOf(aScale, rank - 2, rank),
    scaleOf(bScale, rank - 1, rank),
    scaleOf(yScale, rank - 1, rank),
  ] as const;
  return requantized(node, sums, scales, yZero);
};

const quantizedConv: Operator = (node) => {
  const [x, xScale, xZero, w, wScale, wZero, yScale, yZero] = quantizedOperands(node);
  const sums = convolved(node, centred(x, xZero, 1), centred(w, wZero, 0));
  const bias = node.optional(8);
  const rank = sums.rank;
  const perChannel = wholeRange(rank).map((i) => (i === 1 ? -1 : 1));
  const biased: AnyTensor = bias === null ? sums : sums.add(bias.tensor.reshape(perChannel));
  return requantized(
    node,
    biased,
    [scaleOf(xScale, 1, rank), scaleOf(wScale, 1, rank), scaleOf(yScale, 1, rank)],
    yZero,
  );
};

export const quantizationOperators: Readonly<Record<string, Operator>> = {
  QuantizeLinear: quantize,
  DequantizeLinear: dequantize,
  DynamicQuantizeLinear: dynamicQuantize,
  MatMulInteger: matMulInteger,
  ConvInteger: convInteger,
  QLinearMatMul: quantizedMatMul,
  QLinearConv: quantizedConv,
};
