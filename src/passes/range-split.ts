// Axes in ranges within which no condition on them changes: a concatenation, or the sum of the padded cotangents of
// slices, becomes one nest for each of its parts, without conditions.

import { type Axis, add, axis, fixed, of } from '../ir/index-expr.ts';
import type { Expr } from '../ir/kernel.ts';
import type { Nest } from './axis-split.ts';
import { comparison, decided } from './decided.ts';
import { exprsOf, rewriteStmts, walkExpr, walkStmts } from './expr-rewrite.ts';

/** A range of fewer elements does not fill a vector, or, along an outer axis, is not worth a nest of its own. */
const shortestRange = 16;
const smallestPart = 512;
/** The time to compile grows with the square of the ranges. */
const mostRanges = 32;

/** Nests that together are the given one; the nest itself where ranges would not pay. */
export function splitRanges(nest: Nest): readonly Nest[] {
  return nest.axes.reduceRight<readonly Nest[]>(
    (parts, over, position) => {
      const within = nest.axes.slice(position + 1).reduce((product, { extent }) => product * extent, 1);
      const shortest = position === nest.axes.length - 1 ? shortestRange : Math.ceil(smallestPart / within);
      const split = parts.flatMap((part) => splitAlong(part, over, shortest));
      return split.length > mostRanges ? parts : split;
    },
    [nest],
  );
}

function splitAlong(nest: Nest, over: Axis, shortest: number): readonly Nest[] {
  const starts = [0, ...turningPoints(nest, over)];
  const ends = [...starts.slice(1), over.extent];
  const extents = starts.map((start, i) => ends[i]! - start);
  if (starts.length === 1 || starts.length > mostRanges || Math.min(...extents) < shortest) return [nest];
  return starts.map((start, i) => {
    const part = axis(over.name, extents[i]!);
    const body = rewriteStmts(nest.body, {
      axis: (old) => (old === over ? add(of(part), fixed(start)) : null),
      buffer: (buffer) => buffer,
      expr: decided,
    });
    return { axes: nest.axes.map((old) => (old === over ? part : old)), body };
  });
}

/** Where along an axis a comparison with a constant begins or ceases to hold, in order. */
function turningPoints({ body }: Nest, over: Axis): number[] {
  const points = new Set<number>();
  walkStmts(body, (stmt) => {
    for (const expr of exprsOf(stmt)) {
      walkExpr(expr, (inner) => {
        const point = turningPoint(inner, over);
        if (point !== null && point > 0 && point < over.extent) points.add(point);
      });
    }
  });
  return [...points].sort((a, b) => a - b);
}

/** The first place on the axis where coefficient · axis + constant reaches the bound of a comparison. */
function turningPoint(expr: Expr, over: Axis): number | null {
  const compared = comparison(expr);
  if (compared === null) return null;
  const { terms, constant } = compared.index;
  const [term, ...others] = terms;
  if (term === undefined || others.length > 0 || term.atom !== over || term.coefficient < 1) return null;
  const bound = expr.kind === 'apply' && (expr.op === 'gt' || expr.op === 'le') ? compared.bound + 1 : compared.bound;
  return Math.ceil((bound - constant) / term.coefficient);
}
