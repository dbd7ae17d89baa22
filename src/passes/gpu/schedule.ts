// Schedules for GPUs: every decision about workgroups, tiles and stages, as data. The limits are those that WebGPU
// promises on every adapter; what a better adapter offers is not needed by any of these.

import type { DType } from '../../ir/types.ts';
import { bytesPerElement } from '../../ir/types.ts';
import type { WindowedProblem } from '../machine.ts';
import { cardLoops, type LoopCosts, softwareLoops } from './schedule-loops.ts';

export interface GpuTarget {
  /** Most invocations of a workgroup. */
  readonly invocations: number;
  /** Bytes of memory that a workgroup shares. */
  readonly sharedBytes: number;
  /** Invocations that fill the machine: fewer leave it idle. */
  readonly wanted: number;
  /** True: invocations that run together can combine values without shared memory. */
  readonly subgroups: boolean;
  /** False: no kernel has invocations that wait for each other or share memory. */
  readonly barriers: boolean;
  /** Bytes that a loop in one kernel may keep for a workgroup: as many as the device has. */
  readonly loopBytes: number;
  readonly loops: LoopCosts;
}

/** WebGPU's default limits; 16,384 invocations are eight per lane of a small GPU and a sixteenth of the largest. */
export const defaultGpu: GpuTarget = {
  invocations: 256,
  sharedBytes: 16_384,
  wanted: 16_384,
  subgroups: false,
  barriers: true,
  loopBytes: 16_384,
  loops: cardLoops,
};

/**
 * An adapter that computes on the processor's cores, as browsers have where there is no GPU: 16 cores with vectors of four
 * are busy with 64 invocations. In a kernel with barriers SwiftShader gives each four invocations a stack of their own: 8 µs
 * before anything is computed, and 1.5 µs for every barrier. A product of 256 × 256 × 256 takes 560 ms in tiles, 35 in blocks
 * of registers, and its pipeline is made in 0.1 s instead of 4.
 */
export const softwareGpu: GpuTarget = { ...defaultGpu, wanted: 64, barriers: false, loops: softwareLoops };

/** What kernels are made for where no device is there to say it. */
export type GpuKind = 'card' | 'software';
export const gpuTargets: Readonly<Record<GpuKind, GpuTarget>> = { card: defaultGpu, software: softwareGpu };

/** Offsets of buffer bindings are multiples of this (minStorageBufferOffsetAlignment of every adapter). */
export const bindingAlignment = 256;

/** i8, u8, bool and f16 take four bytes in memory that kernels write: two invocations cannot write bytes of one word. */
export const gpuBytes: Readonly<Record<DType, number>> = { ...bytesPerElement, i8: 4, u8: 4, bool: 4, f16: 4 };

/** Invocations of a subgroup at least, on any device. */
export const fewestOfSubgroup = 4;

/** Invocations of a workgroup that runs over elements: four times the widest subgroup of 64. */
export const elementInvocations = 256;

/**
 * Elements from which on an invocation takes four of them. Memory is then asked a quarter as often, for 16 bytes at a time;
 * with fewer elements, four times fewer invocations would not fill the machine.
 */
export const fewestVectorised = 4 * defaultGpu.wanted;

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
/** With few results fewer, so that workgroups fill a machine: runs of 16 bytes are half of what memory gives at once. */
const fewestColumns = 4;
/** Elements of a row that an invocation takes at least: a tree over fewer is mostly tree, so several rows share a workgroup. */
const fewestOfRow = 8;
/** Elements that an invocation takes from a chunk at least: below, the second kernel costs more than the first saves. */
const fewestPerInvocation = 16;
/** Elements of an invocation in one kernel at most: as many reads in turn, some under way together, take as long as a kernel. */
const mostPerInvocation = 64;
/** Workgroups that fill a machine. */
const wantedGroups = 128;

