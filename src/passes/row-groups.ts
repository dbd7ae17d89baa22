// Groups that are computed row by row: reductions over the last axis, what is computed from their results for each row,
// and element operations that read those results broadcast back over the row (softmax, normalisations, their
// derivatives). Such an operation may join a group when all it reads of the group lies in its own row.

import type { Node, Value } from '../ir/graph.ts';
import { axis, fixed, flatten, type IndexExpr, of, sameIndex } from '../ir/index-expr.ts';
import { type Expr, literal } from '../ir/kernel.ts';
import type { ElementContext, OpTable } from '../ir/optable.ts';
import { type Shape, sameShape, sizeOf } from '../ir/types.ts';

/** True where so many rows of a length are better computed one by one than each step for all. */
export type RowsPay = (length: number, count: number) => boolean;

/** A reduction over the last axis. */
export function isRowReduction(node: Node): node is Node<'reduce'> {
  if (node.op !== 'reduce') return false;
  const { axes } = (node as Node<'reduce'>).attrs;
  return axes.length === 1 && axes[0] === node.operands[0]!.type.shape.length - 1;
}

/** The shape whose last axis is the row that a group beginning with this node has; null where it has none. */
export function rowsOf(node: Node, isElement: boolean, rowsPay: RowsPay): Shape | null {
  if (!isElement && !isRowReduction(node)) return null;
  const { shape } = isElement ? node.results[0]!.type : node.operands[0]!.type;
  const length = shape[shape.length - 1];
  if (length === undefined || length === 0) return null;
  return rowsPay(length, sizeOf(shape) / length) ? shape : null;
}

/** Where a value is while a group is open: computed in it, before it, or neither. */
export type Whereabouts = 'here' | 'before' | 'elsewhere';

/** The index of a value in the row at `lead`: of one element of the row, or of the row's one value. */
export function rowIndex(shape: Shape, rows: Shape, lead: readonly IndexExpr[], at: IndexExpr): IndexExpr[] | null {
  if (sameShape(shape, rows)) return [...lead, at];
  const ofRow = rows.slice(0, -1);
  if (sameShape(shape, ofRow)) return [...lead];
  return sameShape(shape, [...ofRow, 1]) ? [...lead, fixed(0)] : null;
}

/** An element of an element operation, or of what a reduction over the row reduces, by the operands that `read` gives. */
export function rowElement(
  table: OpTable,
  node: Node,
  rows: Shape,
  lead: readonly IndexExpr[],
  at: IndexExpr,
  read: (operand: Value, index: readonly IndexExpr[]) => Expr,
): Expr | null {
  const { lowering } = table[node.op];
  const s: ElementContext = { operand: (position, index) => read(node.operands[position]!, index) };
  if (lowering.class === 'element') {
    const index = rowIndex(node.results[0]!.type.shape, rows, lead, at);
    return index === null ? null : lowering.element(s, index, node as never);
  }
  if (lowering.class !== 'reduction' || !isRowReduction(node)) return null;
  return sameShape(node.operands[0]!.type.shape, rows) ? lowering.element(s, lead, [at], node as never) : null;
}

/** True where the node reads values of the open group in its own row alone, and nothing that is not there yet. */
export function joinsRows(
  node: Node,
  rows: Shape,
  table: OpTable,
  inlined: ReadonlySet<Node>,
  whereabouts: (value: Value) => Whereabouts,
): boolean {
  const axes = rows.map((extent, position) => of(axis(`i${position}`, extent)));
  const lead = axes.slice(0, -1);
  const at = axes[axes.length - 1]!;
  let joins = true;
  const read = (value: Value, index: readonly IndexExpr[]): Expr => {
    const { producer, type } = value;
    const placeholder = literal(type.dtype, 0);
    if (producer !== null && inlined.has(producer)) {
      const { lowering } = table[producer.op];
      if (!joins || lowering.class !== 'element') return placeholder;
      const s: ElementContext = { operand: (position, inner) => read(producer.operands[position]!, inner) };
      return lowering.element(s, index, producer as never);
    }
    const where = whereabouts(value);
    if (where === 'elsewhere') joins = false;
    if (where !== 'here') return placeholder;
    const own = rowIndex(type.shape, rows, lead, at);
    joins &&= own !== null && sameIndex(flatten(own, type.shape), flatten(index, type.shape));
    return placeholder;
  };
  return rowElement(table, node, rows, lead, at, read) !== null && joins;
}
