// Attention: a few queries at a time, one in each lane. Scores are a register tile of keys × queries, kept on the stack as
// [key][query]; what is computed of them along the keys (row-plan.ts) then runs down the keys, so that every lane reduces
// its own row; and a register tile of channels × queries sums the values. Keys and values are read where they lie: each
// element is broadcast to the lanes.

import type { Node, Value } from '../ir/graph.ts';
import { type Axis, add, axis, fixed, type IndexExpr, multiply, of } from '../ir/index-expr.ts';
import {
  apply,
  type Buffer,
  choose,
  type Expr,
  indexValue,
  type Local,
  literal,
  load,
  type Stmt,
} from '../ir/kernel.ts';
import type { ElementContext } from '../ir/optable.ts';
import { bytesPerElement } from '../ir/types.ts';
import type { Attention } from './attention.ts';
import { substituteAxes, substituteIndex } from './expr-rewrite.ts';
import { type GroupContext, type KernelBody, type LoweringContext, memberStmts } from './group.ts';
import { blocksOf, extentOf, loop, nest } from './loops.ts';
import { type WeightRows, weightRows } from './lower-attention-rows.ts';
import { workOf } from './lower-element.ts';
import { type AttentionSchedule, attentionSchedule, maskedKeys, parallelThreshold } from './schedule.ts';

/** Everything the statements of one attention share. */
interface Plan {
  readonly context: GroupContext;
  readonly attention: Attention;
  readonly anchor: Node;
  readonly schedule: AttentionSchedule;
  /** Queries of a task. */
  readonly width: number;
  readonly tile: Axis;
  readonly queryOperand: Expr;
  readonly keys: Expr;
  readonly values: Expr;
  /** `[depth][query]`, `[key][query]`, `[channel][query]`, of one task. */
  readonly queries: Buffer;
  readonly scores: Buffer;
  readonly sums: Buffer;
}

export function lowerAttention(context: GroupContext, anchor: Node, attention: Attention): KernelBody[] {
  const { query, key, depth, channel, batch, weights } = attention;
  const dtype = weights.type.dtype;
  const schedule = attentionSchedule(query.extent, key.extent, bytesPerElement[dtype], context.target);
  const width = schedule.lanes * schedule.vectors;
  const stack = (name: string, rows: number): Buffer => ({ name, dtype, size: rows * width, space: 'stack' });
  const copies: KernelBody[] = [];
  const inMemory = (name: string, expr: Expr, axes: readonly Axis[]): Expr => {
    const found = whereItLies(context, name, expr, axes);
    copies.push(...found.copy);
    return found.expr;
  };
  const { queries, keys, values } = operandsOf(context, anchor, attention);
  const plan: Plan = {
    context,
    attention,
    anchor,
    schedule,
    width,
    tile: axis('tile', Math.ceil(query.extent / width)),
    queryOperand: queries,
    keys: inMemory('keys', keys, [...batch, key, depth]),
    values: inMemory('values', values, [...batch, key, channel]),
    queries: stack('queries', depth.extent),
    scores: stack('scores', key.extent),
    sums: stack('sums', channel.extent),
  };
  const body = taskStmts(plan);
  const products = extentOf(batch) * query.extent * key.extent;
  const flops = products * (2 * depth.extent + 2 * channel.extent + workOf(body));
  const kind = flops >= parallelThreshold ? 'parallel' : 'serial';
  return [...copies, { suffix: '', body: nest([...batch, plan.tile], kind, body), flops }];
}

/** Queries, keys and values at the attention's axes. */
export function operandsOf(
  context: LoweringContext,
  anchor: Node,
  attention: Attention,
): { queries: Expr; keys: Expr; values: Expr } {
  const { scores, scoresForm, axes, queriesAreLhs, form, weightsAreLhs } = attention;
  const none: ReadonlyMap<Value, Expr> = new Map();
  const operands = (node: Node): ElementContext => ({
    operand: (position, index) => context.at(node.operands[position]!, index, none),
  });
  const [left, right] = [scoresForm.lhs, scoresForm.rhs].map((side) => substituteAxes(side(operands(scores)), axes));
  const values = weightsAreLhs ? form.rhs(operands(anchor)) : form.lhs(operands(anchor));
  return queriesAreLhs ? { queries: left!, keys: right!, values } : { queries: right!, keys: left!, values };
}

/** An operand as a load at linear indices: as it is, or copied by a kernel of its own. */
function whereItLies(
  context: GroupContext,
  name: string,
  expr: Expr,
  axes: readonly Axis[],
): { expr: Expr; copy: KernelBody[] } {
  if (expr.kind === 'load' && expr.offset.terms.every(({ atom }) => atom.kind === 'axis')) return { expr, copy: [] };
  const buffer = context.scratch(name, expr.dtype, extentOf(axes));
  const offset = axes.reduce((at, next) => add(multiply(at, next.extent), of(next)), fixed(0));
  const kind = buffer.size * 2 >= parallelThreshold ? 'parallel' : 'serial';
  const last = axes.at(-1)!;
  const store: Stmt = { kind: 'store', buffer, offset, value: expr };
  const body = nest(axes.slice(0, -1), kind, [loop(last, 'vector', [store])]);
  return { expr: load(buffer, offset), copy: [{ suffix: `_${name}`, body, flops: 0 }] };
}

