// Groups that are computed by rows: a loop over rows, in parallel where there is enough work, around the phases of one
// row. A phase is a loop in lanes over the row's elements; the results of its reductions are values of the row for the
// phases after it. A row stays in the first-level cache from phase to phase, so memory is read and written once.

import { InternalError } from '../ir/errors.ts';
import type { Node, Value } from '../ir/graph.ts';
import { axis, fixed, type IndexExpr, of } from '../ir/index-expr.ts';
import { type Buffer, type Expr, type Local, load, type Stmt } from '../ir/kernel.ts';
import { sizeOf } from '../ir/types.ts';
import { allIndices } from './expr-rewrite.ts';
import type { GroupContext, KernelBody } from './group.ts';
import { laneLoops } from './lane-loops.ts';
import { loop, mergeAxes, substituteStmts } from './loops.ts';
import { workOf } from './lower-element.ts';
import { resultLoops } from './lower-reduction.ts';
import { rowElement, rowIndex } from './row-groups.ts';
import { planRows, type RowPhase } from './row-plan.ts';

export function lowerRows(context: GroupContext): KernelBody[] {
  const { domain } = context.group;
  const axes = domain.slice(0, -1).map((extent, position) => axis(`i${position}`, extent));
  const body = rowStmts(context, axes.map(of));
  const work = workOf(body) * sizeOf(domain);
  const { merged, map } = mergeAxes(axes, allIndices(body));
  const inner = map.size === 0 ? body : substituteStmts(body, map);
  return [{ suffix: '', body: resultLoops(merged, inner, work), flops: work }];
}

/** One row: its phases in order, around the rows that are kept between them. */
function rowStmts(context: GroupContext, lead: readonly IndexExpr[]): Stmt[] {
  const { group } = context;
  const { phases, onStack } = planRows(context);
  const length = group.domain[group.domain.length - 1]!;
  const rows = new Map<Value, Buffer>();
  for (const value of onStack) {
    const name = `${value.name ?? value.producer?.op ?? 'value'}_row`;
    rows.set(value, { name, dtype: value.type.dtype, size: length, space: 'stack' });
  }
  const row: Row = { context, lead, rows, ofRow: new Map(), stored: new Set(group.stored) };
  const allocations = [...rows.values()].map((buffer): Stmt => ({ kind: 'allocate', buffer }));
  return [...allocations, ...phases.flatMap((phase) => phaseStmts(row, phase, length))];
}

/** A row on its way through the phases. */
interface Row {
  readonly context: GroupContext;
  readonly lead: readonly IndexExpr[];
  /** Elements kept on the stack. */
  readonly rows: ReadonlyMap<Value, Buffer>;
  /** The values of the row that are known by now. */
  readonly ofRow: Map<Value, Expr>;
  readonly stored: ReadonlySet<Value>;
}

function phaseStmts(row: Row, { before, elements, kept, reductions }: RowPhase, length: number): Stmt[] {
  const { context, ofRow } = row;
  const stmts = before.flatMap((node) => named(row, node, elementAt(row, node, fixed(0), ofRow), fixed(0)));
  if (elements.length === 0 && reductions.length === 0) return stmts;
  const along = axis('j', length);
  const body = (at: IndexExpr, take: (reduction: number, value: Expr) => Stmt): Stmt[] => {
    const locals = new Map(ofRow);
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
    return [...stmts, loop(along, 'vector', body(of(along), none))];
  }
  const kinds = reductions.map((node) => {
    const { lowering } = context.table[node.op];
    if (lowering.class !== 'reduction') throw new InternalError(`${node.op} is no reduction`);
    return { monoid: lowering.monoid(node as never), dtype: node.operands[0]!.type.dtype };
  });
  const lanes = laneLoops([], along, kinds, body);
  const results = reductions.flatMap((node, i) => named(row, node, lanes.results[i]!, fixed(0)));
  return [...stmts, ...lanes.stmts, ...results];
}

/** A value of the row as a name, in memory where it must be. */
function named(row: Row, node: Node, expr: Expr, at: IndexExpr): Stmt[] {
  const value = node.results[0]!;
  const { local, reference } = localFor(value);
  row.ofRow.set(value, reference);
  return [{ kind: 'let', local, value: expr }, ...stores(row, value, reference, at)];
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
