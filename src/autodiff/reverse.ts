// Reverse mode, Graph → Graph: cotangents flow from the outputs back along the nodes that lead from `wrt`, by the
// table's rules. The result is expressions again, so it can be differentiated again.

import type { Builder } from '../ir/builder.ts';
import { InternalError, UserError } from '../ir/errors.ts';
import { type Node, nodesOf, type Value } from '../ir/graph.ts';
import type { OpTable, ReverseRules } from '../ir/optable.ts';
import { formatType, isFloat } from '../ir/types.ts';
import { sumOfCotangents } from './cotangents.ts';
import { varyingNodes } from './varying.ts';

/** Σ cotangentᵢ · ∂outputᵢ/∂wrt for every wrt; null where no output depends on it. Calls must have been inlined. */
export function vjpOf(
  b: Builder,
  table: OpTable,
  outputs: readonly Value[],
  cotangents: readonly Value[],
  wrt: readonly Value[],
): (Value | null)[] {
  const nodes = nodesOf(outputs);
  const varying = varyingNodes(nodes, wrt);
  const wanted = new Set(wrt);
  const arrived = new Map<Value, Value[]>();
  const sumAt = (at: Builder, value: Value): Value | null => {
    const cotangents = arrived.get(value);
    return cotangents === undefined ? null : sumOfCotangents(at, cotangents);
  };
  const isAsked = (value: Value): boolean =>
    isFloat(value.type.dtype) && (wanted.has(value) || (value.producer !== null && varying.has(value.producer)));
  const accumulate = (value: Value, cotangent: Value): void => {
    if (!isAsked(value)) return;
    const before = arrived.get(value);
    if (before === undefined) arrived.set(value, [cotangent]);
    else before.push(cotangent);
  };
  outputs.forEach((output, i) => {
    accumulate(output, cotangents[i]!);
  });
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]!;
    if (!varying.has(node)) continue;
    if (node.results.every((result) => !arrived.has(result))) continue;
    const at = b.at(node.source);
    const incoming = node.results.map((result) => sumAt(at, result));
    const outgoing = vjpRule(at, node, incoming, rulesFor(at, table, node.operands.map(isAsked)));
    node.operands.forEach((operand, position) => {
      const cotangent = outgoing[position];
      if (cotangent !== null && cotangent !== undefined) accumulate(operand, cotangent);
    });
  }
  return wrt.map((value) => sumAt(b, value));
}

/** This differentiation for what is nested in a node. */
function rulesFor(b: Builder, table: OpTable, wanted: readonly boolean[]): ReverseRules {
  return {
    table,
    wanted,
    vjp: (outputs, cotangents, wrt) => {
      const given = outputs.filter((_, i) => cotangents[i] !== null);
      return vjpOf(
        b,
        table,
        given,
        cotangents.filter((cotangent) => cotangent !== null),
        wrt,
      );
    },
    varying: (outputs, wrt) => {
      const varying = varyingNodes(nodesOf(outputs), wrt);
      return outputs.map((value) => wrt.includes(value) || (value.producer !== null && varying.has(value.producer)));
    },
  };
}

function vjpRule(
  b: Builder,
  node: Node,
  cotangents: readonly (Value | null)[],
  rules: ReverseRules,
): readonly (Value | null)[] {
  const rule = rules.table[node.op].vjp;
  if (rule === 'zero') return [];
  const result = rule(b, node as never, cotangents, rules);
  if (result.length !== node.operands.length)
    throw new InternalError(`the vjp of ${node.op} returned ${result.length} cotangents`);
  return result;
}

/** The gradient of a float scalar by each of `wrt`, zeros where it does not depend on it. Throws UserError for anything but a scalar. */
export function gradients(b: Builder, table: OpTable, scalar: Value, wrt: readonly Value[]): Value[] {
  if (scalar.type.shape.length !== 0 || !isFloat(scalar.type.dtype)) {
    throw new UserError(
      `grad: a float scalar expected, ${formatType(scalar.type)} given; reduce it first, for example with sum() or mean()`,
      scalar.producer?.source ?? null,
    );
  }
  return vjpOf(b, table, [scalar], [b.like(scalar, 1)], wrt).map((value, i) => value ?? b.like(wrt[i]!, 0));
}
