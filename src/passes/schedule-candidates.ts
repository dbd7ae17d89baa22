// Candidates on a CPU: everything that a contraction could do instead of what it does untuned, ranked by estimated cost.

import type { Candidate } from './decision.ts';
import {
  type ColumnSharing,
  type ContractionSchedule,
  contractionSchedule,
  type DepthwiseSchedule,
  type DirectSchedule,
  depthwiseSchedule,
  directScheduleOf,
  directTiles,
  mostTileRows,
  type ProductExtents,
  packedCost,
  type ScheduleTarget,
  type StreamedSchedule,
  sharedColumns,
} from './schedule.ts';

/** A matrix product with both operands packed into panels. */
export interface PackedSchedule extends ContractionSchedule, ColumnSharing {
  /** True: the right operand's columns are the rows of the register tile. */
  readonly swapped: boolean;
  /** True: rows are read where they lie. */
  readonly inPlace: boolean;
}

/** How one contraction is computed: plain data, as it stands in a tuning record. */
export type ContractionChoice =
  | { readonly form: 'reduction' }
  | ({ readonly form: 'depthwise' } & DepthwiseSchedule)
  | ({ readonly form: 'direct' } & DirectSchedule)
  | ({ readonly form: 'bytes' } & DirectSchedule)
  | ({ readonly form: 'streamed' } & StreamedSchedule)
  | ({ readonly form: 'winograd' } & DirectSchedule)
  | ({ readonly form: 'packed' } & PackedSchedule);

/** Bytes of a panel's weights between two uses: from the first-level cache's share to more than the second level holds. */
const weightBlocks = [262_144, 131_072, 65_536, 1_048_576];
/** Tiles of one task: fewer spread better over threads, more use a panel's weights more often. */
const taskTiles = [16, 8, 32];

/** Direct schedules of `inner` summed elements, times `batch`. */
export function directCandidates(
  form: 'direct' | 'bytes' | 'winograd',
  features: number,
  pixels: number,
  summed: number,
  elementBytes: number,
  target: ScheduleTarget,
): Candidate<ContractionChoice>[] {
  return directTiles(features, pixels, elementBytes, target).flatMap((tile) =>
    weightBlocks.flatMap((bytes) =>
      taskTiles.map((together): Candidate<ContractionChoice> => {
        const schedule = directScheduleOf(tile, elementBytes, target, bytes, together);
        return {
          choice: { form, ...schedule },
          cost: tile.cost * summed,
          tile: `${form} ${tile.vectors} × ${tile.pixels}`,
        };
      }),
    ),
  );
}

/** Summed elements of a block: near the whole first-level cache at one end, near half of the second at the other. */
const innerBlocks = [320, 128, 192, 256, 512, 768];
/** Parts of the rows that a task could take, for more tasks than threads and for less scratch. */
const rowParts = [1, 2, 4];

/** Packed schedules of a product; `swapped` says which operand the rows are. */
export function packedCandidates(
  extents: ProductExtents,
  { swapped, mayLieInPlace }: { readonly swapped: boolean; readonly mayLieInPlace: boolean },
  elementBytes: number,
  target: ScheduleTarget,
): Candidate<ContractionChoice>[] {
  const { rows, columns, inner, tasks } = extents;
  const first = contractionSchedule(rows, inner, columns, elementBytes, target);
  const blocks = [
    ...new Set([first.innerBlock, ...innerBlocks.map((block) => Math.ceil(inner / Math.ceil(inner / block)))]),
  ];
  const candidates: Candidate<ContractionChoice>[] = [];
  for (let columnVectors = 1; columnVectors <= 4; columnVectors++) {
    for (let rowTile = Math.min(rows, mostTileRows(columnVectors, target)); rowTile >= 2; rowTile--) {
      const tiles = Math.ceil(rows / rowTile);
      const width = first.lanes * columnVectors;
      const panels = Math.ceil(columns / width);
      const most = Math.max(1, Math.floor((first.rowBlock * first.columnVectors) / columnVectors / rowTile));
      for (const innerBlock of blocks) {
        const blockedInner = Math.ceil(inner / innerBlock) * innerBlock;
        const bytes = tasks * blockedInner * panels * width * elementBytes;
        const sharing = sharedColumns({ ...first, rowTile, columnVectors, innerBlock }, rows, panels, bytes);
        const alone = rowParts.map((part): ColumnSharing => {
          const rowBlock = Math.max(1, Math.ceil(Math.min(tiles, most) / part)) * rowTile;
          return { sharesColumns: false, panelsPerTask: 1, rowBlock };
        });
        for (const shared of sharing.sharesColumns ? [sharing, ...alone] : alone) {
          for (const inPlace of mayLieInPlace && inner % innerBlock === 0 ? [false, true] : [false]) {
            const schedule: PackedSchedule = {
              ...first,
              rowTile,
              columnVectors,
              innerBlock,
              ...shared,
              swapped,
              inPlace,
            };
            candidates.push({
              choice: { form: 'packed', ...schedule },
              cost: packedCost(extents, schedule, target),
              tile: `packed ${swapped ? 'swapped ' : ''}${rowTile} × ${columnVectors}${inPlace ? ' in place' : ''}`,
            });
          }
        }
      }
    }
  }
  return candidates;
}

/** Depthwise schedules: fewer vectors, shorter tiles and narrower lanes than the first choice's. */
export function depthwiseCandidates(
  channels: number,
  rowPixels: number,
  work: number,
  elementBytes: number,
  target: ScheduleTarget,
): Candidate<ContractionChoice>[] {
  const first = depthwiseSchedule(channels, rowPixels, elementBytes, target);
  if (first === null) return [];
  const candidates: Candidate<ContractionChoice>[] = [];
  for (const lanes of [first.lanes, first.lanes / 2]) {
    for (const vectors of [1, 2, 3, 4]) {
      if (lanes < 4 || channels % (lanes * vectors) !== 0) continue;
      for (let tile = Math.min(14, rowPixels, Math.floor(target.accumulators / vectors)); tile >= 1; tile--) {
        const padded = (Math.ceil(rowPixels / tile) * tile) / rowPixels;
        const loads = (vectors + tile * vectors) / (2 * tile * vectors) + 0.5;
        candidates.push({
          choice: { form: 'depthwise', lanes, vectors, tile },
          cost: (work / lanes) * padded * loads * (1 + 1 / (vectors * tile)),
          tile: `depthwise ${lanes} × ${vectors} × ${tile}`,
        });
      }
    }
  }
  return candidates;
}
