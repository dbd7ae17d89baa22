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
  const stmts = nest.filter(({ kind }) => kind !== 'barrier');
  return stmts.map((stmt, position) => {
    const { axes, body } = parallelNest(stmt);
    const isLast = position === stmts.length - 1;
    return { suffix: isLast ? '' : `_${position}`, body: elementGrid(axes, body), flops: elementsOf(anchor) };
  });
}

/** The parallel loops that stand directly inside one another, and what they run. */
function parallelNest(stmt: Stmt): { axes: Axis[]; body: readonly Stmt[] } {
  const axes: Axis[] = [];
  let body: readonly Stmt[] = [stmt];
  for (;;) {
    const [only, ...others] = body;
    if (only?.kind !== 'loop' || only.axisKind !== 'parallel' || others.length > 0) return { axes, body };
    axes.push(only.axis);
    body = only.body;
  }
}
