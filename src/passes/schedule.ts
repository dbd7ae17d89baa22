// Schedules: every decision about how a loop nest runs, as data. Lowering asks this file and nothing else; a
// schedule can be printed, kept in a tuning record and searched over (schedule-candidates.ts).

/** What decisions depend on: a processor as a register tile sees it. */
export interface ScheduleTarget {
  /** Bytes of a vector register. */
  readonly vectorBytes: number;
  /** Vector registers that sums and operands of a tile may take. */
  readonly registers: number;
  /** True where compilers load the scalars of all rows before the first product: each then takes a register. */
  readonly hoistsScalars: boolean;
  /** Most sums of a packed tile, and vectors of columns beside one another in it. */
  readonly accumulators: number;
  readonly columnVectors: number;
  /** Multiply-adds that could begin in the time of a vector's load, and of a scalar's load into all lanes. */
  readonly loadCost: number;
  readonly broadcastCost: number;
  /** Where programs for several processors share constants: the widest, for which forms and panels are chosen; tiles cover a part. */
  readonly widest?: ScheduleTarget;
  /** True: panels of narrow weights are as wide as what is computed. JavaScript prepares them where it runs. */
  readonly widensPanels?: boolean;
}

/** Names of processors. */
export type CpuName = 'x86-64-v4' | 'x86-64-v3' | 'armv8' | 'plain' | 'scalar';

/**
 * The processors that code is scheduled for, the widest vectors first. AVX-512: two load ports broadcast, one loads a whole register. AVX2: two loads and two
 * multiply-adds a cycle. NEON: as many loads for up to four multiply-adds; gcc 12 spills sums of a tile of 4 × 6. Plain C with
 * 128-bit vectors: SSE2 has 16 registers and no fused multiply-add, so one of them holds a product.
 */
export const targets: Readonly<Record<CpuName, ScheduleTarget>> = {
  'x86-64-v4': {
    vectorBytes: 64,
    registers: 32,
    hoistsScalars: false,
    accumulators: 24,
    columnVectors: 2,
    loadCost: 1,
    broadcastCost: 0.5,
  },
  'x86-64-v3': {
    vectorBytes: 32,
    registers: 16,
    hoistsScalars: false,
    accumulators: 12,
    columnVectors: 2,
    loadCost: 1,
    broadcastCost: 1,
  },
  armv8: {
    vectorBytes: 16,
    registers: 32,
    hoistsScalars: true,
    accumulators: 20,
    columnVectors: 4,
    loadCost: 2,
    broadcastCost: 2,
  },
  plain: {
    vectorBytes: 16,
    registers: 15,
    hoistsScalars: false,
    accumulators: 12,
    columnVectors: 2,
    loadCost: 1,
    broadcastCost: 1,
  },
  // For compilers without vectors.
  scalar: {
    vectorBytes: 0,
    registers: 12,
    hoistsScalars: false,
    accumulators: 8,
    columnVectors: 2,
    loadCost: 1,
    broadcastCost: 1,
  },
};

/** JavaScript: scalars in 16 registers, some of which hold indices; what is loaded is converted, so reuse pays. */
export const scriptTarget: ScheduleTarget = { ...targets.scalar, widensPanels: true };

export const defaultTarget: ScheduleTarget = targets['x86-64-v4'];

/** Elements in a vector of the target; 1 where it has no vectors. */
export const lanesOf = ({ vectorBytes }: ScheduleTarget, elementBytes: number): number =>
  Math.max(1, vectorBytes / elementBytes);

/** The target whose form and panels a contraction has. */
export const formTarget = (target: ScheduleTarget): ScheduleTarget => target.widest ?? target;

/** A loop over fewer elements than this stays on one thread: waking a team costs about as much as 20,000 additions. */
export const parallelThreshold = 24_576;

/**
 * Sharing among threads, in cycles of one thread by estimate (work.ts). To open a team takes about 500 ns where its threads
 * still spin, and 50 µs where they sleep; a wait 100 to 200 ns on two threads, so a loop that is shared has to take more than
 * that by a factor; to take a task 10 ns.
 */
