// Contractions whose results another group reads a window at a time: a pool whose windows do not overlap, the gates of a
// recurrent cell, an update that reads a gradient in another order of axes (a window of one). Every result is then read by
// one element of the reader, which can be computed in the contraction's kernel. Found by what is read where.

import type { Func, Node, Value } from '../ir/graph.ts';
import {
  type Axis,
  add,
  axis,
  boundsOf,
  type IndexExpr,
  multiply,
  of,
  sameIndex,
  subtract,
  type Term,
} from '../ir/index-expr.ts';
import { type Expr, literal } from '../ir/kernel.ts';
import type { ContractionForm, ElementContext, OpTable } from '../ir/optable.ts';
import type { FusionPlan, Group } from './fuse.ts';
import { contractionsRead, type GroupedPlan, groupedPlan, withMerged } from './grouped.ts';
import type { Machine } from './machine.ts';

/** A contraction that a group computes before its own nodes. */
export interface Source {
  readonly anchor: Node;
  /** What is computed of its results, element by element, up to the value that the group reads. */
  readonly members: readonly Node[];
  readonly value: Value;
  readonly form: ContractionForm;
  /** What replaces axes of the form: window axes and new ones. */
  readonly axes: ReadonlyMap<Axis, IndexExpr>;
  /** The group's index, in axes of the form and new ones. */
  readonly index: readonly IndexExpr[];
  /** The axes of a window, the reduced axes of the group's anchor where it has one. */
  readonly window: readonly Axis[];
  /** Where the value is read, in the same axes and the window's. */
  readonly read: readonly IndexExpr[];
}

/** Where a group reads a value: at one index for each element of its window. */
interface Reading {
  readonly domain: readonly Axis[];
  readonly window: readonly Axis[];
  readonly index: readonly IndexExpr[];
}

interface Grouped extends GroupedPlan {
  readonly machine: Pick<Machine, 'windowPays'>;
}

/** The plan with each contraction in the group that reads its windows, where the machine gains by it. */
export function withWindows(
  plan: FusionPlan,
  func: Func,
  table: OpTable,
  machine: Pick<Machine, 'windowPays'>,
): FusionPlan {
  const grouped: Grouped = { ...groupedPlan(plan, func, table), machine };
  const merged = new Map<Group, Group | null>();
  for (const group of plan.groups) {
    const found = sourceOf(group, grouped);
    if (found === null || merged.has(group)) continue;
    merged.set(found.group, null).set(group, { ...group, source: found.source });
  }
  return withMerged(plan, merged);
}

function sourceOf(reader: Group, grouped: Grouped): { group: Group; source: Source } | null {
  const { anchor } = reader;
  const readsWindows = anchor === null || grouped.table[anchor.op].lowering.class === 'reduction';
  if (!readsWindows || reader.byRows || reader.attention !== null) return null;
  for (const group of contractionsRead(reader, grouped)) {
    const source = matched(group, reader, grouped);
    if (source !== null) return { group, source };
  }
  return null;
}

function matched(group: Group, reader: Group, grouped: Grouped): Source | null {
  const anchor = group.anchor!;
  const value = group.stored[0]!;
  const reading = readingOf(reader, value, grouped);
  const { lowering } = grouped.table[anchor.op];
  if (reading === null || lowering.class !== 'contraction') return null;
  const form = lowering.form(anchor as never);
  const axes = new Map<Axis, IndexExpr>();
  const own = new Map<Axis, IndexExpr>();
  for (const [position, at] of reading.index.entries()) {
    const result = form.result[position]!;
    const moved = onlyAxis(at);
    if (at.terms.length === 0 && at.constant === 0 && value.type.shape[position] === 1) continue;
    if (moved !== null && reading.domain.includes(moved) && moved.extent === value.type.shape[position]) {
      if (own.has(moved)) return null;
      own.set(moved, result);
      continue;
    }
    const replaced = onlyAxis(result);
    if (replaced === null || axes.has(replaced) || !isInjective(at, replaced.extent)) return null;
    axes.set(replaced, at);
  }
  const used = [...axes.values()].flatMap(({ terms }) => terms.map(({ atom }) => atom));
  const covered = [...used, ...own.keys()];
  const all = [...reading.domain, ...reading.window].filter(({ extent }) => extent > 1);
  const isOnce = all.every((next) => covered.filter((atom) => atom === next).length === 1);
  const window = reading.window.filter(({ extent }) => extent > 1);
  const sides = [form.rows, form.columns].filter((side) => side.some((next) => axes.has(next)));
  const inBatch = form.batch.some((next) => axes.has(next));
  if (!isOnce || inBatch || sides.length > 1) return null;
  const size = window.reduce((product, { extent }) => product * extent, 1);
  const [side] = sides;
  const inRows = side === form.rows;
  const problem = {
    batch: extentOf(form.batch),
    windowed: extentOf(inRows ? form.rows : form.columns),
    others: extentOf(inRows ? form.columns : form.rows),
    inner: extentOf(form.inner),
    dtype: value.type.dtype,
  };
  if (!grouped.machine.windowPays(size, problem)) return null;
  return {
    anchor,
    members: group.members,
    value,
    form,
    axes,
    index: reading.domain.map((next) => own.get(next) ?? of(next)),
    window: reading.window,
    read: reading.index.map((index, position) => {
      const only = onlyAxis(index);
      return only !== null && own.has(only) ? form.result[position]! : index;
    }),
  };
}

