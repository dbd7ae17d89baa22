// Schedules for GPUs: every decision about workgroups, tiles and stages, as data. The limits are those that WebGPU
// promises on every adapter; what a better adapter offers is not needed by any of these.

import type { DType } from '../../ir/types.ts';
import { bytesPerElement } from '../../ir/types.ts';
import type { WindowedProblem } from '../machine.ts';

export interface GpuTarget {
  /** Most invocations of a workgroup. */
  readonly invocations: number;
  /** Bytes of memory that a workgroup shares. */
  readonly sharedBytes: number;
  /** Invocations that fill the machine: fewer leave it idle. */
  readonly wanted: number;
}

/** WebGPU's default limits; 16,384 invocations are eight per lane of a small GPU and a sixteenth of the largest. */
export const defaultGpu: GpuTarget = { invocations: 256, sharedBytes: 16_384, wanted: 16_384 };

/** Offsets of buffer bindings are multiples of this (minStorageBufferOffsetAlignment of every adapter). */
export const bindingAlignment = 256;

/** i8, u8 and bool take four bytes in memory that kernels write: two invocations cannot write bytes of one word. */
export const gpuBytes: Readonly<Record<DType, number>> = { ...bytesPerElement, i8: 4, u8: 4, bool: 4 };

/** Invocations of a workgroup that runs over elements: four times the widest subgroup of 64. */
export const elementInvocations = 256;

/** How a workgroup reduces: `columns` results side by side, `rows` invocations for each. */
export interface ReductionSchedule {
  readonly columns: number;
  readonly rows: number;
  /** True: neighbouring invocations work on one result, whose elements lie side by side. */
  readonly rowsFirst: boolean;
  /** Partial results that a second kernel combines. */
  readonly chunks: number;
}

/** Up to this many elements one invocation reduces by itself; a tree would cost more than it saves. */
const shortReduction = 32;
/** Results side by side in a workgroup: the width of a subgroup, so that reads of neighbours meet. */
const reductionColumns = 32;
/** Elements of a row that an invocation takes at least: a tree over fewer is mostly tree, so several rows share a workgroup. */
const fewestOfRow = 8;
/** Elements that an invocation takes from a chunk at least: below, the second kernel costs more than the first saves. */
const fewestPerInvocation = 16;
/** Workgroups that fill a machine. */
const wantedGroups = 128;

/** `columnsContiguous`: neighbouring results read neighbouring elements. `position`: it has no partial results. */
export function reductionSchedule(
  results: number,
  length: number,
  { columnsContiguous, position }: { readonly columnsContiguous: boolean; readonly position: boolean },
  target: GpuTarget,
): ReductionSchedule {
  const alone = length <= shortReduction || (columnsContiguous && results >= target.wanted);
  if (alone)
    return { columns: powerBelow(Math.min(results, elementInvocations / 4)), rows: 1, rowsFirst: false, chunks: 1 };
  const wanted = columnsContiguous ? reductionColumns : (target.invocations * fewestOfRow) / powerBelow(length);
  const columns = powerBelow(Math.min(results, wanted));
  const rows = powerBelow(Math.min(length, target.invocations / columns));
  const groups = Math.ceil(results / columns);
  const most = Math.floor(length / (rows * fewestPerInvocation));
  const chunks = Math.min(Math.ceil(wantedGroups / groups), most);
  return {
    columns,
    rows,
    rowsFirst: !columnsContiguous,
    chunks: position || groups * 2 > wantedGroups || chunks < 2 ? 1 : chunks,
  };
}

/** The greatest power of two that is not above a number of at least 1. */
export function powerBelow(value: number): number {
  return 2 ** Math.floor(Math.log2(Math.max(1, value)));
}

/** A subgroup: fewer invocations leave lanes idle. The trees of 128 reductions at a time fit with so few. */
export const fewestRowInvocations = 32;

/** Invocations of a row's workgroup: as in reductions, but at least one subgroup. */
export function rowInvocations(length: number, target: GpuTarget): number {
  return Math.min(target.invocations, Math.max(fewestRowInvocations, powerBelow(length / fewestOfRow)));
}

/** Bytes of rows that are kept between phases; the rest is for trees. */
export function keptRowBytes(target: GpuTarget): number {
  return target.sharedBytes / 2;
}

/** Queries whose scores a workgroup computes together, so that keys and values are read once for all of them. */
const mostQueries = 8;
/** Scores and weights of one query are half of a workgroup's memory. */
const mostKeys = 1024;
/** Queries and one value of each are a small part of the rest. */
const mostDepth = 256;
/** True where attention is one kernel that keeps its scores in a workgroup's memory: wherever they fit. */
export function attentionPays(_queries: number, keys: number, depth: number): boolean {
  return keys <= mostKeys && depth <= mostDepth;
}

/** From what reads memory least to what fits a workgroup's memory in any case: queries together, and invocations. */
export function attentionSchedules(
  queries: number,
  keys: number,
  target: GpuTarget,
): readonly { readonly queries: number; readonly invocations: number }[] {
  const widest = Math.min(target.invocations, Math.max(fewestRowInvocations, powerBelow(keys)));
  const together = [8, 4, 2, 1].filter((count) => count <= Math.min(mostQueries, 2 * powerBelow(queries)));
  return [
    ...together.map((count) => ({ queries: count, invocations: widest })),
    { queries: 1, invocations: fewestRowInvocations },
  ];
}

