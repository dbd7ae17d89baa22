// Packed contractions: each task packs the panel of columns it needs, block of k by block, evaluating whatever expression
// stands for the operand there (im2col, padding, transposition, a fused cast); rows are packed once for all tasks by a
// kernel of their own, or read where they lie; a register tile of rows × vectors accumulates. The group's members run
// on the finished panel while it is in the cache.

import type { Node } from '../ir/graph.ts';
import { type Axis, add, axis, coefficientOf, fixed, flatten, type IndexExpr, multiply, of } from '../ir/index-expr.ts';
import type { LoadExpr } from '../ir/kernel.ts';
import {
  apply,
  type Buffer,
  choose,
  type Expr,
  indexValue,
  type Local,
  literal,
  load,
  type Stmt,
} from '../ir/kernel.ts';
import type { PaddedWindow } from '../ir/optable.ts';
import { bytesPerElement, type DType } from '../ir/types.ts';
import { substituteAxes, substituteIndex } from './expr-rewrite.ts';
import { type GroupContext, type KernelBody, memberStmts } from './group.ts';
import { axisMap, contiguousAxis, extentOf, loop, substituteStmts } from './loops.ts';
import { conflictStride } from './lower-direct.ts';
import {
  type ContractionSchedule,
  contractionSchedule,
  mostConflictingColumns,
  paddedWork,
  parallelThreshold,
  type ScheduleTarget,
} from './schedule.ts';
import type { PackedSchedule } from './schedule-candidates.ts';

/** A contraction with its operands as expressions over explicit axes. */
export interface Problem {
  readonly batch: readonly Axis[];
  /** Columns that only select which slice of rhs is read: they become further tasks, not part of a panel. */
  readonly outer: readonly Axis[];
  readonly rows: readonly Axis[];
  readonly columns: readonly Axis[];
  readonly inner: readonly Axis[];
  readonly lhs: Expr;
  readonly rhs: Expr;
  readonly result: readonly IndexExpr[];
  readonly window?: PaddedWindow;
}

export function swapped(problem: Problem): Problem {
  return { ...problem, rows: problem.columns, columns: problem.rows, lhs: problem.rhs, rhs: problem.lhs };
}

/** Fewest columns in a panel's own axes for which the outer columns become tasks of their own. */
const fewestInnerColumns = 128;

/** True where the operands in each other's place pad less. */
export function isBetterSwapped(problem: Problem, target: ScheduleTarget): boolean {
  const rows = extentOf(problem.rows);
  const columns = extentOf(problem.columns);
  const bytes = bytesPerElement[problem.lhs.dtype];
  return paddedWork(columns, rows, bytes, target) < paddedWork(rows, columns, bytes, target) * 0.8;
}

/** The operands in the order of their tile; unless they are swapped, slow column axes leave the panel where enough remain. */
export function oriented(problem: Problem, isSwapped: boolean): Problem {
  if (isSwapped) return swapped(problem);
  const outer: Axis[] = [];
  const inside = [...problem.columns];
  while (inside.length > 1 && extentOf(inside.slice(1)) >= fewestInnerColumns && slowest(problem.result, inside[0]!)) {
    outer.push(inside.shift()!);
  }
  return { ...problem, outer, columns: inside };
}

/** True where the axis stands in an earlier result axis than any row: then a panel without it is contiguous in the result. */
function slowest(result: readonly IndexExpr[], candidate: Axis): boolean {
  return result[0]?.terms.some((term) => term.atom === candidate) ?? false;
}

/** Everything the statements of one packed contraction share. */
interface Packing {
  readonly problem: Problem;
  readonly schedule: ContractionSchedule;
  readonly rowCount: number;
  readonly columnCount: number;
  readonly innerCount: number;
  readonly rowTiles: number;
  readonly panelWidth: number;
  readonly innerBlocks: number;
  /** Null where the rows are read where they lie. */
  readonly packedRows: Buffer | null;
}

