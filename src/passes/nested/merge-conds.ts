// Merging branches that the same value decides and that read the same: they become one with the results of all. A derivative asks
// a branch for more of what it computes; merged with the first it costs what is kept.

import { makeFunc, type Node, type Value } from '../../ir/graph.ts';
import { inlineFunc, withOperands } from '../../ir/inline.ts';
import { builder } from '../../ir/ops/index.ts';
import { nestedFunc, open } from '../../ir/ops/loops/nested.ts';
import { equalValues } from '../cse.ts';
import type { Pass } from '../pass.ts';
import { nests } from '../rewrite.ts';
import { levelsOf, Shared } from './merge.ts';

export const mergeConds: Pass = {
  name: 'merge-conds',
  guarantees: 'branches on the same predicate that share an argument, of which none reads another, are one',
  needs: 'calls inlined',
  run: (func) => {
    if (!nests(func)) return func;
    const levels = levelsOf(func, 'cond');
    const groups = groupsOf(func.nodes, levels);
    if (groups.size === 0) return func;
    const map = new Map<Value, Value>();
    const mapped = (value: Value): Value => map.get(value) ?? value;
    for (const node of [...func.nodes].sort((a, b) => levels.get(a)! - levels.get(b)!)) {
      if (map.has(node.results[0]!)) continue;
      const group = groups.get(node);
      const again = (of: Node): Node => withOperands(of, of.operands.map(mapped));
      const members = group ?? (node.operands.some((operand) => map.has(operand)) ? [node] : []);
      const made = group === undefined ? [] : mergedCond(group.map((member) => again(member) as Node<'cond'>));
      for (const [i, member] of members.entries()) {
        const results = made[i] ?? again(member).results;
        for (const [j, value] of member.results.entries()) map.set(value, results[j]!);
      }
    }
    const results = func.results.map((result) => ({ ...result, value: mapped(result.value) }));
    return makeFunc(func.name, func.parameters, results);
  },
};

/** Branches of one level and predicate with an argument in common, by each of them; none alone. */
function groupsOf(nodes: readonly Node[], levels: ReadonlyMap<Node, number>): Map<Node, Node<'cond'>[]> {
  const groups: Node<'cond'>[][] = [];
  for (const node of nodes) {
    if (node.op !== 'cond') continue;
    const [predicate, ...given] = node.operands;
    const alike = groups.find(
      ([first]) =>
        first!.operands[0] === predicate &&
        levels.get(first!) === levels.get(node) &&
        given.some((operand) => first!.operands.indexOf(operand, 1) > 0),
    );
    if (alike === undefined) groups.push([node as Node<'cond'>]);
    else alike.push(node as Node<'cond'>);
  }
  const several = groups.filter(({ length }) => length > 1);
  return new Map(several.flatMap((group) => group.map((node) => [node, group] as const)));
}

/** The results of each branch as those of one. */
function mergedCond(conds: readonly Node<'cond'>[]): (readonly Value[])[] {
  const shared = new Shared();
  const parts = conds.map(({ operands, attrs: { then, otherwise } }) => {
    const values = then.parameters.map(({ value }, i) => shared.pass(operands[i + 1]!, value));
    return { then: inlineFunc(then, values), otherwise: inlineFunc(otherwise, values) };
  });
  const all = parts.flatMap(({ then, otherwise }) => then.map((value, i) => [value, otherwise[i]!] as const));
  const equal = equalValues(all.flat(), new Map());
  const same = (a: Value, b: Value): boolean => (equal.get(a) ?? a) === (equal.get(b) ?? b);
  type Pair = (typeof all)[number];
  const placeIn = (list: readonly Pair[], [chosen, otherwise]: Pair): number =>
    list.findIndex((pair) => same(pair[0], chosen) && same(pair[1], otherwise));
  const kept = all.filter((pair, at) => placeIn(all, pair) === at);
  const { operands, attrs, source } = conds[0]!;
  const [first, second] = [0, 1].map((i) => kept.map((pair) => pair[i]!)) as [Value[], Value[]];
  const other = open(nestedFunc(attrs.otherwise.name, shared.values, second));
  const made = builder.at(source).cond(operands[0]!, ...shared.operands, {
    ...attrs,
    then: nestedFunc(attrs.then.name, shared.values, first),
    otherwise: nestedFunc(attrs.otherwise.name, other.parameters, other.results),
  });
  const places = all.map((pair) => placeIn(kept, pair));
  return parts.map(({ then }) => places.splice(0, then.length).map((at) => made[at]!));
}
