// A contraction in the kernel of the group that reads windows of its results. Windows of one result are what a contraction
// does with its sums. Of more, a thin contraction has an invocation that computes all of a window one after another, or,
// where sums are long, a workgroup that has whole windows in its memory.

import { InternalError } from '../../ir/errors.ts';
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
  subtract,
} from '../../ir/index-expr.ts';
import { apply, type Buffer, type Expr, type Local, literal, load, type Stmt } from '../../ir/kernel.ts';
import { ranked } from '../decision.ts';
import { indicesOf, substituteAxes, substituteIndex } from '../expr-rewrite.ts';
import { type KernelBody, type Known, type LoweringContext, memberStmts, membersAt } from '../group.ts';
import { axisMap, contiguousAxis, extentOf, loop, mergeAxes, nest, substituteStmts } from '../loops.ts';
import { ifInside, resultAxes } from '../lower-contraction.ts';
import type { Problem } from '../lower-packed.ts';
import { reductionOf, running } from '../lower-reduction.ts';
import type { Source } from '../windows.ts';
import { type GpuChoice, type GpuContext, reductionCandidates } from './candidates.ts';
import { clamped, elementGrid, isLess, limited, named, namedIndices, within, workgroups } from './grid.ts';
import { contractionKernels, windowTiles } from './lower-contraction.ts';
import { stepsOver } from './lower-reduction.ts';
import { gpuContractionKey } from './problem-keys.ts';
import { type GpuTarget, isShort, isTiled, windowedSchedule } from './schedule.ts';
import { treeStmts } from './tree.ts';

export function lowerWindows(context: GpuContext, source: Source, target: GpuTarget): KernelBody[] {
  const windows = new Windows(context, source);
  const { problem, window } = windows;
  const domain = resultAxes(problem, context.order);
  if (extentOf(window) === 1) {
    const finish = (sum: Expr): Stmt[] =>
      ifInside(problem, context, [...windows.begin(), ...windows.take(fixed(0), sum), ...windows.end()]);
    const element = apply('mul', problem.lhs, problem.rhs);
    const sum = { domain, reduced: problem.inner, monoid: 'sum', position: false, element, finish } as const;
    return contractionKernels(context, problem, sum, target);
  }
  const [rows, columns, inner] = [problem.rows, problem.columns, problem.inner].map(extentOf) as [
    number,
    number,
    number,
  ];
  const [windowed, others] = windows.inRows ? [rows, columns] : [columns, rows];
  if (isTiled(windowed * extentOf(window), others, inner, problem.lhs.dtype))
    return windowTiles(context, problem, windows.inRows, windows, target);
  const body = isShort(extentOf(problem.inner)) ? alone(windows, domain) : together(context, windows, domain, target);
  return [{ suffix: '', body, flops: 2 * extentOf([...domain, ...window, ...problem.inner]) }];
}

/** The contraction in the reader's axes, and what the reader does with the results of one window. */
class Windows {
  readonly context: LoweringContext;
  readonly source: Source;
  /** Without the axes of the window, which its factors vary with too. */
  readonly problem: Problem;
  readonly window: readonly Axis[];
  /** True where windows are made of rows of the contraction, else of columns. */
  readonly inRows: boolean;
  readonly #state: { begin: Stmt[]; take: (w: IndexExpr, value: Expr) => Stmt[]; end: Stmt[] };
  constructor(context: LoweringContext, source: Source) {
    const { form, axes, window } = source;
    this.context = context;
    this.source = source;
    this.window = window.filter(({ extent }) => extent > 1);
    this.inRows = form.rows.some((next) => axes.has(next));
    const none: Known = new Map();
    const operands = {
      operand: (position: number, index: readonly IndexExpr[]) =>
        context.at(source.anchor.operands[position]!, index, none),
    };
    const free = (side: readonly Axis[]): Axis[] =>
      side.flatMap((next) => {
        const atoms = axes.get(next)?.terms.map(({ atom }) => atom as Axis) ?? [next];
        return atoms.filter((atom) => !window.includes(atom));
      });
    this.problem = {
      ...form,
      outer: [],
      rows: free(form.rows),
      columns: free(form.columns),
      lhs: substituteAxes(form.lhs(operands), axes),
      rhs: substituteAxes(form.rhs(operands), axes),
      result: source.index,
      window: undefined,
    };
    const { anchor } = context.group;
    this.#state = anchor === null ? this.#gathered() : this.#reduced();
  }

