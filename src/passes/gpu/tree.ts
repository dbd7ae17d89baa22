// Combining the values of a workgroup's invocations, in an order that depends on nothing but their number and, where there
// are subgroups, on the device's size of those.

import { type Axis, add, axis, fixed, type IndexExpr, of } from '../../ir/index-expr.ts';
import {
  apply,
  type Buffer,
  type Expr,
  indexValue,
  type Local,
  literal,
  load,
  localValue,
  type Monoid,
  type Stmt,
  subgroupPlace,
} from '../../ir/kernel.ts';
import { identityOf } from '../../ir/ops/monoid.ts';
import type { DType } from '../../ir/types.ts';
import { loop } from '../loops.ts';
import { isLess } from './grid.ts';
import { fewestOfSubgroup } from './schedule.ts';

/** A value of each invocation, and memory for one of each. */
export interface Combined {
  readonly buffer: Buffer;
  readonly monoid: Monoid;
}

const barrier: Stmt = { kind: 'barrier' };

/** After the statements `shared[column]` holds the combination over rows of `shared[row · columns + column]`. */
export function treeStmts(shared: readonly Combined[], lane: IndexExpr, columns: number, rows: number): Stmt[] {
  const stmts: Stmt[] = [];
  for (let half = rows / 2; half >= 1; half /= 2) {
    const other = add(lane, fixed(half * columns));
    const then = shared.map(
      ({ buffer, monoid }): Stmt => ({ kind: 'update', buffer, offset: lane, monoid, value: load(buffer, other) }),
    );
    stmts.push({ kind: 'if', condition: isLess(lane, half * columns), then, otherwise: [] }, barrier);
  }
  return stmts;
}

/** Statements after which every invocation has the combination of all values; the memory may then be used again. */
export function combineAll(
  shared: readonly Combined[],
  values: readonly Expr[],
  lane: IndexExpr,
  invocations: number,
  subgroups: boolean,
): { stmts: Stmt[]; results: Expr[] } {
  const results = shared.map(({ buffer, monoid }): Local => ({ name: monoid, dtype: buffer.dtype, lanes: 1 }));
  const stmts =
    subgroups && shared.every(({ buffer }) => inSubgroups.has(buffer.dtype))
      ? bySubgroups(shared, values, results, invocations)
      : byTree(shared, values, results, lane, invocations);
  return { stmts: [...stmts, barrier], results: results.map(localValue) };
}

/** What a device combines in subgroups. */
const inSubgroups: ReadonlySet<DType> = new Set(['f32', 'i32', 'u32', 'bool']);

function byTree(
  shared: readonly Combined[],
  values: readonly Expr[],
  results: readonly Local[],
  lane: IndexExpr,
  invocations: number,
): Stmt[] {
  return [
    ...shared.map(({ buffer }, i): Stmt => ({ kind: 'store', buffer, offset: lane, value: values[i]! })),
    barrier,
    ...treeStmts(shared, lane, 1, invocations),
    ...shared.map(({ buffer }, i): Stmt => ({ kind: 'let', local: results[i]!, value: load(buffer, fixed(0)) })),
  ];
}

/**
 * A value of each subgroup goes to shared memory, and every subgroup combines all of those: at once where it has as many
 * invocations as there are subgroups, else each invocation takes every so many-th.
 */
function bySubgroups(
  shared: readonly Combined[],
  values: readonly Expr[],
  results: readonly Local[],
  invocations: number,
): Stmt[] {
  const most = Math.max(1, invocations / fewestOfSubgroup);
  const place = (local: Local, upper: number): IndexExpr =>
    of({ kind: 'dynamic', expr: localValue(local), lower: 0, upper: upper - 1 });
  const own = shared.map(({ buffer }): Local => ({ name: 'of_subgroup', dtype: buffer.dtype, lanes: 1 }));
  const parts = shared.map(({ buffer }): Local => ({ name: 'part', dtype: buffer.dtype, lanes: 1 }));
  const takeAt = (at: IndexExpr): Stmt[] =>
    shared.map(({ buffer, monoid }, i) => ({ kind: 'accumulate', local: parts[i]!, monoid, value: load(buffer, at) }));
  const [lane, count, size] = [subgroupPlace.lane, subgroupPlace.count, subgroupPlace.size].map(localValue);
  const put = shared.map(({ buffer }, i): Stmt => {
    return { kind: 'store', buffer, offset: place(subgroupPlace.id, most), value: localValue(own[i]!) };
  });
  const taken = (value: Expr, then: Stmt[]): Stmt => {
    return { kind: 'if', condition: apply('lt', value, count!), then, otherwise: [] };
  };
  const turn = axis('turn', Math.ceil(most / fewestOfSubgroup) - 1);
  return [
    ...shared.map(({ monoid }, i): Stmt => ({ kind: 'subgroup', local: own[i]!, monoid, value: values[i]! })),
    { kind: 'if', condition: apply('eq', lane!, literal('i32', 0)), then: put, otherwise: [] },
    barrier,
    ...shared.map(({ buffer, monoid }, i): Stmt => {
      return {
        kind: 'accumulator',
        local: parts[i]!,
        initial: literal(buffer.dtype, identityOf(monoid, buffer.dtype)),
      };
    }),
    taken(lane!, takeAt(place(subgroupPlace.lane, most))),
    ...(turn.extent < 1
      ? []
      : [
          {
            kind: 'if',
            condition: apply('gt', count!, size!),
            then: [further(turn, most, taken, takeAt)],
            otherwise: [],
          } as Stmt,
        ]),
    ...shared.map(({ monoid }, i): Stmt => {
      return { kind: 'subgroup', local: results[i]!, monoid, value: localValue(parts[i]!) };
    }),
  ];
}

/** What an invocation takes beyond its first value, where there are more subgroups than invocations in one. */
function further(
  turn: Axis,
  most: number,
  taken: (value: Expr, then: Stmt[]) => Stmt,
  takeAt: (at: IndexExpr) => Stmt[],
): Stmt {
  const local: Local = { name: 'other', dtype: 'i32', lanes: 1 };
  const [lane, size] = [subgroupPlace.lane, subgroupPlace.size].map(localValue);
  const number = indexValue(add(of(turn), fixed(1)));
  const value = apply('add', lane!, apply('mul', number, size!));
  const at = of({ kind: 'dynamic', expr: localValue(local), lower: 0, upper: most - 1 });
  return loop(turn, 'serial', [{ kind: 'let', local, value }, taken(localValue(local), takeAt(at))]);
}
