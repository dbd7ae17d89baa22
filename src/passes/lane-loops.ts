// Reductions along an axis that steps through memory: as many accumulators as lanes, in an array on the stack, so that
// every step of the loop is the same vector operation for any monoid; at the end the lanes are folded in halves. The
// order of operations depends on the extent alone.

import { type Axis, add, axis, fixed, type IndexExpr, multiply, of } from '../ir/index-expr.ts';
import { type Buffer, type Expr, literal, load, type Monoid, type Stmt } from '../ir/kernel.ts';
import { identityOf } from '../ir/ops/monoid.ts';
import type { DType } from '../ir/types.ts';
import { loop } from './loops.ts';
import { columnBlock } from './schedule.ts';

export interface LaneReduction {
  readonly monoid: Monoid;
  readonly dtype: DType;
}

/** Lanes of f32 in the widest vectors. A shorter axis is a plain loop: folding would cost more than the steps do. */
export const vectorLanes = 16;

/** Shorter axes have no lanes to fill. */
export const fewestLanes = 4;

/**
 * Loops over `outer` and, innermost, `along`; `body` gives the statements at a position of `along`, with one statement
 * of `take` for each reduction. The results are what the reductions hold after the statements.
 */
export function laneLoops(
  outer: readonly Axis[],
  along: Axis,
  reductions: readonly LaneReduction[],
  body: (at: IndexExpr, take: (reduction: number, value: Expr) => Stmt) => Stmt[],
): { stmts: Stmt[]; results: Expr[] } {
  const width = widthFor(along.extent);
  const lanes = reductions.map(
    ({ monoid, dtype }): Buffer => ({ name: `${monoid}_lanes`, dtype, size: width, space: 'stack' }),
  );
  const lane = axis('lane', width);
  const start: Stmt[] = lanes.map((buffer, i) => {
    const { monoid, dtype } = reductions[i]!;
    return { kind: 'store', buffer, offset: of(lane), value: literal(dtype, identityOf(monoid, dtype)) };
  });
  const step = (over: Axis, from: IndexExpr): Stmt => {
    const take = (i: number, value: Expr): Stmt => update(lanes[i]!, reductions[i]!.monoid, of(over), value);
    return loop(over, 'vector', body(add(from, of(over)), take));
  };
  const blocks = axis('block', Math.floor(along.extent / width));
  const rest = along.extent - blocks.extent * width;
  const whole = step(lane, multiply(of(blocks), width));
  const steps = [blocks.extent === 1 ? whole : loop(blocks, 'serial', [whole])];
  if (rest > 0) steps.push(step(axis('lane', rest), fixed(blocks.extent * width)));
  const nest = outer.reduceRight<Stmt[]>((inner, next) => [loop(next, 'serial', inner)], steps);
  const folds = lanes.flatMap((buffer, i) => fold(buffer, reductions[i]!.monoid));
  return {
    stmts: [
      ...lanes.map((buffer): Stmt => ({ kind: 'allocate', buffer })),
      loop(lane, 'vector', start),
      ...nest,
      ...folds,
    ],
    results: lanes.map((buffer) => load(buffer, fixed(0))),
  };
}

/** A row that fills a vector fills it four times before there are more lanes: folding many lanes costs as much as a step. */
function widthFor(extent: number): number {
  const most = Math.min(columnBlock, Math.max(vectorLanes, extent / 4));
  let width = 1;
  while (width * 2 <= Math.min(extent, most)) width *= 2;
  return width;
}

function fold(buffer: Buffer, monoid: Monoid): Stmt[] {
  const stmts: Stmt[] = [];
  for (let half = buffer.size / 2; half >= 1; half /= 2) {
    const lane = axis('lane', half);
    const halve = update(buffer, monoid, of(lane), load(buffer, add(of(lane), fixed(half))));
    stmts.push(half === 1 ? halve : loop(lane, 'vector', [halve]));
  }
  return stmts;
}

function update(buffer: Buffer, monoid: Monoid, offset: IndexExpr, value: Expr): Stmt {
  return { kind: 'update', buffer, monoid, offset, value };
}
