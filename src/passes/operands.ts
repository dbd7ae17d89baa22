// A thin contraction and the small operand that it alone reads (the means of a global pool before a dense layer): every
// workgroup computes all of the operand into its own memory, which is cheaper than a kernel before it.

import type { Func, Value } from '../ir/graph.ts';
import { literal } from '../ir/kernel.ts';
import type { ElementContext, OpTable } from '../ir/optable.ts';
import { sizeOf } from '../ir/types.ts';
import type { FusionPlan, Group } from './fuse.ts';
import { type GroupedPlan, groupedPlan, isReadBy, withMerged } from './grouped.ts';
import { extentOf } from './loops.ts';
import type { Machine } from './machine.ts';

/** A group whose one value a contraction reads, and computes itself. */
export interface OwnOperand {
  readonly group: Group;
  readonly value: Value;
}

interface Grouped extends GroupedPlan {
  readonly machine: Pick<Machine, 'operandPays'>;
}

/** The plan with small operands in the groups of the contractions that read them, where the machine gains by it. */
export function withOperands(
  plan: FusionPlan,
  func: Func,
  table: OpTable,
  machine: Pick<Machine, 'operandPays'>,
): FusionPlan {
  const grouped: Grouped = { ...groupedPlan(plan, func, table), machine };
  const merged = new Map<Group, Group | null>();
  for (const reader of plan.groups) {
    const operand = operandOf(reader, grouped);
    if (operand === null || merged.has(operand.group)) continue;
    merged.set(operand.group, null).set(reader, { ...reader, operand });
  }
  return withMerged(plan, merged);
}

function operandOf(reader: Group, grouped: Grouped): OwnOperand | null {
  const { anchor, source, attention } = reader;
  if (anchor === null || source !== null || attention !== null) return null;
  const { lowering } = grouped.table[anchor.op];
  if (lowering.class !== 'contraction') return null;
  const form = lowering.form(anchor as never);
  const sides = [form.lhs, form.rhs].map((side) => {
    const read = new Set<Value>();
    side({ operand: (position) => readThrough(anchor.operands[position]!, grouped, read) });
    return read;
  });
  for (const [i, values] of sides.entries()) {
    for (const value of values) {
      const group = value.producer === null ? undefined : grouped.home.get(value.producer);
      const isAlone = group !== undefined && group.stored.length === 1 && isReadBy(reader, value, grouped);
      if (!isAlone || !isSimple(group, grouped.table) || sides[1 - i]!.has(value)) continue;
      const readers = grouped.readers.get(value) ?? [];
      if (reader.members.some((member) => readers.includes(member))) continue;
      const [own, other] = i === 0 ? [form.rows, form.columns] : [form.columns, form.rows];
      const problem = {
        batch: extentOf(form.batch),
        windowed: extentOf(own),
        others: extentOf(other),
        inner: extentOf(form.inner),
        dtype: value.type.dtype,
      };
      if (grouped.machine.operandPays(sizeOf(value.type.shape), workOf(group, grouped.table), problem))
        return { group, value };
    }
  }
  return null;
}

/** Elements alone, or a reduction with what follows it. */
function isSimple({ anchor, byRows, attention, source }: Group, table: OpTable): boolean {
  if (byRows || attention !== null || source !== null) return false;
  if (anchor === null) return true;
  const { lowering } = table[anchor.op];
  return lowering.class === 'reduction' && !lowering.position;
}

/** Elements that one value is computed of. */
function workOf({ anchor, members }: Group, table: OpTable): number {
  if (anchor === null) return members.length;
  const { lowering } = table[anchor.op];
  const extents = lowering.class === 'reduction' ? lowering.extents(anchor as never) : [];
  return extents.reduce((product, extent) => product * extent, 1) + members.length;
}

/** Collects the values in memory that an operand is made of. */
function readThrough(value: Value, grouped: Grouped, read: Set<Value>): ReturnType<ElementContext['operand']> {
  const { producer, type } = value;
  if (producer === null || !grouped.inlined.has(producer)) read.add(value);
  else for (const operand of producer.operands) readThrough(operand, grouped, read);
  return literal(type.dtype, 0);
}
