// Functions with derivatives of their own, and the order that keeps what such a derivative computes again from being computed
// early.

import type { Builder } from '../builder.ts';
import { UserError } from '../errors.ts';
import { type Func, makeFunc, type Node, type Value } from '../graph.ts';
import { inlineFunc } from '../inline.ts';
import { type BatchedOperands, type OpTable, TypeMismatch } from '../optable.ts';
import { formatType, isFloat, sameType, type TensorType } from '../types.ts';

const floats = (types: readonly TensorType[]): TensorType[] => types.filter(({ dtype }) => isFloat(dtype));
const typesOf = (list: readonly { readonly value: Value }[]): TensorType[] => list.map(({ value }) => value.type);
const shown = (types: readonly TensorType[]): string => `(${types.map(formatType).join(', ')})`;

/** Refuses a nested function of other types. */
function expectSignature(what: string, func: Func, taken: readonly TensorType[], given: readonly TensorType[]): void {
  const same = (found: readonly TensorType[], expected: readonly TensorType[]): boolean =>
    found.length === expected.length && found.every((type, i) => sameType(type, expected[i]!));
  const [parameters, results] = [typesOf(func.parameters), typesOf(func.results)];
  if (!same(parameters, taken))
    throw new TypeMismatch(`${what} @${func.name} must take ${shown(taken)}, it takes ${shown(parameters)}`);
  if (!same(results, given))
    throw new TypeMismatch(`${what} @${func.name} must give ${shown(given)}, it gives ${shown(results)}`);
}

/** One value for each float among `like`, in order, null elsewhere. */
function forFloats(like: readonly Value[], values: readonly Value[]): (Value | null)[] {
  let next = 0;
  return like.map(({ type }) => (isFloat(type.dtype) ? values[next++]! : null));
}

/** What a rule takes beside operands and results: a tangent or cotangent of each float, zeros where there is none. */
function orZeros(b: Builder, like: readonly Value[], given: readonly (Value | null)[]): Value[] {
  return like.flatMap((value, i) => (isFloat(value.type.dtype) ? [given[i] ?? b.like(value, 0)] : []));
}

function ruleOf(node: Node<'custom'>, mode: 'jvp' | 'vjp'): Func {
  const rule = node.attrs[mode];
  if (rule !== null) return rule;
  throw new UserError(
    `@${node.attrs.callee.name} has no ${mode === 'jvp' ? 'forward' : 'reverse'} derivative: its own rule for the other direction is not linear, or not differentiable, so it cannot be turned around`,
    node.source,
  );
}

/**
 * Both rules along the new axis as well. An operand without it gets one cotangent: the sum of those of all indices.
 */
function batchCustom(
  b: Builder,
  { attrs, operands, results }: Node<'custom'>,
  given: BatchedOperands,
): readonly Value[] {
  const { values, batched, func } = given;
  const all = results.map(() => true);
  const ofFloats = (like: readonly Value[], flags: readonly boolean[]): boolean[] =>
    flags.filter((_, i) => isFloat(like[i]!.type.dtype));
  const [floatOperands, floatResults] = [ofFloats(operands, batched), ofFloats(results, all)];
  const jvp = attrs.jvp && func(attrs.jvp, [...batched, ...all, ...floatOperands], floatResults).func;
  const once = attrs.vjp && func(attrs.vjp, [...batched, ...all, ...floatResults], floatOperands);
  const vjp =
    once &&
    makeFunc(
      once.func.name,
      once.func.parameters,
      once.func.results.map((result, i) => {
        const sums = once.batched[i]! && !floatOperands[i]!;
        return sums ? { ...result, value: b.reduce(result.value, { kind: 'sum', axes: [0] }) } : result;
      }),
    );
  return b.custom(...values, { callee: func(attrs.callee, batched, all).func, jvp, vjp });
}