/** A tile of a contraction: a workgroup computes rows × columns, each invocation a block of them. */
export interface TileSchedule {
  readonly rows: number;
  readonly columns: number;
  /** Summed elements that are staged at a time. */
  readonly inner: number;
  readonly blockRows: number;
  readonly blockColumns: number;
  /** Parts of the sum that workgroups of their own compute, and a second kernel adds. */
  readonly parts: number;
}

/**
 * From the largest; each needs about (rows + columns) × inner × 4 bytes and rows × columns / block invocations. Columns of a
 * block are read as vectors, rows one by one but the same for half a subgroup: a block of 8 × 8 then reads 12 times for 64
 * multiply-adds, one of 4 × 4 five times for 16.
 */
const tiles: readonly Omit<TileSchedule, 'parts'>[] = [
  { rows: 128, columns: 128, inner: 8, blockRows: 8, blockColumns: 8 },
  { rows: 64, columns: 64, inner: 16, blockRows: 4, blockColumns: 4 },
  { rows: 32, columns: 64, inner: 16, blockRows: 2, blockColumns: 4 },
  { rows: 64, columns: 32, inner: 16, blockRows: 4, blockColumns: 2 },
  { rows: 32, columns: 32, inner: 16, blockRows: 2, blockColumns: 2 },
  { rows: 16, columns: 64, inner: 16, blockRows: 1, blockColumns: 4 },
  { rows: 16, columns: 16, inner: 16, blockRows: 1, blockColumns: 1 },
];
/** Fewer rows or columns than this fill no tile: such a contraction is a reduction. */
export const fewestTiled = 5;
/** Fewer multiply-adds per result than this are read from the caches: nine taps took 103 ms staged on SwiftShader, 5 not. */
export const fewestStaged = 32;
/**
 * Summed elements of a part at least: a partial result is written and read again, eight bytes that take as long as about
 * eighty multiply-adds where memory moves a byte in the time of twenty operations.
 */
const fewestPerPart = 512;

/**
 * The tile that wastes least: padding beyond the edges, loads that multiply-adds do not cover, and workgroups too few to
 * fill the machine.
 */
export function tileSchedule(batch: number, rows: number, columns: number, inner: number): TileSchedule {
  let best: { tile: (typeof tiles)[number]; cost: number } | null = null;
  for (const tile of tiles) {
    const across = Math.ceil(rows / tile.rows);
    const along = Math.ceil(columns / tile.columns);
    const work = across * tile.rows * along * tile.columns;
    const loads = (tile.blockRows + tile.blockColumns / 4) / (tile.blockRows * tile.blockColumns);
    const idle = Math.max(1, wantedGroups / (batch * across * along * Math.max(1, Math.floor(inner / fewestPerPart))));
    const cost = work * (1 + loads) * Math.sqrt(idle);
    if (best === null || cost < best.cost) best = { tile, cost };
  }
  const { tile } = best!;
  const groups = batch * Math.ceil(rows / tile.rows) * Math.ceil(columns / tile.columns);
  const parts = Math.min(Math.ceil(wantedGroups / groups), Math.floor(inner / fewestPerPart));
  return { ...tile, parts: groups * 2 > wantedGroups || parts < 2 ? 1 : parts };
}

/** True where an invocation sums all elements of a result by itself. */
export function isShort(length: number): boolean {
  return length <= shortReduction;
}

/** Multiply-adds of a window that one invocation does by itself at most: a microsecond. */
const mostOfWindow = 512;

/** Columns of a workgroup that sums whole windows together. */
const mostGathered = 8;

/** True where a contraction is better computed by the group that reads its results a window at a time. */
export function windowPays(window: number, { windowed, others, inner, dtype }: WindowedProblem): boolean {
  if (window === 1) return true;
  if (isTiled(windowed, others, inner, dtype)) return false;
  return isShort(inner) ? window * inner <= mostOfWindow : window <= mostGathered && powerBelow(window) === window;
}

/** True where a contraction is computed in tiles; else it is a reduction. */
export function isTiled(rows: number, columns: number, inner: number, dtype: DType): boolean {
  const multiplies = dtype === 'f32' || dtype === 'i32' || dtype === 'u32';
  return multiplies && Math.min(rows, columns) >= fewestTiled && inner >= fewestStaged;
}

/** As for a reduction, with whole windows among the columns. */
export function windowedSchedule(
  windows: number,
  window: number,
  length: number,
  columnsContiguous: boolean,
  target: GpuTarget,
): ReductionSchedule {
  const plain = reductionSchedule(windows * window, length, { columnsContiguous, position: false }, target);
  const columns = Math.max(window, plain.columns);
  const rows = powerBelow(Math.min(length, target.invocations / columns));
  return { columns, rows, rowsFirst: !columnsContiguous, chunks: 1 };
}
