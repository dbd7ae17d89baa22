// Direct convolution: out[pixel, feature] = Σ_k image[pixel, k] · weights[k, feature], with features in lanes. The image is
// read where it lies: every pixel of the register tile has a base offset, computed once per tile, and the summed axes add to
// it what they add for every pixel, so nothing is gathered into panels. Only the weights are packed, and an image with
// padding is copied once with it. The group's members run on each finished tile.

import type { Node } from '../ir/graph.ts';
import {
  type Atom,
  type Axis,
  add,
  axis,
  coefficientOf,
  fixed,
  flatten,
  floorDiv,
  type IndexExpr,
  mentions,
  modulo,
  multiply,
  of,
} from '../ir/index-expr.ts';
import {
  apply,
  type Buffer,
  castTo,
  choose,
  type Expr,
  indexValue,
  type LoadExpr,
  type Local,
  literal,
  load,
  type Stmt,
} from '../ir/kernel.ts';
import type { PaddedWindow } from '../ir/optable.ts';
import { bytesPerElement } from '../ir/types.ts';
import { indicesOf, substituteAxes, substituteIndex } from './expr-rewrite.ts';
import { type GroupContext, type KernelBody, memberStmts } from './group.ts';
import {
  axisMap,
  clear,
  elementLoops,
  extentOf,
  loop,
  mergeAxes,
  nest,
  nestOfProducts,
  substituteStmts,
} from './loops.ts';
import { storedWeights } from './narrow-weights.ts';
import { type DirectSchedule, parallelThreshold } from './schedule.ts';

/** A contraction whose rhs is read where it lies. */
export interface DirectProblem {
  readonly batch: readonly Axis[];
  readonly features: readonly Axis[];
  readonly pixels: readonly Axis[];
  readonly inner: readonly Axis[];
  readonly weights: Expr;
  readonly image: Expr;
  /** The image as an array of its own, for a copy of it. */
  readonly window: PaddedWindow;
  readonly result: readonly IndexExpr[];
  /** Weights that are packed already, `[batch][panel][k][feature]` for this problem's schedule. */
  readonly packed?: Buffer;
  /** What becomes of a sum, features in lanes. Default: the group's members. */
  finish?(index: ReadonlyMap<Axis, IndexExpr>, sum: Expr): Stmt[];
  /** What a summed index adds: the product, or, of words of four bytes, the sum of four. Default: the product. */
  readonly product?: 'mul' | 'dot4';
  /** A sum as the group's members have it. Default: as it is. */
  corrected?(index: ReadonlyMap<Axis, IndexExpr>, sum: Expr): Expr;
}

/** Everything the statements of one direct contraction share. */
interface Plan extends DirectProblem {
  /** The weights as panels have them. */
  readonly stored: Expr;
  readonly schedule: DirectSchedule;
  readonly featureCount: number;
  readonly pixelCount: number;
  readonly innerCount: number;
  /** What tiles cover: panels of their own width, one or several of which make a packed one. */
  readonly panels: number;
  readonly panelWidth: number;
  readonly packedPanels: number;
  /** Where the image is read: for a pixel, and what the summed axes add. */
  readonly buffer: Buffer;
  readonly base: IndexExpr;
  readonly step: IndexExpr;
  /** The summed axes as loops, those of a block inside. */
  readonly blocks: readonly Axis[];
  readonly inside: readonly Axis[];
  /** Null where vectors of weights are read where they lie. */
  readonly packedWeights: Buffer | null;
}

/** The kernels: the padded image where there is padding, the packed weights, the contraction. */
export function lowerDirect(
  context: GroupContext,
  anchor: Node,
  problem: DirectProblem,
  schedule: DirectSchedule,
): KernelBody[] {
  const staged = isReadable(problem) ? null : stageImage(context, problem);
  const image = (staged?.image ?? problem.image) as LoadExpr;
  return [
    ...(staged === null ? [] : [{ suffix: '_pad', body: staged.body, flops: 0 }]),
    ...lowerReadable(context, anchor, problem, image, schedule),
  ];
}

/** The same where the image is read as it lies: its offset is a sum of what the summed axes add and of the rest. */
export function lowerReadable(
  context: GroupContext,
  anchor: Node,
  problem: DirectProblem,
  image: LoadExpr,
  schedule: DirectSchedule,
): KernelBody[] {
  const plan = planOf(context, problem, schedule, image);
  const products = plan.innerCount * (problem.product === 'dot4' ? 4 : 1);
  const flops = 2 * extentOf(problem.batch) * plan.featureCount * plan.pixelCount * products;
  return [
    ...(plan.packedWeights === null || problem.packed !== undefined
      ? []
      : [{ suffix: '_pack', body: packWeights(plan, plan.packedWeights), flops: 0 }]),
    { suffix: '', body: contract(context, anchor, plan), flops },
  ];
}

