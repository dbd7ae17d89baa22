// The rows of attention: from scores to weights. The phases are those of any group by rows (row-plan.ts), but a row runs
// down the keys with a query in each lane, so a reduction never folds lanes, and values that are one per row are one per
// lane. What phases keep shares the scores' memory where lifetimes allow: softmax needs one array.

import { InternalError } from '../ir/errors.ts';
import type { Node, Value } from '../ir/graph.ts';
import { type Axis, add, axis, fixed, type IndexExpr, multiply, of } from '../ir/index-expr.ts';
import { type Buffer, type Expr, type LoadExpr, type Local, literal, load, type Stmt } from '../ir/kernel.ts';
import { identityOf } from '../ir/ops/monoid.ts';
import type { Attention } from './attention.ts';
import { type Mask, maskOf, mayNeed, type Ranges, type Step, sameMask, withoutScores } from './attention-mask.ts';
import { accessesOf, exprsOf, rewriteStmts, substituteIndex, walkExpr } from './expr-rewrite.ts';
import type { GroupContext } from './group.ts';
import { blocksOf, loop, substituteStmts } from './loops.ts';
import { rowElement } from './row-groups.ts';
import { planRows, type RowPhase } from './row-plan.ts';
import { maskedKeys, rowBytes } from './schedule.ts';

/** How a task's scores become weights. */
export interface WeightRows {
  /** The arrays `[key][query]` that are needed, the scores' among them. */
  readonly slots: readonly Buffer[];
  /** Where the weights are. */
  readonly weights: Buffer;
  /** Whether some keys' scores may count, for all queries of a tile; null: all scores count. */
  mayNeed(from: IndexExpr, count: number): Expr | null;
  /** The statements for a tile of which the first lanes hold queries. */
  stmts(lanes: number): Stmt[];
}

export interface WeightContext {
  readonly context: GroupContext;
  readonly attention: Attention;
  /** Queries of a task, and the axis that counts tasks. */
  readonly width: number;
  readonly tile: Axis;
  readonly scores: Buffer;
}

export function weightRows(given: WeightContext): WeightRows {
  const { attention, scores } = given;
  const { weights, members, domain } = attention;
  const group = { ...given.context.group, domain, anchor: null, members, byRows: true, stored: [weights] };
  const context: GroupContext = { ...given.context, group };
  const scored = attention.scores.results[0]!;
  const { phases, onStack } = planRows(context, rowBytes, new Map([[scored, literal(scored.type.dtype, 0)]]));
  const arrays = new Map<Value, Buffer>([[scored, scores]]);
  for (const value of [...onStack, weights]) arrays.set(value, { ...stackFor(value), size: scores.size });
  const rowsOf = (lanes: number): { rows: Rows; phases: Phase[]; mask: Mask | null } => {
    const rows = rowsAt(given, context, arrays, lanes);
    const bodies = phases.map((phase) => phaseOf(rows, phase));
    return { rows, phases: bodies, mask: maskOfPhases(bodies, [given.tile, rows.lane, attention.key]) };
  };
  const whole = rowsOf(given.width);
  const slots = shareArrays(whole.phases, [...arrays.values()], arrays.get(weights)!);
  const inSlots = { axis: () => null, buffer: (buffer: Buffer) => slots.get(buffer) ?? buffer };
  return {
    slots: [...new Set(slots.values())],
    weights: slots.get(arrays.get(weights)!)!,
    mayNeed: (from, count) =>
      whole.mask && mayNeed(whole.mask, blockRanges(attention.key, from, count, whole.rows.lane)),
    stmts: (lanes) => {
      const { rows, phases: bodies, mask } = rowsOf(lanes);
      return rewriteStmts(
        bodies.flatMap((phase) => phaseStmts(rows, phase, mask)),
        inSlots,
      );
    },
  };
}

function stackFor(value: Value): Omit<Buffer, 'size'> {
  return { name: nameOf(value), dtype: value.type.dtype, space: 'stack' };
}

