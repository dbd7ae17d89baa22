// A function's nodes on other values.

import { type Func, type Node, Value } from './graph.ts';

/** The results of a function applied to values, by copying its nodes; calls in it are copied as what they call. */
export function inlineFunc(callee: Func, operands: readonly Value[]): Value[] {
  const map = new Map<Value, Value>(callee.parameters.map(({ value }, i) => [value, operands[i]!]));
  for (const node of callee.nodes) {
    const made = withOperands(
      node,
      node.operands.map((operand) => map.get(operand)!),
    );
    const results = made.op === 'call' ? inlineFunc((made as Node<'call'>).attrs.callee, made.operands) : made.results;
    for (const [i, value] of node.results.entries()) map.set(value, results[i]!);
  }
  return callee.results.map(({ value }) => map.get(value)!);
}

/** The same operation on other operands of the same types; results keep their names. */
export function withOperands(node: Node, operands: readonly Value[]): Node {
  const results: Value[] = [];
  const made: Node = { ...node, operands, results };
  for (const value of node.results) results.push(new Value(value.type, made, value.index, value.name));
  return made;
}
