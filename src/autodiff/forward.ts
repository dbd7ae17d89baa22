// Forward mode, Graph → Graph: tangents flow along the nodes that depend on `wrt`, by the table's rules.

import type { Builder } from '../ir/builder.ts';
import { nodesOf, type Value } from '../ir/graph.ts';
import type { NestedRules, OpTable } from '../ir/optable.ts';
import { varyingNodes } from './varying.ts';

/** Σ ∂output/∂wrtᵢ · tangentᵢ for every output; null where it does not depend on any. Calls must have been inlined. */
export function jvpOf(
  b: Builder,
  table: OpTable,
  outputs: readonly Value[],
  wrt: readonly Value[],
  tangents: readonly Value[],
): (Value | null)[] {
  const nodes = nodesOf(outputs);
  const varying = varyingNodes(nodes, wrt);
  const known = new Map<Value, Value | null>();
  const nested: NestedRules = { table, jvp: (inner, by, along) => jvpOf(b, table, inner, by, along) };
  for (const node of nodes) {
    if (!varying.has(node)) continue;
    const rule = table[node.op].jvp;
    if (rule === 'zero') continue;
    const incoming = node.operands.map((operand) => tangentOf(operand));
    if (incoming.every((tangent) => tangent === null)) continue;
    const outgoing = rule(b.at(node.source), node as never, incoming, nested);
    node.results.forEach((result, i) => {
      known.set(result, outgoing[i] ?? null);
    });
  }
  function tangentOf(value: Value): Value | null {
    const position = wrt.indexOf(value);
    return position >= 0 ? tangents[position]! : (known.get(value) ?? null);
  }
  return outputs.map(tangentOf);
}
