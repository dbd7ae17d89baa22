// The reference evaluator: every node by its table entry, in float64. It is the judge of all targets, so it is plain.

import { InternalError } from './errors.ts';
import type { Func, Node, Value } from './graph.ts';
import type { NdArray } from './ndarray.ts';
import { opTable } from './ops/index.ts';
import type { ApplyFunc, OpTable } from './optable.ts';
import { formatType, sameType } from './types.ts';

/** Evaluates a function on one array per parameter, in order. Throws InternalError where an array has another type. */
export function evaluateFunc(func: Func, inputs: readonly NdArray[], table: OpTable = opTable): NdArray[] {
  const values = new Map<Value, NdArray>();
  func.parameters.forEach(({ value, name }, i) => {
    const array = inputs[i];
    if (array === undefined || !sameType(array.type, value.type)) {
      const given = array === undefined ? 'nothing' : formatType(array.type);
      throw new InternalError(`parameter ${name} of @${func.name}: ${formatType(value.type)} expected, ${given} given`);
    }
    values.set(value, array);
  });
  for (const node of func.nodes) {
    const operands = node.operands.map((operand) => values.get(operand)!);
    const results = evaluateNode(node, operands, table);
    node.results.forEach((value, i) => {
      values.set(value, results[i]!);
    });
  }
  return func.results.map(({ value }) => values.get(value)!);
}

/** The results of a node; `apply` evaluates functions nested in it. */
export function evaluateNode(
  node: Node,
  operands: readonly NdArray[],
  table: OpTable = opTable,
  apply: ApplyFunc = (func, inputs) => evaluateFunc(func, inputs, table),
): readonly NdArray[] {
  const types = node.results.map((value) => value.type);
  return table[node.op].evaluate(operands, node.attrs as never, types, apply);
}
