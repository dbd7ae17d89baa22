// Selections that one value decides for a whole piece of work: a position in a cache, a length, a flag that is given with a call. Where a
// condition reads memory and is the same for all that the body of a loop does, the body becomes two, of which one runs; the other one
// often has nothing left to do, so that what a mask hides is neither computed nor read, and a state of which one row is new is written in
// that row alone. Nothing is assumed of what is hidden: the second body computes what the selections' other side says.

import { type Axis, coefficientOf, type IndexExpr, of, sameIndex } from '../ir/index-expr.ts';
import { apply, type Buffer, type Expr, type Kernel, type Local, literal, type Stmt } from '../ir/kernel.ts';
import type { Program } from '../ir/program.ts';
import { mapSteps } from '../ir/steps.ts';
import { exprsOf, indicesOf, rewriteStmts, walkExpr, walkStmts } from './expr-rewrite.ts';
import { substituteStmts } from './loops.ts';
import { fewestHidden, mostNestedSplits } from './schedule.ts';

export function selectAround(program: Program): Program {
  const steps = mapSteps(
    program.steps,
    (launch) => {
      const kernel = kernelSelectingAround(launch.kernel);
      return kernel === launch.kernel ? launch : { ...launch, kernel };
    },
    (buffer) => buffer,
  );
  return { ...program, steps };
}

export function kernelSelectingAround(kernel: Kernel): Kernel {
  const readOnly = new Set(kernel.parameters.filter(({ access }) => access === 'read').map(({ buffer }) => buffer));
  const decides = (condition: Expr): boolean => readsOnly(condition, readOnly, kernel.iterations);
  const body = withinLoops(kernel.body, { decides, left: mostNestedSplits });
  return body === kernel.body ? kernel : { ...kernel, body };
}

interface Deciding {
  decides(condition: Expr): boolean;
  /** How often what is split already may be split again. */
  readonly left: number;
}

/** True for what reads memory that the kernel does not write, or the number of an iteration, and no register. */
function readsOnly(condition: Expr, readOnly: ReadonlySet<Buffer>, iterations: readonly Axis[]): boolean {
  let decides = false;
  let fits = true;
  walkExpr(condition, (inner) => {
    if (inner.kind === 'local') fits = false;
    if (inner.kind !== 'load') return;
    decides = true;
    fits &&= readOnly.has(inner.buffer);
  });
  decides ||= indicesOf(condition).some(({ terms }) => terms.some(({ atom }) => iterations.includes(atom as Axis)));
  return decides && fits;
}

function withinLoops(stmts: readonly Stmt[], deciding: Deciding): readonly Stmt[] {
  let changed = false;
  const result = stmts.flatMap((stmt): readonly Stmt[] => {
    const next = withinLoop(stmt, deciding);
    if (next !== null) changed = true;
    return next ?? [stmt];
  });
  return changed ? result : stmts;
}

/** Null: as it is. */
function withinLoop(stmt: Stmt, deciding: Deciding): readonly Stmt[] | null {
  if (stmt.kind === 'if') {
    const [then, otherwise] = [withinLoops(stmt.then, deciding), withinLoops(stmt.otherwise, deciding)];
    return then === stmt.then && otherwise === stmt.otherwise ? null : [{ ...stmt, then, otherwise }];
  }
  // A branch inside of lanes would be one of every lane.
  if (stmt.kind !== 'loop' || stmt.axisKind === 'vector') return null;
  const body = split(stmt.body, deciding) ?? withinLoops(stmt.body, deciding);
  return body === stmt.body ? null : atOneIndex({ ...stmt, body });
}

/** The body as two, chosen by a condition that is the same for all of it; null where that hides too little. */
function split(body: readonly Stmt[], deciding: Deciding): readonly Stmt[] | null {
  if (deciding.left === 0) return null;
  const inside: Deciding = { ...deciding, left: deciding.left - 1 };
  for (const condition of conditionsIn(body)) {
    if (!deciding.decides(condition) || axesOfLoops(body).some((axis) => mentions(condition, axis))) continue;
    const [then, otherwise] = [true, false].map((holds) => cleaned(decided(body, condition, holds))) as [
      Stmt[],
      Stmt[],
    ];
    if (loadsIn(then) - loadsIn(otherwise) < fewestHidden) continue;
    return [{ kind: 'if', condition, then: withinLoops(then, inside), otherwise: withinLoops(otherwise, inside) }];
  }
  return null;
}