/** True for a bare load whose offset is a sum of what the summed axes add and of the rest, its pixels in different cache sets. */
function isReadable({ image, inner, pixels, window }: DirectProblem): boolean {
  if (image.kind !== 'load') return false;
  const { offset } = image;
  const stride = Math.max(0, ...pixels.slice(-1).map((pixel) => coefficientOf(offset, pixel)));
  const byStep = inner
    .filter((next) => next.extent > 1)
    .sort((a, b) => coefficientOf(offset, a) - coefficientOf(offset, b));
  if (window.channels !== undefined && byStep.length > 1 && isShort(byStep[0])) return false;
  return (
    offset.terms.every(({ atom }) => atom.kind === 'axis' || !mentions(atom, inner)) &&
    (extentOf(pixels) < fewestConflicts || (stride * bytesPerElement[image.dtype]) % conflictStride !== 0)
  );
}

/** Rows this many bytes apart fall into two of the 64 sets of a first-level cache and displace one another. */
export const conflictStride = 2048;
const fewestConflicts = 8;
/** Elements added to a row that would otherwise meet others in the cache: one line. */
export const rowPadding = 16;

/** The summed axis that moves slowest through memory, when the positions of a window move at these speeds. */
function fastest(inner: readonly Axis[], index: readonly IndexExpr[], speeds: readonly number[]): Axis | undefined {
  const speedOf = (axis: Axis): number =>
    Math.min(...index.map((at, position) => coefficientOf(at, axis) * speeds[position]!).filter((speed) => speed > 0));
  return inner.filter(({ extent }) => extent > 1).sort((a, b) => speedOf(a) - speedOf(b))[0];
}

/**
 * An innermost loop over a few taps of one channel is all overhead, and gcc carries what neighbouring pixels share from one
 * round to the next until it runs out of registers. Channels side by side make one run of taps and channels.
 */
function isShort(innermost: Axis | undefined): boolean {
  return innermost !== undefined && innermost.extent < shortestRun;
}
const shortestRun = 8;

/** Copies the image with its padding: axes in the order that they have in memory, or channels last. */
export function stageImage(
  context: GroupContext,
  { image, window, inner }: DirectProblem,
  channelsLast = false,
): { image: Expr; at: (index: readonly IndexExpr[]) => Expr; body: Stmt[] } {
  const axes = window.shape.map((extent, position) => axis(`p${position}`, extent));
  const element = window.element(context.operandOf, axes.map(of));
  const found = axes.map((next) =>
    next.extent === 1
      ? Number.POSITIVE_INFINITY
      : Math.max(0, ...indicesOf(element).map((index) => Math.abs(coefficientOf(index, next)))),
  );
  const { channels } = window;
  const turned = channels !== undefined && (channelsLast || isShort(fastest(inner, window.index, found)));
  const speeds = found.map((speed, position) => (turned && position === channels ? 0 : speed));
  const order = axes
    .map((_, position) => position)
    .sort((a, b) => (speeds[a] === speeds[b] ? a - b : speeds[b]! - speeds[a]!));
  const extents = order.map((position) => window.shape[position]!);
  const rowBytes = extents.at(-1)! * bytesPerElement[image.dtype];
  if (rowBytes % conflictStride === 0) extents[extents.length - 1]! += rowPadding;
  const padded = context.scratch(
    'padded',
    image.dtype,
    extents.reduce((size, extent) => size * extent, 1),
  );
  const at = (index: readonly IndexExpr[]): IndexExpr =>
    flatten(
      order.map((position) => index[position]!),
      extents,
    );
  const store: Stmt = { kind: 'store', buffer: padded, offset: at(axes.map(of)), value: element };
  return {
    image: load(padded, at(window.index)),
    at: (index) => load(padded, at(index)),
    body: elementLoops(
      order.map((position) => axes[position]!),
      [store],
      1,
    ),
  };
}