/** True where a row's summed elements lie side by side: then a tile reads as many streams as it has rows, without a copy. */
export function liesInRows({ lhs, inner, outer }: Problem): boolean {
  if (lhs.kind !== 'load' || outer.length > 0) return false;
  const { terms } = lhs.offset;
  if (terms.some(({ atom }) => atom.kind !== 'axis')) return false;
  let step = 1;
  for (const next of [...inner].reverse()) {
    if (next.extent === 1) continue;
    if (coefficientOf(lhs.offset, next) !== step) return false;
    step *= next.extent;
  }
  return true;
}

/** True where rows are so far apart that they displace one another in the cache, and read often enough for a copy to pay. */
function conflicts({ lhs, inner, columns }: Problem): boolean {
  const rowBytes = extentOf(inner) * bytesPerElement[lhs.dtype];
  return rowBytes % conflictStride === 0 && extentOf(columns) > mostConflictingColumns;
}

/** What an oriented problem does untuned. */
export function packedSchedule(problem: Problem, isSwapped: boolean, target: ScheduleTarget): PackedSchedule {
  const inner = extentOf(problem.inner);
  const schedule = contractionSchedule(extentOf(problem.rows), inner, bytesPerElement[problem.lhs.dtype], target);
  const inPlace = inner % schedule.innerBlock === 0 && liesInRows(problem) && !conflicts(problem);
  return { ...schedule, swapped: isSwapped, inPlace };
}

/** The kernels of an oriented problem. */
export function packed(context: GroupContext, anchor: Node, problem: Problem, schedule: PackedSchedule): KernelBody[] {
  const rowCount = extentOf(problem.rows);
  const columnCount = extentOf(problem.columns);
  const innerCount = extentOf(problem.inner);
  const dtype = problem.lhs.dtype;
  const rowTiles = Math.ceil(rowCount / schedule.rowTile);
  const innerBlocks = Math.ceil(innerCount / schedule.innerBlock);
  const size = extentOf(problem.batch) * innerBlocks * rowTiles * schedule.innerBlock * schedule.rowTile;
  const packing: Packing = {
    problem,
    schedule,
    rowCount,
    columnCount,
    innerCount,
    rowTiles,
    innerBlocks,
    panelWidth: schedule.lanes * schedule.columnVectors,
    packedRows: schedule.inPlace ? null : context.scratch('packed_rows', dtype, size),
  };
  const flops = 2 * extentOf(problem.batch) * extentOf(problem.outer) * rowCount * columnCount * innerCount;
  return [
    ...(packing.packedRows === null
      ? []
      : [{ suffix: '_pack', body: packRows(packing, packing.packedRows), flops: 0 }]),
    { suffix: '', body: contract(context, anchor, packing), flops },
  ];
}

/** Flat index into packed_rows: `[batch][inner block][row tile][k][row]`. */
function packedOffset(
  p: Packing,
  batch: IndexExpr,
  block: IndexExpr,
  tile: IndexExpr,
  k: IndexExpr,
  row: IndexExpr,
): IndexExpr {
  const { innerBlock, rowTile } = p.schedule;
  const extents = [extentOf(p.problem.batch), p.innerBlocks, p.rowTiles, innerBlock, rowTile];
  return flatten([batch, block, tile, k, row], extents);
}

/** `value` where `index` < `count`, else zero; no test where the index cannot pass the count. */
function zeroBeyond(index: IndexExpr, reach: number, count: number, value: Expr): Expr {
  if (reach <= count) return value;
  return choose(apply('lt', indexValue(index), literal('i32', count)), value, literal(value.dtype, 0));
}

