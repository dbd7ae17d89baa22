// Attention as one group: a contraction (scores of queries against keys) that only a group by rows reads, whose one
// result (weights along the row of keys) only a second contraction reads, which sums over that row. Found by what is read
// where, not by names: scales, masks and biases between are members like any other. A kernel then computes a few rows of
// scores at a time, and the matrix of all of them never is in memory.

import type { Func, Node, Value } from '../ir/graph.ts';
import { type Axis, axis, flatten, type IndexExpr, of, sameIndex } from '../ir/index-expr.ts';
import { type Expr, literal } from '../ir/kernel.ts';
import type { ContractionForm, ElementContext, OpTable } from '../ir/optable.ts';
import { isFloat, type Shape, sameShape } from '../ir/types.ts';
import type { FusionPlan, Group } from './fuse.ts';
import { contractionsRead, type GroupedPlan, groupedPlan, isContraction, withMerged } from './grouped.ts';
import type { Machine } from './machine.ts';
import { rowElement } from './row-groups.ts';
import { type Softmax, softmaxOf } from './softmax.ts';

/** What a group computes before its anchor, row by row: scores and the weights made of them. All axes are the anchor's. */
export interface Attention {
  /** Σ over depth of query · key; its operands are read at `axes`, which maps its own axes to the anchor's. */
  readonly scores: Node;
  readonly scoresForm: ContractionForm;
  readonly axes: ReadonlyMap<Axis, IndexExpr>;
  readonly queriesAreLhs: boolean;
  /** What is computed of scores along a row, operands first, up to the weights. */
  readonly members: readonly Node[];
  /** The shape of scores and weights, keys last, and the index of an element in the anchor's axes. */
  readonly domain: Shape;
  readonly index: readonly IndexExpr[];
  readonly weights: Value;
  /** Present where the members are a softmax and what comes before it. */
  readonly softmax: Softmax | null;
  readonly form: ContractionForm;
  readonly weightsAreLhs: boolean;
  readonly batch: readonly Axis[];
  readonly query: Axis;
  readonly key: Axis;
  /** An axis of `scoresForm`: what queries and keys are multiplied along. */
  readonly depth: Axis;
  readonly channel: Axis;
}

interface Grouped extends GroupedPlan {
  readonly machine: Pick<Machine, 'attentionPays'>;
}

/** The plan with the three groups of each attention as one, in the place of the last. */
export function withAttention(
  plan: FusionPlan,
  func: Func,
  table: OpTable,
  machine: Pick<Machine, 'attentionPays'>,
): FusionPlan {
  const grouped: Grouped = { ...groupedPlan(plan, func, table), machine };
  const merged = new Map<Group, Group | null>();
  for (const rows of plan.groups) {
    const found = attentionOf(rows, grouped);
    if (found === null || merged.has(found.first) || merged.has(found.last)) continue;
    merged
      .set(found.first, null)
      .set(rows, null)
      .set(found.last, { ...found.last, attention: found.attention });
  }
  return withMerged(plan, merged);
}

interface Found {
  readonly first: Group;
  readonly last: Group;
  readonly attention: Attention;
}

function attentionOf(rows: Group, grouped: Grouped): Found | null {
  const [weights, ...others] = rows.stored;
  if (!rows.byRows || weights === undefined || others.length > 0) return null;
  const last = onlyReader(weights, grouped);
  if (last === null || !sameShape(weights.type.shape, rows.domain) || !isContraction(last.anchor, grouped.table))
    return null;
  for (const first of contractionsRead(rows, grouped)) {
    if (!sameShape(first.domain, rows.domain)) continue;
    const attention = matched(first, rows, weights, last.anchor, grouped);
    if (attention !== null) return { first, last, attention };
  }
  return null;
}

/** The group whose nodes are all that read a value, through whatever is inlined between; null: several, or a result. */
function onlyReader(value: Value, grouped: Grouped): Group | null {
  if (grouped.results.has(value)) return null;
  let found: Group | null = null;
  for (const reader of grouped.readers.get(value) ?? []) {
    const group = grouped.home.get(reader) ?? onlyReader(reader.results[0]!, grouped);
    if (group === null || (found !== null && found !== group)) return null;
    found = group;
  }
  return found;
}

function matched(first: Group, rows: Group, weights: Value, anchor: Node, grouped: Grouped): Attention | null {
  const scores = first.anchor!;
  const members = [...first.members, ...rows.members];
  if (!isFloat(weights.type.dtype) || scores.results[0]!.type.dtype !== weights.type.dtype) return null;
  if (!readsOwnRow(members, scores.results[0]!, rows.domain, grouped)) return null;
  const form = formOf(anchor, grouped.table);
  const scoresForm = formOf(scores, grouped.table);
  const sides = [form.lhs, form.rhs].map((side) => weightsIndex(side, anchor, weights, grouped));
  const [left, right] = sides;
  const index = left !== null ? left : right;
  if (sides.includes('computed') || index === null || (left !== null && right !== null)) return null;
  const axes = axesOf(scoresForm, form, index as readonly IndexExpr[], left !== null);
  if (axes === null || form.window !== undefined || scoresForm.window !== undefined) return null;
  const { query, key, depth, channel } = axes;
  const softmax = softmaxOf(members, weights);
  if (!grouped.machine.attentionPays(query.extent, key.extent, depth.extent, channel.extent, softmax !== null))
    return null;
  return {
    ...axes,
    scores,
    scoresForm,
    members,
    domain: rows.domain,
    index: index as readonly IndexExpr[],
    weights,
    softmax,
    form,
    weightsAreLhs: left !== null,
  };
}