function taskStmts(plan: Plan): Stmt[] {
  const { attention, width, tile } = plan;
  const rest = attention.query.extent - (tile.extent - 1) * width;
  const weights = weightRows(plan);
  const isLast = apply('eq', indexValue(of(tile)), literal('i32', tile.extent - 1));
  const byLanes = (stmts: (lanes: number) => Stmt[]): Stmt[] => {
    if (rest === width || tile.extent === 1) return stmts(rest);
    return [{ kind: 'if', condition: isLast, then: stmts(rest), otherwise: stmts(width) }];
  };
  const buffers = [plan.queries, ...weights.slots, plan.sums];
  return [
    ...buffers.map((buffer): Stmt => ({ kind: 'allocate', buffer })),
    ...packQueries(plan),
    ...scoreStmts(plan, weights),
    ...byLanes((lanes) => [...weights.stmts(lanes), ...idleLanes(plan, weights.weights, lanes)]),
    ...sumStmts(plan, weights),
    ...byLanes((lanes) => finish(plan, lanes)),
  ];
}

/** Zeros in the lanes that hold no query. */
function idleLanes({ attention, width }: Plan, weights: Buffer, lanes: number): Stmt[] {
  if (lanes === width) return [];
  const lane = axis('lane', width - lanes);
  const offset = add(multiply(of(attention.key), width), add(of(lane), fixed(lanes)));
  const zero = literal(weights.dtype, 0);
  return [
    loop(attention.key, 'serial', [loop(lane, 'vector', [{ kind: 'store', buffer: weights, offset, value: zero }])]),
  ];
}

/** `[depth][query]` of the tile; lanes beyond the last query hold zeros. */
function packQueries({ attention, width, tile, queryOperand, queries }: Plan): Stmt[] {
  const { query, depth } = attention;
  const lane = axis('lane', width);
  const at = add(multiply(of(tile), width), of(lane));
  const value = substituteAxes(queryOperand, new Map([[query, at]]));
  const isQuery = apply('lt', indexValue(at), literal('i32', query.extent));
  const padded = tile.extent * width > query.extent ? choose(isQuery, value, literal(value.dtype, 0)) : value;
  const offset = add(multiply(of(depth), width), of(lane));
  return [loop(lane, 'serial', [loop(depth, 'vector', [{ kind: 'store', buffer: queries, offset, value: padded }])])];
}

function scoreStmts(plan: Plan, weights: WeightRows): Stmt[] {
  const { attention, keys, queries, scores, schedule } = plan;
  const { key, depth } = attention;
  return blocksOf(key.extent, schedule.mostRows, (start, rows) =>
    guarded(
      weights.mayNeed(start, rows),
      registerTile(plan, {
        rows,
        along: depth,
        value: (row) => substituteAxes(keys, new Map([[key, add(start, fixed(row))]])),
        columns: queries,
        at: of(depth),
        sums: scores,
        start,
        continues: false,
      }),
    ),
  );
}

function guarded(condition: Expr | null, then: Stmt[]): Stmt[] {
  return condition === null ? then : [{ kind: 'if', condition, then, otherwise: [] }];
}

/** Sums of weighted values, block by block of keys where they are many. */
function sumStmts(plan: Plan, { weights, mayNeed }: WeightRows): Stmt[] {
  const { attention, values, sums, schedule } = plan;
  const { key, channel } = attention;
  const isMasked = mayNeed(fixed(0), key.extent) !== null;
  const keyBlock = isMasked ? maskedKeys : schedule.keyBlock;
  const continues = isMasked || key.extent > keyBlock;
  const blocks = blocksOf(key.extent, keyBlock, (from, count) => {
    const along = axis('k', count);
    const at = add(from, of(along));
    const body = blocksOf(channel.extent, schedule.mostRows, (start, rows) =>
      registerTile(plan, {
        rows,
        along,
        value: (row) =>
          substituteAxes(
            values,
            new Map([
              [channel, add(start, fixed(row))],
              [key, at],
            ]),
          ),
        columns: weights,
        at,
        sums,
        start,
        continues,
      }),
    );
    const condition = mayNeed(from, count);
    return condition === null ? body : unlessZero(plan, weights, from, count, condition, body);
  });
  if (!continues) return blocks;
  const cell = axis('cell', sums.size);
  const clear: Stmt = { kind: 'store', buffer: sums, offset: of(cell), value: literal(sums.dtype, 0) };
  return [loop(cell, 'vector', [clear]), ...blocks];
}

/**
 * A block's sums where the mask leaves scores in it. Elsewhere they may be left out if that changes nothing: all weights
 * are zero, as they are of scores far below the others, and all values finite, so that their products are zeros too.
 */