function extentOf(axes: readonly Axis[]): number {
  return axes.reduce((product, { extent }) => product * extent, 1);
}

/** Where a group reads a value, if all its elements read it in the same way. */
function readingOf(reader: Group, value: Value, grouped: Grouped): Reading | null {
  const { table } = grouped;
  const domain = reader.domain.map((extent, position) => axis(`i${position}`, extent));
  const index = domain.map(of);
  const { anchor } = reader;
  const ofMembers = reader.members.flatMap((node) => {
    const { lowering } = table[node.op];
    const rule = lowering.class === 'element' ? lowering.element : null;
    return rule === null ? [] : readsOf(node, value, grouped, (s) => rule(s, index, node as never));
  });
  if (anchor === null) return ofElements(domain, ofMembers);
  const { lowering } = table[anchor.op];
  if (lowering.class !== 'reduction' || lowering.position || ofMembers.length > 0) return null;
  const window = lowering.extents(anchor as never).map((extent, position) => axis(`r${position}`, extent));
  const [first, ...others] = readsOf(anchor, value, grouped, (s) =>
    lowering.element(s, index, window.map(of), anchor as never),
  );
  const isOne = others.every((other) => other.every((at, position) => sameIndex(at, first![position]!)));
  return first === undefined || !isOne ? null : { domain, window, index: first };
}

/** The indices at which a node's rule reads a value, through whatever is inlined between. */
function readsOf(
  node: Node,
  value: Value,
  { table, inlined }: Grouped,
  rule: (s: ElementContext) => Expr,
): (readonly IndexExpr[])[] {
  const found: (readonly IndexExpr[])[] = [];
  const through = (from: Node): ElementContext => ({
    operand(position, at) {
      const operand = from.operands[position]!;
      const { producer, type } = operand;
      if (operand === value) found.push(at);
      if (producer === null || !inlined.has(producer)) return literal(type.dtype, 0);
      const { lowering } = table[producer.op];
      if (lowering.class !== 'element') return literal(type.dtype, 0);
      return lowering.element(through(producer), at, producer as never);
    },
  });
  rule(through(node));
  return found;
}

/** Reads at several places a constant step apart along one axis are a window; all at one place, a window of one. */
function ofElements(domain: readonly Axis[], reads: readonly (readonly IndexExpr[])[]): Reading | null {
  const distinct: (readonly IndexExpr[])[] = [];
  for (const read of reads) {
    const known = distinct.some((other) => other.every((at, position) => sameIndex(at, read[position]!)));
    if (!known) distinct.push(read);
  }
  const [first, ...others] = distinct;
  if (first === undefined) return null;
  if (others.length === 0) return { domain, window: [], index: first };
  const moving = first.findIndex((at, position) => !sameIndex(at, others[0]![position]!));
  const places: number[] = [];
  for (const read of distinct) {
    const away = subtract(read[moving]!, first[moving]!);
    const same = read.every((at, position) => position === moving || sameIndex(at, first[position]!));
    if (!same || away.terms.length > 0) return null;
    places.push(away.constant);
  }
  places.sort((a, b) => a - b);
  const step = places[1]! - places[0]!;
  if (places.some((place, i) => place !== places[0]! + i * step)) return null;
  const gate = axis('w', places.length);
  const begin: IndexExpr = { ...first[moving]!, constant: first[moving]!.constant + places[0]! };
  const index = first.map((at, position) => (position === moving ? add(begin, multiply(of(gate), step)) : at));
  return { domain, window: [gate], index };
}

function onlyAxis({ terms, constant }: IndexExpr): Axis | null {
  const [term, ...others] = terms;
  const isAxis = term?.atom.kind === 'axis' && term.coefficient === 1 && others.length === 0 && constant === 0;
  return isAxis ? (term.atom as Axis) : null;
}

/** True where the index differs for all values of its axes, and lies within the extent. */
function isInjective(index: IndexExpr, extent: number): boolean {
  const { lower, upper } = boundsOf(index);
  let reach = 0;
  const ascending: readonly Term[] = [...index.terms].sort((a, b) => a.coefficient - b.coefficient);
  for (const { atom, coefficient } of ascending) {
    if (atom.kind !== 'axis' || coefficient <= reach) return false;
    reach += coefficient * (atom.extent - 1);
  }
  return lower >= 0 && upper < extent;
}
