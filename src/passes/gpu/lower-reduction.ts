// Reductions on a GPU. A workgroup has `columns` results side by side and `rows` invocations for each: one row is an
// invocation that reduces alone, one column a workgroup that reduces one result, and what lies between reads runs of
// neighbours. Long reductions to few results have two stages. The order depends on the shapes alone.

import { InternalError } from '../../ir/errors.ts';
import {
  type Axis,
  add,
  axis,
  boundsOf,
  fixed,
  flatten,
  floorDiv,
  type IndexExpr,
  modulo,
  multiply,
  of,
  unflatten,
} from '../../ir/index-expr.ts';
import { apply, type Buffer, choose, type Expr, type Local, literal, load, type Stmt } from '../../ir/kernel.ts';
import { identityOf } from '../../ir/ops/monoid.ts';
import { isFloat } from '../../ir/types.ts';
import { ranked } from '../decision.ts';
import { indicesOf, substituteAxes } from '../expr-rewrite.ts';
import type { KernelBody, LoweringContext } from '../group.ts';
import { contiguousAxis, extentOf, loop, mergeAxes, substituteStmts } from '../loops.ts';
import { workOf } from '../lower-element.ts';
import { isBetter, type Reduction, type Running, running } from '../lower-reduction.ts';
import { type GpuChoice, type GpuContext, reductionCandidates } from './candidates.ts';
import { clamped, isLess, limited, named, namedIndices, within, workgroups } from './grid.ts';
import { reductionKey } from './problem-keys.ts';
import { type GpuTarget, type ReductionSchedule, reductionSchedule } from './schedule.ts';
import { combineAll, treeStmts } from './tree.ts';

/** The kernels of a reduction that is no contraction. */
export function reductionKernels(context: GpuContext, reduction: Reduction, target: GpuTarget): KernelBody[] {
  const first = reductionScheduleOf(reduction, target);
  const untuned = { form: 'reduction', ...first } as const;
  const { position } = reduction;
  const problem = { results: extentOf(reduction.domain), length: extentOf(reduction.reduced), position, window: 1 };
  const choice = context.choose({
    group: context.group,
    key: () => reductionKey(reduction, first),
    untuned,
    candidates: () => ranked<GpuChoice>(untuned, reductionCandidates(problem, first, target)),
  });
  if (choice.form !== 'reduction') throw new InternalError(`a reduction as ${choice.form}`);
  return scheduledReduction(context, reduction, choice, target);
}

/** What the estimates say. */
export function reductionScheduleOf(
  { domain, reduced, element, position }: Reduction,
  target: GpuTarget,
): ReductionSchedule {
  const contiguous = contiguousAxis([element], [...domain, ...reduced]);
  const columnsContiguous = contiguous !== null && domain.includes(contiguous);
  return reductionSchedule(extentOf(domain), extentOf(reduced), { columnsContiguous, position }, target);
}

/** One kernel, or two where partial results are combined. */
export function scheduledReduction(
  context: LoweringContext,
  reduction: Reduction,
  schedule: ReductionSchedule,
  target: GpuTarget,
): KernelBody[] {
  const results = extentOf(reduction.domain);
  const value: Stmt = {
    kind: 'let',
    local: { name: 'v', dtype: reduction.element.dtype, lanes: 1 },
    value: reduction.element,
  };
  const flops = results * extentOf(reduction.reduced) * workOf([value]);
  if (schedule.chunks === 1) return [{ suffix: '', body: reductionGrid(reduction, schedule, target), flops }];
  const [first, second] = inChunks(context, reduction, schedule.chunks, (chunk, domain) => [chunk, ...domain]);
  return [
    { suffix: '_partial', body: reductionGrid(first, { ...schedule, chunks: 1 }, target), flops },
    { suffix: '', body: alone(second, results, combiningLanes), flops: schedule.chunks * results },
  ];
}

/** Two stages: results for each chunk of the reduced positions, in a buffer over the axes in the order given; and those of the chunks. */
export function inChunks(
  context: LoweringContext,
  reduction: Reduction,
  chunks: number,
  orderOf: (chunk: Axis, domain: readonly Axis[]) => readonly Axis[],
): [Reduction, Reduction] {
  const { merged, map } = mergeAxes(reduction.reduced, indicesOf(reduction.element));
  const element = substituteAxes(reduction.element, map);
  const length = extentOf(merged);
  const chunk = axis('chunk', chunks);
  const within = axis('r', Math.ceil(length / chunks));
  const at = add(multiply(of(chunk), within.extent), of(within));
  const indices = unflatten(
    at,
    merged.map(({ extent }) => extent),
  );
  const value = substituteAxes(element, new Map(merged.map((next, i) => [next, indices[i]!])));
  const outside = literal(element.dtype, identityOf(reduction.monoid, element.dtype));
  const axes = orderOf(chunk, reduction.domain);
  const partial = context.scratch('partial', element.dtype, extentOf(axes));
  const offset = flatten(
    axes.map(of),
    axes.map(({ extent }) => extent),
  );
  const first: Reduction = {
    ...reduction,
    domain: axes,
    reduced: [within],
    element: boundsOf(at).upper < length ? value : choose(isLess(at, length), value, outside),
    finish: (result) => [{ kind: 'store', buffer: partial, offset, value: result }],
  };
  return [first, { ...reduction, reduced: [chunk], element: load(partial, offset) }];
}

