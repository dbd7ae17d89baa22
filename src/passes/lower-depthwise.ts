// Depthwise convolution: every channel has its own small kernel, so channels run in lanes, a few pixels of a row share each
// vector of weights, and the image is read where it lies. Tiles whose windows are inside the image test nothing; those at
// its border test every tap.

import { InternalError } from '../ir/errors.ts';
import type { Node } from '../ir/graph.ts';
import { type Axis, add, axis, coefficientOf, fixed, flatten, type IndexExpr, multiply, of } from '../ir/index-expr.ts';
import type { LoadExpr } from '../ir/kernel.ts';
import {
  apply,
  type Buffer,
  castTo,
  type Expr,
  indexValue,
  type Local,
  literal,
  load,
  type Stmt,
} from '../ir/kernel.ts';
import { both } from '../ir/ops/shape.ts';
import { substituteAxes, substituteIndex } from './expr-rewrite.ts';
import { type GroupContext, type KernelBody, memberStmts } from './group.ts';
import { axisMap, extentOf, loop, nest } from './loops.ts';
import { type DirectProblem, stageImage } from './lower-direct.ts';
import { storedWeights } from './narrow-weights.ts';
import { type DepthwiseSchedule, mostDepthwiseTaps, parallelThreshold } from './schedule.ts';

/** The image at one tap: a load, and when it is inside (null: always). */
interface Tap {
  readonly load: LoadExpr;
  readonly inside: Expr | null;
}

/** The axes that a depthwise convolution is scheduled by, or null where the problem is none. */
export function asDepthwise({ batch, features, pixels, inner }: DirectProblem): { channel: Axis; row: Axis } | null {
  const channel = batch.find(({ extent }) => extent > 1);
  const row = pixels.at(-1);
  const isOne = extentOf(features) === 1 && extentOf(inner) <= mostDepthwiseTaps;
  return isOne && channel !== undefined && row !== undefined && extentOf(batch) === channel.extent
    ? { channel, row }
    : null;
}

export function lowerDepthwise(
  context: GroupContext,
  anchor: Node,
  problem: DirectProblem,
  schedule: DepthwiseSchedule,
): KernelBody[] {
  const { channel, row } = asDepthwise(problem)!;
  const readable = tapOf(problem.image, channel);
  const staged = readable === null ? stageImage(context, problem, true) : null;
  const tap = readable ?? tapOf(staged!.image, channel);
  if (tap === null) throw new InternalError('the copy of an image has its channels side by side');
  const taps = extentOf(problem.inner);
  const weights = storedWeights(context, problem.weights);
  const packedWeights = context.scratch('packed_weights', weights.dtype, taps * channel.extent);
  const plan: Plan = { ...problem, ...schedule, weights, channel, row, tap, taps, packedWeights };
  const flops = 2 * channel.extent * extentOf(problem.pixels) * taps;
  return [
    ...(staged === null ? [] : [{ suffix: '_pad', body: staged.body, flops: 0 }]),
    { suffix: '_pack', body: packWeights(plan), flops: 0 },
    { suffix: '', body: convolve(context, anchor, plan, flops), flops },
  ];
}

interface Plan extends DirectProblem {
  readonly lanes: number;
  readonly vectors: number;
  readonly tile: number;
  readonly channel: Axis;
  /** The pixels' innermost axis: a tile is a run of it. */
  readonly row: Axis;
  readonly tap: Tap;
  readonly taps: number;
  /** `[tap][channel]` */
  readonly packedWeights: Buffer;
}

function tapOf(image: Expr, channel: Axis): Tap | null {
  const guarded = image.kind === 'select' && image.otherwise.kind === 'literal' && image.otherwise.value === 0;
  const read = guarded ? image.then : image;
  if (read.kind !== 'load' || coefficientOf(read.offset, channel) !== 1) return null;
  // Between spread elements a tap can be outside while its neighbours are inside: such an image is copied first.
  if (read.offset.terms.some(({ atom }) => atom.kind !== 'axis')) return null;
  return { load: read, inside: guarded ? image.condition : null };
}

function packWeights(plan: Plan): Stmt[] {
  const tap = axis('tap', plan.taps);
  const map = new Map(axisMap(plan.inner, of(tap)));
  const offset = flatten([of(tap), of(plan.channel)], [plan.taps, plan.channel.extent]);
  const value = substituteAxes(plan.weights, map);
  return [
    loop(tap, 'serial', [loop(plan.channel, 'vector', [{ kind: 'store', buffer: plan.packedWeights, offset, value }])]),
  ];
}

function convolve(context: GroupContext, anchor: Node, plan: Plan, work: number): Stmt[] {
  const { tile, vectors, lanes, channel, row } = plan;
  const outer = plan.pixels.slice(0, -1);
  const tiles = axis('tile', Math.ceil(row.extent / tile));
  const panels = axis('panel', channel.extent / (vectors * lanes));
  const sums: Buffer = { name: 'sums', dtype: plan.image.dtype, size: tile * vectors * lanes, space: 'stack' };
  const at = (pixel: IndexExpr): IndexExpr => add(multiply(of(tiles), tile), pixel);
  const body: Stmt[] = [
    { kind: 'allocate', buffer: sums },
    ...taps(plan, panels, at, sums),
    ...finish(context, anchor, plan, panels, at, sums),
  ];
  const inside = nest([tiles, panels], 'serial', body);
  return nest(outer, work >= parallelThreshold ? 'parallel' : 'serial', inside);
}

