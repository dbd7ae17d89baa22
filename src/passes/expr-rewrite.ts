// Walks and rewrites of scalar expressions and statements: substitution of axes by index expressions (the way a
// schedule splits, merges and reorders loops) and replacement of buffers.

import { InternalError } from '../ir/errors.ts';
import { type Axis, type IndexExpr, substitute } from '../ir/index-expr.ts';
import { type Buffer, type Expr, type Local, load, type Stmt } from '../ir/kernel.ts';

export interface Replacement {
  axis(axis: Axis): IndexExpr | null;
  buffer(buffer: Buffer): Buffer;
  /** Where a body is copied: the copy's own names. */
  local?(local: Local): Local;
  /** What stands for an expression whose parts are replaced. */
  expr?(expr: Expr): Expr;
}

const keepBuffer = (buffer: Buffer): Buffer => buffer;

/** Replaces axes by index expressions, everywhere in an expression. */
export function substituteAxes(expr: Expr, axes: ReadonlyMap<Axis, IndexExpr>): Expr {
  return rewriteExpr(expr, { axis: (axis) => axes.get(axis) ?? null, buffer: keepBuffer });
}

/** Replaces axes by index expressions in an index. */
export function substituteIndex(index: IndexExpr, axes: ReadonlyMap<Axis, IndexExpr>): IndexExpr {
  const replacement: Replacement = { axis: (axis) => axes.get(axis) ?? null, buffer: keepBuffer };
  return rewriteIndex(index, replacement);
}

export function rewriteIndex(index: IndexExpr, replacement: Replacement): IndexExpr {
  return substitute(index, replacement.axis, (inner) => rewriteExpr(inner, replacement));
}

export function rewriteExpr(expr: Expr, replacement: Replacement): Expr {
  const rewritten = rewriteParts(expr, replacement);
  return replacement.expr === undefined ? rewritten : replacement.expr(rewritten);
}

function rewriteParts(expr: Expr, replacement: Replacement): Expr {
  const visit = (inner: Expr): Expr => rewriteExpr(inner, replacement);
  switch (expr.kind) {
    case 'literal':
      return expr;
    case 'local':
      return replacement.local === undefined ? expr : { ...expr, local: replacement.local(expr.local) };
    case 'index':
      return { ...expr, value: rewriteIndex(expr.value, replacement) };
    case 'load':
      return { ...expr, buffer: replacement.buffer(expr.buffer), offset: rewriteIndex(expr.offset, replacement) };
    case 'apply':
      return { ...expr, args: expr.args.map(visit) };
    case 'cast':
    case 'splat':
    case 'component':
      return { ...expr, value: visit(expr.value) };
    case 'vector':
      return { ...expr, elements: expr.elements.map(visit) };
    case 'select':
      return { ...expr, condition: visit(expr.condition), then: visit(expr.then), otherwise: visit(expr.otherwise) };
  }
}

function rewriteLocal(local: Local, { local: rename }: Replacement): Local {
  return rename === undefined ? local : rename(local);
}

export function rewriteStmts(body: readonly Stmt[], replacement: Replacement): Stmt[] {
  return body.map((stmt) => rewriteStmt(stmt, replacement));
}

function rewriteStmt(stmt: Stmt, replacement: Replacement): Stmt {
  switch (stmt.kind) {
    case 'loop':
    case 'tasks':
    case 'part':
      return { ...stmt, body: rewriteStmts(stmt.body, replacement) };
    case 'leave':
      return { ...stmt, condition: rewriteExpr(stmt.condition, replacement) };
    case 'uniform':
      return {
        ...stmt,
        local: rewriteLocal(stmt.local, replacement),
        buffer: replacement.buffer(stmt.buffer),
        offset: rewriteIndex(stmt.offset, replacement),
      };
    case 'let':
    case 'accumulate':
    case 'assign':
    case 'subgroup':
      return {
        ...stmt,
        local: rewriteLocal(stmt.local, replacement),
        value: rewriteExpr(stmt.value, replacement),
      };
    case 'accumulator':
      return {
        ...stmt,
        local: rewriteLocal(stmt.local, replacement),
        initial: rewriteExpr(stmt.initial, replacement),
      };
    case 'store':
    case 'update':
      return {
        ...stmt,
        buffer: replacement.buffer(stmt.buffer),
        offset: rewriteIndex(stmt.offset, replacement),
        value: rewriteExpr(stmt.value, replacement),
      };
    case 'if':
      return {
        ...stmt,
        condition: rewriteExpr(stmt.condition, replacement),
        then: rewriteStmts(stmt.then, replacement),
        otherwise: rewriteStmts(stmt.otherwise, replacement),
      };
    case 'allocate':
    case 'barrier':
      return stmt;
  }
}

/** Where an access goes instead. */
type Move = (buffer: Buffer, offset: IndexExpr) => { readonly buffer: Buffer; readonly offset: IndexExpr };

/** The statements with every access elsewhere. */
export function rewriteAccesses(body: readonly Stmt[], move: Move): Stmt[] {
  const expr = (each: Expr): Expr => (each.kind === 'load' ? { ...each, ...move(each.buffer, each.offset) } : each);
  const stores = (stmts: readonly Stmt[]): Stmt[] =>
    stmts.map((stmt): Stmt => {
      switch (stmt.kind) {
        case 'store':
        case 'update':
        case 'uniform':
          return { ...stmt, ...move(stmt.buffer, stmt.offset) };
        case 'loop':
        case 'tasks':
        case 'part':
          return { ...stmt, body: stores(stmt.body) };
        case 'if':
          return { ...stmt, then: stores(stmt.then), otherwise: stores(stmt.otherwise) };
        default:
          return stmt;
      }
    });
  return stores(rewriteStmts(body, { axis: () => null, buffer: keepBuffer, expr }));
}

