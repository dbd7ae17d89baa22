// Contractions on a GPU: Σ_k lhs[b, m, k] · rhs[b, n, k]. A workgroup computes a tile of the result; block of k by block,
// its invocations evaluate whatever expression each operand has become (a window over a padded image, a cast, a
// transposition) into shared memory, and each then multiplies a small block from there into registers. Long sums to few
// results are split into parts. What is thin or small is a reduction.

import type { Node } from '../../ir/graph.ts';
import { type Axis, add, axis, fixed, flatten, modulo, multiply, of } from '../../ir/index-expr.ts';
import { apply, type Expr, indexValue, literal, type Stmt } from '../../ir/kernel.ts';
import type { KernelBody, LoweringContext } from '../group.ts';
import { extentOf, loop, substituteStmts } from '../loops.ts';
import { problemOf, sumOfProducts } from '../lower-contraction.ts';
import { type Problem, swapped } from '../lower-packed.ts';
import type { Reduction } from '../lower-reduction.ts';
import { namedIndices, workgroups } from './grid.ts';
import { combining, reductionKernels } from './lower-reduction.ts';
import { type GpuTarget, isTiled, tileSchedule } from './schedule.ts';
import { stagedOperand, Tiling } from './tile-operands.ts';
import { TileSums } from './tile-sums.ts';
import { loadedAlong } from './vectors.ts';

export function lowerContraction(context: LoweringContext, anchor: Node, target: GpuTarget): KernelBody[] {
  const problem = problemOf(context, anchor);
  return contractionKernels(context, problem, sumOfProducts(context, anchor, problem), target);
}

/** The kernels of a contraction whose sums `sum.finish` takes. */
export function contractionKernels(
  context: LoweringContext,
  given: Problem,
  sum: Reduction,
  target: GpuTarget,
): KernelBody[] {
  const problem = oriented(given, context);
  const [batch, rows, columns, inner] = [problem.batch, problem.rows, problem.columns, problem.inner].map(extentOf) as [
    number,
    number,
    number,
    number,
  ];
  const { dtype } = problem.lhs;
  if (!isTiled(rows, columns, inner, dtype))
    return reductionKernels(context, { ...sum, reduced: problem.inner }, target);
  const schedule = tileSchedule(batch, rows, columns, inner, target);
  const flops = 2 * batch * rows * columns * inner;
  if (schedule.parts === 1) return [{ suffix: '', body: tiles(new Tiling(problem, schedule), sum), flops }];
  const partial = context.scratch('partial', dtype, schedule.parts * batch * rows * columns);
  const part = axis('part', schedule.parts);
  const offset = flatten(
    [of(part), ...sum.domain.map(of)],
    [part, ...sum.domain].map(({ extent }) => extent),
  );
  const store = (value: Expr): Stmt[] => [{ kind: 'store', buffer: partial, offset, value }];
  return [
    { suffix: '_parts', body: tiles(new Tiling(problem, schedule, part), { ...sum, finish: store }), flops },
    { suffix: '', body: combining(sum, partial, schedule.parts), flops: schedule.parts * batch * rows * columns },
  ];
}

/** Columns run along the result's fastest axis, so that neighbours store side by side; axes stand in the order of memory. */
function oriented(problem: Problem, context: LoweringContext): Problem {
  const fastest = problem.result[context.order[context.order.length - 1] ?? 0]?.terms ?? [];
  const turned = fastest.some(({ atom }) => problem.rows.some((row) => row === atom && row.extent > 1));
  const { rows, columns, inner, lhs, rhs, ...rest } = turned ? swapped(problem) : problem;
  const places = context.order.flatMap((position) => problem.result[position]!.terms.map(({ atom }) => atom));
  const inOrder = (axes: readonly Axis[]): Axis[] => [...axes].sort((a, b) => places.indexOf(a) - places.indexOf(b));
  const window = turned ? lhs : rhs;
  const last = loadedAlong(problem.window === undefined ? apply('mul', lhs, rhs) : window, inner);
  const summed = last === null ? inner : [...inner.filter((next) => next !== last), last];
  return { ...rest, rows: inOrder(rows), columns: inOrder(columns), inner: summed, lhs, rhs };
}

const barrier: Stmt = { kind: 'barrier' };

function tiles(tiling: Tiling, sum: Reduction): Stmt[] {
  const { problem, schedule, part, lhs, rhs } = tiling;
  const { batch, rows, columns } = problem;
  const down = axis('tile_row', Math.ceil(extentOf(rows) / schedule.rows));
  const across = axis('tile_column', Math.ceil(extentOf(columns) / schedule.columns));
  const grid = [...(part === null ? [] : [part]), ...batch, down, across];
  const shared = [lhs, rhs].map(({ tile }): Stmt => ({ kind: 'allocate', buffer: tile }));
  return workgroups(extentOf(grid), tiling.invocations, shared, (group, lane) => {
    const at = namedIndices(grid, group);
    const firstRow = multiply(at.map.get(down)!, schedule.rows);
    const firstColumn = multiply(at.map.get(across)!, schedule.columns);
    const operands = [stagedOperand(tiling, lhs, firstRow, lane), stagedOperand(tiling, rhs, firstColumn, lane)];
    const sums = new TileSums(tiling, lane);
    const body = [
      ...operands.flatMap(({ before }) => before),
      ...sums.begin,
      ...(schedule.stages === 1 ? oneStage(tiling, operands, sums) : twoStages(tiling, operands, sums)),
      ...sums.finish(firstRow, firstColumn, sum),
    ];
    return [...at.stmts, ...substituteStmts(body, at.map)];
  });
}

type Staged = ReturnType<typeof stagedOperand>;

/** Block by block: into shared memory, and from there into the sums. Other workgroups of the processor hide the waiting. */
function oneStage({ blocks }: Tiling, operands: readonly Staged[], sums: TileSums): Stmt[] {
  const block = axis('block', blocks);
  const staged = operands.map((operand) => operand.read(of(block)));
  const first = fixed(0);
  const steps = [
    ...staged.flatMap(({ stmts }) => stmts),
    ...operands.flatMap((operand, i) => operand.store(staged[i]!.values, first)),
    barrier,
    sums.multiply(first),
    barrier,
  ];
  return [loop(block, 'serial', steps)];
}

/**
 * A block is read from memory while the one before it is multiplied, and goes to the other half of shared memory. Begins with
 * nothing to multiply and ends with nothing to read, which gives zeros.
 */
function twoStages({ blocks }: Tiling, operands: readonly Staged[], sums: TileSums): Stmt[] {
  const block = axis('block', blocks + 1);
  const [own, before] = [modulo(of(block), 2), modulo(add(of(block), fixed(1)), 2)];
  const staged = operands.map((operand) => operand.read(of(block)));
  const hasOne = apply('gt', indexValue(of(block)), literal('i32', 0));
  const steps: Stmt[] = [
    ...staged.flatMap(({ stmts }) => stmts),
    { kind: 'if', condition: hasOne, then: [sums.multiply(before)], otherwise: [] },
    ...operands.flatMap((operand, i) => operand.store(staged[i]!.values, own)),
    barrier,
  ];
  return [loop(block, 'serial', steps)];
}
