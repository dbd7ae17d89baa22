// Loops around a body: axes that can run as one are merged, the outermost runs in parallel when there is enough
// work, the innermost in vector lanes.

import {
  type Axis,
  add,
  axis,
  boundsOf,
  coefficientOf,
  fixed,
  type IndexExpr,
  multiply,
  of,
  unflatten,
} from '../ir/index-expr.ts';
import { type AxisKind, type Buffer, type Expr, literal, type Stmt } from '../ir/kernel.ts';
import { type Nest, splitDividedAxes } from './axis-split.ts';
import { accessesOf, allIndices, indicesOf, rewriteStmts } from './expr-rewrite.ts';
import { splitRanges } from './range-split.ts';
import { flatBlock, parallelThreshold, tileSize } from './schedule.ts';

export function loop(over: Axis, axisKind: AxisKind, body: readonly Stmt[]): Stmt {
  return { kind: 'loop', axis: over, axisKind, body };
}

/** Groups of adjacent axes that every index treats as one: outer coefficient = inner extent × inner coefficient. */
export function mergeableAxes(axes: readonly Axis[], indices: readonly IndexExpr[]): Axis[][] {
  const groups: Axis[][] = [];
  for (const next of axes) {
    if (next.extent === 1) continue;
    const group = groups[groups.length - 1];
    const previous = group?.[group.length - 1];
    const merges =
      previous !== undefined &&
      indices.every((index) => coefficientOf(index, previous) === next.extent * coefficientOf(index, next));
    if (merges) group!.push(next);
    else groups.push([next]);
  }
  return groups;
}

/** Replaces mergeable neighbours by one axis. Returns the new axes, outermost first, and the map from old ones. */
export function mergeAxes(
  axes: readonly Axis[],
  indices: readonly IndexExpr[],
): { merged: Axis[]; map: Map<Axis, IndexExpr> } {
  const map = new Map<Axis, IndexExpr>();
  for (const old of axes) if (old.extent === 1) map.set(old, fixed(0));
  const merged = mergeableAxes(axes, indices).map((group) => {
    if (group.length === 1) return group[0]!;
    const extents = group.map((member) => member.extent);
    const whole = axis(
      group[group.length - 1]!.name,
      extents.reduce((product, extent) => product * extent, 1),
    );
    for (const [i, index] of unflatten(of(whole), extents).entries()) map.set(group[i]!, index);
    return whole;
  });
  return { merged, map };
}

export function substituteStmts(body: readonly Stmt[], map: ReadonlyMap<Axis, IndexExpr>): Stmt[] {
  return rewriteStmts(body, { axis: (old) => map.get(old) ?? null, buffer: (buffer) => buffer });
}

/** The nest with mergeable neighbours as one axis. */
function merge({ axes, body }: Nest): Nest {
  const { merged, map } = mergeAxes(axes, allIndices(body));
  return { axes: merged, body: map.size === 0 ? body : substituteStmts(body, map) };
}

/**
 * Runs an element body over its axes. `work` is the cost of one element in additions. Axes merge where they can, and split
 * where that removes divisions; a flat loop is cut into blocks so that threads have something to share.
 */
export function elementLoops(axes: readonly Axis[], body: readonly Stmt[], work: number): Stmt[] {
  const nest = merge({ axes, body });
  if (sizeOf(nest) < smallestSplit) return nestLoops(nest, work);
  return splitRanges(nest).flatMap((range) => nestLoops(merge(splitDividedAxes(range)), work));
}

/** Fewer iterations than this are not worth the longer code of ranges and copies. */
const smallestSplit = 1024;

function sizeOf({ axes }: Nest): number {
  return axes.reduce((product, next) => product * next.extent, 1);
}

function nestLoops(nest: Nest, work: number): Stmt[] {
  const { axes: merged, body: inner } = nest;
  const parallel = sizeOf(nest) * work >= parallelThreshold;
  if (merged.length === 0) return [...inner];
  if (merged.length === 1) return flatLoop(merged[0]!, inner, parallel);
  const last = merged[merged.length - 1]!;
  let loops: Stmt[] = [innermost(last, inner)];
  for (let i = merged.length - 2; i >= 0; i--) loops = [loop(merged[i]!, parallel ? 'parallel' : 'serial', loops)];
  return loops;
}

/**
 * A loop in lanes, unless loads take large steps along it. gcc, told to, makes lanes of those by reading all between them: 28 KB of
 * code and 0.4 s for nine lines that step by 256. Left alone it sees what lanes cost.
 */
function innermost(over: Axis, body: readonly Stmt[]): Stmt {
  const strides = accessesOf(body).loads.map(({ offset }) => Math.abs(coefficientOf(offset, over)));
  const isApart = over.extent >= fewestApart && strides.some((stride) => stride > longestStride);
  return loop(over, isApart ? 'serial' : 'vector', body);
}