function formOf(node: Node, table: OpTable): ContractionForm {
  const { lowering } = table[node.op];
  return (lowering as Extract<typeof lowering, { class: 'contraction' }>).form(node as never);
}

/** True where every member reads the scores in its own row and column. */
function readsOwnRow(members: readonly Node[], scores: Value, rows: Shape, { table, inlined }: Grouped): boolean {
  const axes = rows.map((extent, position) => of(axis(`i${position}`, extent)));
  const own = flatten(axes, rows);
  let joins = true;
  const read = (value: Value, index: readonly IndexExpr[]): Expr => {
    if (value === scores) joins &&= sameIndex(own, flatten(index, rows));
    return through(value, index, inlined, table, read);
  };
  return (
    members.every((node) => rowElement(table, node, rows, axes.slice(0, -1), axes.at(-1)!, read) !== null) && joins
  );
}

/** An inlined value's expression by what `read` gives for its operands; a placeholder for any other. */
function through(
  { producer, type }: Value,
  index: readonly IndexExpr[],
  inlined: ReadonlySet<Node>,
  table: OpTable,
  read: (value: Value, index: readonly IndexExpr[]) => Expr,
): Expr {
  if (producer === null || !inlined.has(producer)) return literal(type.dtype, 0);
  const { lowering } = table[producer.op];
  if (lowering.class !== 'element') return literal(type.dtype, 0);
  const s: ElementContext = { operand: (position, at) => read(producer.operands[position]!, at) };
  return lowering.element(s, index, producer as never);
}

/** Where a side of the contraction reads the weights; null: nowhere; 'computed': it is more than they are. */
function weightsIndex(
  side: ContractionForm['lhs'],
  anchor: Node,
  weights: Value,
  { table, inlined }: Grouped,
): readonly IndexExpr[] | 'computed' | null {
  const found: { index: readonly IndexExpr[]; placeholder: Expr }[] = [];
  const read = (value: Value, index: readonly IndexExpr[]): Expr => {
    if (value !== weights) return through(value, index, inlined, table, read);
    const placeholder = literal(value.type.dtype, 0);
    found.push({ index, placeholder });
    return placeholder;
  };
  const expr = side({ operand: (position, at) => read(anchor.operands[position]!, at) });
  if (found.length === 0) return null;
  return found.length === 1 && expr === found[0]!.placeholder ? found[0]!.index : 'computed';
}

type AttentionAxes = Pick<Attention, 'axes' | 'queriesAreLhs' | 'batch' | 'query' | 'key' | 'depth' | 'channel'>;

/** How the axes of the scores' contraction are those of the second one; null where keys, queries and the rest do not part. */
function axesOf(
  scores: ContractionForm,
  second: ContractionForm,
  index: readonly IndexExpr[],
  weightsAreLhs: boolean,
): AttentionAxes | null {
  const free = weightsAreLhs ? second.rows : second.columns;
  const pairs: { own: Axis; other: Axis }[] = [];
  for (const [position, at] of index.entries()) {
    if (at.terms.length === 0 && scores.result[position]!.terms.length === 0) continue;
    const [own, other] = [onlyAxis(scores.result[position]!), onlyAxis(at)];
    if (own === null || other === null) return null;
    pairs.push({ own, other });
  }
  const keys = pairs.pop();
  if (keys === undefined) return null;
  const queriesAreLhs = scores.columns.includes(keys.own);
  const keySide = queriesAreLhs ? scores.columns : scores.rows;
  const querySide = queriesAreLhs ? scores.rows : scores.columns;
  // A single query has no axis that anything depends on.
  const only = axis('query', 1);
  const single = querySide.every(({ extent }) => extent === 1) ? { own: only, other: only } : undefined;
  const query = pairs.findLast(({ own }) => querySide.includes(own)) ?? single;
  const depth = theAxis(scores.inner);
  const channel = theAxis(weightsAreLhs ? second.columns : second.rows);
  if (query === undefined || depth === null || channel === null) return null;
  const read = pairs.map(({ other }) => other);
  const parted =
    theAxis(keySide) === keys.own &&
    theAxis(second.inner) === keys.other &&
    (free.includes(query.other) || query === single) &&
    [...free, ...second.batch].every((next) => next.extent === 1 || read.includes(next));
  if (!parted) return null;
  const batch = read.filter((next) => next !== query.other);
  const axes = new Map([...pairs, keys].map(({ own, other }) => [own, of(other)]));
  return { axes, queriesAreLhs, batch, query: query.other, key: keys.other, depth, channel };
}

function onlyAxis({ terms, constant }: IndexExpr): Axis | null {
  const [term, ...others] = terms;
  const isAxis = term?.atom.kind === 'axis' && term.coefficient === 1 && others.length === 0 && constant === 0;
  return isAxis ? (term.atom as Axis) : null;
}

/** The one axis of more than one element. */
function theAxis(axes: readonly Axis[]): Axis | null {
  const [found, ...others] = axes.filter((next) => next.extent > 1);
  return found !== undefined && others.length === 0 ? found : null;
}
