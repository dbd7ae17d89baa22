// Names of problems in a tuning record of a GPU. Whether an operand is a constant makes no difference there; what is read,
// and how far neighbours lie apart, does.

import type { Axis } from '../../ir/index-expr.ts';
import type { Expr } from '../../ir/kernel.ts';
import { walkExpr } from '../expr-rewrite.ts';
import { type LoweringContext, nodesOf } from '../group.ts';
import { extentOf } from '../loops.ts';
import type { Problem } from '../lower-packed.ts';
import type { Reduction } from '../lower-reduction.ts';
import { AxisNames, contractionKey } from '../problem-key.ts';
import type { ReductionSchedule } from './schedule.ts';

/** `f32 rows=64 columns=784 … read=along`; `windows`: the axes of windows that are made of its rows. */
export function gpuContractionKey(
  problem: Problem,
  { order, group }: LoweringContext,
  { read, windows = [] }: { readonly read?: ReductionSchedule; readonly windows?: readonly Axis[] },
): string {
  return [
    contractionKey(problem, order, readsOf),
    ...(read === undefined ? [] : [directionOf(read)]),
    ...(windows.length === 0 ? [] : [`windows=${windows.map(({ extent }) => extent).join('x')}`]),
    ...(group.operand === null ? [] : [`operand=${group.operand.group.domain.join('x')}`]),
  ].join(' ');
}

/** Whether neighbouring invocations read along what is summed or across it. */
const directionOf = ({ rowsFirst }: ReductionSchedule): string => `read=${rowsFirst ? 'along' : 'across'}`;

/** `max f32 results=64 reduced=1000 of [1000d0+r0] read=along`. */
export function reductionKey(
  { domain, reduced, monoid, position, element }: Reduction,
  read: ReductionSchedule,
): string {
  const names = new AxisNames();
  const shape = `results=${names.extents('d', domain)} reduced=${names.extents('r', reduced)}`;
  const kind = position ? `position of ${monoid}` : monoid;
  return `${kind} ${element.dtype} ${shape} of ${readsOf(element, names)} ${directionOf(read)}`;
}

/** `rows f32 128x512 reduce,broadcast,sub,exp,…`: what a group by rows computes, and over how much. */
export function rowsKey({ group }: LoweringContext): string {
  const [stored] = group.stored;
  return `rows ${stored?.type.dtype} ${group.domain.join('x')} ${operationsOf(group)}`;
}

export function attentionKey({ group }: LoweringContext): string {
  const { batch, query, key, depth, channel, weights } = group.attention!;
  const extents = `batch=${extentOf(batch)} queries=${query.extent} keys=${key.extent} depth=${depth.extent}`;
  return `attention ${weights.type.dtype} ${extents} channels=${channel.extent} ${operationsOf(group)}`;
}

const operationsOf = (group: LoweringContext['group']): string =>
  nodesOf(group)
    .map(({ op }) => op)
    .join(',');

/** Where an operand's elements are read. */
function readsOf(expr: Expr, names: AxisNames): string {
  const reads: string[] = [];
  walkExpr(expr, (inner) => {
    if (inner.kind === 'load') reads.push(names.offset(inner.offset));
  });
  return `${expr.kind === 'load' ? '' : 'expression'}[${[...new Set(reads)].join(';')}]`;
}
