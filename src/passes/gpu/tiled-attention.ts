// Attention with more keys than a workgroup's memory has room for scores of: a softmax of them, tile by tile. A workgroup takes
// a few queries through all keys; an invocation computes the scores of one key of a tile, for all queries. Maxima and sums are
// combined for each tile, and what was summed of the values before is scaled to the new maximum (softmax.ts).

import type { Node } from '../../ir/graph.ts';
import { type Axis, add, axis, fixed, floorDiv, type IndexExpr, modulo, multiply, of } from '../../ir/index-expr.ts';
import {
  apply,
  type Buffer,
  choose,
  type Expr,
  type Local,
  literal,
  load,
  localValue,
  type Stmt,
} from '../../ir/kernel.ts';
import type { Attention } from '../attention.ts';
import { substituteAxes, substituteIndex } from '../expr-rewrite.ts';
import { type KernelBody, type LoweringContext, memberStmts } from '../group.ts';
import { extentOf, loop, substituteStmts } from '../loops.ts';
import { operandsOf } from '../lower-attention.ts';
import { rowElement } from '../row-groups.ts';
import { isLess, limited, named, namedIndices, within, workgroups } from './grid.ts';
import { attentionTile, type GpuTarget, powerBelow } from './schedule.ts';
import { combineAll, treeStmts } from './tree.ts';

const barrier: Stmt = { kind: 'barrier' };
const { keys: tileKeys } = attentionTile;

export function lowerTiledAttention(
  context: LoweringContext,
  anchor: Node,
  attention: Attention,
  target: GpuTarget,
): KernelBody[] {
  const { query, key, depth, channel, batch } = attention;
  const flops = 2 * extentOf(batch) * query.extent * key.extent * (depth.extent + channel.extent);
  return [{ suffix: '', body: new TiledAttention(context, anchor, attention, target.subgroups).grid(), flops }];
}

/** What is kept of one query: the largest score so far, Σ e of scores less that, and this invocation's Σ e · value. */
interface Query {
  readonly max: Local;
  readonly total: Local;
  readonly sum: Local;
}

class TiledAttention {
  readonly #context: LoweringContext;
  readonly #anchor: Node;
  readonly #attention: Attention;
  readonly #subgroups: boolean;
  readonly #queries: readonly Query[];
  readonly #lane = axis('lane', tileKeys);
  readonly #group: Axis;
  /** `[query][depth]`, `[query][key]`, `[query][invocation]`. */
  readonly #staged: Buffer;
  readonly #weights: Buffer;
  readonly #trees: readonly Buffer[];

