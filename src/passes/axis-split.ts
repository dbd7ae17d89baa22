// Splits of axes that make index arithmetic linear again. A reshape or a window leaves quotients and remainders of loop
// axes in a body; where axis = c · outer + inner makes them all disappear, the axis becomes two. A short inner part is
// written out, so that what its copies share is computed once; a long one becomes the innermost loop.

import { type Axis, add, axis, boundsOf, fixed, type IndexExpr, multiply, of, sameIndex } from '../ir/index-expr.ts';
import { type Buffer, type Expr, type Local, load, type Stmt } from '../ir/kernel.ts';
import { decided } from './decided.ts';
import { accessesOf, allIndices, exprsOf, rewriteStmts, substituteIndex, walkExpr, walkStmts } from './expr-rewrite.ts';

/** The longest inner part that is written out along the innermost axis, and along others: windows step by 2 or 3. */
const mostInnermostCopies = 8;
const mostOuterCopies = 4;
/** Most statements after copying: longer bodies spill registers and take compilers longer than they save. */
const mostStatements = 64;
/**
 * The same where copies share a block of random bits, which takes as long as a hundred statements: 4 × 50 statements of normal
 * numbers take 2.3 ns an element instead of 4.8 (AVX-512, gcc 12), and compile in the same time.
 */
const mostWithBlocks = 320;
/** An innermost loop of fewer elements than this does not fill a vector. */
const fewestInnermost = 8;

export interface Nest {
  readonly axes: readonly Axis[];
  readonly body: readonly Stmt[];
}

/** The same iterations with as many divisions of axes removed as splits can. The last axis is the innermost. */
export function splitDividedAxes({ axes, body }: Nest): Nest {
  let nest: Nest = { axes, body };
  for (const next of [...axes].reverse()) nest = splitAxis(nest, next, next === axes[axes.length - 1]);
  return nest.body.length > body.length ? { axes: nest.axes, body: nameSharedLoads(nest.body) } : nest;
}

function splitAxis({ axes, body }: Nest, over: Axis, isInnermost: boolean): Nest {
  const divided = allIndices(body).filter((index) => divides(index, over));
  if (divided.length === 0) return { axes, body };
  const most = isInnermost ? mostInnermostCopies : mostOuterCopies;
  for (let by = 2; by <= over.extent; by++) {
    if (over.extent % by !== 0) continue;
    const outer = axis(over.name, over.extent / by);
    const start = multiply(of(outer), by);
    const linear = (inner: IndexExpr, innerAxis: Axis | null): boolean =>
      divided.every((index) => {
        const split = substituteIndex(index, new Map([[over, add(start, inner)]]));
        return !divides(split, outer) && (innerAxis === null || !divides(split, innerAxis));
      });
    if (by <= most) {
      if (by * body.length > (hasBlocks(body) ? mostWithBlocks : mostStatements)) continue;
      const starts = Array.from({ length: by }, (_, phase) => fixed(phase));
      if (!starts.every((phase) => linear(phase, null))) continue;
      const copies = starts.flatMap((phase) => copyAt(body, over, add(start, phase)));
      return { axes: axes.map((next) => (next === over ? outer : next)), body: copies };
    }
    const inner = axis(over.name, by);
    if (!isInnermost || by < fewestInnermost || !linear(of(inner), inner)) continue;
    const split = rewriteStmts(body, {
      axis: (old) => (old === over ? add(start, of(inner)) : null),
      buffer: (buffer) => buffer,
    });
    return { axes: axes.flatMap((next) => (next === over ? [outer, inner] : [next])), body: split };
  }
  return { axes, body };
}

function hasBlocks(body: readonly Stmt[]): boolean {
  let found = false;
  walkStmts(body, (stmt) => {
    for (const expr of exprsOf(stmt)) {
      walkExpr(expr, (inner) => {
        found ||= inner.kind === 'apply' && inner.op === 'philox';
      });
    }
  });
  return found;
}

/** The body at one value of an axis, with names of its own, and without the branches that it never takes. */
function copyAt(body: readonly Stmt[], over: Axis, at: IndexExpr): Stmt[] {
  const names = new Map<Local, Local>();
  const local = (old: Local): Local => {
    const found = names.get(old) ?? { ...old };
    names.set(old, found);
    return found;
  };
  const axisAt = (old: Axis): IndexExpr | null => (old === over ? at : null);
  return rewriteStmts(body, { axis: axisAt, buffer: (buffer) => buffer, local, expr: decided });
}

/**
 * Loads that several copies make become names before them, where that can do no harm: within the buffer's bounds, and
 * of a buffer that the body does not write. What one copy reads on a condition is then no masked load.
 */
function nameSharedLoads(body: readonly Stmt[]): Stmt[] {
  const { loads, stores } = accessesOf(body);
  const written = new Set(stores.map(({ buffer }) => buffer));
  const isSafe = ({ buffer, offset }: { buffer: Buffer; offset: IndexExpr }): boolean => {
    const { lower, upper } = boundsOf(offset);
    const isStatic = offset.terms.every(({ atom }) => atom.kind === 'axis');
    return isStatic && lower >= 0 && upper < buffer.size && !written.has(buffer);
  };
  const seen: { buffer: Buffer; offset: IndexExpr; local: Local; uses: number }[] = [];
  const find = (buffer: Buffer, offset: IndexExpr) =>
    seen.find((load) => load.buffer === buffer && sameIndex(load.offset, offset));
  for (const access of loads) {
    const found = find(access.buffer, access.offset);
    if (found !== undefined) found.uses++;
    else if (isSafe(access)) {
      const local: Local = { name: access.buffer.name, dtype: access.buffer.dtype, lanes: 1 };
      seen.push({ buffer: access.buffer, offset: access.offset, local, uses: 1 });
    }
  }
  const shared = seen.filter(({ uses }) => uses > 1);
  const named = (expr: Expr): Expr => {
    const found = expr.kind === 'load' ? find(expr.buffer, expr.offset) : undefined;
    return found === undefined || found.uses === 1 ? expr : { kind: 'local', dtype: expr.dtype, local: found.local };
  };
  const names = shared.map(({ buffer, offset, local }): Stmt => ({ kind: 'let', local, value: load(buffer, offset) }));
  return [...names, ...rewriteStmts(body, { axis: () => null, buffer: (buffer) => buffer, expr: named })];
}

/** True where a quotient or remainder in the index depends on the axis. */
function divides(index: IndexExpr, over: Axis): boolean {
  return index.terms.some(
    ({ atom }) => (atom.kind === 'quotient' || atom.kind === 'remainder') && mentions(atom.value, over),
  );
}

function mentions(index: IndexExpr, over: Axis): boolean {
  return index.terms.some(
    ({ atom }) =>
      atom === over || ((atom.kind === 'quotient' || atom.kind === 'remainder') && mentions(atom.value, over)),
  );
}
