// Contractions on a GPU: Σ_k lhs[b, m, k] · rhs[b, n, k]. A workgroup computes a tile of the result; block of k by block,
// its invocations evaluate whatever expression each operand has become (a window over a padded image, a cast, a
// transposition) into shared memory, and each then multiplies a small block from there into registers. Long sums to few
// results are split into parts. What is thin or small is a reduction.

import type { Node } from '../../ir/graph.ts';
import {
  type Axis,
  add,
  axis,
  boundsOf,
  fixed,
  flatten,
  floorDiv,
  type IndexExpr,
  modulo,
  multiply,
  of,
  sameIndex,
} from '../../ir/index-expr.ts';
import { apply, type Buffer, choose, type Expr, type Local, literal, load, type Stmt } from '../../ir/kernel.ts';
import { substituteAxes } from '../expr-rewrite.ts';
import type { KernelBody, LoweringContext } from '../group.ts';
import { contiguousAxis, extentOf, loop, nest, substituteStmts } from '../loops.ts';
import { problemOf, sumOfProducts } from '../lower-contraction.ts';
import { type Problem, swapped } from '../lower-packed.ts';
import type { Reduction } from '../lower-reduction.ts';
import { isLess, limited, type NamedIndex, named, namedIndices, within, workgroups } from './grid.ts';
import { combining, reductionKernels } from './lower-reduction.ts';
import { type GpuTarget, isTiled, type TileSchedule, tileSchedule } from './schedule.ts';

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
  const schedule = tileSchedule(batch, rows, columns, inner);
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
  const window = problem.window === undefined ? [lhs, rhs] : [turned ? lhs : rhs];
  const last = contiguousAxis(window, inner);
  const summed = last === null ? inner : [...inner.filter((next) => next !== last), last];
  return { ...rest, rows: inOrder(rows), columns: inOrder(columns), inner: summed, lhs, rhs };
}

/** What the statements of one tiled contraction share. */
class Tiling {
  readonly problem: Problem;
  readonly schedule: TileSchedule;
  /** Present where the sum is computed in parts. */
  readonly part: Axis | null;
  readonly invocations: number;
  /** Invocations along the columns and the rows of a tile. */
  readonly across: number;
  readonly down: number;
  readonly blocks: number;
  /** Columns that are read, and summed, as a vector. */
  readonly vector: number;
  /** Elements from one row of a tile to the next: one more than there are, so that columns lie in different banks. */
  readonly lhsPitch: number;
  readonly rhsPitch: number;
  readonly lhs: Buffer;
  readonly rhs: Buffer;
  constructor(problem: Problem, schedule: TileSchedule, part: Axis | null = null) {
    const { rows, columns, inner, blockRows, blockColumns, parts } = schedule;
    this.problem = problem;
    this.schedule = schedule;
    this.part = part;
    this.across = columns / blockColumns;
    this.down = rows / blockRows;
    this.invocations = this.across * this.down;
    this.blocks = Math.ceil(extentOf(problem.inner) / inner / parts);
    const { dtype } = problem.lhs;
    this.vector = Math.min(mostVector, blockColumns);
    this.lhsPitch = rows + 1;
    this.rhsPitch = columns + this.vector;
    this.lhs = { name: 'lhs_tile', dtype, size: inner * this.lhsPitch, space: 'shared' };
    this.rhs = { name: 'rhs_tile', dtype, size: inner * this.rhsPitch, space: 'shared' };
  }
}

function tiles(tiling: Tiling, sum: Reduction): Stmt[] {
  const { problem, schedule, part } = tiling;
  const { batch, rows, columns } = problem;
  const down = axis('tile_row', Math.ceil(extentOf(rows) / schedule.rows));
  const across = axis('tile_column', Math.ceil(extentOf(columns) / schedule.columns));
  const grid = [...(part === null ? [] : [part]), ...batch, down, across];
  const shared = [tiling.lhs, tiling.rhs].map((buffer): Stmt => ({ kind: 'allocate', buffer }));
  return workgroups(extentOf(grid), tiling.invocations, shared, (group, lane) => {
    const at = namedIndices(grid, group);
    const firstRow = multiply(at.map.get(down)!, schedule.rows);
    const firstColumn = multiply(at.map.get(across)!, schedule.columns);
    const left = staged(
      tiling,
      { axes: rows, value: problem.lhs, tile: tiling.lhs, width: schedule.rows, pitch: tiling.lhsPitch, vector: 1 },
      firstRow,
      lane,
    );
    const right = staged(
      tiling,
      {
        axes: columns,
        value: problem.rhs,
        tile: tiling.rhs,
        width: schedule.columns,
        pitch: tiling.rhsPitch,
        vector: tiling.vector,
      },
      firstColumn,
      lane,
    );
    const registers = new Registers(tiling, lane);
    const barrier: Stmt = { kind: 'barrier' };
    const block = axis('block', tiling.blocks);
    const steps = [...left.stage(block), ...right.stage(block), barrier, registers.multiply(), barrier];
    const body = [
      ...left.before,
      ...right.before,
      ...registers.begin,
      loop(block, 'serial', steps),
      ...registers.finish(firstRow, firstColumn, sum),
    ];
    return [...at.stmts, ...substituteStmts(body, at.map)];
  });
}

