// The operands of a tiled contraction on their way into memory that a workgroup shares. An operand is read in vectors of
// four along whatever axis its elements lie, and kept in vectors of that direction, so that nothing is transposed on the way:
// along the sum as `[line][summed]`, else as `[summed][line]`, where lines are rows of the left and columns of the right one.
// What has no such form (ragged, strided, padded along that axis) is read element by element into the same vectors.

import {
  type Axis,
  add,
  axis,
  boundsOf,
  fixed,
  floorDiv,
  type IndexExpr,
  modulo,
  multiply,
  of,
  sameIndex,
} from '../../ir/index-expr.ts';
import {
  apply,
  type Buffer,
  choose,
  type Expr,
  type Local,
  lanesOf,
  literal,
  localValue,
  type Stmt,
  splat,
} from '../../ir/kernel.ts';
import { substituteAxes } from '../expr-rewrite.ts';
import { extentOf } from '../loops.ts';
import type { Problem } from '../lower-packed.ts';
import { isLess, limited, named, namedIndices } from './grid.ts';
import type { TileSchedule } from './schedule.ts';
import { elementsOf, loadedAlong, vectorLanes, vectorOf } from './vectors.ts';

/** One operand and its tiles in shared memory. */
export interface Operand {
  readonly axes: readonly Axis[];
  readonly value: Expr;
  /** Lines of a tile. */
  readonly width: number;
  /** True: vectors run along the sum. */
  readonly alongSum: boolean;
  /** True: neighbouring invocations read different lines at once. */
  readonly spread: boolean;
  readonly tile: Buffer;
}

/** What the statements of one tiled contraction share. */
export class Tiling {
  readonly problem: Problem;
  readonly schedule: TileSchedule;
  /** Present where the sum is computed in parts. */
  readonly part: Axis | null;
  readonly invocations: number;
  /** Invocations along the columns and the rows of a tile. */
  readonly across: number;
  readonly down: number;
  readonly blocks: number;
  readonly lhs: Operand;
  readonly rhs: Operand;
  /** Where slices add their sums; null where there is one slice. */
  readonly sums: Buffer | null;
  constructor(problem: Problem, schedule: TileSchedule, part: Axis | null = null) {
    const { rows, columns, inner, blockRows, blockColumns, slices, areas, parts } = schedule;
    this.problem = problem;
    this.schedule = schedule;
    this.part = part;
    this.across = columns / blockColumns;
    this.down = rows / blockRows;
    this.invocations = this.across * this.down * slices;
    this.blocks = Math.ceil(extentOf(problem.inner) / inner / parts);
    this.lhs = this.#operand('lhs_tile', problem.rows, problem.lhs, rows, false);
    const size = areas * rows * columns;
    this.sums = slices === 1 ? null : { name: 'tile_sums', dtype: problem.lhs.dtype, size, space: 'shared' };
    this.rhs = this.#operand('rhs_tile', problem.columns, problem.rhs, columns, true);
  }

  #operand(name: string, axes: readonly Axis[], value: Expr, width: number, spread: boolean): Operand {
    const { inner, stages } = this.schedule;
    const contiguous = loadedAlong(value, [...axes, ...this.problem.inner]);
    const alongSum = contiguous !== null && this.problem.inner.includes(contiguous);
    const tile: Buffer = { name, dtype: value.dtype, size: width * inner * stages, space: 'shared' };
    return { axes, value, width, alongSum, spread, tile };
  }

  /**
   * Where the vector of a line lies that begins at a summed element (a multiple of four where vectors run along the sum;
   * else the line is one). Spread lines along the sum are in an order in which eight neighbours, which read every fourth
   * line at the same time, meet all 32 banks: every fourth side by side, and each second one a vector further round.
   */
  place({ width, alongSum, spread, tile }: Operand, line: IndexExpr, summed: IndexExpr, stage: IndexExpr): IndexExpr {
    const { inner, stages } = this.schedule;
    const half = multiply(stage, tile.size / stages);
    if (!alongSum) return add(half, add(multiply(summed, width), line));
    if (!spread) return add(half, add(multiply(line, inner), summed));
    const vectors = inner / vectorLanes;
    const fourth = floorDiv(line, vectorLanes);
    const turned = modulo(add(floorDiv(summed, vectorLanes), floorDiv(fourth, 2)), vectors);
    const row = add(multiply(modulo(line, vectorLanes), width / vectorLanes), fourth);
    return add(half, add(multiply(row, inner), multiply(turned, vectorLanes)));
  }
}