export const leastSharedByProgram = 30_000;
export const leastShared = 6000;
export const leastTask = 2000;
/** So many tasks keep any number of cores even; larger ones take fewer steps through the counters. */
export const mostTasks = 512;
/** Cycles of exp and its kin, and elements that a loop in lanes takes in a cycle. */
export const cyclesOfSlowOp = 20;
export const lanesInEstimate = 8;
/** Accesses of memory among which a wait is looked for: beyond them a launch waits, which costs less than to compare. */
export const mostOpenAccesses = 256;
/** Threads of a team, for which counters lie on the stack: 64 bytes each. */
export const mostThreads = 256;
/** A thread that waits looks so often (25 µs) before it offers its core to others at every look. */
export const spinsBeforeYield = 1000;

/** A condition that stands before a piece of work instead of in it hides at least so many loads: one more branch, and the code twice. */
export const fewestHidden = 16;
/** Each doubles the code of what is inside. */
export const mostNestedSplits = 2;

/** Elements that one thread takes at a time from a flat loop: half a first-level cache of f32 operands. */
export const flatBlock = 4096;

/** Columns that one accumulator row covers when the contiguous axis is not reduced: 64 f32 are four AVX-512 registers. */
export const columnBlock = 64;

/** Bytes of a row's intermediate values that a kernel by rows keeps on the stack: with the row itself, near a core. */
export const rowBytes = 65_536;

/** A reduction to few elements is split into this many partial results when it is long. */
export const partialChunks = 64;
export const partialThreshold = 65_536;

export interface ContractionSchedule {
  /** Rows of the register tile; each is broadcast against `columnVectors` vectors of the packed columns. */
  readonly rowTile: number;
  readonly lanes: number;
  readonly columnVectors: number;
  /** Inner indices packed at a time: the panel of innerBlock × columns stays in the first-level cache or near it. */
  readonly innerBlock: number;
  /** Rows that one task accumulates. */
  readonly rowBlock: number;
}

/** First-level cache holds the packed panel: 320 × 32 f32 are 40 KB, streamed against 320 × 12 rows. */
const innerBlockTarget = 320;
const mostInnerBlock = 400;
const fewestInnerBlock = 160;
/** f32 cells of a task's accumulator scratch: rows × columns of the panel, 64 KB. */
const scratchCells = 16_384;

/** Contractions below this many multiply-adds, or with fewer rows than this, are not worth packing. */
export const packingThreshold = 8192;
export const fewestPackedRows = 4;

/** Few rows times a matrix that changes: the features of one task, and the rows of the matrix that are added at once. */
export interface StreamedSchedule {
  readonly columns: number;
  readonly rows: number;
}

/**
 * Long runs are what prefetchers follow: 4 KB give 14 GB/s of 67 MB, 8 KB 23, 16 KB 24, where memory can be read at 28 (one
 * core of a Zen 4). At least two tasks are left. Four rows and their sums have room in the eight ways of a first-level cache
 * also where rows are a multiple of 4 KB apart; eight rows do not (6 GB/s).
 */
export function streamedSchedule(features: number, elementBytes: number, target: ScheduleTarget): StreamedSchedule {
  const lanes = lanesOf(target, elementBytes);
  const half = Math.ceil(features / 2 / lanes) * lanes;
  return { columns: Math.min(half, longestRun / elementBytes), rows: streamedRows };
}
const longestRun = 16_384;
const streamedRows = 4;

/** Matrices of more bytes than this are streamed. Smaller ones stay in a cache, where sums in registers are faster (73 to 57 GB/s). */
export const mostBytesInLanes = 2 ** 20;

/** Rows of weights from memory that are summed where they lie: of 1 KB on, folding a row's lanes takes less than waiting for it. */
export const shortestSummedRow = 256;

