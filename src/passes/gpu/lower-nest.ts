// Operations that write their own loops: the iterations of their outer parallel loops become invocations. Loops that
// follow one another are kernels of their own, since nothing else orders what different workgroups write.

import type { Node } from '../../ir/graph.ts';
import type { Axis } from '../../ir/index-expr.ts';
import type { Stmt } from '../../ir/kernel.ts';
import type { KernelBody, LoweringContext } from '../group.ts';
import { elementsOf, nestStmts } from '../lower-nest.ts';
import { elementGrid } from './grid.ts';
import type { GpuTarget } from './schedule.ts';

export function lowerNest(context: LoweringContext, anchor: Node, target: GpuTarget): KernelBody[] {
  // A task that walks a list alone is slow; a quarter of the machine still hides its waiting.
  const nest = nestStmts(context, anchor, { lanes: false, tasks: target.wanted / 4 });
  const parts = separated(nest);
  return parts.map((part, position) => {
    const { axes, body } = parallelNest(part);
    const isLast = position === parts.length - 1;
    return { suffix: isLast ? '' : `_${position}`, body: elementGrid(axes, body), flops: elementsOf(anchor) };
  });
}

/** Parallel loops one by one, and what stands between them or barriers together. */
export function separated(nest: readonly Stmt[]): Stmt[][] {
  const parts: Stmt[][] = [[]];
  for (const stmt of nest) {
    if (stmt.kind === 'barrier') parts.push([]);
    else if (isParallel(stmt)) parts.push([stmt], []);
    else parts[parts.length - 1]!.push(stmt);
  }
  return parts.filter((part) => part.length > 0);
}

const isParallel = (stmt: Stmt): boolean => stmt.kind === 'loop' && stmt.axisKind === 'parallel';

/** The parallel loops that stand directly inside one another, and what they run. */
export function parallelNest(stmts: readonly Stmt[]): { axes: Axis[]; body: readonly Stmt[] } {
  const axes: Axis[] = [];
  let body = stmts;
  for (;;) {
    const [only, ...others] = body;
    if (only?.kind !== 'loop' || only.axisKind !== 'parallel' || others.length > 0) return { axes, body };
    axes.push(only.axis);
    body = only.body;
  }
}