/** Positions of one vector along some axes: in one piece where the last axis has whole vectors, else one by one. */
export interface Positions {
  readonly stmts: readonly Stmt[];
  /** The indices of the axes, for all elements (which an axis counts) or for each. */
  readonly whole: ReadonlyMap<Axis, IndexExpr> | null;
  readonly each: readonly ReadonlyMap<Axis, IndexExpr>[];
  /** What has to hold for each element to be there. */
  readonly guards: readonly (readonly Expr[])[];
}

const lanes = Array.from({ length: vectorLanes }, (_, lane) => lane);

/** The vector of this number along axes, counted from their first element. */
export function vectorAt(axes: readonly Axis[], number: IndexExpr, lane: Axis): Positions {
  const count = extentOf(axes);
  const last = axes[axes.length - 1];
  if (last === undefined || last.extent % vectorLanes !== 0) return scalarsAt(axes, number);
  const vectors = axis(last.name, last.extent / vectorLanes);
  const at = named(`${last.name}_at`, number);
  const limit = count / vectorLanes;
  const { stmts, map } = namedIndices([...axes.slice(0, -1), vectors], limited(at.index, limit - 1));
  const whole = new Map(map).set(last, add(multiply(map.get(vectors)!, vectorLanes), of(lane)));
  return {
    stmts: [...at.stmts, ...stmts],
    whole,
    each: lanes.map((c) => new Map(whole).set(last, add(multiply(map.get(vectors)!, vectorLanes), fixed(c)))),
    guards: lanes.map(() => guard(at.index, limit)),
  };
}

function scalarsAt(axes: readonly Axis[], number: IndexExpr): Positions {
  const elements = lanes.map((c) => oneAt(axes, add(multiply(number, vectorLanes), fixed(c))));
  return {
    stmts: elements.flatMap(({ stmts }) => stmts),
    whole: null,
    each: elements.map(({ each }) => each[0]!),
    guards: elements.map(({ guards }) => guards[0]!),
  };
}

/** The same positions for the same index, so that they are named once. */
function remembered(make: (index: IndexExpr) => Positions): (index: IndexExpr) => Positions {
  const known: { index: IndexExpr; positions: Positions }[] = [];
  return (index) => {
    const found = known.find((next) => sameIndex(next.index, index));
    if (found !== undefined) return { ...found.positions, stmts: [] };
    const positions = make(index);
    known.push({ index, positions });
    return positions;
  };
}

/** A single position, the same for all elements of a vector. */
function oneAt(axes: readonly Axis[], flat: IndexExpr): Positions {
  const count = extentOf(axes);
  const at = named(`${axes[axes.length - 1]?.name ?? 'i'}_at`, flat);
  const { stmts, map } = namedIndices(axes, limited(at.index, count - 1));
  const guards = guard(at.index, count);
  return {
    stmts: [...at.stmts, ...stmts],
    whole: map,
    each: lanes.map(() => map),
    guards: lanes.map(() => guards),
  };
}

function guard(index: IndexExpr, limit: number): Expr[] {
  return boundsOf(index).upper < limit ? [] : [isLess(index, limit)];
}

