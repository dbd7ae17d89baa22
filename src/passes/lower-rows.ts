// Groups that are computed by rows: a loop over rows around the phases of one row. A phase is a loop over the row's elements; the results of its reductions are values of the row for the
// phases after it. A row stays in the first-level cache from phase to phase, so memory is read and written once.

import { InternalError } from '../ir/errors.ts';
import type { Node, Value } from '../ir/graph.ts';
import { type Axis, axis, fixed, type IndexExpr, of } from '../ir/index-expr.ts';
import { type Buffer, type BufferSpace, type Expr, type Local, literal, load, type Stmt } from '../ir/kernel.ts';
import { sizeOf } from '../ir/types.ts';
import { allIndices } from './expr-rewrite.ts';
import type { GroupContext, KernelBody, LoweringContext } from './group.ts';
import { type LaneReduction, laneLoops } from './lane-loops.ts';
import { loop, mergeAxes, substituteStmts } from './loops.ts';
import { workOf } from './lower-element.ts';
import { resultLoops } from './lower-reduction.ts';
import { rowElement, rowIndex } from './row-groups.ts';
import { planRows, type RowPhase } from './row-plan.ts';
import { rowBytes } from './schedule.ts';

/** How a machine runs over the elements of a row. */
export interface RowLoops {
  /** Bytes of the rows that are kept between phases, and where they are. */
  readonly rowBytes: number;
  readonly space: BufferSpace;
  /** Runs a body for every element; it hands what is reduced to `take`. */
  reduce(length: number, reductions: readonly LaneReduction[], body: RowBody): { stmts: Stmt[]; results: Expr[] };
  each(length: number, body: (at: IndexExpr) => Stmt[]): Stmt[];
  /** Writes what the row has once. */
  once(stmts: Stmt[]): Stmt[];
}

export type RowBody = (at: IndexExpr, take: (reduction: number, value: Expr) => Stmt) => Stmt[];

/** Lanes over the elements, in one thread. */
const laneRows: RowLoops = {
  rowBytes,
  space: 'stack',
  reduce: (length, reductions, body) => laneLoops([], axis('j', length), reductions, body),
  each: (length, body) => {
    const along = axis('j', length);
    return [loop(along, 'vector', body(of(along)))];
  },
  once: (stmts) => stmts,
};

export function lowerRows(context: GroupContext): KernelBody[] {
  const { allocations, stmts, rows } = rowKernel(context, laneRows);
  const work = workOf(stmts) * sizeOf(context.group.domain);
  return [{ suffix: '', body: resultLoops(rows, [...allocations, ...stmts], work), flops: work }];
}

/** A row of a group and the axes over rows: its phases in order, and the rows that are kept between them. */
export interface RowKernel {
  readonly rows: readonly Axis[];
  readonly allocations: readonly Stmt[];
  readonly stmts: readonly Stmt[];
}

export function rowKernel(context: LoweringContext, loops: RowLoops): RowKernel {
  const axes = context.group.domain.slice(0, -1).map((extent, position) => axis(`i${position}`, extent));
  const { allocations, stmts } = rowStmts(context, loops, axes.map(of));
  const { merged, map } = mergeAxes(axes, allIndices(stmts));
  return { rows: merged, allocations, stmts: map.size === 0 ? stmts : substituteStmts(stmts, map) };
}

/** What a row begins with that is no member: an element of it by its position in the row. */
export type GivenRows = ReadonlyMap<Value, (at: IndexExpr) => Expr>;

/** The phases of the row at `lead`, in order. */
export function rowStmts(
  context: LoweringContext,
  loops: RowLoops,
  lead: readonly IndexExpr[],
  given: GivenRows = new Map(),
): Pick<RowKernel, 'allocations' | 'stmts'> {
  const { group } = context;
  const placeholders = [...given.keys()].map((value) => [value, literal(value.type.dtype, 0)] as const);
  const { phases, onStack } = planRows(context, loops.rowBytes, new Map(placeholders));
  const length = group.domain[group.domain.length - 1]!;
  const rows = new Map<Value, Buffer>();
  for (const value of onStack) {
    const name = `${value.name ?? value.producer?.op ?? 'value'}_row`;
    rows.set(value, { name, dtype: value.type.dtype, size: length, space: loops.space });
  }
  const row: Row = { context, loops, lead, given, rows, ofRow: new Map(), stored: new Set(group.stored) };
  const allocations = [...rows.values()].map((buffer): Stmt => ({ kind: 'allocate', buffer }));
  return { allocations, stmts: phases.flatMap((phase) => phaseStmts(row, phase, length)) };
}

