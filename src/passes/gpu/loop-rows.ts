// Which parts of a loop are rows that do not depend on one another, such as the sequences of a batch: phases that compute each row
// of their results from that row of what they read, and the memory between them. What is none of a row is the same for all of them,
// and whatever computes a row computes it too.

import { type Axis, boundsOf, coefficientOf, type IndexExpr, multiply, of, subtract } from '../../ir/index-expr.ts';
import type { Buffer, Expr, Kernel, Stmt } from '../../ir/kernel.ts';
import { leavesOf, predicatesOf } from '../../ir/steps.ts';
import { axesIn, exprsOf, indicesOf, walkExpr } from '../expr-rewrite.ts';
import type { KernelStep, LoweredStep } from '../lowered.ts';
import { parallelNest } from './lower-nest.ts';

/** A kernel of the phase machine: `body` runs for every combination of the axes' indices, in any order. */
export interface Phase {
  readonly axes: readonly Axis[];
  readonly body: readonly Stmt[];
}

export const phaseOf = ({ body }: Kernel): Phase => parallelNest(body);

export interface RowSplit {
  readonly rows: number;
  /** The axis of a phase over rows; null where each row needs all of it. */
  rowAxis(kernel: Kernel): Axis | null;
  /** Memory `[rows, rest]` of which a row touches its own part alone. */
  readonly split: ReadonlySet<Buffer>;
}

/**
 * The split into so many rows; `isOwn`: memory of the loop's own. Begins with all memory and all phases that could be rows, and
 * takes away what another part contradicts until nothing does.
 */
export function splitByRows(steps: readonly LoweredStep[], rows: number, isOwn: (buffer: Buffer) => boolean): RowSplit {
  const kernels = leavesOf<KernelStep, Buffer>(steps);
  const phases = kernels.map(({ kernel }) => ({ kernel, ...phaseOf(kernel) }));
  const accesses = new Map(phases.map(({ kernel, body }) => [kernel, ownAccesses(body, isOwn)]));
  const decided = new Set(predicatesOf<KernelStep, Buffer>(steps));
  const split = new Set<Buffer>();
  for (const { buffer } of [...accesses.values()].flatMap(({ all }) => all))
    if (rows > 1 && buffer.size > 0 && buffer.size % rows === 0 && !decided.has(buffer)) split.add(buffer);
  const axisOf = new Map<Kernel, Axis | null>();
  for (let size = -1; size !== split.size; ) {
    size = split.size;
    for (const { kernel, axes } of phases) {
      const { all, stores } = accesses.get(kernel)!;
      const found = axes.find(
        (axis) =>
          axis.extent === rows &&
          all.every((access) => !split.has(access.buffer) || isOfRow(access, axis, access.buffer.size / rows)) &&
          stores.every(({ buffer }) => split.has(buffer)),
      );
      axisOf.set(kernel, found ?? null);
      if (found === undefined) for (const { buffer } of all) split.delete(buffer);
    }
    // What is copied may become one with its copy.
    for (const { copy } of kernels) {
      if (copy === null || (split.has(copy.from) && split.has(copy.to))) continue;
      split.delete(copy.from);
      split.delete(copy.to);
    }
  }
  return { rows, rowAxis: (kernel) => axisOf.get(kernel) ?? null, split };
}

/** A load or store, with all conditions that may decide whether it happens. */
interface Access {
  readonly buffer: Buffer;
  readonly offset: IndexExpr;
  readonly guards: readonly Expr[];
}

function ownAccesses(body: readonly Stmt[], isOwn: (buffer: Buffer) => boolean) {
  const { loads, stores } = guardedAccesses(body, []);
  const own = ({ buffer }: Access): boolean => isOwn(buffer);
  return { all: [...loads, ...stores].filter(own), stores: stores.filter(own) };
}

function guardedAccesses(body: readonly Stmt[], around: readonly Expr[]): { loads: Access[]; stores: Access[] } {
  const found: { loads: Access[]; stores: Access[] } = { loads: [], stores: [] };
  for (const stmt of body) {
    const exprs = exprsOf(stmt);
    const guards = [...around];
    for (const expr of exprs)
      walkExpr(expr, (inner) => {
        if (inner.kind === 'select') guards.push(inner.condition);
      });
    for (const expr of exprs)
      walkExpr(expr, (inner) => {
        if (inner.kind === 'load') found.loads.push({ buffer: inner.buffer, offset: inner.offset, guards });
      });
    if (stmt.kind === 'store' || stmt.kind === 'update')
      found.stores.push({ buffer: stmt.buffer, offset: stmt.offset, guards: around });
    const nested = stmt.kind === 'loop' ? [stmt.body] : stmt.kind === 'if' ? [stmt.then, stmt.otherwise] : [];
    for (const inner of nested) {
      const { loads, stores } = guardedAccesses(inner, stmt.kind === 'if' ? [...around, stmt.condition] : around);
      found.loads.push(...loads);
      found.stores.push(...stores);
    }
  }
  return found;
}

/**
 * True where an offset is `axis · stride` and something within the stride. It is within where bounds say so, or where the access
 * happens for every row if for one, since for the first and for the last one it is in memory.
 */
function isOfRow({ offset, guards }: Access, axis: Axis, stride: number): boolean {
  if (coefficientOf(offset, axis) !== stride) return false;
  const rest = withinRow(offset, axis, stride);
  if (axesIn([rest], [axis]).length > 0) return false;
  const { lower, upper } = boundsOf(rest);
  return (lower >= 0 && upper < stride) || guards.every((guard) => isSameForAll(guard, axis));
}

/** True for a condition that no row can change. */
function isSameForAll(condition: Expr, axis: Axis): boolean {
  let same = axesIn(indicesOf(condition), [axis]).length === 0;
  walkExpr(condition, ({ kind }) => {
    if (kind === 'local' || kind === 'load') same = false;
  });
  return same;
}

/** The offset within a row. */
export function withinRow(offset: IndexExpr, axis: Axis, stride: number): IndexExpr {
  return subtract(offset, multiply(of(axis), stride));
}