function conditionsIn(body: readonly Stmt[]): Expr[] {
  const found: Expr[] = [];
  walkStmts(body, (stmt) => {
    for (const expr of exprsOf(stmt))
      walkExpr(expr, (inner) => {
        if (inner.kind === 'select' && !found.some((other) => sameExpr(other, inner.condition)))
          found.push(inner.condition);
      });
  });
  return found;
}

function axesOfLoops(body: readonly Stmt[]): Axis[] {
  const axes: Axis[] = [];
  walkStmts(body, (stmt) => {
    if (stmt.kind === 'loop') axes.push(stmt.axis);
  });
  return axes;
}

const mentions = (expr: Expr, axis: Axis): boolean => indicesOf(expr).some((index) => coefficientOf(index, axis) !== 0);

function decided(body: readonly Stmt[], condition: Expr, holds: boolean): Stmt[] {
  return rewriteStmts(body, {
    axis: () => null,
    buffer: (buffer) => buffer,
    expr: (expr) => {
      if (expr.kind !== 'select' || !sameExpr(expr.condition, condition)) return expr;
      return holds ? expr.then : expr.otherwise;
    },
  });
}

function sameExpr(a: Expr, b: Expr): boolean {
  if (a === b) return true;
  if (a.kind !== b.kind || a.dtype !== b.dtype) return false;
  if (a.kind === 'literal') return Object.is(a.value, (b as typeof a).value);
  if (a.kind === 'index') return sameIndex(a.value, (b as typeof a).value);
  if (a.kind === 'load') {
    const other = b as typeof a;
    return a.buffer === other.buffer && a.lanes === other.lanes && sameIndex(a.offset, other.offset);
  }
  if (a.kind === 'cast') return sameExpr(a.value, (b as typeof a).value);
  if (a.kind !== 'apply') return false;
  const other = b as typeof a;
  return a.op === other.op && a.args.every((arg, i) => sameExpr(arg, other.args[i]!));
}

/** Elements of global memory that a body loads. */
function loadsIn(stmts: readonly Stmt[]): number {
  return stmts.reduce((count, stmt) => {
    let own = 0;
    for (const expr of exprsOf(stmt))
      walkExpr(expr, (inner) => {
        if (inner.kind === 'load' && inner.buffer.space === 'global') own += inner.lanes;
      });
    if (stmt.kind === 'loop') own += stmt.axis.extent * loadsIn(stmt.body);
    if (stmt.kind === 'if') own += Math.max(loadsIn(stmt.then), loadsIn(stmt.otherwise));
    return count + own;
  }, 0);
}

/** A body without what it stores where it stands already, and without what only served that or a side that is not taken. */
function cleaned(stmts: readonly Stmt[]): Stmt[] {
  const storing = withoutStoresInPlace(stmts);
  const serves = servingIn(storing);
  return filtered(storing, (stmt) => {
    if (stmt.kind === 'loop') return stmt.body.length > 0;
    if (stmt.kind === 'if') return stmt.then.length > 0 || stmt.otherwise.length > 0;
    return serves(stmt);
  });
}

/** Stores of the very element that they overwrite, where nothing else is stored to the buffer. */
function withoutStoresInPlace(stmts: readonly Stmt[]): Stmt[] {
  const named = new Map<Local, Expr>();
  const kept = new Set<Buffer>();
  const isInPlace = (stmt: Extract<Stmt, { kind: 'store' }>): boolean => {
    const value = stmt.value.kind === 'local' ? named.get(stmt.value.local) : stmt.value;
    return value?.kind === 'load' && value.buffer === stmt.buffer && sameIndex(value.offset, stmt.offset);
  };
  walkStmts(stmts, (stmt) => {
    if (stmt.kind === 'let') named.set(stmt.local, stmt.value);
    if (stmt.kind === 'update' || (stmt.kind === 'store' && !isInPlace(stmt))) kept.add(stmt.buffer);
  });
  return filtered(stmts, (stmt) => stmt.kind !== 'store' || kept.has(stmt.buffer) || !isInPlace(stmt));
}

