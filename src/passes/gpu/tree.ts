// Combining the values of a workgroup's invocations: halves are added to halves, in an order that depends on nothing but
// their number.

import { add, fixed, type IndexExpr } from '../../ir/index-expr.ts';
import { type Buffer, load, type Monoid, type Stmt } from '../../ir/kernel.ts';
import { isLess } from './grid.ts';

/** After the statements `shared[column]` holds the combination over rows of `shared[row · columns + column]`. */
export function treeStmts(
  shared: readonly { readonly buffer: Buffer; readonly monoid: Monoid }[],
  lane: IndexExpr,
  columns: number,
  rows: number,
): Stmt[] {
  const stmts: Stmt[] = [];
  for (let half = rows / 2; half >= 1; half /= 2) {
    const other = add(lane, fixed(half * columns));
    const then = shared.map(
      ({ buffer, monoid }): Stmt => ({ kind: 'update', buffer, offset: lane, monoid, value: load(buffer, other) }),
    );
    stmts.push({ kind: 'if', condition: isLess(lane, half * columns), then, otherwise: [] }, { kind: 'barrier' });
  }
  return stmts;
}