function planOf(context: GroupContext, problem: DirectProblem, schedule: DirectSchedule, image: LoadExpr): Plan {
  const { offset } = image;
  const isInner = ({ atom }: { atom: Atom }): boolean => atom.kind === 'axis' && problem.inner.includes(atom);
  const step: IndexExpr = { terms: offset.terms.filter(isInner), constant: 0 };
  const base: IndexExpr = { terms: offset.terms.filter((term) => !isInner(term)), constant: offset.constant };
  const sorted = [...problem.inner].sort((a, b) => coefficientOf(step, b) - coefficientOf(step, a));
  const { merged, map } = mergeAxes(sorted, [step]);
  const featureCount = extentOf(problem.features);
  const pixelCount = extentOf(problem.pixels);
  const innerCount = extentOf(problem.inner);
  const panelWidth = schedule.lanes * schedule.vectors;
  const packedPanels = Math.ceil(featureCount / schedule.packedWidth);
  const packedSize = extentOf(problem.batch) * packedPanels * innerCount * schedule.packedWidth;
  const blocked = blockedAxes(merged, schedule.mostInner);
  const stored = storedWeights(context, problem.weights);
  return {
    ...problem,
    stored,
    inner: sorted,
    schedule,
    featureCount,
    pixelCount,
    innerCount,
    panels: Math.ceil(featureCount / panelWidth),
    panelWidth,
    packedPanels,
    buffer: image.buffer,
    base,
    step: substituteIndex(step, map),
    blocks: merged.slice(0, blocked),
    inside: merged.slice(blocked),
    packedWeights: isInLanes(context, problem, panelWidth)
      ? null
      : (problem.packed ?? context.scratch('packed_weights', stored.dtype, packedSize)),
  };
}

/** True where weights that may change lie as whole vectors of features: packing them would cost more than it saves. */
function isInLanes(context: GroupContext, { weights, features, pixels }: DirectProblem, panelWidth: number): boolean {
  if (weights.kind !== 'load' || context.isConstant(weights) || extentOf(pixels) >= fewestConflicts) return false;
  const [feature, ...others] = features.filter(({ extent }) => extent > 1);
  return (
    feature !== undefined &&
    others.length === 0 &&
    coefficientOf(weights.offset, feature) === 1 &&
    feature.extent % panelWidth === 0
  );
}

/** How many of the outermost summed axes become blocks, so that a block of weights stays in the second-level cache. */
function blockedAxes(axes: readonly Axis[], most: number): number {
  let count = 0;
  while (count < axes.length - 1 && extentOf(axes.slice(count)) > most) count++;
  return count;
}

/** `[batch][packed panel][k][feature]` */
function weightOffset(plan: Plan, batch: IndexExpr, panel: IndexExpr, k: IndexExpr, feature: IndexExpr): IndexExpr {
  const { packedPanels, innerCount, schedule } = plan;
  return flatten([batch, panel, k, feature], [extentOf(plan.batch), packedPanels, innerCount, schedule.packedWidth]);
}

function packWeights(plan: Plan, packedWeights: Buffer): Stmt[] {
  const batch = axis('batch', extentOf(plan.batch));
  const { packedWidth } = plan.schedule;
  const panel = axis('panel', plan.packedPanels);
  const k = axis('k', plan.innerCount);
  const lane = axis('feature', packedWidth);
  const feature = add(multiply(of(panel), packedWidth), of(lane));
  const map = new Map([
    ...axisMap(plan.batch, of(batch)),
    ...axisMap(plan.features, feature),
    ...axisMap(plan.inner, of(k)),
  ]);
  const weight = substituteAxes(plan.stored, map);
  const beyond = plan.packedPanels * packedWidth > plan.featureCount;
  const value = beyond
    ? choose(apply('lt', indexValue(feature), literal('i32', plan.featureCount)), weight, literal(weight.dtype, 0))
    : weight;
  const offset = weightOffset(plan, of(batch), of(panel), of(k), of(lane));
  const body: Stmt[] = [
    loop(k, 'serial', [loop(lane, 'vector', [{ kind: 'store', buffer: packedWeights, offset, value }])]),
  ];
  const kind = packedWeights.size * 2 >= parallelThreshold ? 'parallel' : 'serial';
  return nest([batch, panel], kind, body);
}

/** The loop variables of one task: a run of tiles of one panel. */
interface Task {
  readonly batch: Axis;
  readonly panel: Axis;
  readonly task: Axis;
  readonly tile: Axis;
  readonly tileIndex: IndexExpr;
  readonly sums: Buffer;
}