/** What a statement gives a value: a register, or a buffer. */
function givenBy(stmt: Stmt): Local | Buffer | null {
  switch (stmt.kind) {
    case 'let':
    case 'accumulator':
    case 'accumulate':
    case 'assign':
    case 'subgroup':
    case 'uniform':
      return stmt.local;
    case 'store':
    case 'update':
    case 'allocate':
      return stmt.buffer;
    case 'loop':
    case 'if':
    case 'tasks':
    case 'part':
    case 'leave':
    case 'barrier':
      return null;
  }
}

/** Which statements lead to something that is stored outside of the body. */
function servingIn(stmts: readonly Stmt[]): (stmt: Stmt) => boolean {
  const own = new Set<Local | Buffer>();
  walkStmts(stmts, (stmt) => {
    if (stmt.kind === 'let' || stmt.kind === 'accumulator') own.add(stmt.local);
    if (stmt.kind === 'allocate') own.add(stmt.buffer);
  });
  const read = new Set<Local | Buffer>();
  const serves = (stmt: Stmt): boolean => {
    const given = givenBy(stmt);
    return given === null || !own.has(given) || read.has(given);
  };
  for (let before = -1; before !== read.size; ) {
    before = read.size;
    walkStmts(stmts, (stmt) => {
      if (!serves(stmt)) return;
      for (const expr of exprsOf(stmt))
        walkExpr(expr, (inner) => {
          if (inner.kind === 'local') read.add(inner.local);
          if (inner.kind === 'load') read.add(inner.buffer);
        });
    });
  }
  return serves;
}

/** The statements for which `keeps` holds, inner ones first. */
function filtered(stmts: readonly Stmt[], keeps: (stmt: Stmt) => boolean): Stmt[] {
  return stmts.flatMap((stmt): Stmt[] => {
    const inner = (list: readonly Stmt[]): Stmt[] => filtered(list, keeps);
    const next: Stmt =
      stmt.kind === 'loop' || stmt.kind === 'tasks'
        ? { ...stmt, body: inner(stmt.body) }
        : stmt.kind === 'if'
          ? { ...stmt, then: inner(stmt.then), otherwise: inner(stmt.otherwise) }
          : stmt;
    return keeps(next) ? [next] : [];
  });
}

/** A loop of which one index alone does something, known when it begins: that index, where it is one. */
function atOneIndex(stmt: Extract<Stmt, { kind: 'loop' }>): readonly Stmt[] {
  const [only, ...others] = stmt.body;
  if (only === undefined) return [];
  if (others.length > 0 || only.kind !== 'if' || only.otherwise.length > 0) return [stmt];
  const wanted = wantedIndex(only.condition, stmt.axis);
  if (wanted === null) return [stmt];
  const local: Local = { name: stmt.axis.name, dtype: 'i32', lanes: 1 };
  const value: Expr = { kind: 'local', dtype: 'i32', local };
  const isOne = apply(
    'and',
    apply('ge', value, literal('i32', 0)),
    apply('lt', value, literal('i32', stmt.axis.extent)),
  );
  const index: IndexExpr = of({ kind: 'dynamic', expr: value, lower: 0, upper: stmt.axis.extent - 1 });
  const then = substituteStmts(only.then, new Map([[stmt.axis, index]]));
  return [
    { kind: 'let', local, value: wanted },
    { kind: 'if', condition: isOne, then, otherwise: [] },
  ];
}

/** The index at which a loop's variable equals something else; null where the condition is another one. */
function wantedIndex(condition: Expr, axis: Axis): Expr | null {
  if (condition.kind !== 'apply' || condition.op !== 'eq') return null;
  for (const [a, b] of [condition.args, [...condition.args].reverse()] as [Expr, Expr][]) {
    if (a.kind === 'index' && sameIndex(a.value, of(axis)) && b.dtype === 'i32' && !mentions(b, axis)) return b;
  }
  return null;
}