/** `columnsContiguous`: neighbouring results read neighbouring elements. `position`: it has no partial results. */
export function reductionSchedule(
  results: number,
  length: number,
  { columnsContiguous, position }: { readonly columnsContiguous: boolean; readonly position: boolean },
  target: GpuTarget,
): ReductionSchedule {
  const alone = { columns: powerBelow(Math.min(results, elementInvocations / 4)), rows: 1, rowsFirst: false };
  if (!target.barriers) return { ...alone, chunks: position ? 1 : chunksAlone(results, length) };
  if (length <= shortReduction || (columnsContiguous && results >= target.wanted)) return { ...alone, chunks: 1 };
  const filling = Math.max(fewestColumns, (2 * results) / wantedGroups);
  const wanted = columnsContiguous
    ? Math.min(reductionColumns, powerBelow(filling))
    : (target.invocations * fewestOfRow) / powerBelow(length);
  const columns = powerBelow(Math.min(results, wanted));
  const rows = powerBelow(Math.min(length, target.invocations / columns));
  const groups = Math.ceil(results / columns);
  const each = length / rows;
  const most = each <= mostPerInvocation ? 1 : Math.floor(each / fewestPerInvocation);
  const chunks = Math.min(Math.ceil(wantedGroups / groups), most);
  return {
    columns,
    rows,
    rowsFirst: !columnsContiguous,
    chunks: position || groups * 2 >= wantedGroups || chunks < 2 ? 1 : chunks,
  };
}

/** Elements that an invocation reduces alone in the time of a second kernel, some 50 µs. */
const longestAlone = 4096;
/** Partial results of more would fill the caches. */
const mostChunked = 1024;

/** Chunks that keep all cores busy, as many as they have elements: a sum in two chains of equal length is rounded least. */
function chunksAlone(results: number, length: number): number {
  return length <= longestAlone || results > mostChunked ? 1 : Math.ceil(Math.sqrt(length));
}

/** Elements along which an invocation walks alone; with longer lines, only where there are lines for a quarter of the machine. */
const shortScan = 256;
/** Elements of an invocation's run: two walks of sixteen take as long as what they wait for, sixteen barriers. */
const longestRun = 16;