/** A loop of fewer iterations than this fills no lanes, whatever it is called. */
const fewestApart = 8;

/** Windows step by 2 or 3, records have a few members. */
const longestStride = 8;

/** Under this many elements a flat parallel loop hands them out singly: each is expensive, or it would not be parallel. */
const fewestBlocked = 256;

function flatLoop(over: Axis, body: readonly Stmt[], parallel: boolean): Stmt[] {
  if (!parallel) return [innermost(over, body)];
  if (over.extent < fewestBlocked) return [loop(over, 'parallel', body)];
  const blockSize = Math.min(flatBlock, Math.ceil(over.extent / 16));
  const blocks = Math.floor(over.extent / blockSize);
  const block = axis('block', blocks);
  const lane = axis(over.name, blockSize);
  const main = substituteStmts(body, new Map([[over, add(multiply(of(block), blockSize), of(lane))]]));
  const stmts: Stmt[] = [loop(block, 'parallel', [innermost(lane, main)])];
  const rest = over.extent - blocks * blockSize;
  if (rest > 0) {
    const tail = axis(over.name, rest);
    const tailBody = substituteStmts(body, new Map([[over, add(of(tail), fixed(blocks * blockSize))]]));
    stmts.push(innermost(tail, tailBody));
  }
  return stmts;
}

/** The axis along which loads step by one element, of most memory where there are several; null where none does. */
export function contiguousAxis(exprs: readonly Expr[], axes: readonly Axis[]): Axis | null {
  const votes = new Map<Axis, number>();
  for (const expr of exprs) {
    for (const index of indicesOf(expr)) {
      const { lower, upper } = boundsOf(index);
      for (const candidate of axes) {
        if (candidate.extent > 1 && coefficientOf(index, candidate) === 1) {
          votes.set(candidate, (votes.get(candidate) ?? 0) + upper - lower + 1);
        }
      }
    }
  }
  let best: Axis | null = null;
  for (const [candidate, count] of votes) if (best === null || count > votes.get(best)!) best = candidate;
  return best;
}

/** How many elements axes span together. */
export function extentOf(axes: readonly Axis[]): number {
  return axes.reduce((product, next) => product * next.extent, 1);
}

/** Loops around a body; axes of one element vanish. */
export function nest(axes: readonly Axis[], kind: 'parallel' | 'serial' | 'unroll', body: Stmt[]): Stmt[] {
  return axes.reduceRight<Stmt[]>((inside, next) => (next.extent === 1 ? inside : [loop(next, kind, inside)]), body);
}

/** Zeros, in lanes. */
export function clear(sums: Buffer): Stmt[] {
  const cell = axis('cell', sums.size);
  return [loop(cell, 'vector', [{ kind: 'store', buffer: sums, offset: of(cell), value: literal(sums.dtype, 0) }])];
}

/**
 * Summed elements that are written out: a loop of so few costs more than it does, but loops around the innermost one only for so many
 * products of vectors. gcc takes 0.7 s for 252 (3 × 3 taps of one channel), 1.7 s for 448 (4 × 4), which run a tenth faster as 4 × 112.
 */
const [mostUnrolledSums, mostUnrolledProducts] = [16, 256];

/** Loops over what a register tile sums, with so many products of vectors inside. */
export function nestOfProducts(axes: readonly Axis[], products: number, body: Stmt[]): Stmt[] {
  if (extentOf(axes) > mostUnrolledSums) return nest(axes, 'serial', body);
  const innermost = axes.findLastIndex(({ extent }) => extent > 1);
  const isWrittenOut = (from: number): boolean =>
    from === innermost || extentOf(axes.slice(from)) * products <= mostUnrolledProducts;
  const begin = Math.max(
    0,
    axes.findIndex((_, i) => isWrittenOut(i)),
  );
  return nest(axes.slice(0, begin), 'serial', nest(axes.slice(begin), 'unroll', body));
}

/** A flat index as the indices of axes, in row-major order. */
export function axisMap(axes: readonly Axis[], flat: IndexExpr): [Axis, IndexExpr][] {
  const indices = unflatten(
    flat,
    axes.map((next) => next.extent),
  );
  return axes.map((next, i) => [next, indices[i]!]);
}

/** Cuts a range into blocks of one size and, where `tileSize` finds no divisor, a shorter last one. */
export function blocksOf(count: number, most: number, body: (from: IndexExpr, size: number) => Stmt[]): Stmt[] {
  const size = tileSize(count, most);
  const block = axis('block', Math.floor(count / size));
  const rest = count - block.extent * size;
  const whole = nest([block], 'serial', body(multiply(of(block), size), size));
  return rest === 0 ? whole : [...whole, ...body(fixed(block.extent * size), rest)];
}
