// Batching rules of loops. The new axis is the first of every slice and carry, so it is the second of a sequence. Where a
// predicate varies along the axis, everything is computed for all of it, and each index takes what its own predicate chose.

import type { Builder } from '../../builder.ts';
import { type Func, makeFunc, type Node, parameter, type Result, type Value } from '../../graph.ts';
import { inlineFunc } from '../../inline.ts';
import type { BatchedFunc, BatchedOperands } from '../../optable.ts';
import { carried, fromFront, repeated, toFront } from '../batching.ts';

/** Which carries vary along the axis: those that begin so, and those that a step makes so. */
function varyingCarries(
  body: Func,
  { batched, func }: BatchedOperands,
  consts: number,
  carries: number,
): readonly boolean[] {
  let flags = batched.slice(consts, consts + carries);
  for (;;) {
    const all = [...batched.slice(0, consts), ...flags, ...batched.slice(consts + carries)];
    const made = func(body, all, flags).batched.slice(0, carries);
    if (made.every((varies, i) => varies === flags[i])) return flags;
    flags = made;
  }
}

export function batchScan(b: Builder, { attrs }: Node<'scan'>, operands: BatchedOperands): readonly Value[] {
  const { body, consts, carries } = attrs;
  const { values, batched, size, func } = operands;
  const varying = varyingCarries(body, operands, consts, carries);
  const flags = batched.map((flag, i) => (i >= consts && i < consts + carries ? varying[i - consts]! : flag));
  const inner = func(body, flags, varying);
  const given = values.map((value, i) => {
    if (i < consts) return value;
    if (i < consts + carries) return flags[i]! && !batched[i]! ? repeated(b, value, size) : value;
    return batched[i]! ? fromFront(b, value, 1) : value;
  });
  const results = b.scan(...given, { ...attrs, body: inner.func });
  return results.map((result, i) => (i >= carries && inner.batched[i]! ? toFront(b, result, 1) : result));
}

export function batchWhile(b: Builder, { attrs }: Node<'while'>, operands: BatchedOperands): readonly Value[] {
  const { condition, body, consts } = attrs;
  const { values, batched, size, func } = operands;
  const varying = varyingCarries(body, operands, consts, values.length - consts);
  const flags = [...batched.slice(0, consts), ...varying];
  const tested = func(condition, flags);
  const given = (all: readonly boolean[]): Value[] =>
    values.map((value, i) => (all[i]! && !batched[i]! ? repeated(b, value, size) : value));
  if (!tested.batched[0]!)
    return b.while(...given(flags), { ...attrs, condition: tested.func, body: func(body, flags, varying).func });
  const all = [...batched.slice(0, consts), ...varying.map(() => true)];
  const every = all.slice(consts);
  const own = func(condition, all, [true]);
  return b.while(...given(all), {
    ...attrs,
    condition: whereAny(b, own.func),
    body: whereOwn(b, own.func, func(body, all, every).func, consts),
  });
}

const outputs = (func: Func, values: readonly Value[]): Result[] =>
  func.results.map((result, i) => ({ ...result, value: values[i]! }));

const renewed = (func: Func) => func.parameters.map(({ name, value }) => parameter(name, value.type));

/** Goes on while any index does. */
function whereAny(b: Builder, condition: Func): Func {
  const parameters = renewed(condition);
  const [own] = inlineFunc(
    condition,
    parameters.map(({ value }) => value),
  );
  return makeFunc(condition.name, parameters, outputs(condition, [b.reduce(own!, { kind: 'or', axes: [0] })]));
}

/** A step of the indices that go on; the carries of the others stay. */
function whereOwn(b: Builder, condition: Func, body: Func, consts: number): Func {
  const parameters = renewed(body);
  const values = parameters.map(({ value }) => value);
  const [own] = inlineFunc(condition, values);
  const stepped = inlineFunc(body, values).map((next, i) => chosen(b, own!, next, values[consts + i]!));
  return makeFunc(body.name, parameters, outputs(body, stepped));
}

/** `(bool[n], T[n, S..], T[n, S..]) → T[n, S..]` */
function chosen(b: Builder, predicate: Value, then: Value, otherwise: Value): Value {
  return b.select(b.broadcast(predicate, { shape: then.type.shape, axes: [0] }), then, otherwise);
}

export function batchCond(b: Builder, { attrs }: Node<'cond'>, operands: BatchedOperands): readonly Value[] {
  const { values, batched, size, func } = operands;
  const flags = batched.slice(1);
  const given = values.slice(1);
  const alone = [attrs.then, attrs.otherwise].map((branch) => func(branch, flags).batched) as [boolean[], boolean[]];
  const either = alone[0].map((varies, i) => varies || alone[1][i]!);
  if (!batched[0]!) {
    const [then, otherwise] = [attrs.then, attrs.otherwise].map((branch) => func(branch, flags, either).func);
    return b.cond(values[0]!, ...given, { ...attrs, then: then!, otherwise: otherwise! });
  }
  const computed = (branch: Func): Value[] => {
    const made: BatchedFunc = func(branch, flags);
    return inlineFunc(made.func, given).map((value, i) =>
      carried(b, { ...operands, values: [value], batched: [made.batched[i]!], size }, 0),
    );
  };
  const [then, otherwise] = [computed(attrs.then), computed(attrs.otherwise)];
  return then.map((value, i) => chosen(b, values[0]!, value, otherwise[i]!));
}