  begin(): Stmt[] {
    return this.#state.begin;
  }

  /** What is done with a result at a flat position of the window. */
  take(w: IndexExpr, value: Expr): Stmt[] {
    return this.#state.take(w, value);
  }

  end(): Stmt[] {
    return this.#state.end;
  }

  /** The value that the group reads, from a sum at a position of the window. */
  #valueAt(w: IndexExpr, sum: Expr): { stmts: Stmt[]; value: Expr } {
    const { source, context } = this;
    const group = { ...context.group, anchor: source.anchor, members: source.members, stored: [] };
    const index = source.read.map((at) => substituteIndex(at, this.#windowAt(w)));
    const known: Known = new Map([[source.anchor.results[0]!, sum]]);
    const { stmts, locals } = membersAt({ ...context, group }, index, known);
    return { stmts, value: locals.get(source.value) as Expr };
  }

  #windowAt(w: IndexExpr): Map<Axis, IndexExpr> {
    return new Map(axisMap(this.window, w));
  }

  /** An anchor that reduces windows. */
  #reduced(): { begin: Stmt[]; take: (w: IndexExpr, value: Expr) => Stmt[]; end: Stmt[] } {
    const { source, context } = this;
    const anchor = context.group.anchor!;
    const { lowering } = context.table[anchor.op];
    if (lowering.class !== 'reduction') throw new InternalError(`${anchor.op} does not reduce windows`);
    const reduction = reductionOf(context, anchor);
    const state = running(reduction);
    const take = (w: IndexExpr, sum: Expr): Stmt[] => {
      const { stmts, value } = this.#valueAt(w, sum);
      const known: Known = new Map([[source.value, value]]);
      const s = {
        operand: (position: number, at: readonly IndexExpr[]) => context.at(anchor.operands[position]!, at, known),
      };
      const windowAt = this.#windowAt(w);
      const reduced = source.window.map((next) => windowAt.get(next) ?? fixed(0));
      const element = lowering.element(s, source.index, reduced, anchor as never);
      return [...stmts, ...state.take(element, w)];
    };
    const results: Known = new Map([[anchor.results[0]!, state.result]]);
    return { begin: state.begin(), take, end: memberStmts(context, source.index, results) };
  }

  /** Elements that read each result of a window at a place of its own. */
  #gathered(): { begin: Stmt[]; take: (w: IndexExpr, value: Expr) => Stmt[]; end: Stmt[] } {
    const { source, context } = this;
    const size = extentOf(this.window);
    if (size === 1) {
      let value: Expr = literal(source.value.type.dtype, 0);
      const take = (w: IndexExpr, sum: Expr): Stmt[] => {
        const at = this.#valueAt(w, sum);
        value = at.value;
        return [...at.stmts, ...memberStmts(context, source.index, new Map([[source.value, value]]))];
      };
      return { begin: [], take, end: [] };
    }
    const gathered: Buffer = { name: 'window', dtype: source.value.type.dtype, size, space: 'stack' };
    const known: Known = new Map([[source.value, (index) => load(gathered, this.#positionOf(index))]]);
    return {
      begin: [{ kind: 'allocate', buffer: gathered }],
      take: (w, sum) => {
        const { stmts, value } = this.#valueAt(w, sum);
        return [...stmts, { kind: 'store', buffer: gathered, offset: w, value }];
      },
      end: memberStmts(context, source.index, known),
    };
  }

  /** Which result of the window an index means: along one axis, a constant number of steps from the first. */
  #positionOf(index: readonly IndexExpr[]): IndexExpr {
    const [axis] = this.window;
    const position = this.source.read.findIndex(({ terms }) => terms.some(({ atom }) => atom === axis));
    const read = this.source.read[position]!;
    const step = read.terms.find(({ atom }) => atom === axis)!.coefficient;
    const first = substituteIndex(read, new Map([[axis!, fixed(0)]]));
    return floorDiv(subtract(index[position]!, first), step);
  }
}

/** An invocation for each window. */
function alone(windows: Windows, domain: readonly Axis[]): Stmt[] {
  const { problem, window } = windows;
  const sum: Local = { name: 'sum', dtype: problem.lhs.dtype, lanes: 1 };
  const value: Expr = { kind: 'local', dtype: sum.dtype, local: sum };
  const element = apply('mul', problem.lhs, problem.rhs);
  const { merged, map } = mergeAxes(problem.inner, indicesOf(element));
  const take: Stmt = { kind: 'accumulate', local: sum, monoid: 'sum', value: substituteAxes(element, map) };
  const position = flatten(
    window.map(of),
    window.map(({ extent }) => extent),
  );
  const one: Stmt[] = [
    { kind: 'accumulator', local: sum, initial: literal(sum.dtype, 0) },
    ...nest(merged, 'serial', [take]),
    ...windows.take(position, value),
  ];
  const body = [...windows.begin(), ...nest(window, 'serial', one), ...windows.end()];
  return elementGrid(domain, body);
}

/**
 * A workgroup that has a few windows side by side, and some invocations for each of their results, whose sums a tree adds.
 * Result w of window d is column w · windows + d, so that neighbours read what windows that are neighbours read.
 */
function together(context: GpuContext, windows: Windows, domain: readonly Axis[], target: GpuTarget): Stmt[] {
  const { problem, window } = windows;
  const element = apply('mul', problem.lhs, problem.rhs);
  const size = extentOf(window);
  const results = extentOf(domain);
  const contiguous = contiguousAxis([element], [...domain, ...window, ...problem.inner]);
  const columnsContiguous = contiguous !== null && domain.includes(contiguous);
  const length = extentOf(problem.inner);
  const first = windowedSchedule(results, size, length, columnsContiguous, target);
  const untuned = { form: 'reduction', ...first } as const;
  const choice = context.choose({
    group: context.group,
    key: () => gpuContractionKey(problem, context, { read: first, windows: window }),
    untuned,
    candidates: () => {
      const reduction = { results, length, position: false, window: size };
      return ranked<GpuChoice>(untuned, reductionCandidates(reduction, first, target));
    },
  });
  if (choice.form !== 'reduction') throw new InternalError(`windows together as ${choice.form}`);
  const { columns, rows, rowsFirst } = choice;
  const across = columns / size;
  const sum = { domain, reduced: problem.inner, monoid: 'sum', position: false, element, finish: () => [] } as const;
  const state = running(sum);
  const values: Buffer = { name: 'values', dtype: element.dtype, size: columns * rows, space: 'shared' };
  const shared: Stmt[] = [{ kind: 'allocate', buffer: values }];
  return workgroups(Math.ceil(results / across), columns * rows, shared, (group, lane) => {
    const row = named('row', rowsFirst ? modulo(lane, rows) : floorDiv(lane, columns));
    const column = named('column', rowsFirst ? floorDiv(lane, rows) : modulo(lane, columns));
    // Beyond the last window an invocation sums for the last one again: all have to meet at the barriers.
    const from = multiply(group, across);
    const mine = named('at', clamped(add(from, modulo(column.index, across)), results));
    const { stmts, map } = namedIndices(domain, mine.index);
    const place = new Map([...map, ...axisMap(window, floorDiv(column.index, across))]);
    const steps = substituteStmts([...state.begin(), ...stepsOver(sum, state, row.index, rows)], place);
    const last = named('result', add(from, lane));
    const indices = namedIndices(domain, limited(last.index, results - 1));
    const w = axis('w', size);
    const finish = [
      ...windows.begin(),
      loop(w, 'serial', windows.take(of(w), load(values, add(multiply(of(w), across), lane)))),
      ...windows.end(),
    ];
    const inside = within(last.index, results, [...indices.stmts, ...substituteStmts(finish, indices.map)]);
    return [
      ...row.stmts,
      ...column.stmts,
      ...mine.stmts,
      ...stmts,
      ...steps,
      { kind: 'store', buffer: values, offset: add(multiply(row.index, columns), column.index), value: state.value },
      { kind: 'barrier' },
      ...treeStmts([{ buffer: values, monoid: 'sum' }], lane, columns, rows),
      { kind: 'if', condition: isLess(lane, across), then: [...last.stmts, ...inside], otherwise: [] },
    ];
  });
}