/** The widest vector of WGSL. */
const mostVector = 4;

/** One operand on its way into shared memory, as `[inner, pitch]`, of which `width` are used; vectors are stored as one. */
interface Operand {
  readonly axes: readonly Axis[];
  readonly value: Expr;
  readonly tile: Buffer;
  readonly width: number;
  readonly pitch: number;
  readonly vector: number;
}

/** Each invocation evaluates some elements of a tile; neighbours read neighbours, whichever way the operand lies. */
function staged(
  { problem, schedule, invocations, part, blocks }: Tiling,
  { axes, value, tile, width, pitch, vector }: Operand,
  first: IndexExpr,
  lane: IndexExpr,
): { before: Stmt[]; stage: (block: Axis) => Stmt[] } {
  const count = extentOf(axes);
  const innerCount = extentOf(problem.inner);
  const contiguous = contiguousAxis([value], [...axes, ...problem.inner]);
  const alongInner = contiguous !== null && problem.inner.includes(contiguous);
  const slots = Array.from({ length: (width * schedule.inner) / vector / invocations }, (_, slot) => {
    const flat = add(lane, fixed(slot * invocations));
    const along = alongInner ? schedule.inner : width / vector;
    const [fast, slow] = [modulo(flat, along), floorDiv(flat, along)];
    const [inner, group] = alongInner ? [fast, slow] : [slow, fast];
    const across = multiply(group, vector);
    const elements = Array.from({ length: vector }, (_, c) => {
      const at = named(`${axes[0]?.name ?? 'i'}_at`, add(first, add(across, fixed(c))));
      return { at, indices: namedIndices(axes, limited(at.index, count - 1)) };
    });
    return { inner, across, elements };
  });
  const before = slots.flatMap(({ elements }) =>
    elements.flatMap(({ at, indices }) => [...at.stmts, ...indices.stmts]),
  );
  const stage = (block: Axis): Stmt[] => {
    const stmts: Stmt[] = [];
    let last: { inner: IndexExpr; at: NamedIndex; map: ReadonlyMap<Axis, IndexExpr> } | null = null;
    for (const { inner, across, elements } of slots) {
      if (last === null || !sameIndex(last.inner, inner)) {
        const from = add(multiply(part === null ? fixed(0) : of(part), blocks), of(block));
        const innerAt = named('k_at', add(multiply(from, schedule.inner), inner));
        const innerIndices = namedIndices(problem.inner, limited(innerAt.index, innerCount - 1));
        stmts.push(...innerAt.stmts, ...innerIndices.stmts);
        last = { inner, at: innerAt, map: innerIndices.map };
      }
      const { at: innerAt, map } = last;
      const values = elements.map(({ at, indices }) => {
        const element = substituteAxes(value, new Map([...indices.map, ...map]));
        return insideOf(element, [
          { index: at.index, limit: count },
          { index: innerAt.index, limit: innerCount },
        ]);
      });
      stmts.push(...storeVector(tile, add(multiply(inner, pitch), across), values));
    }
    return stmts;
  };
  return { before, stage };
}

/** The element where indices are below their limits, and zero elsewhere. */
function insideOf(element: Expr, indices: readonly { readonly index: IndexExpr; readonly limit: number }[]): Expr {
  const guards = indices.flatMap(({ index, limit }) => (boundsOf(index).upper < limit ? [] : [isLess(index, limit)]));
  const [guard, ...more] = guards;
  if (guard === undefined) return element;
  const inside = more.reduce((all, next) => apply('and', all, next), guard);
  return choose(inside, element, literal(element.dtype, 0));
}

/** Values side by side, as one store: invocations that write parts of a vector would write all of it. */
function storeVector(buffer: Buffer, offset: IndexExpr, values: readonly Expr[]): Stmt[] {
  const { dtype } = buffer;
  const [only, ...others] = values;
  if (others.length === 0) return [{ kind: 'store', buffer, offset, value: only! }];
  const gathered: Buffer = { name: 'vector', dtype, size: values.length, space: 'stack' };
  const whole: Expr = { kind: 'load', dtype, buffer: gathered, offset: fixed(0), lanes: values.length };
  return [
    { kind: 'allocate', buffer: gathered },
    ...values.map((value, c): Stmt => ({ kind: 'store', buffer: gathered, offset: fixed(c), value })),
    { kind: 'store', buffer, offset, value: whole },
  ];
}

