// Packed contractions: both operands are copied into the order in which a register tile of rows × vectors reads them,
// evaluating whatever expression stands for the operand (im2col, padding, transposition, a fused cast). Rows are packed once
// for all tasks, or read where they lie; columns once where they stay in a cache, or panel by panel, block of k by block,
// by each task. The group's members run on the finished sums while they are in the cache.

import type { Node } from '../ir/graph.ts';
import { type Axis, add, axis, coefficientOf, fixed, type IndexExpr, multiply, of } from '../ir/index-expr.ts';
import type { LoadExpr } from '../ir/kernel.ts';
import { apply, type Buffer, type Expr, indexValue, type Local, literal, load, type Stmt } from '../ir/kernel.ts';
import type { PaddedWindow } from '../ir/optable.ts';
import { bytesPerElement, type DType } from '../ir/types.ts';
import { substituteIndex } from './expr-rewrite.ts';
import { type GroupContext, type KernelBody, memberStmts } from './group.ts';
import { axisMap, extentOf, loop, nest, substituteStmts } from './loops.ts';
import { conflictStride } from './lower-direct.ts';
import {
  columnOffset,
  guard,
  type Packing,
  type PanelPlace,
  packAllColumns,
  packColumns,
  packedColumnsSize,
  packedOffset,
  packRows,
} from './packed-panels.ts';
import {
  contractionSchedule,
  mostConflictingColumns,
  type ProductExtents,
  packedCost,
  paddedWork,
  parallelThreshold,
  type ScheduleTarget,
  sharedColumns,
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

/** The operands in each other's place have to save this share of the padded work, and this one of the cost with copies. */
const leastPaddingGain = 0.2;
const leastSwapGain = 0.1;

/** True where the operands in each other's place pad less, and copies do not cost more than that saves. */
export function isBetterSwapped(problem: Problem, target: ScheduleTarget): boolean {
  const rows = extentOf(problem.rows);
  const columns = extentOf(problem.columns);
  const bytes = bytesPerElement[problem.lhs.dtype];
  const padded = paddedWork(rows, columns, bytes, target);
  if (paddedWork(columns, rows, bytes, target) >= padded * (1 - leastPaddingGain)) return false;
  const [kept, turned] = [false, true].map((isSwapped) => {
    const turnedProblem = oriented(problem, isSwapped);
    return packedCost(extentsOf(turnedProblem), packedSchedule(turnedProblem, isSwapped, target), target);
  }) as [number, number];
  return turned < kept * (1 - leastSwapGain);
}

/** An oriented problem as its cost sees it. */
export function extentsOf({ batch, outer, rows, columns, inner, rhs }: Problem): ProductExtents {
  return {
    rows: extentOf(rows),
    columns: extentOf(columns),
    inner: extentOf(inner),
    tasks: extentOf(batch) * extentOf(outer),
    columnsInLanes: rhs.kind === 'load' && columns.some((axis) => coefficientOf(rhs.offset, axis) === 1),
  };
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
  const rows = extentOf(problem.rows);
  const bytes = bytesPerElement[problem.lhs.dtype];
  const schedule = contractionSchedule(rows, inner, extentOf(problem.columns), bytes, target);
  const panels = Math.ceil(extentOf(problem.columns) / (schedule.lanes * schedule.columnVectors));
  const sharing = sharedColumns(schedule, rows, panels, packedColumnsSize(problem, schedule) * bytes);
  const inPlace = inner % schedule.innerBlock === 0 && liesInRows(problem) && !conflicts(problem);
  return { ...schedule, ...sharing, swapped: isSwapped, inPlace };
}

/** The kernels of an oriented problem. */
export function packed(context: GroupContext, anchor: Node, problem: Problem, schedule: PackedSchedule): KernelBody[] {
  const rowCount = extentOf(problem.rows);
  const columnCount = extentOf(problem.columns);
  const innerCount = extentOf(problem.inner);
  const dtype = problem.lhs.dtype;
  const rowTiles = Math.ceil(rowCount / schedule.rowTile);
  const innerBlocks = Math.ceil(innerCount / schedule.innerBlock);
  const panelWidth = schedule.lanes * schedule.columnVectors;
  const columnsSize = packedColumnsSize(problem, schedule);
  const size = extentOf(problem.batch) * innerBlocks * rowTiles * schedule.innerBlock * schedule.rowTile;
  const packing: Packing = {
    problem,
    schedule,
    rowCount,
    columnCount,
    innerCount,
    rowTiles,
    innerBlocks,
    panels: Math.ceil(columnCount / panelWidth),
    panelWidth,
    packedRows: schedule.inPlace ? null : context.scratch('packed_rows', dtype, size),
    packedColumns: schedule.sharesColumns ? context.scratch('packed_columns', dtype, columnsSize) : null,
  };
  const flops = 2 * extentOf(problem.batch) * extentOf(problem.outer) * rowCount * columnCount * innerCount;
  return [
    ...(packing.packedRows === null
      ? []
      : [{ suffix: '_pack', body: packRows(packing, packing.packedRows), flops: 0 }]),
    ...(packing.packedColumns === null
      ? []
      : [{ suffix: '_columns', body: packAllColumns(packing, packing.packedColumns), flops: 0 }]),
    { suffix: '', body: contract(context, anchor, packing), flops },
  ];
}

function contract(context: GroupContext, anchor: Node, p: Packing): Stmt[] {
  const { problem, schedule } = p;
  const dtype = problem.lhs.dtype;
  const strip = axis('strip', p.panels / schedule.panelsPerTask);
  const panel = axis('panel', schedule.panelsPerTask);
  const stripWidth = schedule.panelsPerTask * p.panelWidth;
  const stack = (name: string, size: number): Buffer => ({ name, dtype, size, space: 'stack' });
  const task: Task = {
    batch: axis('batch', extentOf(problem.batch)),
    outer: axis('outer', extentOf(problem.outer)),
    rowBlock: axis('row_block', Math.ceil(p.rowCount / schedule.rowBlock)),
    strip,
    panel,
    panelIndex: add(multiply(of(strip), schedule.panelsPerTask), of(panel)),
    stripWidth,
    block: axis('block', p.innerBlocks),
    columns: stack('columns', schedule.innerBlock * p.panelWidth),
    sums: stack('sums', schedule.rowBlock * stripWidth),
  };
  const packedHere = p.packedColumns === null;
  const panelBody = [...(packedHere ? packColumns(p, task, task.columns) : []), ...tiles(p, task)];
  const body: Stmt[] = [
    ...(packedHere ? [{ kind: 'allocate', buffer: task.columns } as const] : []),
    { kind: 'allocate', buffer: task.sums },
    ...clearSums(p, task),
    ...nest([task.block, panel], 'serial', panelBody),
    ...finish(context, anchor, p, task),
  ];
  const work = extentOf(problem.batch) * task.outer.extent * p.rowCount * p.columnCount * p.innerCount;
  const kind = work >= parallelThreshold ? 'parallel' : 'serial';
  return nest([task.batch, task.outer, task.rowBlock, strip], kind, body);
}

interface Task extends PanelPlace {
  readonly rowBlock: Axis;
  /** Neighbouring panels that are finished together, and the panel among them. */
  readonly strip: Axis;
  readonly panel: Axis;
  /** Columns of a strip. */
  readonly stripWidth: number;
  /** `[k][column]`: one block of the panel. */
  readonly columns: Buffer;
  /** `[row][column]`: the strip's running sums. */
  readonly sums: Buffer;
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
      const column = add(multiply(of(task.panel), p.panelWidth), fixed(vector * lanes));
      const offset = add(multiply(rowInBlock, task.stripWidth), column);
      cells.push({ local: { name: `sum${row}_${vector}`, dtype, lanes }, row, vector, offset });
    }
  }
  const k = axis('k', innerBlock);
  const vectors = Array.from({ length: columnVectors }, (_, vector): { local: Local; value: Expr } => ({
    local: { name: `column${vector}`, dtype, lanes },
    value: {
      kind: 'load',
      dtype,
      buffer: p.packedColumns ?? task.columns,
      offset: columnOffset(p, task, of(k), fixed(vector * lanes)),
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
  const column = axis('column', Math.min(task.stripWidth, p.columnCount));
  const rowIndex = add(multiply(of(task.rowBlock), schedule.rowBlock), of(row));
  const columnIndex = add(multiply(of(task.strip), task.stripWidth), of(column));
  const map = new Map([
    ...axisMap(problem.batch, of(task.batch)),
    ...axisMap(problem.outer, of(task.outer)),
    ...axisMap(problem.rows, rowIndex),
    ...axisMap(problem.columns, columnIndex),
  ]);
  const index = problem.result.map((position) => substituteIndex(position, map));
  const sum = load(task.sums, add(multiply(of(row), task.stripWidth), of(column)));
  const members = memberStmts(context, index, new Map([[anchor.results[0]!, sum]]));
  const rowGuard = guard(rowIndex, p.rowCount, task.rowBlock.extent * rowsHere > p.rowCount);
  const ragged = task.strip.extent > 1 && p.columnCount % task.stripWidth !== 0;
  const wrapRow = (body: Stmt[]): Stmt =>
    loop(row, 'serial', rowGuard === null ? body : [{ kind: 'if', condition: rowGuard, then: body, otherwise: [] }]);
  const full = wrapRow([loop(column, 'vector', members)]);
  if (!ragged) return [full];
  const edge = axis('column', p.columnCount % task.stripWidth);
  const edgeMap = new Map([[column, of(edge)]]);
  const edgeMembers = substituteStmts(members, edgeMap);
  const isLast = apply('eq', indexValue(of(task.strip)), literal('i32', task.strip.extent - 1));
  return [{ kind: 'if', condition: isLast, then: [wrapRow([loop(edge, 'vector', edgeMembers)])], otherwise: [full] }];
}
