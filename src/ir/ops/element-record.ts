// What a record of an elementwise operation holds, and the table entry that follows from it.

import type { Builder } from '../builder.ts';
import type { Node, Value } from '../graph.ts';
import type { Expr } from '../kernel.ts';
import type { BinaryOp, UnaryOp } from '../opattrs.ts';
import { type OpDef, type OpExample, TypeMismatch } from '../optable.ts';
import { type DType, formatType, isFloat, isInteger, sameShape, type TensorType } from '../types.ts';
import { sameAttributes } from './batching.ts';
import { expectOperands, refuse, tabulate } from './rules.ts';

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

export interface UnaryRecord {
  readonly doc: string;
  readonly dtypes: DTypeClass;
  readonly result?: 'bool';
  readonly evaluate: (x: number, dtype: DType) => number;
  /** d result / d operand, given the operand and the result. */
  readonly derivative: 'zero' | ((b: Builder, x: Value, y: Value) => Value);
  /** derivative · v, where it is better written than as a product. */
  readonly scale?: (b: Builder, v: Value, y: Value) => Value;
  readonly scalar: (x: Expr) => Expr;
  readonly domain?: readonly [number, number];
  readonly cheap?: boolean;
  /** The result is the operand: the operation is a name for it, and costs nothing. */
  readonly free?: boolean;
}

/** Makes the table entry of a unary elementwise operation from its record. */
export function unary(name: string, record: UnaryRecord): OpDef<UnaryOp> {
  const { derivative } = record;
  const scale = (b: Builder, node: Node<UnaryOp>, v: Value | null | undefined): Value | null => {
    if (derivative === 'zero' || v === null || v === undefined) return null;
    const [y] = node.results as [Value];
    return record.scale === undefined ? b.mul(v, derivative(b, node.operands[0]!, y)) : record.scale(b, v, y);
  };
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
    batch: sameAttributes,
    lowering: {
      class: 'element',
      cost: record.free === true ? 'free' : record.cheap === true ? 'cheap' : 'expensive',
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

export interface BinaryRecord {
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
    batch: sameAttributes,
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
