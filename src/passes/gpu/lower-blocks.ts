// Contractions without barriers, for adapters that compute on the processor's own cores: memory that a workgroup shares is there
// memory like any other, and an invocation that waits costs as much as thousands of multiply-adds. Each invocation sums a block
// of rows × columns in registers and evaluates both operands where it needs them.

import { type Axis, add, axis, boundsOf, fixed, type IndexExpr, multiply, of } from '../../ir/index-expr.ts';
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
import { allIndices, substituteAxes } from '../expr-rewrite.ts';
import { extentOf, mergeAxes, nest, substituteStmts } from '../loops.ts';
import type { Problem } from '../lower-packed.ts';
import { invocations, limited, named, namedIndices, within } from './grid.ts';
import type { BlockSchedule } from './schedule.ts';
import { type Positions, vectorAt, vectorValue } from './tile-operands.ts';
import { vectorLanes } from './vectors.ts';

/** Σ_k lhs[b, m, k] · rhs[b, n, k] in blocks; `finish` takes each sum, at the axes of the problem. */
export function blocks(problem: Problem, block: BlockSchedule, finish: (sum: Expr) => Stmt[]): Stmt[] {
  const { batch, rows, columns, lhs, rhs } = problem;
  const { dtype } = lhs;
  const down = axis('block_row', Math.ceil(extentOf(rows) / block.rows));
  const across = axis('block_column', Math.ceil(extentOf(columns) / block.columns));
  const vectors = block.columns / vectorLanes;
  const lane = axis('lane', vectorLanes);
  const rowsAt = range(block.rows).map((i) => lineAt(rows, add(multiply(of(down), block.rows), fixed(i))));
  const columnsAt = range(vectors).map((j) => vectorAt(columns, add(multiply(of(across), vectors), fixed(j)), lane));
  const left = range(block.rows).map((i): Local => ({ name: `lhs_${i}`, dtype, lanes: 1 }));
  const right = range(vectors).map((j): Local => ({ name: `rhs_${j}`, dtype, lanes: vectorLanes }));
  const sums = range(block.rows).map((i) =>
    range(vectors).map((j): Local => ({ name: `sum_${i}_${j}`, dtype, lanes: vectorLanes })),
  );
  const step: Stmt[] = [
    ...right.map((local, j): Stmt => ({ kind: 'let', local, value: vectorValue(rhs, columnsAt[j]!, anywhere, lane) })),
    ...left.map((local, i): Stmt => ({ kind: 'let', local, value: substituteAxes(lhs, rowsAt[i]!.map) })),
    ...sums.flatMap((row, i) =>
      row.map((local, j): Stmt => {
        const value = apply('mul', splat(localValue(left[i]!), vectorLanes), localValue(right[j]!));
        return { kind: 'accumulate', local, monoid: 'sum', value };
      }),
    ),
  ];
  const { merged, map } = mergeAxes(problem.inner, allIndices(step));
  const begin = sums.flat().map((local): Stmt => {
    return { kind: 'accumulator', local, initial: splat(literal(dtype, 0), vectorLanes) };
  });
  const body = [
    ...rowsAt.flatMap(({ stmts }) => stmts),
    ...columnsAt.flatMap(({ stmts }) => stmts),
    ...begin,
    ...nest(merged, 'serial', substituteStmts(step, map)),
    ...finished(problem, sums, multiply(of(down), block.rows), multiply(of(across), block.columns), finish),
  ];
  return invocations([...batch, down, across], body, block.invocations);
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Summed positions are axes of their own: all elements of a vector are at the same one, and it is there. */
const anywhere: Positions = {
  stmts: [],
  whole: new Map(),
  each: range(vectorLanes).map(() => new Map()),
  guards: range(vectorLanes).map(() => []),
};

/** The indices of axes at a line, or at the last one where it lies beyond. */
function lineAt(axes: readonly Axis[], line: IndexExpr): ReturnType<typeof namedIndices> {
  const last = extentOf(axes) - 1;
  const isInside = boundsOf(line).upper <= last;
  const local: Local = { name: 'row', dtype: 'i32', lanes: 1 };
  const value = isInside ? indexValue(line) : apply('min', indexValue(line), literal('i32', last));
  const at = of({ kind: 'dynamic', expr: localValue(local), lower: 0, upper: last });
  const { stmts, map } = namedIndices(axes, at);
  return { stmts: [{ kind: 'let', local, value }, ...stmts], map };
}

/** What follows the sums, once for all of them: in a loop over an array. */
function finished(
  { rows, columns, lhs }: Problem,
  sums: readonly (readonly Local[])[],
  firstRow: IndexExpr,
  firstColumn: IndexExpr,
  finish: (sum: Expr) => Stmt[],
): Stmt[] {
  const across = sums[0]!.length * vectorLanes;
  const kept: Buffer = { name: 'sums', dtype: lhs.dtype, size: sums.length * across, space: 'stack' };
  const put = sums.flat().map((local, at): Stmt => {
    return { kind: 'store', buffer: kept, offset: fixed(at * vectorLanes), value: localValue(local) };
  });
  const [i, j] = [axis('i', sums.length), axis('j', across)];
  const row = named('row', add(firstRow, of(i)));
  const column = named('column', add(firstColumn, of(j)));
  const rowAt = namedIndices(rows, limited(row.index, extentOf(rows) - 1));
  const columnAt = namedIndices(columns, limited(column.index, extentOf(columns) - 1));
  const sum = load(kept, add(multiply(of(i), across), of(j)));
  const members = substituteStmts(finish(sum), new Map([...rowAt.map, ...columnAt.map]));
  const inColumn = within(column.index, extentOf(columns), [...columnAt.stmts, ...members]);
  const inRow = [...rowAt.stmts, ...nest([j], 'serial', [...column.stmts, ...inColumn])];
  return [
    { kind: 'allocate', buffer: kept },
    ...put,
    ...nest([i], 'serial', [...row.stmts, ...within(row.index, extentOf(rows), inRow)]),
  ];
}
