// In-place reuse: a kernel may write over a buffer it reads when every element is read, for the last time, before the
// same iteration writes it. State updates then happen where the state is, and chains of elementwise kernels reuse one
// buffer. Aliased buffers become one parameter of the kernel, so `restrict` keeps its meaning.

import { type IndexExpr, sameIndex } from '../ir/index-expr.ts';
import { type Buffer, type Kernel, type KernelParameter, lanesOf, type Stmt } from '../ir/kernel.ts';
import { accessesOf, exprsOf, rewriteStmts, walkExpr } from './expr-rewrite.ts';

/** True where each load of `read` is at the index that a later statement of the same block stores to `written`. */
export function canReplace(kernel: Kernel, read: Buffer, written: Buffer): boolean {
  // As many stores as elements, and all elements are written: each by one store, so no other one can come before it.
  const once = storesTo(kernel.body, written) === written.size;
  const state: Check = { allowed: true, stored: false, once };
  checkBlock(kernel.body, read, written, state);
  return state.allowed && state.stored;
}

interface Check {
  allowed: boolean;
  stored: boolean;
  /** Each element of the written buffer is stored by one statement in one iteration. */
  readonly once: boolean;
}

/** How many elements a body stores to a buffer; NaN where a condition decides. */
function storesTo(body: readonly Stmt[], buffer: Buffer): number {
  let count = 0;
  for (const stmt of body) {
    if (stmt.kind === 'store' && stmt.buffer === buffer) count += lanesOf(stmt.value);
    if (stmt.kind === 'loop') count += stmt.axis.extent * storesTo(stmt.body, buffer);
    if (stmt.kind === 'if' && storesTo([...stmt.then, ...stmt.otherwise], buffer) !== 0) return Number.NaN;
  }
  return count;
}

function checkBlock(block: readonly Stmt[], read: Buffer, written: Buffer, state: Check): void {
  const stores = block.flatMap((stmt, position) =>
    stmt.kind === 'store' && stmt.buffer === written ? [{ position, offset: stmt.offset }] : [],
  );
  if (stores.length > 0) state.stored = true;
  block.forEach((stmt, position) => {
    if (stmt.kind === 'update' && (stmt.buffer === written || stmt.buffer === read)) state.allowed = false;
    if (stmt.kind === 'store' && stmt.buffer === read) state.allowed = false;
    for (const offset of loadsIn(stmt, read)) {
      const follows = (store: { position: number; offset: IndexExpr }): boolean =>
        store.position >= position && sameIndex(store.offset, offset);
      const replaced = state.once ? stores.some(follows) : stores.length > 0 && stores.every(follows);
      if (!replaced) state.allowed = false;
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
