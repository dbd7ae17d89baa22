// Panels: how the operands of a packed contraction are copied into the order in which the register tile reads them. Rows lie
// in tiles of a few rows, columns in panels of a few vectors, both in blocks of the summed index; what passes an edge is zero.

import { type Axis, add, axis, flatten, type IndexExpr, multiply, of } from '../ir/index-expr.ts';
import { apply, type Buffer, choose, type Expr, indexValue, literal, type Stmt } from '../ir/kernel.ts';
import { substituteAxes } from './expr-rewrite.ts';
import { axisMap, contiguousAxis, extentOf, loop, nest, substituteStmts } from './loops.ts';
import type { Problem } from './lower-packed.ts';
import { type ContractionSchedule, parallelThreshold } from './schedule.ts';
import type { PackedSchedule } from './schedule-candidates.ts';

/** Everything the statements of one packed contraction share. */
export interface Packing {
  readonly problem: Problem;
  readonly schedule: PackedSchedule;
  readonly rowCount: number;
  readonly columnCount: number;
  readonly innerCount: number;
  readonly rowTiles: number;
  readonly panelWidth: number;
  readonly panels: number;
  readonly innerBlocks: number;
  /** Null where the rows are read where they lie. */
  readonly packedRows: Buffer | null;
  /** Null where each task packs the panel that it needs. */
  readonly packedColumns: Buffer | null;
}

/** Elements of all packed columns, padded to whole panels and blocks. */
export function packedColumnsSize(problem: Problem, { lanes, columnVectors, innerBlock }: ContractionSchedule): number {
  const width = lanes * columnVectors;
  const slices = extentOf(problem.batch) * extentOf(problem.outer);
  const padded = (count: number, unit: number): number => Math.ceil(count / unit) * unit;
  return slices * padded(extentOf(problem.inner), innerBlock) * padded(extentOf(problem.columns), width);
}

/** Flat index into packed_rows: `[batch][inner block][row tile][k][row]`. */
export function packedOffset(
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

export function packRows(p: Packing, packedRows: Buffer): Stmt[] {
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
  const inside = zeroBeyond(
    innerIndex,
    p.innerBlocks * schedule.innerBlock,
    p.innerCount,
    substituteAxes(problem.lhs, map),
  );
  const offset = packedOffset(p, of(batch), of(block), of(tile), of(k), of(row));
  const store = (value: Expr): Stmt => ({ kind: 'store', buffer: packedRows, offset, value });
  const guarded = store(zeroBeyond(rowIndex, p.rowTiles * schedule.rowTile, p.rowCount, inside));
  const kind = packedRows.size * 2 >= parallelThreshold ? 'parallel' : 'serial';
  const contiguous = contiguousAxis([problem.lhs], [...problem.rows, ...problem.inner]);
  if (contiguous === null || !problem.rows.includes(contiguous)) {
    return nest([batch, block, tile], kind, [loop(k, 'serial', [loop(row, 'serial', [guarded])])]);
  }
  // Rows side by side in memory: a step of k reads a run of them, so that every line and page is used when it is there.
  const run = axis('run', Math.ceil(p.rowTiles / tilesPerRun));
  const inRun = axis('tile', Math.ceil(p.rowTiles / run.extent));
  const at = add(multiply(of(run), inRun.extent), of(inRun));
  const whole = Math.floor(p.rowCount / schedule.rowTile);
  const isWhole = guard(at, whole, run.extent * inRun.extent > whole);
  const isTile = guard(at, p.rowTiles, run.extent * inRun.extent > p.rowTiles);
  const edge = under(isTile, [loop(row, 'serial', [guarded])]);
  const tiles = substituteStmts(under(isWhole, [loop(row, 'vector', [store(inside)])], edge), new Map([[tile, at]]));
  return nest([batch, block, run], kind, [loop(k, 'serial', [loop(inRun, 'serial', tiles)])]);
}

/** The statements, under a condition where there is one. */
function under(condition: Expr | null, then: readonly Stmt[], otherwise: readonly Stmt[] = []): Stmt[] {
  return condition === null ? [...then] : [{ kind: 'if', condition, then, otherwise }];
}

/** Tiles of rows that a step of k packs together: 16 tiles of 12 rows are 12 lines, and as many pages are written at once. */
const tilesPerRun = 16;

/** Packs every panel for all tasks: `[batch][outer][inner block][panel][k][column]`. */
export function packAllColumns(p: Packing, packedColumns: Buffer): Stmt[] {
  const panel = axis('panel', p.panels);
  const places = {
    batch: axis('batch', extentOf(p.problem.batch)),
    outer: axis('outer', extentOf(p.problem.outer)),
    block: axis('block', p.innerBlocks),
    panelIndex: of(panel),
  };
  const kind = packedColumns.size * 2 >= parallelThreshold ? 'parallel' : 'serial';
  return nest([places.batch, places.outer, places.block, panel], kind, packColumns(p, places, packedColumns));
}

/** A block of one panel. */
export interface PanelPlace {
  readonly batch: Axis;
  readonly outer: Axis;
  readonly block: Axis;
  readonly panelIndex: IndexExpr;
}

/** Where a row of a panel's packed columns begins: in the buffer of all panels, or in the task's own. */
export function columnOffset(
  p: Packing,
  { batch, outer, block, panelIndex }: PanelPlace,
  k: IndexExpr,
  column: IndexExpr,
): IndexExpr {
  const { innerBlock } = p.schedule;
  if (p.packedColumns === null) return add(multiply(k, p.panelWidth), column);
  const indices = [of(batch), of(outer), of(block), panelIndex, k, column];
  return flatten(indices, [batch.extent, outer.extent, block.extent, p.panels, innerBlock, p.panelWidth]);
}

export function packColumns(p: Packing, place: PanelPlace, columns: Buffer): Stmt[] {
  const { problem, schedule } = p;
  const k = axis('k', schedule.innerBlock);
  const column = axis('column', p.panelWidth);
  const columnIndex = add(multiply(place.panelIndex, p.panelWidth), of(column));
  const innerIndex = add(multiply(of(place.block), schedule.innerBlock), of(k));
  const map = new Map([
    ...axisMap(problem.batch, of(place.batch)),
    ...axisMap(problem.outer, of(place.outer)),
    ...axisMap(problem.columns, columnIndex),
    ...axisMap(problem.inner, innerIndex),
  ]);
  const value = zeroBeyond(
    columnIndex,
    p.panels * p.panelWidth,
    p.columnCount,
    zeroBeyond(innerIndex, p.innerBlocks * schedule.innerBlock, p.innerCount, substituteAxes(problem.rhs, map)),
  );
  const store: Stmt = { kind: 'store', buffer: columns, offset: columnOffset(p, place, of(k), of(column)), value };
  const innerContiguous = contiguousAxis([problem.rhs], [...problem.columns, ...problem.inner]);
  if (innerContiguous !== null && problem.inner.includes(innerContiguous)) {
    return [loop(column, 'serial', [loop(k, 'vector', [store])])];
  }
  return [loop(k, 'serial', [loop(column, 'vector', [store])])];
}

/** `index` < `count`, where that has to be asked. */
export function guard(index: IndexExpr, count: number, needed: boolean): Expr | null {
  return needed ? apply('lt', indexValue(index), literal('i32', count)) : null;
}