function nameOf(value: Value): string {
  return value.name ?? value.producer?.op ?? 'value';
}

/** Rows on their way through the phases. */
interface Rows {
  readonly context: GroupContext;
  readonly attention: Attention;
  /** Of the queries of a tile. */
  readonly lane: Axis;
  readonly lead: readonly IndexExpr[];
  readonly width: number;
  readonly arrays: ReadonlyMap<Value, Buffer>;
  /** The values of each row that are known by now, at `lane`. */
  readonly ofRow: Map<Value, Expr>;
}

function rowsAt(
  { attention, width, tile }: WeightContext,
  context: GroupContext,
  arrays: Rows['arrays'],
  lanes: number,
): Rows {
  const lane = axis('lane', lanes);
  const map = new Map([[attention.query, add(multiply(of(tile), width), of(lane))]]);
  const lead = attention.index.slice(0, -1).map((position) => substituteIndex(position, map));
  return { context, attention, lane, lead, width, arrays, ofRow: new Map() };
}

/** A phase: what is done for each row before it, and at each key of each row. */
interface Phase {
  readonly before: readonly Stmt[];
  readonly body: readonly Stmt[];
  /** The name of the score in the body. */
  readonly score: Local;
}

function phaseOf(rows: Rows, { before, elements, kept, reductions }: RowPhase): Phase {
  const { context, attention, lane, width, arrays, ofRow } = rows;
  const stmts = before.flatMap((node) => perRow(rows, node.results[0]!, elementAt(rows, node, ofRow)));
  const at = add(multiply(of(attention.key), width), of(lane));
  const locals = new Map(ofRow);
  const body: Stmt[] = [];
  const name = (value: Value, expr: Expr): Local => {
    const local: Local = { name: nameOf(value), dtype: value.type.dtype, lanes: 1 };
    body.push({ kind: 'let', local, value: expr });
    locals.set(value, { kind: 'local', dtype: local.dtype, local });
    return local;
  };
  const scored = attention.scores.results[0]!;
  const score = name(scored, load(arrays.get(scored)!, at));
  for (const value of kept) name(value, load(arrays.get(value)!, at));
  const stores: Stmt[] = [];
  for (const { node, first } of elements) {
    const value = node.results[0]!;
    name(value, elementAt(rows, node, locals));
    const buffer = first ? arrays.get(value) : undefined;
    if (buffer !== undefined) stores.push({ kind: 'store', buffer, offset: at, value: locals.get(value)! });
  }
  const updates = reductions.map((node): Stmt => {
    const { lowering } = context.table[node.op];
    if (lowering.class !== 'reduction') throw new InternalError(`${node.op} is no reduction`);
    const monoid = lowering.monoid(node as never);
    const { dtype } = node.results[0]!.type;
    const value = elementAt(rows, node, locals);
    stmts.push(...perRow(rows, node.results[0]!, literal(dtype, identityOf(monoid, dtype))));
    const sum = ofRow.get(node.results[0]!) as LoadExpr;
    return { kind: 'update', buffer: sum.buffer, offset: sum.offset, monoid, value };
  });
  // An array may take the memory of one that is read here: all loads come before the first store.
  return { before: stmts, body: used([...body, ...stores, ...updates]), score };
}

/** The mask of the scores in every phase that reads them; null where there is none. */
function maskOfPhases(phases: readonly Phase[], axes: readonly Axis[]): Mask | null {
  let mask: Mask | null = null;
  for (const { body, score } of phases) {
    if (!body.some((stmt) => stmt.kind === 'let' && stmt.local === score)) continue;
    const found = maskOf(score, body.flatMap(stepsOf), axes);
    if (found === null || (mask !== null && !sameMask(found, mask))) return null;
    mask = found;
  }
  return mask;
}

function stepsOf(stmt: Stmt): Step[] {
  if (stmt.kind === 'let') return [stmt];
  return stmt.kind === 'store' || stmt.kind === 'update' ? [{ local: null, value: stmt.value }] : [];
}

