// Contractions on a GPU: Σ_k lhs[b, m, k] · rhs[b, n, k]. A workgroup computes a tile of the result; block of k by block,
// its invocations evaluate whatever expression each operand has become (a window over a padded image, a cast, a
// transposition) into shared memory, and each then multiplies a small block from there into registers. Long sums to few
// results are split into parts. What is thin or small is a reduction. Where barriers are dear, blocks stand for tiles.

import { InternalError } from '../../ir/errors.ts';
import type { Node } from '../../ir/graph.ts';
import { type Axis, add, axis, fixed, flatten, modulo, multiply, of } from '../../ir/index-expr.ts';
import { apply, type Expr, indexValue, literal, type Stmt } from '../../ir/kernel.ts';
import type { DType } from '../../ir/types.ts';
import { ranked } from '../decision.ts';
import type { KernelBody, LoweringContext } from '../group.ts';
import { extentOf, loop, substituteStmts } from '../loops.ts';
import { problemOf, sumOfProducts } from '../lower-contraction.ts';
import { type Problem, swapped } from '../lower-packed.ts';
import type { Reduction } from '../lower-reduction.ts';
import { contractionCandidates, type Extents, type GpuChoice, type GpuContext, tileCandidates } from './candidates.ts';
import { namedIndices, workgroups } from './grid.ts';
import { blocks } from './lower-blocks.ts';
import { combining, reductionScheduleOf, scheduledReduction } from './lower-reduction.ts';
import { computingOperand, withOwnOperand } from './own-operand.ts';
import { gpuContractionKey } from './problem-keys.ts';
import {
  blockOf,
  type GpuTarget,
  isTiled,
  type ReductionSchedule,
  type TileSchedule,
  tileSchedule,
} from './schedule.ts';
import { stagedOperand, Tiling } from './tile-operands.ts';
import { type TileResults, TileSums } from './tile-sums.ts';
import { loadedAlong } from './vectors.ts';

export function lowerContraction(context: GpuContext, anchor: Node, target: GpuTarget): KernelBody[] {
  const { operand } = context.group;
  if (operand !== null) {
    const { buffer, context: inside } = withOwnOperand(context, operand);
    const problem = problemOf(inside, anchor);
    const kernels = contractionKernels(inside, problem, sumOfProducts(inside, anchor, problem), target);
    return computingOperand(context, operand, buffer, kernels);
  }
  const problem = problemOf(context, anchor);
  return contractionKernels(context, problem, sumOfProducts(context, anchor, problem), target);
}

/** The kernels of a contraction whose sums `sum.finish` takes. */
export function contractionKernels(
  context: GpuContext,
  given: Problem,
  sum: Reduction,
  target: GpuTarget,
): KernelBody[] {
  const problem = oriented(given, context);
  const extents = extentsOf(problem);
  const { dtype } = problem.lhs;
  const asReduction: Reduction = { ...sum, reduced: problem.inner };
  const reduction = reductionScheduleOf(asReduction, target);
  const untuned = untunedChoice(extents, dtype, reduction, target);
  const choice = context.choose({
    group: context.group,
    key: () => gpuContractionKey(problem, context, { read: reduction }),
    untuned,
    // The operand that a workgroup computes takes the memory of tiles.
    candidates: () => contractionCandidates(untuned, extents, dtype, reduction, context.group.operand === null, target),
  });
  if (choice.form === 'reduction') return scheduledReduction(context, asReduction, choice, target);
  const flops = 2 * extents.reduce((product, extent) => product * extent, 1);
  if (choice.form === 'blocks') return [{ suffix: '', body: blocks(problem, choice, sum.finish), flops }];
  if (choice.form === 'tiles') return tiledKernels(context, problem, sum, choice, flops);
  throw new InternalError(`a contraction as ${choice.form}`);
}

function untunedChoice(extents: Extents, dtype: DType, reduction: ReductionSchedule, target: GpuTarget): GpuChoice {
  const [batch, rows, columns, inner] = extents;
  if (!isTiled(rows, columns, inner, dtype)) return { form: 'reduction', ...reduction };
  if (!target.barriers) return { form: 'blocks', ...blockOf(columns) };
  return { form: 'tiles', ...tileSchedule(batch, rows, columns, inner, target) };
}

const extentsOf = ({ batch, rows, columns, inner }: Problem): Extents =>
  [batch, rows, columns, inner].map(extentOf) as [number, number, number, number];

