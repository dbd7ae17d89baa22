// Groups by rows on a GPU: a workgroup for each row. Every phase runs over the row in steps of the workgroup; an element
// is always the business of the same invocation, so rows kept in shared memory need no barriers, only reductions do.

import { InternalError } from '../../ir/errors.ts';
import { type Axis, add, axis, boundsOf, type IndexExpr, multiply, of } from '../../ir/index-expr.ts';
import { type Buffer, type Expr, type Local, literal, localValue, type Stmt } from '../../ir/kernel.ts';
import { identityOf } from '../../ir/ops/monoid.ts';
import { sizeOf } from '../../ir/types.ts';
import type { KernelBody, LoweringContext } from '../group.ts';
import type { LaneReduction } from '../lane-loops.ts';
import { axisMap, extentOf, loop, substituteStmts } from '../loops.ts';
import { workOf } from '../lower-element.ts';
import { type RowBody, type RowLoops, rowKernel } from '../lower-rows.ts';
import { type GpuContext, rowCandidates } from './candidates.ts';
import { isLess, within, workgroups } from './grid.ts';
import { rowsKey } from './problem-keys.ts';
import { fewestRowInvocations, type GpuTarget, gpuBytes, keptRowBytes, rowInvocations } from './schedule.ts';
import { combineAll } from './tree.ts';

export function lowerRows(context: GpuContext, target: GpuTarget): KernelBody[] {
  const { domain } = context.group;
  const length = domain[domain.length - 1]!;
  const untuned = { form: 'rows', invocations: rowInvocations(length, target), keeps: true } as const;
  const choice = context.choose({
    group: context.group,
    key: () => rowsKey(context),
    untuned,
    candidates: () => rowCandidates(untuned, [sizeOf(domain) / length, length], target),
  });
  if (choice.form !== 'rows') throw new InternalError(`a group by rows as ${choice.form}`);
  const rowBytes = choice.keeps ? keptRowBytes(target) : 0;
  const { lane, rows, shared, stmts } = fitting(context, choice.invocations, rowBytes, target);
  const allocations = shared.map((buffer): Stmt => ({ kind: 'allocate', buffer }));
  const body = workgroups(extentOf(rows), lane.extent, allocations, (group, at) =>
    substituteStmts(stmts, new Map([[lane, at], ...axisMap(rows, group)])),
  );
  return [{ suffix: '', body, flops: workOf(stmts) * sizeOf(domain) }];
}

interface RowGrid {
  readonly lane: Axis;
  readonly rows: readonly Axis[];
  readonly shared: readonly Buffer[];
  readonly stmts: readonly Stmt[];
}

/** With fewer invocations, and then without rows kept between phases, where the trees of many reductions would not fit. */
function fitting(context: LoweringContext, invocations: number, rowBytes: number, target: GpuTarget): RowGrid {
  const lane = axis('lane', invocations);
  const workgroup = new RowWorkgroup(invocations, of(lane), rowBytes, target.subgroups);
  const { rows, allocations, stmts } = rowKernel(context, workgroup);
  const shared = [
    ...allocations.flatMap((stmt) => (stmt.kind === 'allocate' ? [stmt.buffer] : [])),
    ...workgroup.trees,
  ];
  const bytes = shared.reduce((sum, { size, dtype }) => sum + size * gpuBytes[dtype], 0);
  if (bytes <= target.sharedBytes) return { lane, rows, shared, stmts };
  return invocations <= fewestRowInvocations && rowBytes > 0
    ? fitting(context, invocations, 0, target)
    : fitting(context, invocations / 2, rowBytes, target);
}

/** A workgroup over the elements of a row. */
export class RowWorkgroup implements RowLoops {
  readonly space = 'shared';
  /** One value of each invocation, for each reduction of a phase. */
  readonly trees: Buffer[] = [];
  readonly invocations: number;
  readonly lane: IndexExpr;
  readonly rowBytes: number;
  readonly subgroups: boolean;
  constructor(invocations: number, lane: IndexExpr, rowBytes: number, subgroups: boolean) {
    this.invocations = invocations;
    this.lane = lane;
    this.rowBytes = rowBytes;
    this.subgroups = subgroups;
  }

  each(length: number, body: (at: IndexExpr) => Stmt[]): Stmt[] {
    const step = axis('turn', Math.ceil(length / this.invocations));
    const at = add(multiply(of(step), this.invocations), this.lane);
    const inside = within(at, length, body(at));
    return step.extent === 1 ? inside : [loop(step, 'serial', inside)];
  }

  reduce(length: number, reductions: readonly LaneReduction[], body: RowBody): { stmts: Stmt[]; results: Expr[] } {
    const own = reductions.map(({ monoid, dtype }): Local => ({ name: `own_${monoid}`, dtype, lanes: 1 }));
    const start = reductions.map(({ monoid, dtype }, i): Stmt => {
      const initial = literal(dtype, identityOf(monoid, dtype));
      return { kind: 'accumulator', local: own[i]!, initial };
    });
    const take = (i: number, value: Expr): Stmt => ({
      kind: 'accumulate',
      local: own[i]!,
      monoid: reductions[i]!.monoid,
      value,
    });
    const steps = this.each(length, (at) => body(at, take));
    const trees = this.#treesFor(reductions);
    const { stmts, results } = combineAll(trees, own.map(localValue), this.lane, this.invocations, this.subgroups);
    return { stmts: [...start, ...steps, ...stmts], results };
  }

  once(stmts: Stmt[]): Stmt[] {
    return boundsOf(this.lane).upper === 0
      ? stmts
      : [{ kind: 'if', condition: isLess(this.lane, 1), then: stmts, otherwise: [] }];
  }

  /** A tree for each reduction, of the right dtype; those of earlier phases are used again. */
  #treesFor(reductions: readonly LaneReduction[]): { buffer: Buffer; monoid: LaneReduction['monoid'] }[] {
    const free = [...this.trees];
    return reductions.map(({ monoid, dtype }) => {
      const found = free.findIndex((tree) => tree.dtype === dtype);
      if (found >= 0) return { monoid, buffer: free.splice(found, 1)[0]! };
      const buffer: Buffer = { name: `${dtype}_tree`, dtype, size: this.invocations, space: 'shared' };
      this.trees.push(buffer);
      return { monoid, buffer };
    });
  }
}
