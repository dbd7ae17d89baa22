// Attention on a GPU: a workgroup takes a few queries through all keys. Scores and weights are rows in its shared memory:
// invocations compute the scores of one key each, for all queries; the phases of the rows run as in any group by rows
// (lower-rows.ts); and each channel's sums are shared by some invocations, which a tree combines.

import { InternalError } from '../../ir/errors.ts';
import type { Node, Value } from '../../ir/graph.ts';
import { type Axis, add, axis, fixed, floorDiv, type IndexExpr, modulo, multiply, of } from '../../ir/index-expr.ts';
import { apply, type Buffer, type Expr, type Local, literal, load, type Stmt } from '../../ir/kernel.ts';
import type { Attention } from '../attention.ts';
import { substituteAxes, substituteIndex } from '../expr-rewrite.ts';
import { type KernelBody, type LoweringContext, memberStmts } from '../group.ts';
import { extentOf, loop, substituteStmts } from '../loops.ts';
import { operandsOf } from '../lower-attention.ts';
import { rowStmts } from '../lower-rows.ts';
import { attentionCandidates, type GpuContext } from './candidates.ts';
import { isLess, limited, named, namedIndices, within, workgroups } from './grid.ts';
import { RowWorkgroup } from './lower-rows.ts';
import { attentionKey } from './problem-keys.ts';
import {
  type AttentionSchedule,
  attentionSchedules,
  comesInTiles,
  type GpuTarget,
  gpuBytes,
  powerBelow,
} from './schedule.ts';
import { lowerTiledAttention } from './tiled-attention.ts';
import { treeStmts } from './tree.ts';

export function lowerAttention(
  context: GpuContext,
  anchor: Node,
  attention: Attention,
  target: GpuTarget,
): KernelBody[] {
  const { query, key, depth, channel, batch } = attention;
  if (comesInTiles(key.extent)) return lowerTiledAttention(context, anchor, attention, target);
  const tileOf = ({ queries, invocations }: AttentionSchedule): AttentionTile =>
    new AttentionTile(context, anchor, attention, queries, invocations, target.subgroups);
  const fits = (schedule: AttentionSchedule): boolean => tileOf(schedule).sharedBytes <= target.sharedBytes;
  const schedules = attentionSchedules(query.extent, key.extent, target);
  const untuned = { form: 'attention', ...(schedules.find(fits) ?? schedules[schedules.length - 1]!) } as const;
  const extents = {
    batch: extentOf(batch),
    query: query.extent,
    key: key.extent,
    depth: depth.extent,
    channel: channel.extent,
  };
  const choice = context.choose({
    group: context.group,
    key: () => attentionKey(context),
    untuned,
    candidates: () => attentionCandidates(untuned, extents, fits, target),
  });
  if (choice.form !== 'attention') throw new InternalError(`attention as ${choice.form}`);
  const flops = 2 * extentOf(batch) * query.extent * key.extent * (depth.extent + channel.extent);
  return [{ suffix: '', body: tileOf(choice).grid(), flops }];
}

const barrier: Stmt = { kind: 'barrier' };

/** A workgroup's queries. */
class AttentionTile {
  readonly #context: LoweringContext;
  readonly #anchor: Node;
  readonly #attention: Attention;
  readonly #count: number;
  readonly #invocations: number;
  readonly #lane: Axis;
  readonly #tile: Axis;
  /** `[query][depth]`, `[query][key]`, `[query][key]`. */
  readonly #queries: Buffer;
  readonly #scores: Buffer;
  readonly #weights: Buffer;
  readonly #tree: Buffer;
  /** Of one query, which an axis counts. */
  readonly #query: Axis;
  readonly #rows: ReturnType<typeof rowStmts>;
  readonly #shared: readonly Buffer[];

