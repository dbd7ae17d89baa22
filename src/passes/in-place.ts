// In-place reuse: a kernel may write over a buffer it reads when every element is read, for the last time, before the
// same iteration writes it. State updates then happen where the state is, and chains of elementwise kernels reuse one
// buffer. Aliased buffers become one parameter of the kernel, so `restrict` keeps its meaning.

import { type IndexExpr, sameIndex } from '../ir/index-expr.ts';
import type { Buffer, Kernel, KernelParameter, Stmt } from '../ir/kernel.ts';
import { accessesOf, exprsOf, rewriteStmts, walkExpr } from './expr-rewrite.ts';

/** True where each load of `read` is at the index that a later statement of the same block stores to `written`. */
export function canReplace(kernel: Kernel, read: Buffer, written: Buffer): boolean {
  const state = { allowed: true, stored: false };
  checkBlock(kernel.body, read, written, state);
  return state.allowed && state.stored;
}

function checkBlock(
  block: readonly Stmt[],
  read: Buffer,
  written: Buffer,
  state: { allowed: boolean; stored: boolean },
): void {
  const stores = block.flatMap((stmt, position) =>
    stmt.kind === 'store' && stmt.buffer === written ? [{ position, offset: stmt.offset }] : [],
  );
  if (stores.length > 0) state.stored = true;
  block.forEach((stmt, position) => {
    if (stmt.kind === 'update' && (stmt.buffer === written || stmt.buffer === read)) state.allowed = false;
    if (stmt.kind === 'store' && stmt.buffer === read) state.allowed = false;
    for (const offset of loadsIn(stmt, read)) {
      const follows =
        stores.length > 0 && stores.every((store) => store.position >= position && sameIndex(store.offset, offset));
      if (!follows) state.allowed = false;
    }
    if (stmt.kind === 'loop') checkBlock(stmt.body, read, written, state);
    if (stmt.kind === 'if') {
      checkBlock(stmt.then, read, written, state);
      checkBlock(stmt.otherwise, read, written, state);
    }
  });
}

function loadsIn(stmt: Stmt, buffer: Buffer): IndexExpr[] {
  const offsets: IndexExpr[] = [];
  for (const expr of exprsOf(stmt)) {
    walkExpr(expr, (inner) => {
      if (inner.kind === 'load' && inner.buffer === buffer) offsets.push(inner.offset);
    });
  }
  return offsets;
}

/** The kernel with buffers replaced; parameters that became the same buffer are merged. */
export function aliasBuffers(kernel: Kernel, alias: (buffer: Buffer) => Buffer): Kernel {
  if (kernel.parameters.every(({ buffer }) => alias(buffer) === buffer)) return kernel;
  const body = rewriteStmts(kernel.body, { axis: () => null, buffer: alias });
  const { loads, stores } = accessesOf(body);
  const read = new Set(loads.map((access) => access.buffer));
  const written = new Set(stores.map((access) => access.buffer));
  const buffers = new Set(kernel.parameters.map(({ buffer }) => alias(buffer)));
  const parameters = [...buffers].map(
    (buffer): KernelParameter => ({
      buffer,
      access: !written.has(buffer) ? 'read' : read.has(buffer) ? 'readwrite' : 'write',
    }),
  );
  return { ...kernel, parameters, body };
}
