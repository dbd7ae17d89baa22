// Shared memory that is only ever touched a whole vector at a time is an array of vectors.

import { fixed, type IndexExpr, modulo, sameIndex } from '../../ir/index-expr.ts';
import { type Buffer, lanesOf, type Stmt } from '../../ir/kernel.ts';
import { exprsOf, walkExpr, walkStmts } from '../../passes/expr-rewrite.ts';

/** The lanes of those of the buffers that are arrays of vectors. */
export function vectorArrays(body: readonly Stmt[], buffers: readonly Buffer[]): ReadonlyMap<Buffer, number> {
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
  return new Map(buffers.flatMap((buffer) => ((lanes.get(buffer) ?? 1) > 1 ? [[buffer, lanes.get(buffer)!]] : [])));
}