  constructor(
    context: LoweringContext,
    anchor: Node,
    attention: Attention,
    count: number,
    invocations: number,
    subgroups: boolean,
  ) {
    const { query, key, depth, weights, scores } = attention;
    const { dtype } = weights.type;
    this.#context = context;
    this.#anchor = anchor;
    this.#attention = attention;
    this.#count = count;
    this.#invocations = invocations;
    this.#lane = axis('lane', invocations);
    this.#tile = axis('tile', Math.ceil(query.extent / count));
    this.#query = axis('q', count);
    const rows = (name: string, length: number): Buffer => ({ name, dtype, size: count * length, space: 'shared' });
    this.#queries = rows('queries', depth.extent);
    this.#scores = rows('scores', key.extent);
    this.#weights = rows('weights', key.extent);
    this.#tree = { name: 'sums', dtype, size: invocations, space: 'shared' };
    const lanes = new RowWorkgroup(invocations, of(this.#lane), gpuBytes[dtype] * key.extent, subgroups);
    this.#rows = this.#rowsOf(lanes, scores.results[0]!);
    const kept = this.#rows.allocations.flatMap((stmt) => (stmt.kind === 'allocate' ? [stmt.buffer] : []));
    this.#shared = [this.#queries, this.#scores, this.#weights, this.#tree, ...lanes.trees, ...kept];
  }

  get sharedBytes(): number {
    return this.#shared.reduce((sum, { size, dtype }) => sum + size * gpuBytes[dtype], 0);
  }

  /** The phases from scores to weights, for the query that the axis counts. */
  #rowsOf(lanes: RowWorkgroup, scored: Value): ReturnType<typeof rowStmts> {
    const { members, domain, weights, index, key, query } = this.#attention;
    const inRow = (at: IndexExpr): IndexExpr => add(multiply(of(this.#query), key.extent), at);
    const context: LoweringContext = {
      ...this.#context,
      group: { ...this.#context.group, domain, anchor: null, members, byRows: true, stored: [weights] },
      bufferFor: (value) => (value === weights ? this.#weights : this.#context.bufferFor(value)),
      offsetOf: (value, at) => (value === weights ? inRow(at[at.length - 1]!) : this.#context.offsetOf(value, at)),
    };
    const lead = index.slice(0, -1).map((at) => substituteIndex(at, new Map([[query, this.#at(of(this.#query))]])));
    return rowStmts(context, lanes, lead, new Map([[scored, (at) => load(this.#scores, inRow(at))]]));
  }

  /** The query at a place of the tile. */
  #at(place: IndexExpr): IndexExpr {
    return add(multiply(of(this.#tile), this.#count), place);
  }

  grid(): Stmt[] {
    const { batch } = this.#attention;
    const axes = [...batch, this.#tile];
    const allocations = this.#shared.map((buffer): Stmt => ({ kind: 'allocate', buffer }));
    return workgroups(extentOf(axes), this.#invocations, allocations, (group, lane) => {
      const { stmts, map } = namedIndices(axes, group);
      const body = [...this.#stage(), barrier, ...this.#score(), ...this.#weigh(), barrier, ...this.#sum()];
      return [...stmts, ...substituteStmts(body, new Map([...map, [this.#lane, lane]]))];
    });
  }

  /** The queries' elements, to be read by all. */
  #stage(): Stmt[] {
    const { depth, query } = this.#attention;
    const { queries } = operandsOf(this.#context, this.#anchor, this.#attention);
    return this.#steps(this.#count * depth.extent, (at) => {
      const place = named('query', this.#at(floorDiv(at, depth.extent)));
      const map = new Map([
        [query, limited(place.index, query.extent - 1)],
        [depth, modulo(at, depth.extent)],
      ]);
      const store: Stmt = { kind: 'store', buffer: this.#queries, offset: at, value: substituteAxes(queries, map) };
      return [...place.stmts, ...within(place.index, query.extent, [store])];
    });
  }

  /** A key for each invocation, as in the phases that follow: no barrier has to part them. */
  #score(): Stmt[] {
    const { depth, key } = this.#attention;
    const { keys } = operandsOf(this.#context, this.#anchor, this.#attention);
    const sums = this.#locals('score');
    return this.#steps(key.extent, (at) => {
      const value: Local = { name: 'key', dtype: keys.dtype, lanes: 1 };
      const products = sums.map((local, q): Stmt => {
        const factor = load(this.#queries, add(fixed(q * depth.extent), of(depth)));
        return { kind: 'accumulate', local, monoid: 'sum', value: apply('mul', factor, reference(value)) };
      });
      return [
        ...sums.map(zeroed),
        loop(depth, 'serial', [
          { kind: 'let', local: value, value: substituteAxes(keys, new Map([[key, at]])) },
          ...products,
        ]),
        ...sums.map((local, q): Stmt => {
          const offset = add(fixed(q * key.extent), at);
          return { kind: 'store', buffer: this.#scores, offset, value: reference(local) };
        }),
      ];
    });
  }

  #weigh(): Stmt[] {
    const inside = within(this.#at(of(this.#query)), this.#attention.query.extent, this.#rows.stmts);
    return this.#count === 1
      ? substituteStmts(inside, new Map([[this.#query, fixed(0)]]))
      : [loop(this.#query, 'serial', inside)];
  }

  /** Σ over keys of weight · value: channels side by side, keys dealt to the rows of invocations. */
  #sum(): Stmt[] {
    const { key, channel } = this.#attention;
    const { values } = operandsOf(this.#context, this.#anchor, this.#attention);
    const columns = Math.min(this.#invocations, 2 * powerBelow(Math.max(1, channel.extent - 1)));
    const rows = this.#invocations / columns;
    const block = axis('block', Math.ceil(channel.extent / columns));
    const at = named('channel', add(multiply(of(block), columns), modulo(of(this.#lane), columns)));
    const step = axis('turn', Math.ceil(key.extent / rows));
    const keyAt = named('key_at', add(multiply(of(step), rows), floorDiv(of(this.#lane), columns)));
    const sums = this.#locals('sum');
    const value: Local = { name: 'value', dtype: values.dtype, lanes: 1 };
    const map = new Map([
      [key, limited(keyAt.index, key.extent - 1)],
      [channel, limited(at.index, channel.extent - 1)],
    ]);
    const products = sums.map((local, q): Stmt => {
      const weight = load(this.#weights, add(fixed(q * key.extent), keyAt.index));
      return { kind: 'accumulate', local, monoid: 'sum', value: apply('mul', weight, reference(value)) };
    });
    const take: Stmt[] = [{ kind: 'let', local: value, value: substituteAxes(values, map) }, ...products];
    const body = [
      ...at.stmts,
      ...sums.map(zeroed),
      ...within(at.index, channel.extent, [
        loop(step, 'serial', [...keyAt.stmts, ...within(keyAt.index, key.extent, take)]),
      ]),
      ...sums.flatMap((local, q) => this.#combine(local, q, at.index, columns, rows)),
    ];
    return block.extent === 1 ? substituteStmts(body, new Map([[block, fixed(0)]])) : [loop(block, 'serial', body)];
  }

  /** One query's sums of the rows of invocations, and what follows them. */
  #combine(local: Local, q: number, at: IndexExpr, columns: number, rows: number): Stmt[] {
    const { query, channel, form } = this.#attention;
    const place = this.#at(fixed(q));
    const lane = of(this.#lane);
    const map = new Map([
      [query, limited(place, query.extent - 1)],
      [channel, limited(at, channel.extent - 1)],
    ]);
    const index = form.result.map((position) => substituteIndex(position, map));
    const sum = rows === 1 ? reference(local) : load(this.#tree, lane);
    const members = memberStmts(this.#context, index, new Map([[this.#anchor.results[0]!, sum]]));
    const finish = within(place, query.extent, within(at, channel.extent, members));
    if (rows === 1) return finish;
    return [
      { kind: 'store', buffer: this.#tree, offset: lane, value: reference(local) },
      barrier,
      ...treeStmts([{ buffer: this.#tree, monoid: 'sum' }], lane, columns, rows),
      { kind: 'if', condition: isLess(lane, columns), then: finish, otherwise: [] },
      barrier,
    ];
  }

  #locals(name: string): Local[] {
    const { dtype } = this.#weights;
    return Array.from({ length: this.#count }, (_, q) => ({ name: `${name}_${q}`, dtype, lanes: 1 }));
  }

  #steps(count: number, body: (at: IndexExpr) => Stmt[]): Stmt[] {
    const step = axis('turn', Math.ceil(count / this.#invocations));
    const at = named('at', add(multiply(of(step), this.#invocations), of(this.#lane)));
    const inside = [...at.stmts, ...within(at.index, count, body(limited(at.index, count - 1)))];
    return step.extent === 1 ? substituteStmts(inside, new Map([[step, fixed(0)]])) : [loop(step, 'serial', inside)];
  }
}

function reference(local: Local): Expr {
  return { kind: 'local', dtype: local.dtype, local };
}

function zeroed(local: Local): Stmt {
  return { kind: 'accumulator', local, initial: literal(local.dtype, 0) };
}
