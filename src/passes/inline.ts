// Inlining: every call becomes the nodes of its callee.

import type { Func, Node, Value } from '../ir/graph.ts';
import type { Pass } from './pass.ts';
import { mapNodes, withOperands } from './rewrite.ts';

/** The results of a function applied to values, by copying its nodes. */
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

export const inlineCalls: Pass = {
  name: 'inline-calls',
  guarantees: 'no call is left',
  needs: 'nothing',
  run: (func) =>
    mapNodes(func, (node) =>
      node.op === 'call' ? inlineFunc((node as Node<'call'>).attrs.callee, node.operands) : node.results,
    ),
};