function packRows(p: Packing, packedRows: Buffer): Stmt[] {
  const { problem, schedule } = p;
  const batch = axis('batch', extentOf(problem.batch));
  const block = axis('block', p.innerBlocks);
  const tile = axis('tile', p.rowTiles);
  const k = axis('k', schedule.innerBlock);
  const row = axis('row', schedule.rowTile);
  const rowIndex = add(multiply(of(tile), schedule.rowTile), of(row));
  const innerIndex = add(multiply(of(block), schedule.innerBlock), of(k));
  const map = new Map([
    ...axisMap(problem.batch, of(batch)),
    ...axisMap(problem.rows, rowIndex),
    ...axisMap(problem.inner, innerIndex),
  ]);
  const value = zeroBeyond(
    rowIndex,
    p.rowTiles * schedule.rowTile,
    p.rowCount,
    zeroBeyond(innerIndex, p.innerBlocks * schedule.innerBlock, p.innerCount, substituteAxes(problem.lhs, map)),
  );
  const store: Stmt = {
    kind: 'store',
    buffer: packedRows,
    offset: packedOffset(p, of(batch), of(block), of(tile), of(k), of(row)),
    value,
  };
  const parallel = packedRows.size * 2 >= parallelThreshold ? 'parallel' : 'serial';
  const inside = loop(k, 'serial', [loop(row, 'serial', [store])]);
  return [batch, block, tile].reduceRight<Stmt[]>(
    (nest, next) => (next.extent === 1 ? nest : [loop(next, parallel, nest)]),
    [inside],
  );
}

function contract(context: GroupContext, anchor: Node, p: Packing): Stmt[] {
  const { problem, schedule } = p;
  const dtype = problem.lhs.dtype;
  const batch = axis('batch', extentOf(problem.batch));
  const outer = axis('outer', extentOf(problem.outer));
  const rowBlocks = Math.ceil(p.rowCount / schedule.rowBlock);
  const rowBlock = axis('row_block', rowBlocks);
  const panel = axis('panel', Math.ceil(p.columnCount / p.panelWidth));
  const block = axis('block', p.innerBlocks);
  const columns: Buffer = { name: 'columns', dtype, size: schedule.innerBlock * p.panelWidth, space: 'stack' };
  const sums: Buffer = { name: 'sums', dtype, size: schedule.rowBlock * p.panelWidth, space: 'stack' };
  const task: Task = { batch, outer, rowBlock, panel, block, columns, sums };

  const blockBody = [...packColumns(p, task), ...tiles(p, task)];
  const body: Stmt[] = [
    { kind: 'allocate', buffer: columns },
    { kind: 'allocate', buffer: sums },
    ...clearSums(p, task),
    ...(p.innerBlocks === 1 ? blockBody : [loop(block, 'serial', blockBody)]),
    ...finish(context, anchor, p, task),
  ];
  const work = extentOf(problem.batch) * outer.extent * p.rowCount * p.columnCount * p.innerCount;
  const kind = work >= parallelThreshold ? 'parallel' : 'serial';
  return [batch, outer, rowBlock, panel].reduceRight<Stmt[]>(
    (nest, next) => (next.extent === 1 ? nest : [loop(next, kind, nest)]),
    body,
  );
}

interface Task {
  readonly batch: Axis;
  readonly outer: Axis;
  readonly rowBlock: Axis;
  readonly panel: Axis;
  readonly block: Axis;
  /** `[k][column]`: one block of the panel. */
  readonly columns: Buffer;
  /** `[row][column]`: the panel's running sums. */
  readonly sums: Buffer;
}

function packColumns(p: Packing, task: Task): Stmt[] {
  const { problem, schedule } = p;
  const k = axis('k', schedule.innerBlock);
  const column = axis('column', p.panelWidth);
  const columnIndex = add(multiply(of(task.panel), p.panelWidth), of(column));
  const innerIndex = add(multiply(of(task.block), schedule.innerBlock), of(k));
  const map = new Map([
    ...axisMap(problem.batch, of(task.batch)),
    ...axisMap(problem.outer, of(task.outer)),
    ...axisMap(problem.columns, columnIndex),
    ...axisMap(problem.inner, innerIndex),
  ]);
  const value = zeroBeyond(
    columnIndex,
    task.panel.extent * p.panelWidth,
    p.columnCount,
    zeroBeyond(innerIndex, p.innerBlocks * schedule.innerBlock, p.innerCount, substituteAxes(problem.rhs, map)),
  );
  const offset = add(multiply(of(k), p.panelWidth), of(column));
  const store: Stmt = { kind: 'store', buffer: task.columns, offset, value };
  const innerContiguous = contiguousAxis([problem.rhs], [...problem.columns, ...problem.inner]);
  if (innerContiguous !== null && problem.inner.includes(innerContiguous)) {
    return [loop(column, 'serial', [loop(k, 'vector', [store])])];
  }
  return [loop(k, 'serial', [loop(column, 'vector', [store])])];
}

