// Memory that a kernel only ever touches a whole vector at a time is an array of vectors, shared or not.

import { fixed, type IndexExpr, modulo, sameIndex } from '../../ir/index-expr.ts';
import { type Buffer, lanesOf, type Stmt } from '../../ir/kernel.ts';
import { exprsOf, walkExpr, walkStmts } from '../expr-rewrite.ts';

/** The lanes of those buffers of a body that are arrays of vectors. */
export function vectorBuffers(body: readonly Stmt[]): ReadonlyMap<Buffer, number> {
  const lanes = new Map<Buffer, number>();
  const touch = (buffer: Buffer, offset: IndexExpr, width: number): void => {
    const isWhole = width > 1 && buffer.size % width === 0 && sameIndex(modulo(offset, width), fixed(0));
    const known = lanes.get(buffer) ?? width;
    lanes.set(buffer, isWhole && known === width ? width : 1);
  };
  walkStmts(body, (stmt) => {
    if (stmt.kind === 'store') touch(stmt.buffer, stmt.offset, lanesOf(stmt.value));
    if (stmt.kind === 'update') touch(stmt.buffer, stmt.offset, 1);
    for (const expr of exprsOf(stmt))
      walkExpr(expr, (inner) => {
        if (inner.kind === 'load') touch(inner.buffer, inner.offset, inner.lanes);
      });
  });
  return new Map([...lanes].filter(([, width]) => width > 1));
}
