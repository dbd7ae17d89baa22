// The innermost axis in ranges within which no condition on it changes: a concatenation, or the sum of the padded
// cotangents of slices, becomes one loop for each of its parts, without conditions.

import { type Axis, add, axis, boundsOf, fixed, of } from '../ir/index-expr.ts';
import { choose, type Expr, literal } from '../ir/kernel.ts';
import type { Nest } from './axis-split.ts';
import { exprsOf, rewriteStmts, walkExpr, walkStmts } from './expr-rewrite.ts';

/** A range of fewer elements than this does not fill a vector, and more ranges than this are more code than they save. */
const shortestRange = 16;
const mostRanges = 6;

/** The nests whose innermost axes together are the given one's; the nest itself where ranges would not pay. */
export function splitRanges(nest: Nest): readonly Nest[] {
  const last = nest.axes[nest.axes.length - 1];
  if (last === undefined) return [nest];
  const starts = [0, ...turningPoints(nest, last)];
  const ends = [...starts.slice(1), last.extent];
  const extents = starts.map((start, i) => ends[i]! - start);
  if (starts.length === 1 || starts.length > mostRanges || Math.min(...extents) < shortestRange) return [nest];
  return starts.map((start, i) => {
    const part = axis(last.name, extents[i]!);
    const body = rewriteStmts(nest.body, {
      axis: (old) => (old === last ? add(of(part), fixed(start)) : null),
      buffer: (buffer) => buffer,
      expr: decided,
    });
    return { axes: [...nest.axes.slice(0, -1), part], body };
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