const softplus = `func @softplus(%x: f32[2,3]) {
  %0 = exp(%x)
  %1 = log1p(%0)
  return y = %1
}
func @tangent(%x: f32[2,3], %y: f32[2,3], %t: f32[2,3]) {
  %0 = sub(%x, %y)
  %1 = exp(%0)
  %2 = mul(%t, %1)
  return t = %2
}
func @cotangent(%x: f32[2,3], %y: f32[2,3], %c: f32[2,3]) {
  %0 = sigmoid(%x)
  %1 = mul(%c, %0)
  return c = %1
}
func @f(%x: f32[2,3]) {
  %0 = custom(%x) {callee=@softplus, jvp=@tangent, vjp=@cotangent}
  return y = %0
}`;

const scaled = `func @scaled(%w: f32[3], %x: f32[3], %i: i32[]) {
  %0 = mul(%w, %x)
  %1 = reduce(%0) {kind=sum, axes=[0]}
  return sum = %1, products = %0
}
func @tangent(%w: f32[3], %x: f32[3], %i: i32[], %sum: f32[], %products: f32[3], %dw: f32[3], %dx: f32[3]) {
  %0 = mul(%dw, %x)
  %1 = mul(%w, %dx)
  %2 = add(%0, %1)
  %3 = reduce(%2) {kind=sum, axes=[0]}
  return sum = %3, products = %2
}
func @cotangent(%w: f32[3], %x: f32[3], %i: i32[], %sum: f32[], %products: f32[3], %ds: f32[], %dp: f32[3]) {
  %0 = broadcast(%ds) {shape=[3], axes=[]}
  %1 = add(%0, %dp)
  %2 = mul(%1, %x)
  %3 = mul(%1, %w)
  return w = %2, x = %3
}
func @f(%w: f32[3], %x: f32[3], %i: i32[]) {
  %s, %p = custom(%w, %x, %i) {callee=@scaled, jvp=@tangent, vjp=@cotangent}
  return s = %s, p = %p
}`;

export const customOps: Pick<OpTable, 'custom' | 'after'> = {
  custom: {
    doc: 'Applies a nested function whose derivatives are given by nested functions of their own.',
    infer: (operands, { callee, jvp, vjp }) => {
      const results = typesOf(callee.results);
      expectSignature('the function', callee, operands, results);
      const both = [...operands, ...results];
      if (jvp !== null) expectSignature('the jvp', jvp, [...both, ...floats(operands)], floats(results));
      if (vjp !== null) expectSignature('the vjp', vjp, [...both, ...floats(results)], floats(operands));
      return results;
    },
    evaluate: (operands, { callee }, _results, apply) => apply(callee, operands),
    jvp: (b, node, tangents) => {
      const { operands, results } = node;
      return forFloats(
        results,
        inlineFunc(ruleOf(node, 'jvp'), [...operands, ...results, ...orZeros(b, operands, tangents)]),
      );
    },
    vjp: (b, node, cotangents) => {
      const { operands, results } = node;
      return forFloats(
        operands,
        inlineFunc(ruleOf(node, 'vjp'), [...operands, ...results, ...orZeros(b, results, cotangents)]),
      );
    },
    batch: batchCustom,
    lowering: { class: 'expanded' },
    examples: [{ text: softplus }, { text: scaled }],
  },
  after: {
    doc: 'The first operand, not before the others are computed: what reads it is neither computed earlier nor taken for what reads the operand itself.',
    infer: (operands) => {
      const [x, ...others] = operands;
      if (x === undefined || others.length === 0)
        throw new TypeMismatch(`a value and what it comes after expected, ${operands.length} operands given`);
      return [x];
    },
    evaluate: ([x]) => [x!],
    jvp: (_b, _node, [t]) => [t ?? null],
    vjp: (_b, { operands }, [c]) => [c ?? null, ...operands.slice(1).map(() => null)],
    batch: (b, _node, { values }) => [b.after(...values)],
    lowering: { class: 'element', cost: 'free', element: (s, index) => s.operand(0, index) },
    examples: [
      { text: 'func @f(%x: f32[2,3], %c: f32[3]) {\n  %0 = sin(%c)\n  %1 = after(%x, %0)\n  return y = %1, c = %0\n}' },
      { text: 'func @f(%x: i32[2], %c: f32[3], %d: i32[]) {\n  %1 = after(%x, %c, %d)\n  return y = %1\n}' },
    ],
  },
};
