// Four neighbours as one: expressions and statements at consecutive values of an axis, as vectors. A vector form exists where
// every access that moves with the axis moves by one element and begins at a multiple of the vector's length; whatever does
// not move stays a scalar. Memory then takes one access for four elements; arithmetic costs what it did.

import { type Axis, coefficientOf, fixed, type IndexExpr, modulo, sameIndex } from '../../ir/index-expr.ts';
import { type Buffer, type Expr, type Local, lanesOf, type Stmt, splat } from '../../ir/kernel.ts';
import type { DType } from '../../ir/types.ts';
import { indicesOf, substituteAxes, substituteIndex, walkExpr } from '../expr-rewrite.ts';

/** The widest vector of WGSL, and the 16 bytes that a card loads at once. */
export const vectorLanes = 4;

/** Locals that are vectors in the vector form, by what they are in the scalar one. */
export type VectorLocals = ReadonlyMap<Local, Local>;

/** The expression for all values of an axis of a vector's length; a scalar where it does not move. Null: it has no such form. */
export function vectorOf(expr: Expr, lane: Axis, locals: VectorLocals = new Map()): Expr | null {
  const visit = (inner: Expr): Expr | null => vectorOf(inner, lane, locals);
  const moving = (index: IndexExpr): boolean => moves(index, lane, locals);
  switch (expr.kind) {
    case 'literal':
      return expr;
    case 'index':
      return moving(expr.value) ? null : expr;
    case 'local': {
      const local = locals.get(expr.local);
      return local === undefined ? expr : { ...expr, local };
    }
    case 'load': {
      if (!moving(expr.offset)) return expr;
      const offset = vectorOffset(expr.buffer, expr.offset, lane, locals);
      return offset === null || expr.lanes > 1 ? null : { ...expr, offset, lanes: lane.extent };
    }
    case 'cast': {
      const value = visit(expr.value);
      if (value === null || (lanesOf(value) > 1 && !(isWord(expr.dtype) && isWord(value.dtype)))) return null;
      return { ...expr, value };
    }
    case 'apply': {
      if (expr.op === 'philox') return blockOf(expr, lane, locals);
      const args = vectors(expr.args.map(visit));
      return args === null || (lanesOf(args[0]!) > 1 && !args.every(({ dtype }) => isWord(dtype)))
        ? null
        : { ...expr, args };
    }
    case 'select': {
      const [condition, ...parts] = [visit(expr.condition), visit(expr.then), visit(expr.otherwise)];
      // A condition of each lane needs vectors to choose from; one for all lanes may choose between scalars too.
      const all = condition != null && lanesOf(condition) > 1 ? vectors([condition, ...parts]) : vectors(parts);
      if (condition == null || all === null) return null;
      const [then, otherwise] = all.slice(-2);
      return { ...expr, condition, then: then!, otherwise: otherwise! };
    }
    case 'splat':
    case 'vector':
    case 'component':
      return null;
  }
}

/**
 * Statements that name and store values, for all values of an axis. Null where one has no such form, or stores to one place
 * what moves.
 */
export function vectorStmts(
  body: readonly Stmt[],
  lane: Axis,
  given: VectorLocals = new Map(),
): readonly Stmt[] | null {
  const locals = new Map(given);
  const stmts: Stmt[] = [];
  for (const stmt of body) {
    if (stmt.kind === 'let') {
      const value = vectorOf(stmt.value, lane, locals);
      if (value === null) return null;
      const local: Local = { ...stmt.local, lanes: lanesOf(value) };
      locals.set(stmt.local, local);
      stmts.push({ kind: 'let', local, value });
    } else if (stmt.kind === 'store') {
      const value = vectorOf(stmt.value, lane, locals);
      const offset = vectorOffset(stmt.buffer, stmt.offset, lane, locals);
      if (value === null || offset === null) return null;
      stmts.push({ ...stmt, offset, value: lanesOf(value) > 1 ? value : splat(value, lane.extent) });
    } else return null;
  }
  return stmts;
}

/** The axis along which most loads step by one element; null where none does. Conditions on indices have no say. */
export function loadedAlong(expr: Expr, axes: readonly Axis[]): Axis | null {
  const votes = new Map<Axis, number>(axes.filter(({ extent }) => extent > 1).map((next) => [next, 0]));
  walkExpr(expr, (inner) => {
    if (inner.kind !== 'load') return;
    for (const next of votes.keys()) if (coefficientOf(inner.offset, next) === 1) votes.set(next, votes.get(next)! + 1);
  });
  const [best] = [...votes].sort(([, a], [, b]) => b - a);
  return best === undefined || best[1] === 0 ? null : best[0];
}

/** The elements of a vector one by one: the expression at every value of the axis. */
export function elementsOf(expr: Expr, lane: Axis): Expr[] {
  return Array.from({ length: lane.extent }, (_, at) => substituteAxes(expr, new Map([[lane, fixed(at)]])));
}

/** Four words of a block of random bits, where the axis walks just these: what gives one word alone gives them all. */
function blockOf(expr: Extract<Expr, { kind: 'apply' }>, lane: Axis, locals: VectorLocals): Expr | null {
  const counter = expr.args.slice(0, -1).map((arg) => vectorOf(arg, lane, locals));
  const words = elementsOf(expr.args.at(-1)!, lane);
  const isWhole = words.every((word, at) => word.kind === 'cast' && isPlace(word.value, at));
  if (!isWhole || counter.some((arg) => arg === null || lanesOf(arg) > 1)) return null;
  return { ...expr, args: [...(counter as Expr[]), { kind: 'vector', dtype: 'u32', elements: words }] };
}

function isPlace(expr: Expr, at: number): boolean {
  return expr.kind === 'index' && sameIndex(expr.value, fixed(at));
}

/** All scalars, or all vectors. */
function vectors(exprs: readonly (Expr | null | undefined)[]): Expr[] | null {
  const known = exprs.filter((expr) => expr != null);
  if (known.length < exprs.length) return null;
  const lanes = Math.max(...known.map(lanesOf));
  return known.map((expr) => (lanesOf(expr) === lanes ? expr : splat(expr, lanes)));
}

/** Where the vector begins; null where its elements are not side by side from a multiple of its length on. */
function vectorOffset(buffer: Buffer, offset: IndexExpr, lane: Axis, locals: VectorLocals): IndexExpr | null {
  const start = substituteIndex(offset, new Map([[lane, fixed(0)]]));
  const others = { ...offset, terms: offset.terms.filter(({ atom }) => atom !== lane) };
  const isWhole = buffer.size % lane.extent === 0 && sameIndex(modulo(start, lane.extent), fixed(0));
  const isSideBySide = coefficientOf(offset, lane) === 1 && !moves(others, lane, locals);
  return isWord(buffer.dtype) && buffer.dtype !== 'bool' && isWhole && isSideBySide ? start : null;
}

/** True for what a vector can hold as it is: bytes are wrapped and lie in memory in their own ways. */
function isWord(dtype: DType): boolean {
  return dtype === 'f32' || dtype === 'i32' || dtype === 'u32' || dtype === 'bool';
}

/** True where an index is not the same for all values of the axis. */
function moves(index: IndexExpr, lane: Axis, locals: VectorLocals): boolean {
  const whole: Expr = { kind: 'index', dtype: 'i32', value: index };
  if (indicesOf(whole).some((next) => next.terms.some(({ atom }) => atom === lane))) return true;
  let found = false;
  walkExpr(whole, (inner) => {
    if (inner.kind === 'local' && (locals.get(inner.local)?.lanes ?? 1) > 1) found = true;
  });
  return found;
}