/** Invocations of a workgroup that combine chunks. */
const combiningLanes = 64;

/** The second stage: the partial results of a buffer `[chunks, domain]` combined, one invocation for each result. */
export function combining(reduction: Reduction, partial: Buffer, chunks: number): Stmt[] {
  const chunk = axis('chunk', chunks);
  const { domain } = reduction;
  const offset = flatten([of(chunk), ...domain.map(of)], [chunks, ...domain.map(({ extent }) => extent)]);
  return alone({ ...reduction, reduced: [chunk], element: load(partial, offset) }, extentOf(domain), combiningLanes);
}

function reductionGrid(reduction: Reduction, schedule: ReductionSchedule, target: GpuTarget): Stmt[] {
  const results = extentOf(reduction.domain);
  if (schedule.rows === 1) return alone(reduction, results, schedule.columns);
  return schedule.columns === 1 && !reduction.position
    ? single(reduction, results, schedule.rows, target.subgroups)
    : together(reduction, results, schedule);
}

/** What one result takes: all positions, one after the other. */
export function inOrder(reduction: Reduction): Stmt[] {
  const { merged, map } = mergeAxes(reduction.reduced, indicesOf(reduction.element));
  const state = running(reduction);
  const position = flatten(
    merged.map(of),
    merged.map(({ extent }) => extent),
  );
  const take = state.take(substituteAxes(reduction.element, map), position);
  const loops = merged.reduceRight<Stmt[]>((inner, next) => [loop(next, 'serial', inner)], take);
  return [...state.begin(), ...loops, ...reduction.finish(state.result)];
}

/** An invocation for each result. */
function alone(reduction: Reduction, results: number, columns: number): Stmt[] {
  const body = inOrder(reduction);
  return workgroups(Math.ceil(results / columns), columns, [], (group, lane) => {
    const flat = add(multiply(group, columns), lane);
    const at = named('at', flat);
    const { stmts, map: indices } = namedIndices(reduction.domain, limited(at.index, results - 1));
    return [...at.stmts, ...within(at.index, results, [...stmts, ...substituteStmts(body, indices)])];
  });
}

/** A workgroup for each result: an invocation takes every rows-th element, and all combine what they have. */
function single(reduction: Reduction, results: number, rows: number, subgroups: boolean): Stmt[] {
  const state = running(reduction);
  const { dtype } = reduction.element;
  const values: Buffer = { name: 'values', dtype, size: rows, space: 'shared' };
  return workgroups(results, rows, [{ kind: 'allocate', buffer: values }], (group, lane) => {
    const { stmts, map } = namedIndices(reduction.domain, group);
    const steps = substituteStmts([...state.begin(), ...stepsOver(reduction, state, lane, rows)], map);
    const all = combineAll([{ buffer: values, monoid: reduction.monoid }], [state.value], lane, rows, subgroups);
    const finish = substituteStmts(reduction.finish(all.results[0]!), map);
    const last: Stmt = { kind: 'if', condition: isLess(lane, 1), then: finish, otherwise: [] };
    return [...stmts, ...steps, ...all.stmts, last];
  });
}

