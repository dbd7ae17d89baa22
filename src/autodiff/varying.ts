// Which nodes lie on a path from the values that are differentiated by.

import type { Node, Value } from '../ir/graph.ts';
import { isFloat } from '../ir/types.ts';

/** The nodes with a float operand that depends on `wrt`. `nodes` has operands before users. */
export function varyingNodes(nodes: readonly Node[], wrt: readonly Value[]): Set<Node> {
  const sources = new Set(wrt);
  const varying = new Set<Node>();
  for (const node of nodes) {
    const depends = node.operands.some(
      (operand) =>
        isFloat(operand.type.dtype) &&
        (sources.has(operand) || (operand.producer !== null && varying.has(operand.producer))),
    );
    if (depends) varying.add(node);
  }
  return varying;
}
