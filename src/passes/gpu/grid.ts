// Loops over workgroups and invocations, and indices that are computed once and have a name.

import {
  type Atom,
  type Axis,
  add,
  axis,
  type Bounds,
  boundsOf,
  type IndexExpr,
  multiply,
  of,
  unflatten,
} from '../../ir/index-expr.ts';
import { apply, type Expr, indexValue, type Local, literal, type Stmt } from '../../ir/kernel.ts';
import { allIndices } from '../expr-rewrite.ts';
import { extentOf, loop, mergeAxes, substituteStmts } from '../loops.ts';
import { elementInvocations, fewestVectorised, powerBelow } from './schedule.ts';
import { vectorLanes, vectorStmts } from './vectors.ts';

/** An index as a name, with the bounds that hold where it is used. */
export interface NamedIndex {
  readonly stmts: readonly Stmt[];
  readonly index: IndexExpr;
}

export function named(name: string, value: IndexExpr, bounds: Bounds = boundsOf(value)): NamedIndex {
  const [term, ...others] = value.terms;
  const isPlain = term === undefined || (others.length === 0 && term.coefficient === 1 && value.constant === 0);
  const hasName = term === undefined || term.atom.kind === 'axis' || isName(term.atom);
  if (isPlain && hasName && boundsOf(value).upper <= bounds.upper) return { stmts: [], index: value };
  const local: Local = { name, dtype: 'i32', lanes: 1 };
  const expr: Expr = { kind: 'local', dtype: 'i32', local };
  return {
    stmts: [{ kind: 'let', local, value: indexValue(value) }],
    index: of({ kind: 'dynamic', expr, ...bounds }),
  };
}

function isName(atom: Atom): boolean {
  return atom.kind === 'dynamic' && atom.expr.kind === 'local';
}

/** Names for the indices of axes at a flat position, which lies within their extents. */
export function namedIndices(
  axes: readonly Axis[],
  flat: IndexExpr,
): { stmts: readonly Stmt[]; map: ReadonlyMap<Axis, IndexExpr> } {
  const indices = unflatten(
    flat,
    axes.map((next) => next.extent),
  );
  const all = axes.map((next, i) => named(next.name, indices[i]!, { lower: 0, upper: next.extent - 1 }));
  return {
    stmts: all.flatMap(({ stmts }) => stmts),
    map: new Map(axes.map((next, i) => [next, all[i]!.index])),
  };
}

export function isLess(index: IndexExpr, limit: number): Expr {
  return apply('lt', indexValue(index), literal('i32', limit));
}

/** The statements where the index is below a limit that it may reach; without a test where it cannot. */
export function within(index: IndexExpr, limit: number, body: readonly Stmt[]): Stmt[] {
  if (boundsOf(index).upper < limit) return [...body];
  return [{ kind: 'if', condition: isLess(index, limit), then: body, otherwise: [] }];
}

/** Workgroups of invocations: `body` gives the statements of one invocation, between which barriers may stand. */
export function workgroups(
  groups: number,
  invocations: number,
  shared: readonly Stmt[],
  body: (group: IndexExpr, lane: IndexExpr) => readonly Stmt[],
): Stmt[] {
  const group = axis('group', groups);
  const lane = axis('lane', invocations);
  return [loop(group, 'workgroup', [...shared, loop(lane, 'invocation', body(of(group), of(lane)))])];
}

/**
 * One invocation for each element of some axes, neighbours in memory side by side; for each four where there are many and
 * the body has a vector form.
 */
export function elementGrid(axes: readonly Axis[], body: readonly Stmt[]): Stmt[] {
  const { merged, map } = mergeAxes(axes, allIndices(body));
  const inner = map.size === 0 ? body : substituteStmts(body, map);
  const vectors = extentOf(merged) < fewestVectorised ? null : inVectors(merged, inner);
  return vectors === null ? invocations(merged, inner) : invocations(vectors.axes, vectors.body);
}

/** The body for four neighbours along the last axis, and the axes over those. */
function inVectors(axes: readonly Axis[], body: readonly Stmt[]): { axes: Axis[]; body: readonly Stmt[] } | null {
  const last = axes[axes.length - 1];
  if (last === undefined || last.extent % vectorLanes !== 0) return null;
  const lane = axis('lane', vectorLanes);
  const vectors = axis(last.name, last.extent / vectorLanes);
  const at = add(multiply(of(vectors), vectorLanes), of(lane));
  const made = vectorStmts(substituteStmts(body, new Map([[last, at]])), lane);
  return made === null ? null : { axes: [...axes.slice(0, -1), vectors], body: made };
}

/** An invocation for each element of some axes, in workgroups of so many at most. */
export function invocations(merged: readonly Axis[], inner: readonly Stmt[], most = elementInvocations): Stmt[] {
  const count = extentOf(merged);
  const size = Math.min(most, count < 2 ? 1 : 2 * powerBelow(count - 1));
  return workgroups(Math.ceil(count / size), size, [], (group, lane) => {
    const flat = add(multiply(group, size), lane);
    const at = named('at', flat, { lower: 0, upper: boundsOf(flat).upper });
    const { stmts, map: indices } = namedIndices(merged, limited(at.index, count - 1));
    return [...at.stmts, ...within(at.index, count, [...stmts, ...substituteStmts(inner, indices)])];
  });
}

/** The same name with the bounds that hold behind a test. */
export function limited(index: IndexExpr, upper: number): IndexExpr {
  const atom = index.terms[0]?.atom;
  return atom?.kind === 'dynamic' ? of({ ...atom, upper }) : index;
}

/** An index, or the last of `count` where it lies beyond. */
export function clamped(index: IndexExpr, count: number): IndexExpr {
  if (boundsOf(index).upper < count) return index;
  const expr = apply('min', indexValue(index), literal('i32', count - 1));
  return of({ kind: 'dynamic', expr, lower: 0, upper: count - 1 });
}
