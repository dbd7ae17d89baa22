// Which scores attention's weights depend on. Where every path from a score leads through a selection by indices alone
// (a causal mask, a window), blocks of keys on the selection's other side need no scores: what is computed of them is
// computed of the selection's other operand, so nothing is assumed about its size, nor about NaN and infinity.

import { type Axis, add, boundsOf, coefficientOf, fixed, type IndexExpr, subtract } from '../ir/index-expr.ts';
import { apply, type Expr, indexValue, type Local, literal, type Stmt } from '../ir/kernel.ts';
import { rewriteStmts, substituteIndex } from './expr-rewrite.ts';

/** A score is needed where `excess`, linear in the axes, is not above 0 and `condition` therefore true. */
export interface Mask {
  readonly condition: Expr;
  readonly excess: IndexExpr;
}

/** Where a block lies on some axes. */
export type Ranges = ReadonlyMap<Axis, { readonly from: IndexExpr; readonly count: number }>;

/** An expression over the values that it names, and the name that it gives to what it computes; null: a reduction's. */
export interface Step {
  readonly local: Local | null;
  readonly value: Expr;
}

/** The mask through which alone `scores` is read by steps, of which each names its value before others read it. */
export function maskOf(scores: Local, steps: readonly Step[], axes: readonly Axis[]): Mask | null {
  const conditions = conditionsOf(scores, steps);
  for (const condition of conditions ?? []) {
    const excess = excessOf(condition);
    const isLinear = excess?.terms.every(({ atom }) => atom.kind === 'axis' && axes.includes(atom)) ?? false;
    if (excess !== null && isLinear) return { condition, excess };
  }
  return null;
}

/** Conditions under all of which a value is read; null where nothing reads it. */
function conditionsOf(
  local: Local,
  steps: readonly Step[],
  known = new Map<Local, readonly Expr[] | null>(),
): readonly Expr[] | null {
  const found = known.get(local);
  if (found !== undefined) return found;
  let common: readonly Expr[] | null = null;
  for (const step of steps) {
    for (const path of pathsTo(local, step.value)) {
      const later = step.local === null ? [] : conditionsOf(step.local, steps, known);
      if (later === null) continue;
      const here: readonly Expr[] = [...path, ...later];
      common = common === null ? here : common.filter((one) => here.some((other) => sameCondition(one, other)));
    }
  }
  known.set(local, common);
  return common;
}

/** For each place where an expression reads a value: the conditions of the selections around it whose `then` it is in. */
function pathsTo(local: Local, expr: Expr, around: readonly Expr[] = []): (readonly Expr[])[] {
  switch (expr.kind) {
    case 'local':
      return expr.local === local ? [around] : [];
    case 'literal':
    case 'index':
    case 'load':
      return [];
    case 'cast':
    case 'splat':
    case 'component':
      return pathsTo(local, expr.value, around);
    case 'apply':
      return expr.args.flatMap((arg) => pathsTo(local, arg, around));
    case 'vector':
      return expr.elements.flatMap((element) => pathsTo(local, element, around));
    case 'select':
      return [
        ...pathsTo(local, expr.condition, around),
        ...pathsTo(local, expr.then, [...around, ...allOf(expr.condition)]),
        ...pathsTo(local, expr.otherwise, around),
      ];
  }
}

/** The conditions that have to hold for this one to. */
function allOf(condition: Expr): readonly Expr[] {
  const both = condition.kind === 'apply' && condition.op === 'and' ? condition.args.flatMap(allOf) : [];
  return [condition, ...both];
}

export function sameMask(a: Mask, b: Mask): boolean {
  return sameCondition(a.condition, b.condition);
}

function sameCondition(a: Expr, b: Expr): boolean {
  const [x, y] = [excessOf(a), excessOf(b)];
  return a === b || (x !== null && y !== null && subtract(x, y).terms.length === 0 && x.constant === y.constant);
}

/** For a comparison of indices, what is at most 0 where it is true. */
function excessOf(condition: Expr): IndexExpr | null {
  if (condition.kind !== 'apply') return null;
  const [a, b] = condition.args.map(asIndex);
  if (!a || !b) return null;
  switch (condition.op) {
    case 'le':
      return subtract(a, b);
    case 'lt':
      return add(subtract(a, b), fixed(1));
    case 'ge':
      return subtract(b, a);
    case 'gt':
      return add(subtract(b, a), fixed(1));
    default:
      return null;
  }
}

function asIndex(expr: Expr): IndexExpr | null {
  if (expr.kind === 'index') return expr.value;
  if (expr.dtype !== 'i32') return null;
  if (expr.kind === 'literal') return fixed(expr.value);
  if (expr.kind !== 'apply' || (expr.op !== 'add' && expr.op !== 'sub')) return null;
  const [a, b] = expr.args.map(asIndex);
  if (!a || !b) return null;
  const result = expr.op === 'add' ? add(a, b) : subtract(a, b);
  const { lower, upper } = boundsOf(result);
  return lower >= -(2 ** 31) && upper < 2 ** 31 ? result : null;
}

/** True where a block may need scores: axes run from the first index to the last of each range. */
export function mayNeed(mask: Mask, ranges: Ranges): Expr {
  let least = mask.excess;
  for (const [axis, { from, count }] of ranges) {
    const last = coefficientOf(mask.excess, axis) < 0 ? add(from, fixed(count - 1)) : from;
    least = substituteIndex(least, new Map([[axis, last]]));
  }
  return apply('le', indexValue(least), literal('i32', 0));
}

/** Statements where no score is needed. */
export function withoutScores(stmts: readonly Stmt[], mask: Mask): Stmt[] {
  const isFalse = (condition: Expr): boolean => allOf(condition).some((one) => sameCondition(one, mask.condition));
  return rewriteStmts(stmts, {
    axis: () => null,
    buffer: (buffer) => buffer,
    expr: (expr) => (expr.kind === 'select' && isFalse(expr.condition) ? expr.otherwise : expr),
  });
}