/** Sums of a tile: without tests where the first tap of its first pixel and the last of its last are inside. */
function taps(plan: Plan, panel: Axis, at: (pixel: IndexExpr) => IndexExpr, sums: Buffer): Stmt[] {
  const { tile, tap, row } = plan;
  const ragged = row.extent % tile !== 0;
  const condition = (which: number, pixel: number): Expr | null => {
    const map = new Map([...axisMap(plan.inner, fixed(which)), [row, at(fixed(pixel))] as const]);
    return tap.inside === null ? null : substituteAxes(tap.inside, map);
  };
  const inRow = (pixel: number): Expr | null =>
    ragged ? apply('lt', indexValue(at(fixed(pixel))), literal('i32', row.extent)) : null;
  const all = both(both(condition(0, 0), condition(plan.taps - 1, tile - 1)), inRow(tile - 1));
  const fast = tileSums(plan, panel, at, sums, () => null);
  if (all === null) return fast;
  const slow = tileSums(plan, panel, at, sums, (which, pixel) => both(inRow(pixel), condition(which, pixel)));
  return [{ kind: 'if', condition: all, then: fast, otherwise: slow }];
}

function tileSums(
  plan: Plan,
  panel: Axis,
  at: (pixel: IndexExpr) => IndexExpr,
  sums: Buffer,
  guardOf: (tap: number, pixel: number) => Expr | null,
): Stmt[] {
  const { tile, vectors, lanes, channel } = plan;
  const { dtype } = plan.image;
  const first = (vector: number): IndexExpr => add(multiply(of(panel), vectors * lanes), fixed(vector * lanes));
  const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
  const cells = range(tile).map((pixel) =>
    range(vectors).map((vector) => ({ name: `sum${pixel}_${vector}`, dtype, lanes }) satisfies Local),
  );
  const everyCell = cells.flatMap((row, pixel) => row.map((local, vector) => ({ pixel, vector, local })));
  const take = (which: number): Stmt[] => {
    const weights = range(vectors).map(
      (vector) => ({ name: `weight${which}_${vector}`, dtype, lanes }) satisfies Local,
    );
    const accumulate = (pixel: number): Stmt[] =>
      range(vectors).map((vector) => {
        const map = new Map([
          ...axisMap(plan.inner, fixed(which)),
          [plan.row, at(fixed(pixel))],
          [channel, first(vector)],
        ] as const);
        const value: Expr = { ...plan.tap.load, offset: substituteIndex(plan.tap.load.offset, map), lanes };
        const weight: Expr = { kind: 'local', dtype, local: weights[vector]! };
        return { kind: 'accumulate', local: cells[pixel]![vector]!, monoid: 'sum', value: apply('mul', value, weight) };
      });
    return [
      ...weights.map(
        (local, vector): Stmt => ({
          kind: 'let',
          local,
          value: castTo(dtype, {
            kind: 'load',
            dtype: plan.packedWeights.dtype,
            buffer: plan.packedWeights,
            offset: flatten([fixed(which), first(vector)], [plan.taps, channel.extent]),
            lanes,
          }),
        }),
      ),
      ...range(tile).flatMap((pixel): Stmt[] => {
        const guard = guardOf(which, pixel);
        const body = accumulate(pixel);
        return guard === null ? body : [{ kind: 'if', condition: guard, then: body, otherwise: [] }];
      }),
    ];
  };
  const zero: Expr = { kind: 'splat', dtype, value: literal(dtype, 0), lanes };
  return [
    ...everyCell.map(({ local }): Stmt => ({ kind: 'accumulator', local, initial: zero })),
    ...range(plan.taps).flatMap(take),
    ...everyCell.map(
      ({ pixel, vector, local }): Stmt => ({
        kind: 'store',
        buffer: sums,
        offset: fixed((pixel * vectors + vector) * lanes),
        value: { kind: 'local', dtype, local },
      }),
    ),
  ];
}

function finish(
  context: GroupContext,
  anchor: Node,
  plan: Plan,
  panel: Axis,
  at: (pixel: IndexExpr) => IndexExpr,
  sums: Buffer,
): Stmt[] {
  const width = plan.vectors * plan.lanes;
  const pixel = axis('pixel', plan.tile);
  const lane = axis('lane', width);
  const map = new Map([
    [plan.row, at(of(pixel))],
    [plan.channel, add(multiply(of(panel), width), of(lane))],
  ] as const);
  const index = plan.result.map((position) => substituteIndex(position, map));
  const sum = load(sums, add(multiply(of(pixel), width), of(lane)));
  const members = memberStmts(context, index, new Map([[anchor.results[0]!, sum]]));
  const body: Stmt[] = [loop(lane, 'vector', members)];
  if (plan.row.extent % plan.tile === 0) return [loop(pixel, 'serial', body)];
  const inRow = apply('lt', indexValue(at(of(pixel))), literal('i32', plan.row.extent));
  return [loop(pixel, 'serial', [{ kind: 'if', condition: inRow, then: body, otherwise: [] }])];
}