/** The element where it is there, and zero elsewhere. */
function insideOf(element: Expr, guards: readonly Expr[]): Expr {
  const [first, ...more] = guards;
  if (first === undefined) return element;
  const inside = more.reduce((all, next) => apply('and', all, next), first);
  return choose(inside, element, splat(literal(element.dtype, 0), lanesOf(element)));
}

/** How an invocation brings its share of a tile: names before the loop over blocks, reads of a block, stores of what was read. */
export interface StagedOperand {
  readonly before: readonly Stmt[];
  read(block: IndexExpr): { readonly stmts: readonly Stmt[]; readonly values: readonly Local[] };
  store(values: readonly Local[], stage: IndexExpr): Stmt[];
}

/** Neighbouring invocations read neighbouring vectors, whichever way the operand lies. */
export function stagedOperand(
  tiling: Tiling,
  operand: Operand,
  first: IndexExpr,
  invocation: IndexExpr,
): StagedOperand {
  const { problem, schedule, invocations, part, blocks } = tiling;
  const { axes, value, width, alongSum, tile } = operand;
  const lane = axis('lane', vectorLanes);
  const along = (alongSum ? schedule.inner : width) / vectorLanes;
  const linesAt = remembered((index) =>
    alongSum ? oneAt(axes, add(first, index)) : vectorAt(axes, add(floorDiv(first, vectorLanes), index), lane),
  );
  const slots = Array.from({ length: (width * schedule.inner) / vectorLanes / invocations }, (_, slot) => {
    const flat = add(invocation, fixed(slot * invocations));
    const [vector, other] = [modulo(flat, along), floorDiv(flat, along)];
    return { vector, other, lines: linesAt(alongSum ? other : vector) };
  });
  const summedAt = (block: IndexExpr): ((index: IndexExpr) => Positions) => {
    const from = add(multiply(part === null ? fixed(0) : of(part), blocks), block);
    return remembered((index) =>
      alongSum
        ? vectorAt(problem.inner, add(multiply(from, schedule.inner / vectorLanes), index), lane)
        : oneAt(problem.inner, add(multiply(from, schedule.inner), index)),
    );
  };
  return {
    before: slots.flatMap(({ lines }) => lines.stmts),
    read: (block) => {
      const values = slots.map((): Local => ({ name: tile.name.slice(0, 3), dtype: tile.dtype, lanes: vectorLanes }));
      const positions = summedAt(block);
      const stmts = slots.flatMap(({ vector, other, lines }, slot): Stmt[] => {
        const summed = positions(alongSum ? vector : other);
        return [...summed.stmts, { kind: 'let', local: values[slot]!, value: vectorValue(value, lines, summed, lane) }];
      });
      return { stmts, values };
    },
    store: (values, stage) =>
      slots.map(({ vector, other }, slot): Stmt => {
        const start = multiply(vector, vectorLanes);
        const offset = alongSum
          ? tiling.place(operand, other, start, stage)
          : tiling.place(operand, start, other, stage);
        return { kind: 'store', buffer: tile, offset, value: localValue(values[slot]!) };
      }),
  };
}

/** One load where the operand allows it, else element by element. */
export function vectorValue(value: Expr, lines: Positions, summed: Positions, lane: Axis): Expr {
  if (lines.whole !== null && summed.whole !== null) {
    const element = substituteAxes(value, new Map([...lines.whole, ...summed.whole]));
    const vector = vectorOf(element, lane);
    const guards = [...lines.guards[0]!, ...summed.guards[0]!];
    if (vector !== null) return insideOf(lanesOf(vector) > 1 ? vector : splat(vector, vectorLanes), guards);
    const elements = elementsOf(element, lane);
    return insideOf({ kind: 'vector', dtype: value.dtype, elements }, guards);
  }
  const elements = lanes.map((c) => {
    const element = substituteAxes(value, new Map([...lines.each[c]!, ...summed.each[c]!]));
    return insideOf(element, [...lines.guards[c]!, ...summed.guards[c]!]);
  });
  return { kind: 'vector', dtype: value.dtype, elements };
}