/** From this many multiply-adds on, a convolution to few features is direct with idle lanes rather than a reduction. */
export const alwaysDirect = 1 << 17;
/** Winograd's form loses digits and takes memory: it has to save this much of the direct form's time by estimate. */
export const leastWinogradGain = 1.25;
/**
 * Transformed tiles and products that one pass of Winograd's form takes, in bytes: beyond, images follow in equal blocks. A
 * layer of 256 features can have 318 MB of them for 32 images, more than the rest of a training step. Blocks of this size are still far beyond
 * the caches, so that the products run as in one, and one image of any network in the bench stays whole.
 */
const mostWinogradBytes = 2 ** 27;

/** Images of one block, given the bytes of each. */
export function imagesTogether(images: number, imageBytes: number): number {
  const most = Math.max(1, Math.floor(mostWinogradBytes / imageBytes));
  return Math.ceil(images / Math.ceil(images / most));
}

/** Rows that displace one another in the cache are still read in place for this many columns: a copy would not pay. */
export const mostConflictingColumns = 384;
/**
 * Phases of a transposed convolution that have so many features together are one convolution: they fill a vector of 16 lanes, and 9
 * taps are fewer than 4 phases of 4 with a vector each (3 features from 32 × 32 × 64: 0.31 to 0.17 ms).
 */
export const togetherFeatures = 16;
/** Taps of a depthwise kernel that are written out: 7 × 7. */
export const mostDepthwiseTaps = 49;

/** A tile of fewer vectors of columns than the target's broadcasts more per multiply-add: it has to save this share of the work. */
const leastColumnGain = 0.03;

/**
 * The vectors of columns that pad least: 77 columns are five vectors of 16, where two side by side make them six (1000 × 300 × 77
 * goes from 88 to 106 GFLOP/s, 64 × 512 × 144 from 79 to 107).
 */
function columnVectorsFor(columns: number, lanes: number, target: ScheduleTarget): number {
  const rows = Math.floor(target.accumulators / target.columnVectors);
  const cost = (vectors: number): number => {
    const loads = vectors * target.loadCost + rows * target.broadcastCost + 1;
    return Math.ceil(columns / (lanes * vectors)) * vectors * Math.max(1, loads / (vectors * rows));
  };
  let best = target.columnVectors;
  for (let vectors = best - 1; vectors >= 1; vectors--) {
    if (cost(vectors) < cost(best) * (1 - leastColumnGain)) best = vectors;
  }
  return best;
}

export function contractionSchedule(
  rows: number,
  inner: number,
  columns: number,
  elementBytes: number,
  target: ScheduleTarget,
): ContractionSchedule {
  const lanes = lanesOf(target, elementBytes);
  const columnVectors = columnVectorsFor(columns, lanes, target);
  const mostRows = Math.floor(target.accumulators / target.columnVectors);
  const rowTile = bestTile(rows, mostRows);
  const innerBlock = blockOf(inner);
  const mostRowBlock = Math.floor(scratchCells / (lanes * columnVectors) / rowTile) * rowTile;
  const rowBlock = Math.min(Math.ceil(rows / rowTile) * rowTile, mostRowBlock);
  return { rowTile, lanes, columnVectors, innerBlock, rowBlock };
}

/** Packed columns of this size stay in a second-level cache of 1 MB beside the rows and results that stream past them. */
const sharedColumnBytes = 262_144;
/** Row tiles from which on columns are packed once for all tasks. */
const fewestSharingTiles = 4;
/** f32 cells of sums of a task whose columns are packed already: 24 KB, so that the first-level cache keeps them. */
const sharedScratchCells = 6144;

/** How the tasks of a packed contraction share its columns. */
export interface ColumnSharing {
  /** True: columns are packed once for all tasks; false: each task packs the panel that it needs. */
  readonly sharesColumns: boolean;
  /** Panels whose sums a task finishes together. */
  readonly panelsPerTask: number;
  readonly rowBlock: number;
}

/**
 * Columns are packed once where they stay in a cache and there are rows enough. A task then takes few rows and many panels: whole
 * rows of the result where it can, which streams what the epilogue reads and writes.
 */
