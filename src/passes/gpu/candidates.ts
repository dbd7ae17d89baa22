// Candidates on a GPU: everything that a contraction, a reduction, rows or attention could be instead of what they are untuned,
// within what WebGPU promises on every adapter, so that a record holds for modules of pages too.

import type { DType } from '../../ir/types.ts';
import { type Candidate, type Choose, ranked } from '../decision.ts';
import type { LoweringContext } from '../group.ts';
import {
  type AttentionSchedule,
  attentionCost,
  type BlockSchedule,
  blockCost,
  type GpuTarget,
  holdsWindows,
  mostQueries,
  multipliesInVectors,
  powerBelow,
  type ReductionSchedule,
  type RowSchedule,
  reductionCost,
  rowCost,
  type Tile,
  type TileSchedule,
  tileBytes,
  tileCost,
  tileInvocations,
} from './schedule.ts';

/** How a group is computed: plain data, as it stands in a tuning record. */
export type GpuChoice =
  | ({ readonly form: 'tiles' } & TileSchedule)
  | ({ readonly form: 'blocks' } & BlockSchedule)
  | ({ readonly form: 'reduction' } & ReductionSchedule)
  | ({ readonly form: 'rows' } & RowSchedule)
  | ({ readonly form: 'attention' } & AttentionSchedule);

type GpuCandidate = Candidate<GpuChoice>;

/** What lowering of a group on a GPU needs. */
export interface GpuContext extends LoweringContext {
  readonly choose: Choose<GpuChoice>;
}

/** Extents of a contraction: batch, rows, columns and summed elements. */
export type Extents = readonly [batch: number, rows: number, columns: number, inner: number];

const sides = [16, 32, 64, 128];
const blockSides = [4, 8];
const depths = [8, 16, 32, 64];
/** With the areas that they add their sums in. */
const slicings = [
  { slices: 1, areas: 0 },
  { slices: 2, areas: 1 },
  { slices: 4, areas: 2 },
  { slices: 8, areas: 2 },
  { slices: 16, areas: 4 },
];
/** A subgroup: fewer invocations leave lanes idle. */
const fewestInvocations = 32;
const mostParts = 16;
const vector = 4;

/** Tiles that a workgroup can compute: all invocations bring equally many whole vectors of both operands. */
function tilesWithin(target: GpuTarget): Tile[] {
  const found: Tile[] = [];
  for (const rows of sides)
    for (const columns of sides)
      for (const blockRows of blockSides)
        for (const blockColumns of blockSides)
          for (const inner of depths)
            for (const slicing of slicings) {
              const tile: Tile = { rows, columns, inner, blockRows, blockColumns, ...slicing };
              const invocations = tileInvocations(tile);
              const brings = (width: number): boolean => (width * inner) % (vector * invocations) === 0;
              const fits = invocations >= fewestInvocations && invocations <= target.invocations;
              if (fits && brings(rows) && brings(columns) && inner % (vector * tile.slices) === 0) found.push(tile);
            }
  return found;
}

/** Tiled schedules; `window`: rows come in windows of so many, which one invocation or one workgroup computes whole. */
export function tileCandidates(
  [batch, rows, columns, inner]: Extents,
  dtype: DType,
  target: GpuTarget,
  window = 1,
): GpuCandidate[] {
  if (!target.barriers || !multipliesInVectors(dtype)) return [];
  return tilesWithin(target)
    .filter((tile) => holdsWindows(tile, window))
    .flatMap((tile) => {
      const groups = batch * Math.ceil(rows / tile.rows) * Math.ceil(columns / tile.columns);
      const most = window > 1 ? 1 : Math.min(mostParts, Math.floor(inner / tile.inner));
      const parts = powers(1, Math.max(1, most));
      return ([1, 2] as const)
        .filter((stages) => tileBytes(tile, stages) <= target.sharedBytes)
        .flatMap((stages) =>
          parts.map((count): GpuCandidate => {
            const schedule: TileSchedule = { ...tile, stages, parts: count };
            return {
              choice: { form: 'tiles', ...schedule },
              cost: tileCost(schedule, groups, inner, target),
              tile: `tiles ${tile.rows} × ${tile.columns} in ${tile.blockRows} × ${tile.blockColumns}`,
            };
          }),
        );
    });
}