function contract(context: GroupContext, anchor: Node, plan: Plan): Stmt[] {
  const { pixels, tilesPerTask } = plan.schedule;
  const tiles = Math.ceil(plan.pixelCount / pixels);
  // Tiles share nothing but the blocks of weights that a task goes through once for all of them.
  const together = plan.blocks.length === 0 ? 1 : Math.min(tilesPerTask, tiles);
  const batch = axis('batch', extentOf(plan.batch));
  const panel = axis('panel', plan.panels);
  const task = axis('task', Math.ceil(tiles / together));
  const tile = axis('tile', together);
  const kept = plan.blocks.length === 0 ? 1 : together;
  const shared: Task = {
    batch,
    panel,
    task,
    tile,
    tileIndex: add(multiply(of(task), together), of(tile)),
    sums: { name: 'sums', dtype: plan.image.dtype, size: kept * pixels * plan.panelWidth, space: 'stack' },
  };
  const ragged = task.extent * together > tiles;
  const overTiles = (body: Stmt[]): Stmt[] => {
    const inside = apply('lt', indexValue(shared.tileIndex), literal('i32', tiles));
    const guarded: Stmt[] = ragged ? [{ kind: 'if', condition: inside, then: body, otherwise: [] }] : body;
    return together === 1 ? substituteStmts(guarded, new Map([[tile, fixed(0)]])) : [loop(tile, 'serial', guarded)];
  };
  const body: Stmt[] = [
    { kind: 'allocate', buffer: shared.sums },
    ...(plan.blocks.length === 0
      ? overTiles([...registerTile(plan, shared), ...finish(context, anchor, plan, shared)])
      : [
          ...clear(shared.sums),
          ...nest(plan.blocks, 'serial', overTiles(registerTile(plan, shared))),
          ...overTiles(finish(context, anchor, plan, shared)),
        ]),
  ];
  const work = batch.extent * plan.featureCount * plan.pixelCount * plan.innerCount;
  return nest([batch, panel, task], work >= parallelThreshold ? 'parallel' : 'serial', body);
}

/** Where a tile's sums lie: every tile has its own where several blocks add to them. */
function sumOffset(plan: Plan, { tile }: Task, row: IndexExpr, column: IndexExpr): IndexExpr {
  const { pixels } = plan.schedule;
  const rowInTask = plan.blocks.length === 0 ? row : add(multiply(of(tile), pixels), row);
  return add(multiply(rowInTask, plan.panelWidth), column);
}

