// Batching, Graph → Graph: a function along a new leading axis of some of its parameters, by the table's rules. What does
// not depend on those parameters stays as it is.

import { InternalError } from './errors.ts';
import { type Func, makeFunc, type Node, nodesOf, parameter, type Value } from './graph.ts';
import { repeated } from './ops/batching.ts';
import { builder, opTable } from './ops/index.ts';
import type { BatchedFunc, BatchedOperands, OpTable } from './optable.ts';

export interface BatchedValue {
  readonly value: Value;
  /** True where it carries the new leading axis; false where it is the same for every index. */
  readonly batched: boolean;
}

/**
 * The outputs where each key of `replaced` is its value, which has a leading axis of `size` elements more. Throws
 * InternalError where a replacement has another shape.
 */
export function batchValues(
  outputs: readonly Value[],
  replaced: ReadonlyMap<Value, Value>,
  size: number,
  table: OpTable = opTable,
): BatchedValue[] {
  const found = new Map<Value, BatchedValue>();
  for (const [value, replacement] of replaced) {
    if (replacement.type.shape.join() !== [size, ...value.type.shape].join())
      throw new InternalError(`[${size},${value.type.shape}] expected, [${replacement.type.shape}] given`);
    found.set(value, { value: replacement, batched: true });
  }
  const lookUp = (value: Value): BatchedValue => found.get(value) ?? { value, batched: false };
  for (const node of nodesOf(outputs)) {
    if (node.results.some((result) => found.has(result)) || !node.operands.some((operand) => found.has(operand)))
      continue;
    const operands = node.operands.map(lookUp);
    const results = batchNode(node, operands, size, table);
    node.results.forEach((result, i) => {
      const value = results[i]!;
      found.set(result, { value, batched: value.type.shape.length > result.type.shape.length });
    });
  }
  return outputs.map(lookUp);
}

function batchNode(node: Node, operands: readonly BatchedValue[], size: number, table: OpTable): readonly Value[] {
  const b = builder.at(node.source);
  const values = operands.map(({ value }) => value);
  const batched = operands.map((operand) => operand.batched);
  if (!batched.includes(true)) return b.emit(node.op, values, node.attrs).results;
  const rule = table[node.op].batch;
  if (rule === 'never') throw new InternalError(`${node.op} has operands, and no rule for batches of them`);
  const given: BatchedOperands = {
    values,
    batched,
    size,
    func: (callee, flags, carry) => batchFunc(callee, flags, size, carry, table),
  };
  return rule(b, node as never, given);
}

/**
 * A function on parameters of which those in `batched` have a leading axis of `size` elements more. Results carry the axis
 * where they vary along it or are in `carry`.
 */
export function batchFunc(
  func: Func,
  batched: readonly boolean[],
  size: number,
  carry: readonly boolean[] = [],
  table: OpTable = opTable,
): BatchedFunc {
  const replaced = new Map<Value, Value>();
  const parameters = func.parameters.map((given, i) => {
    if (!batched[i]!) return given;
    const { dtype, shape } = given.value.type;
    const made = parameter(given.name, { dtype, shape: [size, ...shape] }, given.role);
    replaced.set(given.value, made.value);
    return made;
  });
  const outputs = func.results.map(({ value }) => value);
  const found = batchValues(outputs, replaced, size, table).map((next, i) =>
    carry[i] === true && !next.batched ? { value: repeated(builder, next.value, size), batched: true } : next,
  );
  const results = func.results.map((result, i) => ({ ...result, value: found[i]!.value }));
  return { func: makeFunc(func.name, parameters, results), batched: found.map((next) => next.batched) };
}
