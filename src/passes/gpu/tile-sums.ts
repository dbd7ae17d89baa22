// The sums of a tiled contraction: each invocation keeps a block of them in registers, rows of vectors, multiplies what is
// in shared memory into them four summed elements at a time, and hands them to whatever follows.

import {
  type Axis,
  add,
  axis,
  fixed,
  flatten,
  floorDiv,
  type IndexExpr,
  modulo,
  multiply,
  of,
} from '../../ir/index-expr.ts';
import {
  apply,
  type Buffer,
  type Expr,
  indexValue,
  type Local,
  literal,
  load,
  localValue,
  type Stmt,
  splat,
} from '../../ir/kernel.ts';
import { extentOf, loop, nest, substituteStmts } from '../loops.ts';
import { limited, type NamedIndex, named, namedIndices, within } from './grid.ts';
import type { Operand, Tiling } from './tile-operands.ts';
import { vectorLanes, vectorStmts } from './vectors.ts';

/** A value in shared memory by its name. */
interface Read {
  readonly stmt: Stmt;
  readonly value: Expr;
}

const barrier: Stmt = { kind: 'barrier' };

/** What is done with the results of a tile: one by one, or, where a window has axes, with all of a window. */
export interface TileResults {
  /** The last axes of the rows. */
  readonly window: readonly Axis[];
  begin(): Stmt[];
  /** With a result at a flat position of the window. */
  take(w: IndexExpr, value: Expr): Stmt[];
  end(): Stmt[];
}

export class TileSums {
  readonly tiling: Tiling;
  readonly results: TileResults;
  readonly #lane: IndexExpr;
  /** Which slice the invocation belongs to. */
  readonly #slice: NamedIndex;
  /** The invocation's place among those of the tile, along columns and rows. */
  readonly #x: NamedIndex;
  readonly #y: NamedIndex;
  /** `[blockRows][blockColumns / 4]` vectors along columns. */
  readonly sums: readonly (readonly Local[])[];
  constructor(tiling: Tiling, lane: IndexExpr, results: TileResults) {
    const { across, down } = tiling;
    this.tiling = tiling;
    this.results = results;
    this.#lane = lane;
    this.#slice = named('slice', floorDiv(lane, across * down));
    this.#x = named('x', modulo(lane, across));
    this.#y = named('y', modulo(floorDiv(lane, across), down));
    const { schedule, problem } = tiling;
    const { dtype } = problem.lhs;
    this.sums = Array.from({ length: schedule.blockRows }, (_, i) =>
      Array.from({ length: schedule.blockColumns / vectorLanes }, (_, j): Local => {
        return { name: `sum_${i}_${j}`, dtype, lanes: vectorLanes };
      }),
    );
  }

  get begin(): Stmt[] {
    const zeros = this.sums.flat().map((local): Stmt => {
      return { kind: 'accumulator', local, initial: splat(literal(local.dtype, 0), local.lanes) };
    });
    return [...this.#slice.stmts, ...this.#x.stmts, ...this.#y.stmts, ...zeros];
  }

  /**
   * Row i of the block in its tile: neighbours are side by side, single or, where vectors run along rows, four at a time. A
   * window is in one block.
   */
  #row(i: IndexExpr): IndexExpr {
    const y = this.#y.index;
    const { alongSum } = this.tiling.lhs;
    if (this.results.window.length > 0) return add(multiply(y, this.tiling.schedule.blockRows), i);
    if (alongSum) return add(multiply(i, this.tiling.down), y);
    const vector = add(multiply(floorDiv(i, vectorLanes), this.tiling.down), y);
    return add(multiply(vector, vectorLanes), modulo(i, vectorLanes));
  }

  /** Vector j of the block among the tile's vectors along columns. */
  #vector(j: IndexExpr): IndexExpr {
    return add(multiply(j, this.tiling.across), this.#x.index);
  }