function unlessZero(
  { attention, values, width }: Plan,
  weights: Buffer,
  from: IndexExpr,
  count: number,
  mayNeed: Expr,
  body: Stmt[],
): Stmt[] {
  const { key, channel } = attention;
  const { dtype } = weights;
  const k = axis('k', count);
  const at = add(from, of(k));
  const zero = literal(dtype, 0);
  const size = Math.max(width, channel.extent);
  const found: Buffer = { name: 'not_zero', dtype, size, space: 'stack' };
  const cell = axis('cell', size);
  const lane = axis('lane', width);
  const greatest = (over: Axis, value: Expr): Stmt => {
    const take: Stmt = { kind: 'update', buffer: found, offset: of(over), monoid: 'max', value: apply('abs', value) };
    return loop(over, 'vector', [take]);
  };
  const weight = load(weights, add(multiply(at, width), of(lane)));
  const timesZero = apply('mul', substituteAxes(values, new Map([[key, at]])), zero);
  const all: Local = { name: 'counts', dtype, lanes: 1 };
  const counts: Expr = { kind: 'local', dtype, local: all };
  const check: Stmt[] = [
    { kind: 'allocate', buffer: found },
    loop(cell, 'vector', [{ kind: 'store', buffer: found, offset: of(cell), value: zero }]),
    loop(k, 'serial', [greatest(lane, weight), greatest(channel, timesZero)]),
    { kind: 'assign', local: all, value: zero },
    loop(cell, 'serial', [{ kind: 'accumulate', local: all, monoid: 'max', value: load(found, of(cell)) }]),
  ];
  return [
    { kind: 'accumulator', local: all, initial: literal(dtype, 1) },
    { kind: 'if', condition: apply('not', mayNeed), then: check, otherwise: [] },
    // A maximum that is NaN is not 0 either.
    { kind: 'if', condition: apply('ne', counts, zero), then: body, otherwise: [] },
  ];
}

/** Rows of a register tile: each a scalar along an axis, times vectors of queries at `at`. */
interface Tile {
  readonly rows: number;
  readonly along: Axis;
  value(row: number): Expr;
  readonly columns: Buffer;
  readonly at: IndexExpr;
  readonly sums: Buffer;
  /** The tile's first row in `sums`. */
  readonly start: IndexExpr;
  /** True: `sums` holds what is added to. */
  readonly continues: boolean;
}

function registerTile({ width, schedule }: Plan, tile: Tile): Stmt[] {
  const { along, columns, sums } = tile;
  const { lanes, vectors } = schedule;
  const { dtype } = sums;
  const vector = (buffer: Buffer, row: IndexExpr, position: number): Expr => {
    return { kind: 'load', dtype, buffer, offset: add(multiply(row, width), fixed(position * lanes)), lanes };
  };
  const named = (name: string): Local => ({ name, dtype, lanes });
  const reference = (local: Local): Expr => ({ kind: 'local', dtype, local });
  const column = Array.from({ length: vectors }, (_, position) => named(`column${position}`));
  const cells = Array.from({ length: tile.rows * vectors }, (_, cell) => {
    const [row, position] = [Math.floor(cell / vectors), cell % vectors];
    return { row, position, at: add(tile.start, fixed(row)), local: named(`sum${row}_${position}`) };
  });
  const zero: Expr = { kind: 'splat', dtype, value: literal(dtype, 0), lanes };
  return [
    ...cells.map(
      ({ local, at, position }): Stmt => ({
        kind: 'accumulator',
        local,
        initial: tile.continues ? vector(sums, at, position) : zero,
      }),
    ),
    loop(along, 'serial', [
      ...column.map((local, position): Stmt => ({ kind: 'let', local, value: vector(columns, tile.at, position) })),
      ...cells.map(({ local, row, position }): Stmt => {
        const broadcast: Expr = { kind: 'splat', dtype, lanes, value: tile.value(row) };
        const value = apply('mul', broadcast, reference(column[position]!));
        return { kind: 'accumulate', local, monoid: 'sum', value };
      }),
    ]),
    ...cells.map(({ local, at, position }): Stmt => {
      const offset = add(multiply(at, width), fixed(position * lanes));
      return { kind: 'store', buffer: sums, offset, value: reference(local) };
    }),
  ];
}

/** The anchor's members on the finished sums, of the lanes that hold queries. */
function finish({ context, attention, anchor, width, tile, sums }: Plan, lanes: number): Stmt[] {
  const { query, channel, form } = attention;
  const lane = axis('lane', lanes);
  const map = new Map([[query, add(multiply(of(tile), width), of(lane))]]);
  const index = form.result.map((position) => substituteIndex(position, map));
  const sum = load(sums, add(multiply(of(channel), width), of(lane)));
  const members = memberStmts(context, index, new Map([[anchor.results[0]!, sum]]));
  return [loop(lane, 'serial', [loop(channel, 'vector', members)])];
}
