// Few rows times a matrix that changes: out[pixel, feature] = Σ_k image[pixel, k] · weights[k, feature], where features lie
// side by side. Every weight is used a few times only, so reading them is what takes time, and memory is fast where it is
// read along its rows: a task takes a long run of features and adds several rows of weights at once to sums that stay in
// the first-level cache.

import type { Node } from '../ir/graph.ts';
import { type Axis, add, axis, coefficientOf, fixed, type IndexExpr, multiply, of } from '../ir/index-expr.ts';
import { apply, type Buffer, type Expr, indexValue, type Local, literal, load, type Stmt } from '../ir/kernel.ts';
import { substituteAxes } from './expr-rewrite.ts';
import type { GroupContext, KernelBody } from './group.ts';
import { axisMap, clear, extentOf, loop, nest } from './loops.ts';
import { type DirectProblem, membersOn } from './lower-direct.ts';
import { parallelThreshold, type StreamedSchedule } from './schedule.ts';

/** True where features lie side by side in weights that may change. */
export function isStreamed(context: GroupContext, { weights, features, window }: DirectProblem): boolean {
  if (weights.kind !== 'load' || window.channels !== undefined || context.isConstant(weights)) return false;
  const wide = features.filter(({ extent }) => extent > 1);
  return wide.length === 1 && coefficientOf(weights.offset, wide[0]!) === 1;
}

/** The loop variables of one task, and its sums: `[pixel][feature]`. */
interface Task {
  readonly batch: Axis;
  /** The task's first feature. */
  readonly first: IndexExpr;
  readonly width: number;
  readonly sums: Buffer;
}

export function lowerStreamed(
  context: GroupContext,
  anchor: Node,
  problem: DirectProblem,
  { columns, rows }: StreamedSchedule,
): KernelBody[] {
  const [features, pixels, inner] = [problem.features, problem.pixels, problem.inner].map(extentOf) as [
    number,
    number,
    number,
  ];
  const batch = axis('batch', extentOf(problem.batch));
  const part = axis('part', Math.ceil(features / columns));
  const sums: Buffer = { name: 'sums', dtype: problem.image.dtype, size: pixels * columns, space: 'stack' };
  const taskOf = (width: number): Task => ({ batch, first: multiply(of(part), columns), width, sums });
  const body = (task: Task): Stmt[] => [...sumRows(problem, task, rows), ...finish(context, anchor, problem, task)];
  const rest = features - (part.extent - 1) * columns;
  const isLast = apply('eq', indexValue(of(part)), literal('i32', part.extent - 1));
  const either: Stmt[] =
    rest === columns || part.extent === 1
      ? body(taskOf(rest))
      : [{ kind: 'if', condition: isLast, then: body(taskOf(rest)), otherwise: body(taskOf(columns)) }];
  const work = batch.extent * features * pixels * inner;
  const kind = work >= parallelThreshold ? 'parallel' : 'serial';
  const task: Stmt[] = [{ kind: 'allocate', buffer: sums }, ...clear(sums), ...either];
  return [{ suffix: '', body: nest([batch, part], kind, task), flops: 2 * work }];
}

/** Adds every row of weights to the sums, `rows` of them at a time. */
function sumRows(problem: DirectProblem, task: Task, rows: number): Stmt[] {
  const inner = extentOf(problem.inner);
  const block = axis('block', Math.floor(inner / rows));
  const whole = addRows(problem, task, multiply(of(block), rows), rows);
  const rest = inner - block.extent * rows;
  return [
    ...(block.extent === 0 ? [] : [loop(block, 'serial', whole)]),
    ...(rest === 0 ? [] : addRows(problem, task, fixed(block.extent * rows), rest)),
  ];
}

function addRows(problem: DirectProblem, { batch, first, width, sums }: Task, from: IndexExpr, rows: number): Stmt[] {
  const { dtype } = problem.image;
  const pixels = extentOf(problem.pixels);
  const column = axis('column', width);
  const at = (expr: Expr, pixel: number, row: number): Expr =>
    substituteAxes(
      expr,
      new Map([
        ...axisMap(problem.batch, of(batch)),
        ...axisMap(problem.features, add(first, of(column))),
        ...axisMap(problem.pixels, fixed(pixel)),
        ...axisMap(problem.inner, add(from, fixed(row))),
      ]),
    );
  const factors: Stmt[] = [];
  const sumsOf = Array.from({ length: pixels }, (_, pixel): Stmt => {
    const offset = add(of(column), fixed((pixel * sums.size) / pixels));
    let value: Expr = load(sums, offset);
    for (let row = 0; row < rows; row++) {
      const local: Local = { name: `factor${pixel}_${row}`, dtype, lanes: 1 };
      factors.push({ kind: 'let', local, value: at(problem.image, pixel, row) });
      value = apply('add', value, apply('mul', { kind: 'local', dtype, local }, at(problem.weights, pixel, row)));
    }
    return { kind: 'store', buffer: sums, offset, value };
  });
  return [...factors, loop(column, 'vector', sumsOf)];
}

/** The group's members on finished sums. */
function finish(context: GroupContext, anchor: Node, problem: DirectProblem, task: Task): Stmt[] {
  const pixel = axis('pixel', extentOf(problem.pixels));
  const column = axis('column', task.width);
  const map = new Map([
    ...axisMap(problem.batch, of(task.batch)),
    ...axisMap(problem.features, add(task.first, of(column))),
    ...axisMap(problem.pixels, of(pixel)),
  ]);
  const sum = load(task.sums, add(multiply(of(pixel), task.sums.size / pixel.extent), of(column)));
  return [loop(pixel, 'serial', [loop(column, 'vector', membersOn(context, anchor, problem, map, sum))])];
}