export function sharedColumns(
  { rowTile, lanes, columnVectors, rowBlock }: ContractionSchedule,
  rows: number,
  panels: number,
  packedBytes: number,
): ColumnSharing {
  const tiles = Math.ceil(rows / rowTile);
  if (packedBytes > sharedColumnBytes || tiles < fewestSharingTiles)
    return { sharesColumns: false, panelsPerTask: 1, rowBlock };
  const most = Math.max(1, Math.floor(sharedScratchCells / (rowTile * lanes * columnVectors)));
  let together = Math.min(panels, most);
  while (panels % together !== 0) together--;
  const tilesPerTask = Math.min(tiles, Math.max(1, Math.floor(most / together)));
  return { sharesColumns: true, panelsPerTask: together, rowBlock: tilesPerTask * rowTile };
}

/** A divisor near the target, so that the last block is whole; else equal blocks, the last one padded with zeros. */
function blockOf(inner: number): number {
  for (let block = Math.min(inner, mostInnerBlock); block >= fewestInnerBlock; block--) {
    if (inner % block === 0) return block;
  }
  return Math.ceil(inner / Math.ceil(inner / innerBlockTarget));
}

/** The tile that pads the fewest rows; the largest among equals, and never one under half of the registers unless rows are few. */
function bestTile(rows: number, most: number): number {
  if (rows <= most) return rows;
  let best = most;
  let bestPadded = Math.ceil(rows / most) * most;
  for (let tile = most - 1; tile >= Math.ceil(most * 0.6); tile--) {
    const padded = Math.ceil(rows / tile) * tile;
    // A narrower tile loads more per multiply-add, so it has to save at least 2 % of the rows.
    if (padded < bestPadded * 0.98) {
      best = tile;
      bestPadded = padded;
    }
  }
  return best;
}

/** Multiply-adds spent when rows and columns are padded to whole tiles. */
export function paddedWork(rows: number, columns: number, elementBytes: number, target: ScheduleTarget): number {
  const { rowTile, lanes, columnVectors } = contractionSchedule(rows, 1, columns, elementBytes, target);
  const width = lanes * columnVectors;
  return Math.ceil(rows / rowTile) * rowTile * Math.ceil(columns / width) * width;
}

/** A matrix product with packed operands, as its cost sees it: `tasks` of them, each `[rows, inner] · [inner, columns]`. */
export interface ProductExtents {
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  readonly tasks: number;
  /** True where columns lie side by side, so that they are copied a vector at a time. */
  readonly columnsInLanes: boolean;
}

/** Cycles to copy an element, or a vector of them, into a panel: a load, a store, and what finds the place. */
const copyCost = 3;

/** Estimated cycles of a packed product: multiply-adds on whole tiles, and copies. */
export function packedCost(
  { rows, columns, inner, tasks, columnsInLanes }: ProductExtents,
  schedule: Omit<ContractionSchedule, 'innerBlock'> & Pick<ColumnSharing, 'sharesColumns'> & { inPlace: boolean },
  target: ScheduleTarget,
): number {
  const { rowTile, columnVectors, lanes, rowBlock, sharesColumns, inPlace } = schedule;
  const cells = rowTile * columnVectors;
  const loads = (columnVectors * target.loadCost + rowTile * target.broadcastCost + 1) / cells;
  const tiles = Math.ceil(rows / rowTile) * Math.ceil(columns / (lanes * columnVectors));
  const multiplyAdds = tiles * cells * inner * Math.max(1, loads);
  const copies = sharesColumns ? 1 : Math.ceil(rows / rowBlock);
  const copied = (copies * columns * inner) / (columnsInLanes ? lanes : 1) + (inPlace ? 0 : rows * inner);
  return tasks * (multiplyAdds + copyCost * copied);
}

export interface DirectSchedule {
  readonly lanes: number;
  /** Vectors of features and pixels of the register tile. */
  readonly vectors: number;
  readonly pixels: number;
  /** Features of a panel of packed weights: those of one tile or of several. */
  readonly packedWidth: number;
  /** Summed elements whose weights fill the part of the second-level cache that is theirs. */
  readonly mostInner: number;
  readonly tilesPerTask: number;
}