/** How a running result along a line is cut: invocations of a workgroup and elements of each. Null: one invocation for each line. */
export function scanSchedule(
  lines: number,
  length: number,
  target: GpuTarget,
): { readonly invocations: number; readonly run: number } | null {
  if (!target.barriers || length <= shortScan || lines >= target.wanted / 4) return null;
  const { invocations } = target;
  return { invocations, run: Math.min(longestRun, Math.ceil(length / invocations)) };
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

/** A row that would fill less than a quarter of its workgroup is worth it where there are few: a kernel is saved each time. */
const shortestRow = 8;
const shortestOfMany = 48;
const manyRows = 4096;
/** A longer row is better shared out to many workgroups, unless there are many rows. */
const longestFewRows = 8192;
const longestRow = 65_536;
const fewRows = 16;

/** True where so many rows are better computed by a workgroup each than each step for all. */
export function rowsPay(length: number, count: number): boolean {
  const shortest = count > manyRows ? shortestOfMany : shortestRow;
  return length >= shortest && length <= (count >= fewRows ? longestRow : longestFewRows);
}

/** Bytes of rows that are kept between phases; the rest is for trees. */
export function keptRowBytes(target: GpuTarget): number {
  return target.sharedBytes / 2;
}

/** A workgroup of a row; `keeps`: what a later phase reads again is kept, where it fits. */
export interface RowSchedule {
  readonly invocations: number;
  readonly keeps: boolean;
}

/** Queries that a workgroup takes through all keys. */
export interface AttentionSchedule {
  readonly queries: number;
  readonly invocations: number;
}

/** Queries whose scores a workgroup computes together, so that keys and values are read once for all of them. */
export const mostQueries = 8;
/** Scores and weights of one query are half of a workgroup's memory. */
const mostKeys = 1024;
/** Queries and one value of each are a small part of the rest. */
const mostDepth = 256;
/** True where attention is one kernel: scores fit a workgroup's memory, or a softmax of them comes in tiles of keys. */
export function attentionPays(
  _queries: number,
  keys: number,
  depth: number,
  channels: number,
  isSoftmax: boolean,
): boolean {
  return depth <= mostDepth && (keys <= mostKeys || (isSoftmax && channels <= mostTiledChannels));
}

/** Keys from which on they come in tiles. */
export const comesInTiles = (keys: number): boolean => keys > mostKeys;
/** Channels of which an invocation keeps one sum for each query: one for each of a tile's invocations. */
const mostTiledChannels = 128;
/**
 * A tile: an invocation for each key. Weights of a tile, trees and queries of so many take 4 · (128 + 128 + 256) · 4 bytes, half
 * of a workgroup's memory, so that two workgroups fit where one would.
 */
export const attentionTile = { queries: 4, keys: 128 } as const;

/** From what reads memory least to what fits a workgroup's memory in any case: queries together, and invocations. */
export function attentionSchedules(queries: number, keys: number, target: GpuTarget): readonly AttentionSchedule[] {
  const widest = Math.min(target.invocations, Math.max(fewestRowInvocations, powerBelow(keys)));
  const together = [8, 4, 2, 1].filter((count) => count <= Math.min(mostQueries, 2 * powerBelow(queries)));
  return [
    ...together.map((count) => ({ queries: count, invocations: widest })),
    { queries: 1, invocations: fewestRowInvocations },
  ];
}

/**
 * Sums of an invocation that reads its operands itself: four elements and two vectors for 32 multiply-adds. A product of
 * 256 × 256 × 256 took 31 ms in blocks of 4 × 4, 28 in 8 × 4, and 25 in 4 × 8.
 */
export function blockOf(columns: number): BlockSchedule {
  return { rows: 4, columns: columns <= 4 ? 4 : 8, invocations: blockInvocations };
}
/** Small workgroups are shared out evenly among cores. */
const blockInvocations = 32;

/** A block of an invocation's sums, and invocations of a workgroup at most. */
export interface BlockSchedule {
  readonly rows: number;
  readonly columns: number;
  readonly invocations: number;
}

export type Tile = Omit<TileSchedule, 'stages' | 'parts'>;

/** A tile of a contraction: a workgroup computes rows × columns, each invocation a block of them. */
export interface TileSchedule {
  readonly rows: number;
  readonly columns: number;
  /** Summed elements that are staged at a time. */
  readonly inner: number;
  readonly blockRows: number;
  readonly blockColumns: number;
  /** Invocations that share a block, each with its part of what is staged; their sums are added in shared memory. */
  readonly slices: number;
  /** Tiles of sums that shared memory holds, of as many slices as add theirs at the same time. */
  readonly areas: number;
  /** 2: the next block is read while this one is multiplied, which takes twice the memory. */
  readonly stages: 1 | 2;
  /** Parts of the sum that workgroups of their own compute, and a second kernel adds. */
  readonly parts: number;
}

/**
 * From the largest. Each needs (rows + columns) × inner × 4 bytes, 16 KB the first, and rows × columns / block invocations. All
 * reads are vectors of four: a block of R × C takes (R + C) of them for 4 · R · C multiply-adds, so 8 × 8 one for 16, 8 × 4 one
 * for 10.7, 4 × 4 one for 8. docs/webgpu.md has what follows from that on a card. The last ones are for few results with long
 * sums: slices fill a workgroup with blocks of the same size.
 */
const tiles: readonly Tile[] = [
  { rows: 128, columns: 128, inner: 16, blockRows: 8, blockColumns: 8, slices: 1, areas: 0 },
  { rows: 64, columns: 64, inner: 16, blockRows: 8, blockColumns: 4, slices: 1, areas: 0 },
  { rows: 32, columns: 64, inner: 16, blockRows: 4, blockColumns: 4, slices: 1, areas: 0 },
  { rows: 64, columns: 32, inner: 16, blockRows: 4, blockColumns: 4, slices: 1, areas: 0 },
  { rows: 32, columns: 32, inner: 16, blockRows: 4, blockColumns: 4, slices: 1, areas: 0 },
  { rows: 16, columns: 64, inner: 16, blockRows: 4, blockColumns: 4, slices: 1, areas: 0 },
  { rows: 64, columns: 16, inner: 16, blockRows: 4, blockColumns: 4, slices: 1, areas: 0 },
  { rows: 16, columns: 32, inner: 16, blockRows: 4, blockColumns: 4, slices: 1, areas: 0 },
  { rows: 16, columns: 64, inner: 32, blockRows: 4, blockColumns: 4, slices: 2, areas: 1 },
  { rows: 64, columns: 16, inner: 32, blockRows: 4, blockColumns: 4, slices: 2, areas: 1 },
  { rows: 32, columns: 32, inner: 32, blockRows: 4, blockColumns: 4, slices: 4, areas: 2 },
  { rows: 16, columns: 32, inner: 64, blockRows: 4, blockColumns: 4, slices: 8, areas: 2 },
  { rows: 16, columns: 16, inner: 64, blockRows: 4, blockColumns: 4, slices: 16, areas: 4 },
];
/** Fewer rows or columns than this fill no tile: such a contraction is a reduction. */
export const fewestTiled = 5;
/** Fewer multiply-adds per result than this are read from the caches: nine taps took 103 ms staged on SwiftShader, 5 not. */
export const fewestStaged = 32;
/** Summed elements of a part at least. */
const fewestPerPart = 512;
/**
 * A partial result is written and read again: eight bytes, which take as long as about eighty multiply-adds where memory
 * moves a byte in the time of twenty operations.
 */
const partCost = 80;
/** What a second kernel costs by itself: 2.7 µs of the multiply-adds of a card with so many processors to fill, 25 · 10¹² a second. */
const kernelCost = 2 ** 26;
/** A vector from shared memory takes the time of about four multiply-adds, an element from memory into it that of two. */
const loadCost = 4;
const stagingCost = 2;

/** A slice puts its sums into shared memory, or adds them to what is there: two vectors for four. */
const sliceCost = 2;
/** An estimate that promises less than this for parts is no reason for another kernel and its memory, which are certain. */
const leastPartsGain = 1.25;

/**
 * The tile, with its parts, that wastes least: padding beyond the edges, reads that multiply-adds do not cover, sums of
 * slices, partial results, and workgroups too few to fill the machine.
 */
export function tileSchedule(
  batch: number,
  rows: number,
  columns: number,
  inner: number,
  target: GpuTarget,
  window = 1,
): TileSchedule {
  const costed = tiles
    .filter((tile) => holdsWindows(tile, window))
    .flatMap((tile) => {
      const groups = batch * Math.ceil(rows / tile.rows) * Math.ceil(columns / tile.columns);
      const most = Math.min(Math.ceil(wantedGroups / groups), Math.floor(inner / fewestPerPart));
      return (most < 2 || window > 1 ? [1] : [1, most]).map((parts) => {
        const schedule: TileSchedule = { ...tile, stages: stagesOf(tile, groups * parts, target), parts };
        return { schedule, cost: tileCost(schedule, groups, inner, target) };
      });
    });
  return costed.reduce((best, next) => (next.cost < best.cost ? next : best)).schedule;
}

/** Estimated multiply-adds of so many tiles and of what adds their parts. */
export function tileCost(schedule: TileSchedule, groups: number, inner: number, target: GpuTarget): number {
  const cost = costOf(schedule, groups, inner, target);
  return schedule.parts === 1 ? cost : leastPartsGain * (cost + kernelCost);
}

/** True where windows of so many rows are whole in what computes them: an invocation's block, or the tile. */
export function holdsWindows({ rows, blockRows, slices }: Tile, window: number): boolean {
  return (slices === 1 ? blockRows : rows) % window === 0;
}

/** Of so many tiles, in multiply-adds. */
function costOf(schedule: TileSchedule, count: number, length: number, target: GpuTarget): number {
  const { rows, columns, blockRows, blockColumns, slices, areas, parts } = schedule;
  const inner = Math.ceil(length / schedule.inner) * schedule.inner;
  const block = blockRows * blockColumns;
  const results = count * rows * columns;
  const reads = (loadCost * (blockRows + blockColumns)) / (4 * block);
  const staging = stagingCost * (1 / rows + 1 / columns);
  const partial = parts === 1 ? 0 : (partCost * parts) / inner;
  const turns = slices === 1 ? 0 : (sliceCost * slices * slices) / areas;
  const invocations = (results * parts * slices) / block;
  const idle = Math.max(1, wantedGroups / (count * parts), target.wanted / invocations);
  return results * (inner * (1 + reads + staging + partial) + turns) * idle;
}

/** Up to this many workgroups a processor of a large card has one at a time, and nothing else to do while that waits. */
const fewGroups = 2 * wantedGroups;

function stagesOf(tile: Tile, groups: number, target: GpuTarget): 1 | 2 {
  return groups <= fewGroups && tileBytes(tile, 2) <= target.sharedBytes ? 2 : 1;
}

/** Bytes of a workgroup's memory: what is staged, and the sums of slices. */
export function tileBytes({ rows, columns, inner, slices, areas }: Tile, stages: number): number {
  return 4 * (stages * (rows + columns) * inner + (slices === 1 ? 0 : areas * rows * columns));
}

/** Invocations of a tile's workgroup. */
export const tileInvocations = ({ rows, columns, blockRows, blockColumns, slices }: Tile): number =>
  ((rows * columns) / (blockRows * blockColumns)) * slices;

/** An element from the caches, which nobody shares: as long as so many multiply-adds. */
const readCost = 8;
/** Elements that memory gives at once, 32 bytes: fewer neighbours side by side leave some unused. */
const fewestNeighbours = 8;

/** Estimated multiply-adds of reducing `results` times `length` elements. */
export function reductionCost(
  { columns, rows, rowsFirst, chunks }: ReductionSchedule,
  results: number,
  length: number,
  target: GpuTarget,
): number {
  const groups = Math.ceil(results / columns) * chunks;
  const neighbours = target.barriers ? Math.min(fewestNeighbours, rowsFirst ? rows : columns) : fewestNeighbours;
  const idle = Math.max(1, target.wanted / (groups * columns * rows), target.barriers ? wantedGroups / groups : 1);
  const padded = Math.ceil(length / (rows * chunks)) * rows * chunks;
  const reads = (groups / chunks) * columns * padded * readCost * (fewestNeighbours / neighbours);
  const second = target.barriers ? kernelCost : longestAlone * readCost * target.wanted;
  return reads * idle + (chunks === 1 ? 0 : second);
}

/** An element of a row: what is computed of it, in multiply-adds. */
const rowWork = 16;
/** A row that keeps nothing computes expensive values again. */
const againCost = 1.5;

/** Estimated multiply-adds of so many rows of a length. */
export function rowCost(
  { invocations, keeps }: RowSchedule,
  [rows, length]: readonly [number, number],
  target: GpuTarget,
): number {
  const padded = Math.ceil(length / invocations) * invocations;
  const idle = Math.max(1, wantedGroups / rows, target.wanted / (rows * invocations));
  return rows * padded * rowWork * (keeps ? 1 : againCost) * idle;
}

/** Estimated multiply-adds of attention: keys and values are read once for the queries of a workgroup. */
export function attentionCost(
  { queries, invocations }: AttentionSchedule,
  { batch, query, key, depth, channel }: Record<'batch' | 'query' | 'key' | 'depth' | 'channel', number>,
  target: GpuTarget,
): number {
  const groups = batch * Math.ceil(query / queries);
  const idle = Math.max(1, wantedGroups / groups, target.wanted / (groups * invocations));
  return groups * key * (depth + channel) * (queries + readCost) * idle;
}

/** Estimated multiply-adds of blocks in registers: a row's element and a vector of columns are one read each. */
export function blockCost(
  block: BlockSchedule,
  [batch, rows, columns, inner]: readonly [number, number, number, number],
  target: GpuTarget,
): number {
  const blocks = batch * Math.ceil(rows / block.rows) * Math.ceil(columns / block.columns);
  const reads = readCost * (block.rows + block.columns / 4);
  const idle = Math.max(
    1,
    target.wanted / blocks,
    target.barriers ? wantedGroups / Math.ceil(blocks / block.invocations) : 1,
  );
  return blocks * inner * (block.rows * block.columns + reads) * idle;
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
  if (isTiled(windowed, others, inner, dtype)) return tiles.some((tile) => holdsWindows(tile, window));
  return isShort(inner) ? window * inner <= mostOfWindow : window <= mostGathered && powerBelow(window) === window;
}

/** Elements that all workgroups of a contraction read again at most, and one of them: 256 for each of its invocations. */
const mostComputedAgain = 2 ** 22;
const mostOfOperand = 2 ** 16;

/** True where each workgroup of a thin contraction may compute an operand of so many values, each of `work` elements. */
export function operandPays(
  values: number,
  work: number,
  { batch, windowed, others, inner, dtype }: WindowedProblem,
): boolean {
  const isThin = batch === 1 && !isTiled(windowed, others, inner, dtype) && !isShort(inner);
  const groups = Math.ceil((windowed * others) / reductionColumns);
  const fits = values * gpuBytes[dtype] * 2 <= defaultGpu.sharedBytes;
  return isThin && fits && values * work <= mostOfOperand && values * work * groups <= mostComputedAgain;
}

/** True where a contraction is computed in tiles; else it is a reduction. */
export function isTiled(rows: number, columns: number, inner: number, dtype: DType): boolean {
  return multipliesInVectors(dtype) && Math.min(rows, columns) >= fewestTiled && inner >= fewestStaged;
}

/** True where tiles and blocks can be computed at all: WGSL has vectors of these. */
export const multipliesInVectors = (dtype: DType): boolean => dtype === 'f32' || dtype === 'i32' || dtype === 'u32';

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