  /** Four summed elements at a time: vectors of both operands, and the products of all their elements. */
  multiply(stage: IndexExpr): Stmt {
    const { schedule, lhs, rhs } = this.tiling;
    const step = axis('k', schedule.inner / vectorLanes / schedule.slices);
    const from = multiply(add(multiply(this.#slice.index, step.extent), of(step)), vectorLanes);
    const rows = this.#factors(lhs, schedule.blockRows, from, stage, (i) => this.#row(i));
    const columns = this.#factors(rhs, schedule.blockColumns, from, stage, (j) => this.#columnOf(j));
    const products = [0, 1, 2, 3].flatMap((k) => [
      ...columns.reads(k),
      ...rows.reads(k),
      ...this.sums.flatMap((row, i) =>
        row.map((local, j): Stmt => {
          const value = apply('mul', splat(rows.scalar(i, k), vectorLanes), columns.vector(j, k));
          return { kind: 'accumulate', local, monoid: 'sum', value };
        }),
      ),
    ]);
    return loop(step, 'serial', products);
  }

  /**
   * The elements of some lines of an operand at four summed positions: along the sum a vector holds one line at all four,
   * else four lines at one. `reads(k)` is what has to be read before position k.
   */
  #factors(
    operand: Operand,
    count: number,
    from: IndexExpr,
    stage: IndexExpr,
    lineOf: (i: IndexExpr) => IndexExpr,
  ): { reads(k: number): Stmt[]; scalar(i: number, k: number): Expr; vector(j: number, k: number): Expr } {
    const { tile, alongSum } = operand;
    const read = (line: number, summed: IndexExpr): Read => {
      const offset = this.tiling.place(operand, lineOf(fixed(line)), summed, stage);
      const { dtype } = tile;
      const local: Local = { name: `${tile.name.slice(0, 3)}_${line}`, dtype, lanes: vectorLanes };
      const value: Expr = { kind: 'load', dtype, buffer: tile, offset, lanes: vectorLanes };
      return { stmt: { kind: 'let', local, value }, value: localValue(local) };
    };
    const component = (value: Expr, lane: number): Expr => ({ kind: 'component', dtype: tile.dtype, value, lane });
    if (alongSum) {
      const lines = Array.from({ length: count }, (_, i) => read(i, from));
      const scalar = (i: number, k: number): Expr => component(lines[i]!.value, k);
      const turned = operand.spread ? [0, 1, 2, 3].map((k) => this.#turned(operand, count, (i) => scalar(i, k))) : [];
      return {
        reads: (k) => [...(k === 0 ? lines : []), ...(turned[k] ?? [])].map(({ stmt }) => stmt),
        scalar,
        vector: (j, k) => turned[k]![j]!.value,
      };
    }
    const vectors = [0, 1, 2, 3].map((k) =>
      Array.from({ length: count / vectorLanes }, (_, j) => read(j * vectorLanes, add(from, fixed(k)))),
    );
    return {
      reads: (k) => vectors[k]!.map(({ stmt }) => stmt),
      scalar: (i, k) => component(vectors[k]![Math.floor(i / vectorLanes)]!.value, i % vectorLanes),
      vector: (j, k) => vectors[k]![j]!.value,
    };
  }

  /** Vectors of four lines at one summed position, from the vectors of each line. */
  #turned({ tile: { dtype } }: Operand, count: number, element: (i: number) => Expr): Read[] {
    return Array.from({ length: count / vectorLanes }, (_, j) => {
      const local: Local = { name: `column_${j}`, dtype, lanes: vectorLanes };
      const elements = [0, 1, 2, 3].map((c) => element(j * vectorLanes + c));
      return { stmt: { kind: 'let', local, value: { kind: 'vector', dtype, elements } }, value: localValue(local) };
    });
  }

  finish(firstRow: IndexExpr, firstColumn: IndexExpr): Stmt[] {
    const { sums } = this.tiling;
    if (sums !== null) return this.#sharedFinish(firstRow, firstColumn, sums);
    return this.results.window.length > 0
      ? this.#windowFinish(firstRow, firstColumn)
      : this.#ownFinish(firstRow, firstColumn);
  }

  /** The sums in an array, which is written and read once for all multiply-adds and keeps the text short. */
  #kept(): { sums: Buffer; stmts: Stmt[] } {
    const { schedule, problem } = this.tiling;
    const { blockRows, blockColumns } = schedule;
    const dtype = problem.lhs.dtype;
    const sums: Buffer = { name: 'sums', dtype, size: blockRows * blockColumns, space: 'stack' };
    const put = this.sums.flat().map((local, at): Stmt => {
      return { kind: 'store', buffer: sums, offset: fixed(at * vectorLanes), value: localValue(local) };
    });
    return { sums, stmts: [{ kind: 'allocate', buffer: sums }, ...put] };
  }

  /** What follows the sums, in a loop over their array; in vectors where it has such a form. */
  #ownFinish(firstRow: IndexExpr, firstColumn: IndexExpr): Stmt[] {
    const { schedule, problem } = this.tiling;
    const { blockRows, blockColumns } = schedule;
    const { sums, stmts } = this.#kept();
    const i = axis('i', blockRows);
    const row = named('row', add(firstRow, this.#row(of(i))));
    const rows = namedIndices(problem.rows, limited(row.index, extentOf(problem.rows) - 1));
    const members = (at: IndexExpr, columns: ReadonlyMap<Axis, IndexExpr>): Stmt[] => {
      const value = load(sums, add(multiply(of(i), blockColumns), at));
      return substituteStmts(this.results.take(fixed(0), value), new Map([...rows.map, ...columns]));
    };
    const inRow = this.#vectorColumns(firstColumn, members) ?? this.#columns(firstColumn, members);
    const inside = within(row.index, extentOf(problem.rows), [...rows.stmts, ...inRow]);
    return [...stmts, ...nest([i], 'serial', [...row.stmts, ...inside])];
  }

  /** The windows of a block, column by column. */
  #windowFinish(firstRow: IndexExpr, firstColumn: IndexExpr): Stmt[] {
    const { blockRows, blockColumns } = this.tiling.schedule;
    const { sums, stmts } = this.#kept();
    const size = extentOf(this.results.window);
    const i = axis('i', blockRows / size);
    const row = add(firstRow, this.#row(multiply(of(i), size)));
    const members = (at: IndexExpr, columns: ReadonlyMap<Axis, IndexExpr>): Stmt[] => {
      const from = add(multiply(of(i), size * blockColumns), at);
      const body = this.#window((w) => load(sums, add(from, multiply(w, blockColumns))));
      return substituteStmts(body, columns);
    };
    return [...stmts, ...nest([i], 'serial', this.#inWindow(row, this.#columns(firstColumn, members)))];
  }

  /** What is done with the results of a window. */
  #window(value: (w: IndexExpr) => Expr): Stmt[] {
    const { window } = this.results;
    const w = flatten(
      window.map(of),
      window.map(({ extent }) => extent),
    );
    return [...this.results.begin(), ...nest(window, 'serial', this.results.take(w, value(w))), ...this.results.end()];
  }

  /** Statements at the window that begins at a row, where there is one. */
  #inWindow(row: IndexExpr, body: readonly Stmt[]): Stmt[] {
    const { window } = this.results;
    const { rows } = this.tiling.problem;
    const others = rows.slice(0, rows.length - window.length);
    const at = named('window', floorDiv(row, extentOf(window)));
    const { stmts, map } = namedIndices(others, limited(at.index, extentOf(others) - 1));
    return [...at.stmts, ...within(at.index, extentOf(others), [...stmts, ...substituteStmts(body, map)])];
  }

  /** Slices add their sums in turns, as many at a time as there are areas; all invocations then share out the results. */
  #sharedFinish(firstRow: IndexExpr, firstColumn: IndexExpr, sums: Buffer): Stmt[] {
    const { schedule, problem, invocations } = this.tiling;
    const { rows, columns, slices, areas } = schedule;
    const kept = this.#kept();
    const turn = axis('turn', slices / areas - 1);
    const isIn = (at: IndexExpr): Expr => apply('eq', indexValue(floorDiv(this.#slice.index, areas)), indexValue(at));
    const inTurn = (at: IndexExpr, isFirst: boolean): Stmt[] => [
      { kind: 'if', condition: isIn(at), then: this.#put(kept.sums, sums, isFirst), otherwise: [] },
      barrier,
    ];
    const later = turn.extent === 0 ? [] : [loop(turn, 'serial', inTurn(add(of(turn), fixed(1)), false))];
    const turns = [...kept.stmts, ...inTurn(fixed(0), true), ...later];
    const size = extentOf(this.results.window);
    const count = (rows / size) * columns;
    const e = axis('e', Math.ceil(count / invocations));
    const flat = named('at', add(multiply(of(e), invocations), this.#lane));
    const [inRows, inColumns] = [floorDiv(flat.index, columns), modulo(flat.index, columns)];
    const column = named('column', add(firstColumn, inColumns));
    const { stmts, map } = namedIndices(problem.columns, limited(column.index, extentOf(problem.columns) - 1));
    const total = (w: IndexExpr): Expr => {
      const at = add(multiply(add(multiply(inRows, size), w), columns), inColumns);
      const parts = Array.from({ length: areas }, (_, area) => load(sums, add(at, fixed(area * rows * columns))));
      return parts.reduce((all, next) => apply('add', all, next));
    };
    const body = within(column.index, extentOf(problem.columns), [
      ...stmts,
      ...substituteStmts(this.#window(total), map),
    ]);
    const inside = this.#inWindow(add(firstRow, multiply(inRows, size)), [...column.stmts, ...body]);
    return [...turns, ...nest([e], 'serial', [...flat.stmts, ...within(flat.index, count, inside)])];
  }

  /** An invocation's sums in the area of its slice, or added to what is there. */
  #put(from: Buffer, sums: Buffer, isFirst: boolean): Stmt[] {
    const { rows, columns, blockRows, blockColumns, areas } = this.tiling.schedule;
    const area = multiply(modulo(this.#slice.index, areas), rows * columns);
    const i = axis('i', blockRows);
    const j = axis('j', blockColumns);
    const value = load(from, add(multiply(of(i), blockColumns), of(j)));
    const offset = add(area, add(multiply(this.#row(of(i)), columns), this.#columnOf(of(j))));
    const put: Stmt = isFirst
      ? { kind: 'store', buffer: sums, offset, value }
      : { kind: 'update', buffer: sums, offset, monoid: 'sum', value };
    return nest([i, j], 'serial', [put]);
  }

  /** Column j of the block in its tile. */
  #columnOf(j: IndexExpr): IndexExpr {
    return add(multiply(this.#vector(floorDiv(j, vectorLanes)), vectorLanes), modulo(j, vectorLanes));
  }

  #vectorColumns(firstColumn: IndexExpr, members: Members): Stmt[] | null {
    const { columns } = this.tiling.problem;
    const last = columns[columns.length - 1];
    if (last === undefined || last.extent % vectorLanes !== 0) return null;
    const lane = axis('lane', vectorLanes);
    const vectors = axis(last.name, last.extent / vectorLanes);
    const all = [...columns.slice(0, -1), vectors];
    const j = axis('j', this.tiling.schedule.blockColumns / vectorLanes);
    const at = named('column', add(floorDiv(firstColumn, vectorLanes), this.#vector(of(j))));
    const { stmts, map } = namedIndices(all, limited(at.index, extentOf(all) - 1));
    const place = new Map(map).set(last, add(multiply(map.get(vectors)!, vectorLanes), of(lane)));
    const written = vectorStmts(members(add(multiply(of(j), vectorLanes), of(lane)), place), lane);
    if (written === null) return null;
    return nest([j], 'serial', [...at.stmts, ...within(at.index, extentOf(all), [...stmts, ...written])]);
  }

  #columns(firstColumn: IndexExpr, members: Members): Stmt[] {
    const { columns } = this.tiling.problem;
    const j = axis('j', this.tiling.schedule.blockColumns);
    const at = named('column', add(firstColumn, this.#columnOf(of(j))));
    const { stmts, map } = namedIndices(columns, limited(at.index, extentOf(columns) - 1));
    const inside = within(at.index, extentOf(columns), [...stmts, ...members(of(j), map)]);
    return nest([j], 'serial', [...at.stmts, ...inside]);
  }
}

/** What follows a sum of a row, by its place in the row of the block and the indices of its column. */
type Members = (at: IndexExpr, columns: ReadonlyMap<Axis, IndexExpr>) => Stmt[];
