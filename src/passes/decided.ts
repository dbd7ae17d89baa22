// Conditions on indices whose bounds leave no choice.

import { boundsOf } from '../ir/index-expr.ts';
import { choose, type Expr, literal } from '../ir/kernel.ts';

/** A comparison of an index with a number, or null where an expression is none. */
export function comparison(expr: Expr) {
  if (expr.kind !== 'apply' || expr.args.length !== 2) return null;
  const [index, bound] = expr.args as [Expr, Expr];
  if (index.kind !== 'index' || bound.kind !== 'literal') return null;
  return ['lt', 'le', 'gt', 'ge'].includes(expr.op) ? { index: index.value, bound: bound.value } : null;
}

/** A comparison that bounds decide, and what follows from it, as a literal or the chosen branch. */
export function decided(expr: Expr): Expr {
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