/** Bytes of one panel's weights between two uses: a quarter of a second-level cache of 1 MB, as AMD's Zen 4 has. */
const weightBytes = 262_144;
/** Rows of a tile of so many vectors of columns: beside the sums, each vector of columns and scalars hold registers. */
export function mostTileRows(columnVectors: number, { registers, hoistsScalars }: ScheduleTarget): number {
  const [perTile, perRow] = hoistsScalars ? [0, 1] : [1, 0];
  return Math.floor((registers - perTile - columnVectors) / (columnVectors + perRow));
}
/** Fused multiply-adds in flight that hide their latency of four cycles on two ports. */
const fewestAccumulators = 8;
/** With one pixel, so many vectors a step read weights as fast as eight do; a single panel leaves nothing to a second thread. */
const fewestStreams = 4;
const onlyPanelCost = 1.25;
const tilesPerTask = 16;

export interface DirectTile {
  readonly vectors: number;
  readonly pixels: number;
  readonly packedWidth: number;
  /** Estimated cycles per summed element, in whole vectors. */
  readonly cost: number;
}

/**
 * Every register tile, the one that wastes least first: lanes beyond the features, pixels beyond the last, and loads that
 * multiply-adds do not cover.
 */
export function directTiles(
  features: number,
  pixels: number,
  elementBytes: number,
  target: ScheduleTarget,
): DirectTile[] {
  const lanes = lanesOf(target, elementBytes);
  const { widest } = target;
  const shared = widest && directSchedule(features, pixels, elementBytes, widest).packedWidth;
  const tiles: DirectTile[] = [];
  for (let vectors = 1; vectors <= Math.min(8, Math.ceil(features / lanes)); vectors++) {
    const packedWidth = shared ?? lanes * vectors;
    if (packedWidth % (lanes * vectors) !== 0) continue;
    for (let tile = Math.min(14, mostTileRows(vectors, target), pixels); tile >= 1; tile--) {
      const cells = vectors * tile;
      const work = Math.ceil(features / (lanes * vectors)) * vectors * Math.ceil(pixels / tile) * tile;
      const loads = (vectors * target.loadCost + tile * target.broadcastCost + 1) / cells;
      // One pixel reads every weight once, and waits for memory rather than for multiply-adds.
      const latency = pixels === 1 ? 1 : fewestAccumulators / cells;
      const isOnlyPanel = pixels === 1 && vectors > fewestStreams && features <= lanes * vectors;
      const cost = work * Math.max(1, loads, latency) * (isOnlyPanel ? onlyPanelCost : 1) * (1 + 0.5 / cells);
      tiles.push({ vectors, pixels: tile, packedWidth, cost });
    }
  }
  return tiles.sort((a, b) => a.cost - b.cost);
}

export function directSchedule(
  features: number,
  pixels: number,
  elementBytes: number,
  target: ScheduleTarget,
): DirectSchedule {
  return directScheduleOf(directTiles(features, pixels, elementBytes, target)[0]!, elementBytes, target);
}

/** The schedule of a tile; `blockBytes` of a panel's weights lie between two uses of one. */
export function directScheduleOf(
  { vectors, pixels, packedWidth }: DirectTile,
  elementBytes: number,
  target: ScheduleTarget,
  blockBytes = weightBytes,
  together = tilesPerTask,
): DirectSchedule {
  const lanes = lanesOf(target, elementBytes);
  const mostInner = Math.floor(blockBytes / (lanes * vectors * elementBytes));
  return { lanes, vectors, pixels, packedWidth, mostInner, tilesPerTask: together };
}

export interface DepthwiseSchedule {
  readonly lanes: number;
  readonly vectors: number;
  /** Pixels of a row that share each vector of weights. */
  readonly tile: number;
}

