// How much work statements are, in cycles of one thread by estimate: good to a factor of two or three, which is enough to
// tell what is worth sharing among threads.

import type { Expr, Stmt } from '../ir/kernel.ts';
import { slowOps } from '../ir/kernel.ts';
import { exprsOf, walkExpr } from './expr-rewrite.ts';
import { cyclesOfSlowOp, lanesInEstimate } from './schedule.ts';

const slow: ReadonlySet<string> = new Set(slowOps);

/** Cycles of all iterations. A loop in lanes takes several elements at once; of a condition's branches the longer one counts. */
export function cyclesOf(body: readonly Stmt[]): number {
  return body.reduce((sum, stmt) => sum + cyclesOfStmt(stmt), 0);
}

function cyclesOfStmt(stmt: Stmt): number {
  switch (stmt.kind) {
    case 'loop':
      return (stmt.axis.extent * cyclesOf(stmt.body)) / (stmt.axisKind === 'vector' ? lanesInEstimate : 1);
    case 'tasks':
      return stmt.axes.reduce((count, { extent }) => count * extent, cyclesOf(stmt.body));
    case 'if':
      return cyclesOfExprs(stmt) + Math.max(cyclesOf(stmt.then), cyclesOf(stmt.otherwise));
    case 'allocate':
    case 'barrier':
      return 0;
    case 'let':
    case 'accumulator':
    case 'accumulate':
    case 'assign':
    case 'subgroup':
    case 'uniform':
    case 'leave':
    case 'store':
    case 'update':
      return 1 + cyclesOfExprs(stmt);
    case 'part':
      return cyclesOf(stmt.body);
  }
}

/** An operation or a load is a cycle; indices and what is in registers are free. */
function cyclesOfExprs(stmt: Stmt): number {
  let cycles = 0;
  const visit = (expr: Expr): void => {
    if (expr.kind === 'apply') cycles += slow.has(expr.op) ? cyclesOfSlowOp : 1;
    else if (expr.kind === 'load' || expr.kind === 'select' || expr.kind === 'cast') cycles += 1;
  };
  for (const expr of exprsOf(stmt)) walkExpr(expr, visit);
  return cycles;
}
