// A fusion plan as the passes see it that make one group of several: who computes a value, who reads it.

import type { Func, Node, Value } from '../ir/graph.ts';
import type { OpTable } from '../ir/optable.ts';
import type { FusionPlan, Group } from './fuse.ts';
import { nodesOf } from './group.ts';
import { type Uses, usesOf } from './inlining.ts';

export interface GroupedPlan extends FusionPlan, Uses {
  readonly table: OpTable;
  /** The group of each node that is not inlined. */
  readonly home: ReadonlyMap<Node, Group>;
}

export function groupedPlan(plan: FusionPlan, func: Func, table: OpTable): GroupedPlan {
  const home = new Map<Node, Group>();
  for (const group of plan.groups) for (const node of nodesOf(group)) home.set(node, group);
  return { ...plan, ...usesOf(func), table, home };
}

/** The plan with each group replaced by what is given for it; null: another group computes it. */
export function withMerged(plan: FusionPlan, merged: ReadonlyMap<Group, Group | null>): FusionPlan {
  if (merged.size === 0) return plan;
  return { ...plan, groups: plan.groups.flatMap((group) => merged.get(group) ?? (merged.has(group) ? [] : [group])) };
}

/** True where nothing else reads the value, through whatever is inlined between. */
export function isReadBy(group: Group, value: Value, grouped: GroupedPlan): boolean {
  if (grouped.results.has(value)) return false;
  return (grouped.readers.get(value) ?? []).every((reader) =>
    grouped.inlined.has(reader) ? isReadBy(group, reader.results[0]!, grouped) : grouped.home.get(reader) === group,
  );
}

/** Groups of contractions whose one result this group alone reads. */
export function contractionsRead(reader: Group, grouped: GroupedPlan): Group[] {
  const found = new Set<Group>();
  const seen = new Set<Node>();
  const visit = (node: Node): void => {
    for (const { producer } of node.operands) {
      if (producer === null || seen.has(producer)) continue;
      seen.add(producer);
      if (grouped.inlined.has(producer)) visit(producer);
      const group = grouped.home.get(producer);
      if (group !== undefined && group !== reader && group.stored.length === 1) found.add(group);
    }
  };
  nodesOf(reader).forEach(visit);
  return [...found].filter(
    ({ anchor, attention, stored }) =>
      isContraction(anchor, grouped.table) && attention === null && isReadBy(reader, stored[0]!, grouped),
  );
}

export function isContraction(node: Node | null, table: OpTable): node is Node {
  return node !== null && table[node.op].lowering.class === 'contraction';
}