  constructor(context: LoweringContext, anchor: Node, attention: Attention, subgroups: boolean) {
    const { query, depth, weights } = attention;
    const { dtype } = weights.type;
    const count = Math.min(attentionTile.queries, query.extent);
    this.#context = context;
    this.#anchor = anchor;
    this.#attention = attention;
    this.#subgroups = subgroups;
    this.#group = axis('tile', Math.ceil(query.extent / count));
    const local = (name: string): Local => ({ name, dtype, lanes: 1 });
    this.#queries = Array.from({ length: count }, (_, q) => {
      return { max: local(`max_${q}`), total: local(`total_${q}`), sum: local(`sum_${q}`) };
    });
    const shared = (name: string, size: number): Buffer => ({ name, dtype, size, space: 'shared' });
    this.#staged = shared('queries', count * depth.extent);
    this.#weights = shared('weights', count * tileKeys);
    this.#trees = this.#queries.map((_, q) => shared(`tree_${q}`, tileKeys));
  }

  grid(): Stmt[] {
    const { batch, key } = this.#attention;
    const axes = [...batch, this.#group];
    const shared = [this.#staged, this.#weights, ...this.#trees];
    const allocations = shared.map((buffer): Stmt => ({ kind: 'allocate', buffer }));
    const dtype = this.#weights.dtype;
    const begin = this.#queries.flatMap(({ max, total, sum }): Stmt[] => [
      { kind: 'accumulator', local: max, initial: literal(dtype, Number.NEGATIVE_INFINITY) },
      { kind: 'accumulator', local: total, initial: literal(dtype, 0) },
      { kind: 'accumulator', local: sum, initial: literal(dtype, 0) },
    ]);
    const tile = axis('keys', Math.ceil(key.extent / tileKeys));
    // What combines the weights leaves them visible to all.
    const steps = [...this.#score(tile), ...this.#sum(tile), barrier];
    return workgroups(extentOf(axes), tileKeys, allocations, (group, lane) => {
      const { stmts, map } = namedIndices(axes, group);
      const body = [...this.#stage(), barrier, ...begin, loop(tile, 'serial', steps), ...this.#finish()];
      return [...stmts, ...substituteStmts(body, new Map([...map, [this.#lane, lane]]))];
    });
  }

  /** A query's place among all; of one beyond them the last one's, which is computed again and not stored. */
  #at(q: number): { stmts: readonly Stmt[]; index: IndexExpr; place: IndexExpr } {
    const { query } = this.#attention;
    const place = add(multiply(of(this.#group), this.#queries.length), fixed(q));
    if (query.extent % this.#queries.length === 0) return { stmts: [], index: place, place };
    const expr = apply('min', { kind: 'index', dtype: 'i32', value: place }, literal('i32', query.extent - 1));
    return { stmts: [], index: of({ kind: 'dynamic', expr, lower: 0, upper: query.extent - 1 }), place };
  }

  #stage(): Stmt[] {
    const { depth, query } = this.#attention;
    const { queries } = operandsOf(this.#context, this.#anchor, this.#attention);
    const step = axis('turn', Math.ceil(depth.extent / tileKeys));
    const at = named('at', add(multiply(of(step), tileKeys), of(this.#lane)));
    const stores = this.#queries.map((_, q): Stmt => {
      const map = new Map([
        [query, this.#at(q).index],
        [depth, limited(at.index, depth.extent - 1)],
      ]);
      const offset = add(fixed(q * depth.extent), limited(at.index, depth.extent - 1));
      return { kind: 'store', buffer: this.#staged, offset, value: substituteAxes(queries, map) };
    });
    return [loop(step, 'serial', [...at.stmts, ...within(at.index, depth.extent, stores)])];
  }

  /** Scores of one key, maxima of the tile, and weights before they are divided by their sum. */
  #score(tile: Axis): Stmt[] {
    const { depth, key } = this.#attention;
    const { keys } = operandsOf(this.#context, this.#anchor, this.#attention);
    const { dtype } = this.#weights;
    const at = named('key_at', add(multiply(of(tile), tileKeys), of(this.#lane)));
    const inside = limited(at.index, key.extent - 1);
    const local = (name: string, q: number): Local => ({ name: `${name}_${q}`, dtype, lanes: 1 });
    const scores = this.#queries.map((_, q) => local('score', q));
    const logits = this.#queries.map((_, q) => local('logit', q));
    const value: Local = { name: 'key', dtype: keys.dtype, lanes: 1 };
    const products = scores.map((score, q): Stmt => {
      const factor = load(this.#staged, add(fixed(q * depth.extent), of(depth)));
      return { kind: 'accumulate', local: score, monoid: 'sum', value: apply('mul', factor, localValue(value)) };
    });
    const lowest = literal(dtype, Number.NEGATIVE_INFINITY);
    const begin = [
      ...scores.map((score): Stmt => ({ kind: 'accumulator', local: score, initial: literal(dtype, 0) })),
      ...logits.map((logit): Stmt => ({ kind: 'accumulator', local: logit, initial: lowest })),
    ];
    const computed = [
      loop(depth, 'serial', [
        { kind: 'let', local: value, value: substituteAxes(keys, new Map([[key, inside]])) },
        ...products,
      ]),
      ...logits.flatMap((logit, q) => this.#logit(q, inside, localValue(scores[q]!), logit)),
    ];
    const maxima = combineAll(
      this.#trees.map((buffer) => ({ buffer, monoid: 'max' })),
      logits.map(localValue),
      of(this.#lane),
      tileKeys,
      this.#subgroups,
    );
    const weights = this.#queries.flatMap((query, q) => this.#weigh(query, q, logits[q]!, maxima.results[q]!));
    const totals = combineAll(
      this.#trees.map((buffer) => ({ buffer, monoid: 'sum' })),
      this.#queries.map((_, q) => load(this.#weights, add(fixed(q * tileKeys), of(this.#lane)))),
      of(this.#lane),
      tileKeys,
      this.#subgroups,
    );
    const added = this.#queries.map(({ total }, q): Stmt => {
      return { kind: 'accumulate', local: total, monoid: 'sum', value: totals.results[q]! };
    });
    return [
      ...begin,
      ...at.stmts,
      ...within(at.index, key.extent, computed),
      ...maxima.stmts,
      ...weights,
      ...totals.stmts,
      ...added,
    ];
  }

  /** What the members before the softmax make of a score. */
  #logit(q: number, key: IndexExpr, score: Expr, result: Local): Stmt[] {
    const { softmax, domain, index, scores, query } = this.#attention;
    const { table } = this.#context;
    const lead = index.slice(0, -1).map((at) => substituteIndex(at, new Map([[query, this.#at(q).index]])));
    const locals = new Map([[scores.results[0]!, score]]);
    const stmts: Stmt[] = [];
    for (const node of softmax!.before) {
      const element = rowElement(table, node, domain, lead, key, (operand, at) =>
        this.#context.at(operand, at, locals),
      );
      const [value] = node.results;
      const local: Local = { name: value!.name ?? node.op, dtype: value!.type.dtype, lanes: 1 };
      stmts.push({ kind: 'let', local, value: element! });
      locals.set(value!, localValue(local));
    }
    return [...stmts, { kind: 'assign', local: result, value: locals.get(softmax!.logits)! }];
  }

  /** The query's state on the way to a new maximum. Where all scores so far are −∞ nothing is subtracted, so that weights are 0. */
  #weigh({ max, total, sum }: Query, q: number, logit: Local, tileMax: Expr): Stmt[] {
    const { dtype } = max;
    const local = (name: string): Local => ({ name: `${name}_${q}`, dtype, lanes: 1 });
    const [next, shift, scale] = [local('next'), local('shift'), local('scale')];
    const lowest = literal(dtype, Number.NEGATIVE_INFINITY);
    const isLowest = apply('eq', localValue(next), lowest);
    const less = (value: Expr): Expr => apply('exp', apply('sub', value, localValue(shift)));
    const scaled = (of: Local): Stmt => {
      return { kind: 'assign', local: of, value: apply('mul', localValue(of), localValue(scale)) };
    };
    return [
      { kind: 'let', local: next, value: apply('max', localValue(max), tileMax) },
      { kind: 'let', local: shift, value: choose(isLowest, literal(dtype, 0), localValue(next)) },
      { kind: 'let', local: scale, value: less(localValue(max)) },
      { kind: 'assign', local: max, value: localValue(next) },
      scaled(total),
      scaled(sum),
      {
        kind: 'store',
        buffer: this.#weights,
        offset: add(fixed(q * tileKeys), of(this.#lane)),
        value: less(localValue(logit)),
      },
    ];
  }

  /** Channels side by side, and the rows of invocations that share the keys of a tile. */
  get #columns(): number {
    return Math.min(tileKeys, 2 * powerBelow(Math.max(1, this.#attention.channel.extent - 1)));
  }

  #sum(tile: Axis): Stmt[] {
    const { key, channel } = this.#attention;
    const { values } = operandsOf(this.#context, this.#anchor, this.#attention);
    const columns = this.#columns;
    const rows = tileKeys / columns;
    const at = named('channel', modulo(of(this.#lane), columns));
    const step = axis('turn', columns);
    const inTile = named('place', add(multiply(of(step), rows), floorDiv(of(this.#lane), columns)));
    const keyAt = named('value_at', add(multiply(of(tile), tileKeys), inTile.index));
    const value: Local = { name: 'value', dtype: values.dtype, lanes: 1 };
    const map = new Map([
      [key, limited(keyAt.index, key.extent - 1)],
      [channel, limited(at.index, channel.extent - 1)],
    ]);
    const products = this.#queries.map(({ sum }, q): Stmt => {
      const weight = load(this.#weights, add(fixed(q * tileKeys), inTile.index));
      return { kind: 'accumulate', local: sum, monoid: 'sum', value: apply('mul', weight, localValue(value)) };
    });
    const take: Stmt[] = [{ kind: 'let', local: value, value: substituteAxes(values, map) }, ...products];
    const taken = [...inTile.stmts, ...keyAt.stmts, ...within(keyAt.index, key.extent, take)];
    return [...at.stmts, ...within(at.index, channel.extent, [loop(step, 'serial', taken)])];
  }

  /** The sums of the rows of invocations together, divided, and what follows them. */
  #finish(): Stmt[] {
    const { query, channel, form } = this.#attention;
    const columns = this.#columns;
    const lane = of(this.#lane);
    const at = named('channel', modulo(lane, columns));
    const put = this.#queries.map(({ sum }, q): Stmt => {
      return { kind: 'store', buffer: this.#trees[q]!, offset: lane, value: localValue(sum) };
    });
    const tree = treeStmts(
      this.#trees.map((buffer) => ({ buffer, monoid: 'sum' })),
      lane,
      columns,
      tileKeys / columns,
    );
    const results = this.#queries.flatMap(({ total }, q) => {
      const { place } = this.#at(q);
      const map = new Map([
        [query, limited(place, query.extent - 1)],
        [channel, limited(at.index, channel.extent - 1)],
      ]);
      const index = form.result.map((position) => substituteIndex(position, map));
      const mean = apply('div', load(this.#trees[q]!, lane), localValue(total));
      const members = memberStmts(this.#context, index, new Map([[this.#anchor.results[0]!, mean]]));
      return within(place, query.extent, within(at.index, channel.extent, members));
    });
    const last: Stmt = { kind: 'if', condition: isLess(lane, columns), then: results, otherwise: [] };
    return [...put, barrier, ...tree, ...at.stmts, last];
  }
}
