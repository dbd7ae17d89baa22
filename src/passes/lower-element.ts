// Element groups: one loop nest over the domain, every member a named value.

import { axis, of } from '../ir/index-expr.ts';
import { type ScalarOp, type Stmt, slowOps } from '../ir/kernel.ts';
import { sizeOf } from '../ir/types.ts';
import { exprsOf, walkExpr, walkStmts } from './expr-rewrite.ts';
import { type GroupContext, type KernelBody, memberStmts } from './group.ts';
import { elementLoops } from './loops.ts';

export function lowerElement(context: GroupContext): KernelBody[] {
  const { domain } = context.group;
  const axes = domain.map((extent, position) => axis(`i${position}`, extent));
  const body = memberStmts(context, axes.map(of), new Map());
  const loops = context.order.map((position) => axes[position]!);
  const work = workOf(body);
  return [{ suffix: '', body: elementLoops(loops, body, work), flops: work * sizeOf(domain) }];
}

const slow: ReadonlySet<ScalarOp> = new Set(slowOps);

/** Cost of running a body once, in additions: a transcendental counts as ten. */
export function workOf(body: readonly Stmt[]): number {
  let work = 1;
  walkStmts(body, (stmt) => {
    for (const expr of exprsOf(stmt)) {
      walkExpr(expr, (inner) => {
        if (inner.kind === 'apply') work += slow.has(inner.op) ? 10 : 1;
      });
    }
  });
  return work;
}