/** Schedules in blocks of registers. */
export function blockCandidates(extents: Extents, dtype: DType, target: GpuTarget): GpuCandidate[] {
  if (!multipliesInVectors(dtype)) return [];
  return [1, 2, 4, 8].flatMap((rows) =>
    [4, 8, 16].flatMap((columns) =>
      [32, 64, 128].map(
        (invocations): GpuCandidate => ({
          choice: { form: 'blocks', rows, columns, invocations },
          cost: blockCost({ rows, columns, invocations }, extents, target),
          tile: `blocks ${rows} × ${columns}`,
        }),
      ),
    ),
  );
}

/** What the choices about a reduction follow from. */
export interface ReductionProblem {
  readonly results: number;
  readonly length: number;
  /** A position has no partial results. */
  readonly position: boolean;
  /** Results of a window, all of which a workgroup has. */
  readonly window: number;
}

/** Reductions with workgroups of other shapes than the first choice's, and other numbers of partial results. */
export function reductionCandidates(
  { results, length, position, window }: ReductionProblem,
  first: ReductionSchedule,
  target: GpuTarget,
): GpuCandidate[] {
  const widest = 2 * powerBelow(Math.max(1, results * window - 1));
  const most = target.barriers ? powerBelow(Math.min(length, target.invocations)) : 1;
  const chunkings =
    position || window > 1 ? [1] : [...new Set([1, first.chunks, ...powers(2, Math.floor(length / 64))])];
  return powers(1, Math.min(target.invocations, widest)).flatMap((columns) =>
    powers(1, most)
      .filter((rows) => columns % window === 0 && rows * columns <= target.invocations)
      .filter((rows) => rows * columns >= Math.min(fewestInvocations, widest * most))
      .flatMap((rows) =>
        chunkings
          .filter((chunks) => chunks * rows <= length)
          .map((chunks): GpuCandidate => {
            const schedule: ReductionSchedule = { columns, rows, rowsFirst: first.rowsFirst && rows > 1, chunks };
            return {
              choice: { form: 'reduction', ...schedule },
              cost: reductionCost(schedule, results * window, length, target),
              tile: `reduction ${columns} × ${rows}`,
            };
          }),
      ),
  );
}

/**
 * Everything that a contraction could be; `first` is what it is untuned, `reduction` what it would be as a reduction, which it
 * has to be where the memory of workgroups is not all its own.
 */
export function contractionCandidates(
  first: GpuChoice,
  extents: Extents,
  dtype: DType,
  reduction: ReductionSchedule,
  hasMemory: boolean,
  target: GpuTarget,
): GpuCandidate[] {
  const [batch, rows, columns, inner] = extents;
  const problem = { results: batch * rows * columns, length: inner, position: false, window: 1 };
  return ranked(first, [
    ...(hasMemory ? tileCandidates(extents, dtype, target) : []),
    ...(hasMemory ? blockCandidates(extents, dtype, target) : []),
    ...reductionCandidates(problem, reduction, target),
  ]);
}

/** Workgroups of rows of a length. */
export function rowCandidates(
  first: RowSchedule,
  extents: readonly [rows: number, length: number],
  target: GpuTarget,
): GpuCandidate[] {
  const sizes = powers(fewestInvocations, target.invocations);
  const candidates = sizes.flatMap((invocations) =>
    [true, false].map((keeps): GpuCandidate => {
      const cost = rowCost({ invocations, keeps }, extents, target);
      return { choice: { form: 'rows', invocations, keeps }, cost, tile: `rows ${invocations}` };
    }),
  );
  return ranked<GpuChoice>({ form: 'rows', ...first }, candidates);
}

/** Queries together and invocations that fit a workgroup's memory: the more queries, the fewer times keys are read. */
export function attentionCandidates(
  first: AttentionSchedule,
  extents: Parameters<typeof attentionCost>[1],
  fits: (schedule: AttentionSchedule) => boolean,
  target: GpuTarget,
): GpuCandidate[] {
  const candidates = powers(1, Math.min(mostQueries, 2 * powerBelow(extents.query))).flatMap((together) =>
    powers(fewestInvocations, target.invocations)
      .map((invocations): AttentionSchedule => ({ queries: together, invocations }))
      .filter(fits)
      .map((schedule): GpuCandidate => {
        const cost = attentionCost(schedule, extents, target);
        return { choice: { form: 'attention', ...schedule }, cost, tile: `attention ${together}` };
      }),
  );
  return ranked<GpuChoice>({ form: 'attention', ...first }, candidates);
}

/** Powers of two from one to another number. */
function powers(from: number, to: number): number[] {
  const found: number[] = [];
  for (let power = from; power <= to; power *= 2) found.push(power);
  return found;
}