/** Vectors of the widest lanes that divide the channels; null where not even 16 bytes do. */
export function depthwiseSchedule(
  channels: number,
  rowPixels: number,
  elementBytes: number,
  target: ScheduleTarget,
): DepthwiseSchedule | null {
  const widest = lanesOf(target, elementBytes);
  const lanes = [widest, widest / 2, widest / 4].find((count) => count * elementBytes >= 16 && channels % count === 0);
  if (lanes === undefined) return null;
  const vectors = channels % (2 * lanes) === 0 ? 2 : 1;
  const most = Math.min(8, Math.floor(target.accumulators / vectors), rowPixels);
  let tile = most;
  for (let next = most; next >= 4; next--) {
    if (Math.ceil(rowPixels / next) * next < Math.ceil(rowPixels / tile) * tile) tile = next;
  }
  return { lanes, vectors, tile };
}

export interface AttentionSchedule {
  readonly lanes: number;
  /** Vectors of queries that are computed together. */
  readonly vectors: number;
  /** Most rows of a register tile: keys where scores are computed, channels where values are summed. */
  readonly mostRows: number;
  /** Keys whose values are summed before the sums return to memory. */
  readonly keyBlock: number;
}

/** Bytes of a task's scores, all keys by its queries: half of a second-level cache of 1 MB, and bearable on any stack. */
const mostScoreBytes = 524_288;
/** Fewer queries leave most lanes idle: their scores are a matrix-vector product, and few. */
const fewestQueries = 8;
/** Keys whose weights for two vectors of queries are half a first-level cache. */
const attentionKeyBlock = 256;

/** Keys that are skipped together where a mask leaves none of their scores: as many as there are queries in a tile. */
export const maskedKeys = 32;

/**
 * Products per score beyond which scores in memory cost little beside them (under a tenth at 512), and keys and values, read
 * again for every tile of queries, leave the near caches.
 */
const mostProductsPerScore = 512;

/** True where scores are computed a block of queries at a time instead of all at once: by the extents of attention's axes. */
export function attentionPays(queries: number, keys: number, depth: number, channels: number): boolean {
  const products = depth + channels;
  const isLarge = queries * keys * products >= packingThreshold && queries >= fewestQueries;
  // The matrix of scores has to be no small part of what is read: half of keys and values.
  const isWorthwhile = products <= mostProductsPerScore && queries * 2 >= products;
  return isLarge && isWorthwhile && keys * defaultTarget.vectorBytes <= mostScoreBytes;
}

/** Two vectors of queries where they fill them and their scores fit, else one. */
export function attentionSchedule(
  queries: number,
  keys: number,
  elementBytes: number,
  target: ScheduleTarget,
): AttentionSchedule {
  const lanes = lanesOf(target, elementBytes);
  const padded = (vectors: number): number => Math.ceil(queries / (lanes * vectors)) * vectors;
  const isWide = padded(2) <= padded(1) && keys * 2 * lanes * elementBytes <= mostScoreBytes;
  // One vector times as many rows as beside two: enough sums in flight, and more would only wait for their broadcasts.
  return { lanes, vectors: isWide ? 2 : 1, mostRows: Math.floor(target.accumulators / 2), keyBlock: attentionKeyBlock };
}

/** The greatest divisor from 0.6 of the most on, so that no tile is ragged; else the size of equal tiles, the last one shorter. */
export function tileSize(count: number, most: number): number {
  for (let size = Math.min(count, most); size >= most * 0.6; size--) if (count % size === 0) return size;
  return Math.ceil(count / Math.ceil(count / most));
}

/**
 * Along a row shorter than this the steps wait for each other longer than they compute, and kernels that run over all
 * elements are as fast: 4096 rows of 32 took 0.119 ms as a softmax by rows and 0.095 ms without, rows of 64 less.
 */
const shortestRow = 48;
/** A longer row is better spread over threads than given to one, unless there are many. */
const [longestFewRows, longestRow, manyRows] = [8192, 65_536, 16];

/** True where rows are better computed one by one than each step for all. */
export function rowsPay(length: number, count: number): boolean {
  return length >= shortestRow && length <= (count >= manyRows ? longestRow : longestFewRows);
}