/** For every row tile of the task's block: the register tile over one block of k, added to (or beginning) the sums. */
function tiles(p: Packing, task: Task): Stmt[] {
  const { rowTile, rowBlock } = p.schedule;
  const tilesPerBlock = rowBlock / rowTile;
  const whole = Math.floor(p.rowTiles / tilesPerBlock);
  const tile = axis('tile', tilesPerBlock);
  const tileIndex = add(multiply(of(task.rowBlock), tilesPerBlock), of(tile));
  const body = registerTile(p, task, of(tile), tileIndex);
  if (task.rowBlock.extent === 1 || whole === task.rowBlock.extent) {
    return [loop(tile, 'serial', body)];
  }
  const inside = apply('lt', indexValue(tileIndex), literal('i32', p.rowTiles));
  return [loop(tile, 'serial', [{ kind: 'if', condition: inside, then: body, otherwise: [] }])];
}

function registerTile(p: Packing, task: Task, tile: IndexExpr, tileIndex: IndexExpr): Stmt[] {
  const { rowTile, lanes, columnVectors, innerBlock } = p.schedule;
  const dtype = p.problem.lhs.dtype;
  const cells: { local: Local; row: number; vector: number; offset: IndexExpr }[] = [];
  for (let row = 0; row < rowTile; row++) {
    for (let vector = 0; vector < columnVectors; vector++) {
      const rowInBlock = add(multiply(tile, rowTile), fixed(row));
      const offset = add(multiply(rowInBlock, p.panelWidth), fixed(vector * lanes));
      cells.push({ local: { name: `sum${row}_${vector}`, dtype, lanes }, row, vector, offset });
    }
  }
  const k = axis('k', innerBlock);
  const vectors = Array.from({ length: columnVectors }, (_, vector): { local: Local; value: Expr } => ({
    local: { name: `column${vector}`, dtype, lanes },
    value: {
      kind: 'load',
      dtype,
      buffer: task.columns,
      offset: add(multiply(of(k), p.panelWidth), fixed(vector * lanes)),
      lanes,
    },
  }));
  const rows =
    p.packedRows === null ? Array.from({ length: rowTile }, (_, row) => rowWhereItLies(p, task, tileIndex, row)) : [];
  const rowValue = (row: number): Expr => ({
    kind: 'splat',
    dtype,
    lanes,
    value:
      p.packedRows === null
        ? load(rows[row]!.buffer, add(rows[row]!.offset, of(k)))
        : load(p.packedRows, packedOffset(p, of(task.batch), of(task.block), tileIndex, of(k), fixed(row))),
  });
  const begin = cells.map(
    ({ local, offset }): Stmt => ({
      kind: 'accumulator',
      local,
      initial: beginningOf(p, task, offset, dtype, lanes),
    }),
  );
  const multiplyAdds = cells.map(
    ({ local, row, vector }): Stmt => ({
      kind: 'accumulate',
      local,
      monoid: 'sum',
      value: apply('mul', rowValue(row), { kind: 'local', dtype, local: vectors[vector]!.local }),
    }),
  );
  return [
    ...rows.map(({ local, value }): Stmt => ({ kind: 'let', local, value: indexValue(value) })),
    ...begin,
    loop(k, 'serial', [...vectors.map(({ local, value }): Stmt => ({ kind: 'let', local, value })), ...multiplyAdds]),
    ...cells.map(
      ({ local, offset }): Stmt => ({
        kind: 'store',
        buffer: task.sums,
        offset,
        value: { kind: 'local', dtype, local },
      }),
    ),
  ];
}