/** One kernel in tiles, or two where the sum has parts. */
function tiledKernels(
  context: GpuContext,
  problem: Problem,
  sum: Reduction,
  schedule: TileSchedule,
  flops: number,
): KernelBody[] {
  const { parts } = schedule;
  if (parts === 1) return [{ suffix: '', body: tiles(new Tiling(problem, schedule), oneByOne(sum.finish)), flops }];
  const results = extentOf(sum.domain);
  const partial = context.scratch('partial', problem.lhs.dtype, parts * results);
  const part = axis('part', parts);
  const offset = flatten(
    [of(part), ...sum.domain.map(of)],
    [part, ...sum.domain].map(({ extent }) => extent),
  );
  const store = (value: Expr): Stmt[] => [{ kind: 'store', buffer: partial, offset, value }];
  return [
    { suffix: '_parts', body: tiles(new Tiling(problem, schedule, part), oneByOne(store)), flops },
    { suffix: '', body: combining(sum, partial, parts), flops: parts * results },
  ];
}

const oneByOne = (take: (value: Expr) => Stmt[]): TileResults => ({
  window: [],
  begin: () => [],
  take: (_w, value) => take(value),
  end: () => [],
});

/** One kernel in tiles for a contraction of whose rows, or columns, `results` takes windows. */
export function windowTiles(
  context: GpuContext,
  given: Problem,
  windowsInRows: boolean,
  results: TileResults,
  target: GpuTarget,
): KernelBody[] {
  const plain = oriented(given, context, !windowsInRows);
  const problem = { ...plain, rows: [...plain.rows, ...results.window] };
  const extents = extentsOf(problem);
  const [batch, rows, columns, inner] = extents;
  const window = extentOf(results.window);
  const untuned = { form: 'tiles', ...tileSchedule(batch, rows, columns, inner, target, window) } as const;
  const schedule = context.choose({
    group: context.group,
    key: () => gpuContractionKey(problem, context, { windows: results.window }),
    untuned,
    candidates: () => ranked<GpuChoice>(untuned, tileCandidates(extents, problem.lhs.dtype, target, window)),
  });
  if (schedule.form !== 'tiles') throw new InternalError(`windows in tiles as ${schedule.form}`);
  const flops = 2 * batch * rows * columns * inner;
  return [{ suffix: '', body: tiles(new Tiling(problem, schedule), results), flops }];
}

/** Columns run along the result's fastest axis, so that neighbours store side by side; axes stand in the order of memory. */
function oriented(problem: Problem, context: LoweringContext, turned = isTurned(problem, context)): Problem {
  const { rows, columns, inner, lhs, rhs, ...rest } = turned ? swapped(problem) : problem;
  const places = context.order.flatMap((position) => problem.result[position]!.terms.map(({ atom }) => atom));
  const inOrder = (axes: readonly Axis[]): Axis[] => [...axes].sort((a, b) => places.indexOf(a) - places.indexOf(b));
  const window = turned ? lhs : rhs;
  const last = loadedAlong(problem.window === undefined ? apply('mul', lhs, rhs) : window, inner);
  const summed = last === null ? inner : [...inner.filter((next) => next !== last), last];
  return { ...rest, rows: inOrder(rows), columns: inOrder(columns), inner: summed, lhs, rhs };
}

function isTurned({ result, rows }: Problem, { order }: LoweringContext): boolean {
  const fastest = result[order[order.length - 1] ?? 0]?.terms ?? [];
  return fastest.some(({ atom }) => rows.some((row) => row === atom && row.extent > 1));
}

const barrier: Stmt = { kind: 'barrier' };

function tiles(tiling: Tiling, results: TileResults): Stmt[] {
  const { problem, schedule, part, lhs, rhs } = tiling;
  const { batch, rows, columns } = problem;
  const down = axis('tile_row', Math.ceil(extentOf(rows) / schedule.rows));
  const across = axis('tile_column', Math.ceil(extentOf(columns) / schedule.columns));
  const grid = [...(part === null ? [] : [part]), ...batch, down, across];
  const buffers = [lhs.tile, rhs.tile, ...(tiling.sums === null ? [] : [tiling.sums])];
  const shared = buffers.map((buffer): Stmt => ({ kind: 'allocate', buffer }));
  return workgroups(extentOf(grid), tiling.invocations, shared, (group, lane) => {
    const at = namedIndices(grid, group);
    const firstRow = multiply(at.map.get(down)!, schedule.rows);
    const firstColumn = multiply(at.map.get(across)!, schedule.columns);
    const operands = [stagedOperand(tiling, lhs, firstRow, lane), stagedOperand(tiling, rhs, firstColumn, lane)];
    const sums = new TileSums(tiling, lane, results);
    const body = [
      ...operands.flatMap(({ before }) => before),
      ...sums.begin,
      ...(schedule.stages === 1 ? oneStage(tiling, operands, sums) : twoStages(tiling, operands, sums)),
      ...sums.finish(firstRow, firstColumn),
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
