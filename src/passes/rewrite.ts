// The rewriter: one forward walk that rebuilds a function, offering every node to the rules of its operation until none
// applies. Rules see operands that are already rewritten.

import type { Builder } from '../ir/builder.ts';
import { InternalError } from '../ir/errors.ts';
import { type Func, makeFunc, type Node, nestedFuncs, type Value, withNestedFuncs } from '../ir/graph.ts';
import { withOperands } from '../ir/inline.ts';
import type { OpName } from '../ir/opattrs.ts';
import { builder } from '../ir/ops/index.ts';

export interface Rule {
  readonly name: string;
  readonly ops: readonly OpName[];
  /** The value that replaces the node's one result, or null where the rule does not apply. */
  readonly apply: (node: Node, b: Builder) => Value | null;
}

/** A rule for one operation, with its attributes typed. */
export function rule<K extends OpName>(name: string, op: K, apply: (node: Node<K>, b: Builder) => Value | null): Rule {
  return { name, ops: [op], apply: apply as Rule['apply'] };
}

/** More rewrites of one node than this mean that two rules undo each other. */
const fuel = 64;

export function rewriteFunc(func: Func, rules: readonly Rule[]): Func {
  const byOp = new Map<OpName, Rule[]>();
  for (const next of rules) for (const op of next.ops) byOp.set(op, [...(byOp.get(op) ?? []), next]);
  return mapNodes(func, (node) => (node.results.length === 1 ? [settle(node, byOp)] : node.results));
}

function settle(node: Node, rules: ReadonlyMap<OpName, readonly Rule[]>): Value {
  let value = node.results[0]!;
  for (let step = 0; step < fuel; step++) {
    const { producer } = value;
    if (producer === null || producer.results.length !== 1) return value;
    const replaced = applyFirst(producer, rules.get(producer.op) ?? []);
    if (replaced === null) return value;
    value = replaced;
  }
  throw new InternalError(`the rules of ${node.op} do not come to rest`);
}

function applyFirst(node: Node, rules: readonly Rule[]): Value | null {
  const b = builder.at(node.source);
  for (const next of rules) {
    const replaced = next.apply(node, b);
    if (replaced !== null) return replaced;
  }
  return null;
}

/**
 * Rebuilds a function: `replace` gives the results of every node, whose operands are already replaced. The same function
 * comes back where nothing changed.
 */
export function mapNodes(func: Func, replace: (node: Node) => readonly Value[]): Func {
  const map = new Map<Value, Value>();
  let changed = false;
  for (const node of func.nodes) {
    const operands = node.operands.map((operand) => map.get(operand) ?? operand);
    const same = operands.every((operand, i) => operand === node.operands[i]);
    const current = same ? node : withOperands(node, operands);
    const results = replace(current);
    node.results.forEach((value, i) => {
      if (results[i] === value) return;
      changed = true;
      map.set(value, results[i]!);
    });
  }
  if (!changed) return func;
  return makeFunc(
    func.name,
    func.parameters,
    func.results.map((result) => ({ ...result, value: map.get(result.value) ?? result.value })),
  );
}

/** Rebuilds a function with others nested in it. The same function comes back where nothing changed. */
export function mapNested(func: Func, replace: (nested: Func) => Func): Func {
  return mapNodes(func, (node) => {
    const attrs = withNestedFuncs(node.attrs, replace);
    return attrs === node.attrs ? node.results : withOperands({ ...node, attrs }, node.operands).results;
  });
}

/** True where some operation has functions nested in it. */
export function nests({ nodes }: Func): boolean {
  return nodes.some((node) => nestedFuncs(node).length > 0);
}