/** Calls `visit` with every expression, outermost first; index expressions that hold expressions included. */
export function walkExpr(expr: Expr, visit: (expr: Expr) => void): void {
  visit(expr);
  switch (expr.kind) {
    case 'literal':
    case 'local':
      break;
    case 'index':
      walkIndex(expr.value, visit);
      break;
    case 'load':
      walkIndex(expr.offset, visit);
      break;
    case 'apply':
      for (const arg of expr.args) walkExpr(arg, visit);
      break;
    case 'cast':
    case 'splat':
    case 'component':
      walkExpr(expr.value, visit);
      break;
    case 'vector':
      for (const element of expr.elements) walkExpr(element, visit);
      break;
    case 'select':
      walkExpr(expr.condition, visit);
      walkExpr(expr.then, visit);
      walkExpr(expr.otherwise, visit);
  }
}

function walkIndex(index: IndexExpr, visit: (expr: Expr) => void): void {
  for (const { atom } of index.terms) {
    if (atom.kind === 'dynamic') walkExpr(atom.expr, visit);
    else if (atom.kind !== 'axis') walkIndex(atom.value, visit);
  }
}

/** Calls `visit` with every statement, enclosing ones first. */
export function walkStmts(body: readonly Stmt[], visit: (stmt: Stmt) => void): void {
  for (const stmt of body) {
    visit(stmt);
    if (stmt.kind === 'loop' || stmt.kind === 'tasks' || stmt.kind === 'part') walkStmts(stmt.body, visit);
    if (stmt.kind === 'if') {
      walkStmts(stmt.then, visit);
      walkStmts(stmt.otherwise, visit);
    }
  }
}

/** The expressions that stand directly in a statement (not those of nested statements). */
export function exprsOf(stmt: Stmt): readonly Expr[] {
  switch (stmt.kind) {
    case 'let':
    case 'accumulate':
    case 'assign':
    case 'subgroup':
      return [stmt.value];
    case 'store':
    case 'update':
      return [stmt.value, { kind: 'index', dtype: 'i32', value: stmt.offset }];
    case 'accumulator':
      return [stmt.initial];
    case 'if':
    case 'leave':
      return [stmt.condition];
    case 'uniform':
      return [load(stmt.buffer, stmt.offset)];
    case 'loop':
    case 'tasks':
    case 'part':
    case 'allocate':
    case 'barrier':
      return [];
  }
}

/** Every index expression in which axes stand: offsets, index values, and the insides of quotients and remainders. */
export function indicesOf(expr: Expr): IndexExpr[] {
  const found: IndexExpr[] = [];
  const collect = (index: IndexExpr): void => {
    found.push(index);
    for (const { atom } of index.terms) if (atom.kind === 'quotient' || atom.kind === 'remainder') collect(atom.value);
  };
  walkExpr(expr, (inner) => {
    if (inner.kind === 'load') collect(inner.offset);
    if (inner.kind === 'index') collect(inner.value);
  });
  return found;
}

/** Every index expression of a body in which an axis may stand. */
export function allIndices(body: readonly Stmt[]): IndexExpr[] {
  const indices: IndexExpr[] = [];
  walkStmts(body, (stmt) => {
    for (const expr of exprsOf(stmt)) indices.push(...indicesOf(expr));
  });
  return indices;
}

/** Which of some axes occur in indices. */
export function axesIn(indices: readonly IndexExpr[], axes: readonly Axis[]): Axis[] {
  const found = new Set<Axis>();
  const visit = ({ terms }: IndexExpr): void => {
    for (const { atom } of terms) {
      if (atom.kind === 'axis') found.add(atom);
      if (atom.kind === 'quotient' || atom.kind === 'remainder') visit(atom.value);
      if (atom.kind === 'dynamic') for (const inner of indicesOf(atom.expr)) visit(inner);
    }
  };
  indices.forEach(visit);
  return axes.filter((axis) => found.has(axis));
}

/** The loads of global buffers in a body, with the buffers it stores to. */
export function accessesOf(body: readonly Stmt[]): {
  loads: { buffer: Buffer; offset: IndexExpr }[];
  stores: { buffer: Buffer; offset: IndexExpr }[];
} {
  const loads: { buffer: Buffer; offset: IndexExpr }[] = [];
  const stores: { buffer: Buffer; offset: IndexExpr }[] = [];
  walkStmts(body, (stmt) => {
    if (stmt.kind === 'store' || stmt.kind === 'update') stores.push({ buffer: stmt.buffer, offset: stmt.offset });
    if (stmt.kind === 'update') loads.push({ buffer: stmt.buffer, offset: stmt.offset });
    for (const expr of exprsOf(stmt)) {
      walkExpr(expr, (inner) => {
        if (inner.kind === 'load') loads.push({ buffer: inner.buffer, offset: inner.offset });
      });
    }
  });
  return { loads, stores };
}

export function expect<T>(value: T | undefined | null, what: string): T {
  if (value === undefined || value === null) throw new InternalError(`${what} is missing`);
  return value;
}