/** Where a row's block begins, as a named value; rows beyond the last read the last. */
function rowWhereItLies(
  p: Packing,
  task: Task,
  tileIndex: IndexExpr,
  row: number,
): { local: Local; value: IndexExpr; buffer: Buffer; offset: IndexExpr } {
  const { problem, schedule } = p;
  const { buffer, offset } = problem.lhs as LoadExpr;
  const at = add(multiply(tileIndex, schedule.rowTile), fixed(row));
  const last = apply('min', indexValue(at), literal('i32', p.rowCount - 1));
  const ragged = p.rowTiles * schedule.rowTile > p.rowCount;
  const index = ragged ? of({ kind: 'dynamic', expr: last, lower: 0, upper: p.rowCount - 1 }) : at;
  const map = new Map([
    ...axisMap(problem.batch, of(task.batch)),
    ...axisMap(problem.rows, index),
    ...axisMap(problem.inner, multiply(of(task.block), schedule.innerBlock)),
  ]);
  const dtype = buffer.size <= 2 ** 31 ? 'i32' : 'i64';
  const local: Local = { name: `row${row}`, dtype, lanes: 1 };
  const expr: Expr = { kind: 'local', dtype, local };
  return {
    local,
    value: substituteIndex(offset, map),
    buffer,
    offset: of({ kind: 'dynamic', expr, lower: 0, upper: buffer.size - 1 }),
  };
}

/** Zero where one block of k is all; else the sums so far. */
function beginningOf(p: Packing, task: Task, offset: IndexExpr, dtype: DType, lanes: number): Expr {
  if (p.innerBlocks === 1) return { kind: 'splat', dtype, value: literal(dtype, 0), lanes };
  return { kind: 'load', dtype, buffer: task.sums, offset, lanes };
}

/** With several blocks of k every tile continues its sums, so they begin as zeros. */
function clearSums(p: Packing, task: Task): Stmt[] {
  if (p.innerBlocks === 1) return [];
  const cell = axis('cell', task.sums.size);
  const zero = literal(task.sums.dtype, 0);
  return [loop(cell, 'vector', [{ kind: 'store', buffer: task.sums, offset: of(cell), value: zero }])];
}

/** The group's members on the finished sums; columns in lanes, guarded only at the ragged edges. */
function finish(context: GroupContext, anchor: Node, p: Packing, task: Task): Stmt[] {
  const { problem, schedule } = p;
  const rowsHere = Math.min(schedule.rowBlock, p.rowCount);
  const row = axis('row', rowsHere);
  const column = axis('column', Math.min(p.panelWidth, p.columnCount));
  const rowIndex = add(multiply(of(task.rowBlock), schedule.rowBlock), of(row));
  const columnIndex = add(multiply(of(task.panel), p.panelWidth), of(column));
  const map = new Map([
    ...axisMap(problem.batch, of(task.batch)),
    ...axisMap(problem.outer, of(task.outer)),
    ...axisMap(problem.rows, rowIndex),
    ...axisMap(problem.columns, columnIndex),
  ]);
  const index = problem.result.map((position) => substituteIndex(position, map));
  const sum = load(task.sums, add(multiply(of(row), p.panelWidth), of(column)));
  const members = memberStmts(context, index, new Map([[anchor.results[0]!, sum]]));
  const rowGuard = guard(rowIndex, p.rowCount, task.rowBlock.extent * rowsHere > p.rowCount);
  const ragged = p.columnCount > p.panelWidth && p.columnCount % p.panelWidth !== 0;
  const wrapRow = (body: Stmt[]): Stmt =>
    loop(row, 'serial', rowGuard === null ? body : [{ kind: 'if', condition: rowGuard, then: body, otherwise: [] }]);
  const full = wrapRow([loop(column, 'vector', members)]);
  if (!ragged) return [full];
  const edge = axis('column', p.columnCount % p.panelWidth);
  const edgeMap = new Map([[column, of(edge)]]);
  const edgeMembers = substituteStmts(members, edgeMap);
  const isLast = apply('eq', indexValue(of(task.panel)), literal('i32', task.panel.extent - 1));
  return [{ kind: 'if', condition: isLast, then: [wrapRow([loop(edge, 'vector', edgeMembers)])], otherwise: [full] }];
}

function guard(index: IndexExpr, count: number, needed: boolean): Expr | null {
  return needed ? apply('lt', indexValue(index), literal('i32', count)) : null;
}