/** The block of sums that one invocation keeps in registers: rows of vectors. */
class Registers {
  readonly tiling: Tiling;
  readonly lane: IndexExpr;
  readonly sums: readonly (readonly Local[])[];
  constructor(tiling: Tiling, lane: IndexExpr) {
    this.tiling = tiling;
    this.lane = lane;
    const { schedule, problem, vector } = tiling;
    this.sums = Array.from({ length: schedule.blockRows }, (_, i) =>
      Array.from({ length: schedule.blockColumns / vector }, (_, j): Local => {
        return { name: `sum_${i}_${j}`, dtype: problem.lhs.dtype, lanes: vector };
      }),
    );
  }

  get begin(): Stmt[] {
    return this.sums.flat().map((local): Stmt => {
      const zero = literal(local.dtype, 0);
      const { dtype, lanes } = local;
      const initial: Expr = lanes === 1 ? zero : { kind: 'splat', dtype, value: zero, lanes };
      return { kind: 'accumulator', local, initial };
    });
  }

  /** Row i of the block is i·down + y of the tile: neighbours are side by side. */
  #row(i: IndexExpr): IndexExpr {
    return add(multiply(i, this.tiling.down), floorDiv(this.lane, this.tiling.across));
  }

  /** Vector j of the block is j·across + x of the tile's vectors. */
  #column(j: IndexExpr): IndexExpr {
    const { across, vector } = this.tiling;
    return multiply(add(multiply(j, across), modulo(this.lane, across)), vector);
  }

  multiply(): Stmt {
    const { schedule, lhs, rhs, lhsPitch, rhsPitch, vector } = this.tiling;
    const k = axis('k', schedule.inner);
    const read = (name: string, buffer: Buffer, offset: IndexExpr, lanes: number): { stmt: Stmt; value: Expr } => {
      const { dtype } = buffer;
      const local: Local = { name, dtype, lanes };
      return {
        stmt: { kind: 'let', local, value: { kind: 'load', dtype, buffer, offset, lanes } },
        value: { kind: 'local', dtype, local },
      };
    };
    const left = this.sums.map((_, i) => read(`lhs_${i}`, lhs, add(multiply(of(k), lhsPitch), this.#row(fixed(i))), 1));
    const right = this.sums[0]!.map((_, j) =>
      read(`rhs_${j}`, rhs, add(multiply(of(k), rhsPitch), this.#column(fixed(j))), vector),
    );
    const products = this.sums.flatMap((row, i) =>
      row.map((local, j): Stmt => {
        return { kind: 'accumulate', local, monoid: 'sum', value: apply('mul', left[i]!.value, right[j]!.value) };
      }),
    );
    return loop(k, 'serial', [...[...left, ...right].map(({ stmt }) => stmt), ...products]);
  }

  /** The sums go to an array, so that what follows them is written once for all. */
  finish(firstRow: IndexExpr, firstColumn: IndexExpr, sum: Reduction): Stmt[] {
    const { schedule, problem, vector } = this.tiling;
    const { blockRows, blockColumns } = schedule;
    const dtype = problem.lhs.dtype;
    const sums: Buffer = { name: 'sums', dtype, size: blockRows * blockColumns, space: 'stack' };
    const put = this.sums.flat().map((local, at): Stmt => {
      return { kind: 'store', buffer: sums, offset: fixed(at * vector), value: { kind: 'local', dtype, local } };
    });
    const i = axis('i', blockRows);
    const j = axis('j', blockColumns);
    const row = named('row', add(firstRow, this.#row(of(i))));
    const inTile = add(this.#column(floorDiv(of(j), vector)), modulo(of(j), vector));
    const column = named('column', add(firstColumn, inTile));
    const rows = namedIndices(problem.rows, limited(row.index, extentOf(problem.rows) - 1));
    const columns = namedIndices(problem.columns, limited(column.index, extentOf(problem.columns) - 1));
    const value = load(sums, add(multiply(of(i), blockColumns), of(j)));
    const members = substituteStmts(sum.finish(value), new Map([...rows.map, ...columns.map]));
    const inColumn = within(column.index, extentOf(problem.columns), [...columns.stmts, ...members]);
    const overColumns = nest([j], 'serial', [...column.stmts, ...inColumn]);
    const inRow = within(row.index, extentOf(problem.rows), [...rows.stmts, ...overColumns]);
    return [{ kind: 'allocate', buffer: sums }, ...put, ...nest([i], 'serial', [...row.stmts, ...inRow])];
  }
}
