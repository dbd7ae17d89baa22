// Axes in ranges within which no condition on them changes: a concatenation, or the sum of the padded cotangents of
// slices, becomes one nest for each of its parts, without conditions.

import { type Axis, add, axis, boundsOf, fixed, of } from '../ir/index-expr.ts';
import { choose, type Expr, literal } from '../ir/kernel.ts';
import type { Nest } from './axis-split.ts';
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

function comparison(expr: Expr) {
  if (expr.kind !== 'apply' || expr.args.length !== 2) return null;
  const [index, bound] = expr.args as [Expr, Expr];
  if (index.kind !== 'index' || bound.kind !== 'literal') return null;
  return ['lt', 'le', 'gt', 'ge'].includes(expr.op) ? { index: index.value, bound: bound.value } : null;
}

/** A comparison that bounds decide, and what follows from it, as a literal or the chosen branch. */
function decided(expr: Expr): Expr {
  if (expr.kind === 'select') return choose(expr.condition, expr.then, expr.otherwise);
  if (expr.kind !== 'apply') return expr;
  if (expr.op === 'and') return conjunction(expr);
  const compared = comparison(expr);
  if (compared === null) return expr;
  const { lower, upper } = boundsOf(compared.index);
  const { bound } = compared;
  switch (expr.op) {
    case 'ge':
      return known(expr, lower >= bound, upper < bound);
    case 'gt':
      return known(expr, lower > bound, upper <= bound);
    case 'lt':
      return known(expr, upper < bound, lower >= bound);
    default:
      return known(expr, upper <= bound, lower > bound);
  }
}

function known(expr: Expr, always: boolean, never: boolean): Expr {
  return always || never ? literal('bool', always ? 1 : 0) : expr;
}

function conjunction(expr: Extract<Expr, { kind: 'apply' }>): Expr {
  const [a, b] = expr.args as [Expr, Expr];
  if (expr.dtype !== 'bool') return expr;
  if (a.kind === 'literal') return a.value === 0 ? a : b;
  if (b.kind === 'literal') return b.value === 0 ? b : a;
  return expr;
}
