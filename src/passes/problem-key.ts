// The name of a contraction problem in a tuning record: all that decides how fast its loops run, as text. Names of axes and
// buffers are left out, so that the same layer in two places or two programs is one problem.

import type { Axis, IndexExpr } from '../ir/index-expr.ts';
import type { Expr } from '../ir/kernel.ts';
import type { GroupContext } from './group.ts';
import type { Problem } from './lower-packed.ts';

/** Axes by their places, whatever they are called. */
export class AxisNames {
  readonly #names = new Map<unknown, string>();

  /** Names axes `r0`, `r1`, … and gives their extents, `64x3x3`. */
  extents(letter: string, axes: readonly Axis[]): string {
    for (const [i, next] of axes.entries()) this.#names.set(next, `${letter}${i}`);
    return axes.map(({ extent }) => extent).join('x') || '1';
  }

  /** `576r0+9k0+3k1`; what is no axis of the problem is `?`. */
  offset({ terms, constant }: IndexExpr): string {
    const sum = terms.map(
      ({ atom, coefficient }) => `${coefficient === 1 ? '' : coefficient}${this.#names.get(atom) ?? '?'}`,
    );
    return [...sum, ...(constant === 0 ? [] : [constant])].join('+') || '0';
  }
}

/** `f32 rows=64 columns=1x56x56 inner=64x3x3 left=constant[576r0+9k0+3k1+k2] right=computed image=… result=c0,r0,c1,c2 order=0231` */
export function problemKey(problem: Problem, context: GroupContext): string {
  return contractionKey(problem, context.order, (expr, names) => {
    const kind = context.isConstant(expr) ? 'constant' : 'changing';
    return expr.kind === 'load' ? `${kind}[${names.offset(expr.offset)}]` : `${kind} expression`;
  });
}

/** The same with operands as a machine sees them. */
export function contractionKey(
  problem: Problem,
  order: readonly number[],
  operand: (expr: Expr, names: AxisNames) => string,
): string {
  const { batch, rows, columns, inner, lhs, rhs, window, result } = problem;
  const names = new AxisNames();
  const shape = [
    `batch=${names.extents('b', batch)}`,
    `rows=${names.extents('r', rows)}`,
    `columns=${names.extents('c', columns)}`,
    `inner=${names.extents('k', inner)}`,
  ].filter((text) => text !== 'batch=1');
  const offsets = (indices: readonly IndexExpr[]): string => indices.map((index) => names.offset(index)).join(',');
  const image = window === undefined ? [] : [`image=${window.shape.join('x')}[${offsets(window.index)}]`];
  return [
    lhs.dtype,
    ...shape,
    `left=${operand(lhs, names)}`,
    `right=${operand(rhs, names)}`,
    ...image,
    `result=[${offsets(result)}]`,
    `order=${order.join(',')}`,
  ].join(' ');
}