/** A workgroup for `columns` results: each invocation takes every rows-th element, and a tree combines them. */
function together(reduction: Reduction, results: number, { columns, rows, rowsFirst }: ReductionSchedule): Stmt[] {
  const state = running(reduction);
  const { dtype } = reduction.element;
  const invocations = columns * rows;
  const values: Buffer = { name: 'values', dtype, size: invocations, space: 'shared' };
  const positions: Buffer = { name: 'positions', dtype: 'i32', size: invocations, space: 'shared' };
  const buffers = reduction.position ? [values, positions] : [values];
  const shared = buffers.map((buffer): Stmt => ({ kind: 'allocate', buffer }));
  return workgroups(Math.ceil(results / columns), invocations, shared, (group, lane) => {
    const row = named('row', rowsFirst ? modulo(lane, rows) : floorDiv(lane, columns));
    const column = rowsFirst ? floorDiv(lane, rows) : modulo(lane, columns);
    const result = named('at', add(multiply(group, columns), column));
    // Beyond the last result an invocation reduces the last one again: all have to meet at the barriers.
    const read = clamped(result.index, results);
    const { stmts, map } = namedIndices(reduction.domain, read);
    const steps = substituteStmts([...state.begin(), ...stepsOver(reduction, state, row.index, rows)], map);
    const place = rowsFirst ? add(multiply(row.index, columns), column) : lane;
    const put = (buffer: Buffer, value: Expr): Stmt => ({ kind: 'store', buffer, offset: place, value });
    const tree = reduction.position
      ? positionTree(reduction, values, positions, lane, columns, rows)
      : treeStmts([{ buffer: values, monoid: reduction.monoid }], lane, columns, rows);
    const finish = reduction.finish(load(reduction.position ? positions : values, lane));
    const last =
      rowsFirst && columns > 1
        ? atResult(reduction, add(multiply(group, columns), lane), results, finish)
        : within(result.index, results, substituteStmts(finish, map));
    return [
      ...row.stmts,
      ...result.stmts,
      ...stmts,
      ...steps,
      put(values, state.value),
      ...(reduction.position ? [put(positions, state.result)] : []),
      { kind: 'barrier' },
      ...tree,
      { kind: 'if', condition: isLess(lane, columns), then: last, otherwise: [] },
    ];
  });
}

/** What is done with a result that is not the invocation's own. */
function atResult({ domain }: Reduction, flat: IndexExpr, results: number, finish: readonly Stmt[]): Stmt[] {
  const at = named('result', flat);
  const { stmts, map } = namedIndices(domain, limited(at.index, results - 1));
  return [...at.stmts, ...within(at.index, results, [...stmts, ...substituteStmts(finish, map)])];
}

/** The elements of one invocation: the last axis in steps of all rows where it is long, else every rows-th position. */
export function stepsOver(reduction: Reduction, state: Running, row: IndexExpr, rows: number): Stmt[] {
  const { merged, map } = mergeAxes(reduction.reduced, indicesOf(reduction.element));
  const element = substituteAxes(reduction.element, map);
  const extents = merged.map(({ extent }) => extent);
  const last = merged[merged.length - 1];
  const outer = last !== undefined && last.extent >= 2 * rows ? merged.slice(0, -1) : [];
  const inner = merged.slice(outer.length);
  const length = extentOf(inner);
  const step = axis('turn', Math.ceil(length / rows));
  const at = named('r', add(multiply(of(step), rows), row));
  const indices = namedIndices(inner, limited(at.index, length - 1));
  const position = flatten([...outer.map(of), ...inner.map((next) => indices.map.get(next)!)], extents);
  const take = state.take(substituteAxes(element, indices.map), position);
  const body = [...at.stmts, ...within(at.index, length, [...indices.stmts, ...take])];
  const steps = loop(step, 'serial', body);
  return outer.reduceRight<Stmt[]>((nest: Stmt[], next: Axis) => [loop(next, 'serial', nest)], [steps]);
}

/** Of two candidates the better, and of equal ones the earlier. */
function positionTree(
  { monoid }: Reduction,
  values: Buffer,
  positions: Buffer,
  lane: IndexExpr,
  columns: number,
  rows: number,
): Stmt[] {
  const stmts: Stmt[] = [];
  for (let half = rows / 2; half >= 1; half /= 2) {
    const other = add(lane, fixed(half * columns));
    const take = (name: string, buffer: Buffer, offset: IndexExpr): { stmt: Stmt; expr: Expr } => {
      const local: Local = { name, dtype: buffer.dtype, lanes: 1 };
      return {
        stmt: { kind: 'let', local, value: load(buffer, offset) },
        expr: { kind: 'local', dtype: local.dtype, local },
      };
    };
    const best = take('best', values, lane);
    const at = take('best_at', positions, lane);
    const candidate = take('other', values, other);
    const candidateAt = take('other_at', positions, other);
    const same = apply('eq', candidate.expr, best.expr);
    const isUndefined = (expr: Expr): Expr => apply('ne', expr, expr);
    const tied = isFloat(values.dtype)
      ? apply('or', same, apply('and', isUndefined(candidate.expr), isUndefined(best.expr)))
      : same;
    const earlier = apply('and', tied, apply('lt', candidateAt.expr, at.expr));
    stmts.push(
      {
        kind: 'if',
        condition: isLess(lane, half * columns),
        then: [
          ...[best, at, candidate, candidateAt].map(({ stmt }) => stmt),
          {
            kind: 'if',
            condition: apply('or', isBetter(monoid, candidate.expr, best.expr), earlier),
            then: [
              { kind: 'store', buffer: values, offset: lane, value: candidate.expr },
              { kind: 'store', buffer: positions, offset: lane, value: candidateAt.expr },
            ],
            otherwise: [],
          },
        ],
        otherwise: [],
      },
      { kind: 'barrier' },
    );
  }
  return stmts;
}
