// The name of a contraction problem in a tuning record: all that decides how fast its loops run, as text. Names of axes and
// buffers are left out, so that the same layer in two places or two programs is one problem.

import type { Axis, IndexExpr } from '../ir/index-expr.ts';
import type { Expr } from '../ir/kernel.ts';
import type { GroupContext } from './group.ts';
import type { Problem } from './lower-packed.ts';

/** `f32 rows=64 columns=1x56x56 inner=64x3x3 left=constant[576r0+9k0+3k1+k2] right=computed image=… result=c0,r0,c1,c2 order=0231` */
export function problemKey(problem: Problem, context: GroupContext): string {
  const { batch, rows, columns, inner, lhs, rhs, window, result } = problem;
  const names = new Map<unknown, string>();
  const extents = (letter: string, axes: readonly Axis[]): string => {
    for (const [i, next] of axes.entries()) names.set(next, `${letter}${i}`);
    return axes.map(({ extent }) => extent).join('x') || '1';
  };
  const shape = [
    `batch=${extents('b', batch)}`,
    `rows=${extents('r', rows)}`,
    `columns=${extents('c', columns)}`,
    `inner=${extents('k', inner)}`,
  ].filter((text) => text !== 'batch=1');
  const offset = ({ terms, constant }: IndexExpr): string => {
    const sum = terms.map(
      ({ atom, coefficient }) => `${coefficient === 1 ? '' : coefficient}${names.get(atom) ?? '?'}`,
    );
    return [...sum, ...(constant === 0 ? [] : [constant])].join('+') || '0';
  };
  const operand = (expr: Expr): string => {
    const kind = context.isConstant(expr) ? 'constant' : 'changing';
    return expr.kind === 'load' ? `${kind}[${offset(expr.offset)}]` : `${kind} expression`;
  };
  const image = window === undefined ? [] : [`image=${window.shape.join('x')}[${window.index.map(offset).join(',')}]`];
  return [
    lhs.dtype,
    ...shape,
    `left=${operand(lhs)}`,
    `right=${operand(rhs)}`,
    ...image,
    `result=[${result.map(offset).join(',')}]`,
    `order=${context.order.join(',')}`,
  ].join(' ');
}