/** A row on its way through the phases. */
interface Row {
  readonly context: LoweringContext;
  readonly loops: RowLoops;
  readonly lead: readonly IndexExpr[];
  readonly given: GivenRows;
  /** Elements kept on the stack. */
  readonly rows: ReadonlyMap<Value, Buffer>;
  /** The values of the row that are known by now. */
  readonly ofRow: Map<Value, Expr>;
  readonly stored: ReadonlySet<Value>;
}

function phaseStmts(row: Row, { before, elements, kept, reductions }: RowPhase, length: number): Stmt[] {
  const { context, loops, ofRow } = row;
  const stmts = before.flatMap((node) => named(row, node, elementAt(row, node, fixed(0), ofRow), fixed(0)));
  if (elements.length === 0 && reductions.length === 0) return stmts;
  const body: RowBody = (at, take) => {
    const locals = new Map(ofRow);
    for (const [value, element] of row.given) locals.set(value, element(at));
    for (const value of kept) locals.set(value, keptAt(row, value, at));
    const named: Stmt[] = [];
    for (const { node, first } of elements) {
      const value = node.results[0]!;
      const { local, reference } = localFor(value);
      named.push({ kind: 'let', local, value: elementAt(row, node, at, locals) });
      locals.set(value, reference);
      if (first) named.push(...stores(row, value, reference, at));
    }
    return [...named, ...reductions.map((node, i) => take(i, elementAt(row, node, at, locals)))];
  };
  if (reductions.length === 0) {
    const none = (): Stmt => {
      throw new InternalError('a phase without reductions takes nothing');
    };
    return [...stmts, ...loops.each(length, (at) => body(at, none))];
  }
  const kinds = reductions.map((node) => {
    const { lowering } = context.table[node.op];
    if (lowering.class !== 'reduction') throw new InternalError(`${node.op} is no reduction`);
    return { monoid: lowering.monoid(node as never), dtype: node.operands[0]!.type.dtype };
  });
  const lanes = loops.reduce(length, kinds, body);
  const results = reductions.flatMap((node, i) => named(row, node, lanes.results[i]!, fixed(0)));
  return [...stmts, ...lanes.stmts, ...results];
}

/** A value of the row as a name, in memory where it must be. */
function named(row: Row, node: Node, expr: Expr, at: IndexExpr): Stmt[] {
  const value = node.results[0]!;
  const { local, reference } = localFor(value);
  row.ofRow.set(value, reference);
  const stored = stores(row, value, reference, at);
  return [{ kind: 'let', local, value: expr }, ...(stored.length === 0 ? [] : row.loops.once(stored))];
}

function localFor(value: Value): { local: Local; reference: Expr } {
  const local: Local = { name: value.name ?? value.producer?.op ?? 'value', dtype: value.type.dtype, lanes: 1 };
  return { local, reference: { kind: 'local', dtype: local.dtype, local } };
}

function elementAt({ context, lead }: Row, node: Node, at: IndexExpr, locals: ReadonlyMap<Value, Expr>): Expr {
  const read = (operand: Value, index: readonly IndexExpr[]): Expr => context.at(operand, index, locals);
  const element = rowElement(context.table, node, context.group.domain, lead, at, read);
  if (element === null) throw new InternalError(`${node.op} has no place in a row`);
  return element;
}

function stores(row: Row, value: Value, expr: Expr, at: IndexExpr): Stmt[] {
  const onStack = row.rows.get(value);
  const stmts: Stmt[] = [];
  if (onStack !== undefined) stmts.push({ kind: 'store', buffer: onStack, offset: at, value: expr });
  if (row.stored.has(value)) {
    const { buffer, offset } = inMemory(row, value, at);
    stmts.push({ kind: 'store', buffer, offset, value: expr });
  }
  return stmts;
}

/** An element of an earlier phase: from the stack, or from where it is stored. */
function keptAt(row: Row, value: Value, at: IndexExpr): Expr {
  const onStack = row.rows.get(value);
  if (onStack !== undefined) return load(onStack, at);
  const { buffer, offset } = inMemory(row, value, at);
  return load(buffer, offset);
}

function inMemory({ context, lead }: Row, value: Value, at: IndexExpr): { buffer: Buffer; offset: IndexExpr } {
  const index = rowIndex(value.type.shape, context.group.domain, lead, at);
  if (index === null) throw new InternalError(`a value of shape [${value.type.shape}] has no place in a row`);
  return { buffer: context.bufferFor(value), offset: context.offsetOf(value, index) };
}