/** The phases of a tile: down the keys, in blocks where a mask may spare the scores of some. */
function phaseStmts({ attention: { key }, lane }: Rows, phase: Phase, mask: Mask | null): Stmt[] {
  const { before, body } = phase;
  if (body.length === 0) return [...before];
  const down = (over: Axis, stmts: readonly Stmt[]): Stmt => loop(over, 'serial', [loop(lane, 'vector', stmts)]);
  if (mask === null || !body.some((stmt) => stmt.kind === 'let' && stmt.local === phase.score)) {
    return [...before, down(key, body)];
  }
  const spared = used(withoutScores(body, mask));
  const blocks = blocksOf(key.extent, maskedKeys, (from, count) => {
    const inside = axis(key.name, count);
    const at = (stmts: readonly Stmt[]): Stmt[] => [
      down(inside, substituteStmts(stmts, new Map([[key, add(from, of(inside))]]))),
    ];
    return [
      {
        kind: 'if',
        condition: mayNeed(mask, blockRanges(key, from, count, lane)),
        then: at(body),
        otherwise: at(spared),
      },
    ];
  });
  return [...before, ...blocks];
}

function blockRanges(key: Axis, from: IndexExpr, count: number, lane: Axis): Ranges {
  return new Map([
    [key, { from, count }],
    [lane, { from: fixed(0), count: lane.extent }],
  ]);
}

/** Without the named values that nothing reads. */
function used(body: readonly Stmt[]): Stmt[] {
  const kept: Stmt[] = [];
  const read = new Set<Local>();
  for (const stmt of [...body].reverse()) {
    if (stmt.kind === 'let' && !read.has(stmt.local)) continue;
    kept.push(stmt);
    for (const expr of exprsOf(stmt)) walkExpr(expr, (inner) => inner.kind === 'local' && read.add(inner.local));
  }
  return kept.reverse();
}

/** A value of each row, computed for all lanes. */
function perRow({ lane, width, ofRow }: Rows, value: Value, expr: Expr): Stmt[] {
  const buffer: Buffer = { ...stackFor(value), size: width };
  ofRow.set(value, load(buffer, of(lane)));
  const store: Stmt = { kind: 'store', buffer, offset: of(lane), value: expr };
  return [{ kind: 'allocate', buffer }, loop(lane, 'vector', [store])];
}

function elementAt({ context, attention, lead }: Rows, node: Node, locals: ReadonlyMap<Value, Expr>): Expr {
  const read = (operand: Value, index: readonly IndexExpr[]): Expr => context.at(operand, index, locals);
  const element = rowElement(context.table, node, attention.domain, lead, of(attention.key), read);
  if (element === null) throw new InternalError(`${node.op} has no place in a row`);
  return element;
}

/** Arrays that are dead when another is first stored give it their memory: each is read and stored at one place at a time. */
function shareArrays(phases: readonly Phase[], arrays: readonly Buffer[], weights: Buffer): Map<Buffer, Buffer> {
  const last = new Map<Buffer, number>();
  const first = new Map<Buffer, number>();
  phases.forEach(({ body }, phase) => {
    const { loads, stores } = accessesOf(body);
    for (const { buffer } of loads) last.set(buffer, phase);
    for (const { buffer } of stores) if (!first.has(buffer)) first.set(buffer, phase);
  });
  last.set(weights, phases.length);
  const slots = new Map<Buffer, Buffer>();
  const free: { slot: Buffer; until: number }[] = [];
  const begins = (buffer: Buffer): number => first.get(buffer) ?? -1;
  for (const buffer of [...arrays].sort((a, b) => begins(a) - begins(b))) {
    const found = free.find(({ slot, until }) => until <= begins(buffer) && slot.dtype === buffer.dtype);
    if (found !== undefined) found.until = last.get(buffer) ?? -1;
    else free.push({ slot: buffer, until: last.get(buffer) ?? -1 });
    slots.set(buffer, found?.slot ?? buffer);
  }
  return slots;
}