function registerTile(plan: Plan, task: Task): Stmt[] {
  const { pixels, vectors, lanes } = plan.schedule;
  const { dtype } = plan.image;
  const bases = Array.from({ length: pixels }, (_, row) => baseOf(plan, task, row));
  const cells = bases.flatMap((_, row) =>
    Array.from({ length: vectors }, (__, vector) => ({
      row,
      vector,
      local: { name: `sum${row}_${vector}`, dtype, lanes } satisfies Local,
      offset: sumOffset(plan, task, fixed(row), fixed(vector * lanes)),
    })),
  );
  const k = flatten(
    [...plan.blocks, ...plan.inside].map(of),
    [...plan.blocks, ...plan.inside].map((next) => next.extent),
  );
  const weights = Array.from({ length: vectors }, (_, vector): { local: Local; value: Expr } => ({
    local: { name: `weight${vector}`, dtype, lanes },
    value: weightVector(plan, task, k, vector * lanes),
  }));
  const multiplyAdds = cells.map(({ local, row, vector }): Stmt => {
    const read = { ...load(plan.buffer, add(bases[row]!.index, plan.step)), dtype } as Expr;
    const value: Expr = { kind: 'splat', dtype, lanes, value: read };
    const weight: Expr = { kind: 'local', dtype, local: weights[vector]!.local };
    return { kind: 'accumulate', local, monoid: 'sum', value: apply(plan.product ?? 'mul', value, weight) };
  });
  const initial = (offset: IndexExpr): Expr =>
    plan.blocks.length === 0
      ? { kind: 'splat', dtype, value: literal(dtype, 0), lanes }
      : { kind: 'load', dtype, buffer: task.sums, offset, lanes };
  return [
    ...bases.map(({ local, value }): Stmt => ({ kind: 'let', local, value: indexValue(value) })),
    ...cells.map(({ local, offset }): Stmt => ({ kind: 'accumulator', local, initial: initial(offset) })),
    ...nestOfProducts(plan.inside, multiplyAdds.length, [
      ...weights.map(({ local, value }): Stmt => ({ kind: 'let', local, value })),
      ...multiplyAdds,
    ]),
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

function weightVector(plan: Plan, { batch, panel }: Task, k: IndexExpr, at: number): Expr {
  const { dtype } = plan.image;
  const { lanes } = plan.schedule;
  if (plan.packedWeights !== null) {
    const parts = plan.schedule.packedWidth / plan.panelWidth;
    const part = modulo(of(panel), parts);
    const first = add(multiply(part, plan.panelWidth), fixed(at));
    const offset = weightOffset(plan, of(batch), floorDiv(of(panel), parts), k, first);
    const { packedWeights } = plan;
    return castTo(dtype, { kind: 'load', dtype: packedWeights.dtype, buffer: packedWeights, offset, lanes });
  }
  const feature = add(multiply(of(panel), plan.panelWidth), fixed(at));
  const map = new Map([
    ...axisMap(plan.batch, of(batch)),
    ...axisMap(plan.features, feature),
    ...axisMap(plan.inner, k),
  ]);
  const { buffer, offset } = plan.weights as LoadExpr;
  return { kind: 'load', dtype, buffer, offset: substituteIndex(offset, map), lanes };
}

/** The offset of a pixel of the tile, as a named value; pixels beyond the last read the last. */
function baseOf(plan: Plan, task: Task, row: number): { local: Local; value: IndexExpr; index: IndexExpr } {
  const pixel = clamped(plan, add(multiply(task.tileIndex, plan.schedule.pixels), fixed(row)));
  const map = new Map([...axisMap(plan.batch, of(task.batch)), ...axisMap(plan.pixels, pixel)]);
  const upper = plan.buffer.size - 1;
  const dtype = upper < 2 ** 31 ? 'i32' : 'i64';
  const local: Local = { name: `pixel${row}`, dtype, lanes: 1 };
  const expr: Expr = { kind: 'local', dtype, local };
  return {
    local,
    value: substituteIndex(plan.base, map),
    index: of({ kind: 'dynamic', expr, lower: 0, upper }),
  };
}

function clamped(plan: Plan, pixel: IndexExpr): IndexExpr {
  if (plan.pixelCount % plan.schedule.pixels === 0) return pixel;
  const last = plan.pixelCount - 1;
  const expr = apply('min', indexValue(pixel), literal('i32', last));
  return of({ kind: 'dynamic', expr, lower: 0, upper: last });
}

/** The group's members on a finished tile, in lanes along whichever of features and pixels is contiguous in the result. */
function finish(context: GroupContext, anchor: Node, plan: Plan, task: Task): Stmt[] {
  const { pixels } = plan.schedule;
  const row = axis('row', pixels);
  const column = axis('column', Math.min(plan.panelWidth, plan.featureCount));
  const pixel = add(multiply(task.tileIndex, pixels), of(row));
  const feature = add(multiply(of(task.panel), plan.panelWidth), of(column));
  const map = new Map([
    ...axisMap(plan.batch, of(task.batch)),
    ...axisMap(plan.features, feature),
    ...axisMap(plan.pixels, pixel),
  ]);
  const plain = load(task.sums, sumOffset(plan, task, of(row), of(column)));
  const sum = plan.corrected?.(map, plain) ?? plain;
  const members = plan.finish?.(map, sum) ?? membersOn(context, anchor, plan, map, sum);
  const fastest = plan.result[context.order.at(-1)!];
  const featuresInLanes =
    plan.finish !== undefined ||
    fastest!.terms.some(({ atom }) => atom.kind === 'axis' && plan.features.includes(atom));
  const raggedPixels = plan.pixelCount % pixels !== 0;
  const inPixels = apply('lt', indexValue(pixel), literal('i32', plan.pixelCount));
  const guarded = (body: Stmt[]): Stmt[] =>
    raggedPixels ? [{ kind: 'if', condition: inPixels, then: body, otherwise: [] }] : body;
  const loops = (over: Axis): Stmt[] => {
    const body = over === column ? members : substituteStmts(members, new Map([[column, of(over)]]));
    return featuresInLanes
      ? [loop(row, 'serial', guarded([loop(over, 'vector', body)]))]
      : [loop(over, 'serial', [loop(row, 'vector', guarded(body))])];
  };
  const rest = plan.featureCount % plan.panelWidth;
  if (plan.panels === 1 || rest === 0) return loops(column);
  const isLast = apply('eq', indexValue(of(task.panel)), literal('i32', plan.panels - 1));
  return [{ kind: 'if', condition: isLast, then: loops(axis('column', rest)), otherwise: loops(column) }];
}

/** The group's members at one place of the result, given the contraction's value there. */
export function membersOn(
  context: GroupContext,
  anchor: Node,
  { result }: DirectProblem,
  map: ReadonlyMap<Axis, IndexExpr>,
  sum: Expr,
): Stmt[] {
  const index = result.map((position) => substituteIndex(position, map));
  return memberStmts(context, index, new Map([[anchor.results[0]!, sum]]));
}
