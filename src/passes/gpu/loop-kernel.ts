// A loop as one kernel, where its state fits the memory of a workgroup or of an invocation: in place of a dispatch for each phase of
// each iteration, the kernel has the loop in it, with barriers between phases that wait for one another. Rows that do not depend
// on one another are each computed by a workgroup, whose invocations share out a phase's elements; or by one invocation, which
// waits for nobody.

import { type Axis, add, axis, fixed, type IndexExpr, multiply, of } from '../../ir/index-expr.ts';
import { type Buffer, type Expr, type Kernel, type Local, load, localValue, type Stmt } from '../../ir/kernel.ts';
import {
  type Branch,
  countedLeaves,
  isBranch,
  isLoop,
  type Loop,
  type LoopForm,
  leavesOf,
  listsOf,
} from '../../ir/steps.ts';
import { allIndices, rewriteAccesses } from '../expr-rewrite.ts';
import { extentOf, loop, mergeAxes, nest, substituteStmts } from '../loops.ts';
import { type KernelStep, kernelOf, type LoweredStep } from '../lowered.ts';
import { assumedIterations } from '../schedule-loops.ts';
import { isLess, limited, named, namedIndices, within, workgroups } from './grid.ts';
import { phaseOf, type RowSplit, splitByRows, withinRow } from './loop-rows.ts';

type LoweredLoop = Loop<KernelStep, Buffer>;

/** The kernel of a loop that has a form, whose steps are phases. */
export function loopKernel(from: LoweredLoop, form: LoopForm): KernelStep {
  const { steps } = from;
  const kernels = leavesOf<KernelStep, Buffer>(steps).map(({ kernel }) => kernel);
  const split = splitByRows(steps, form.rows, (buffer) => form.places.has(buffer));
  const body = form.each === 'workgroup' ? byWorkgroups(steps, form, split) : byInvocations(steps, form, split);
  const inside = new Set(axesOfLoops(steps));
  const around = new Set(kernels.flatMap(({ iterations }) => iterations).filter((number) => !inside.has(number)));
  const flops = countedLeaves<KernelStep, Buffer>(steps, assumedIterations).reduce(
    (sum, { leaf, times }) => sum + times * leaf.kernel.flops,
    0,
  );
  const sources = new Map(kernels.flatMap((kernel) => kernel.sources.map((at) => [`${at.file}:${at.line}`, at])));
  const summary = `${form.name} in one kernel: ${[...new Set(kernels.map((kernel) => kernel.summary))].join('; ')}`;
  const described = { name: form.name, summary, sources: [...sources.values()], flops };
  return { kind: 'kernel', kernel: kernelOf(body, [...around], described), copy: null };
}

function axesOfLoops(steps: readonly LoweredStep[]): Axis[] {
  return steps.flatMap((step) => [
    ...(isLoop(step) && step.axis !== null ? [step.axis] : []),
    ...listsOf(step).flatMap(axesOfLoops),
  ]);
}

/** The arrays that are used: what became one with another has none. */
function allocations(steps: readonly LoweredStep[], { places }: LoopForm): Stmt[] {
  const parameters = leavesOf<KernelStep, Buffer>(steps).flatMap(({ kernel }) => kernel.parameters);
  const used = new Set(parameters.flatMap(({ buffer }) => places.get(buffer) ?? []));
  return [...used].map((buffer) => ({ kind: 'allocate', buffer }));
}

/** A workgroup for each row, its invocations over the elements of a phase. */
function byWorkgroups(steps: readonly LoweredStep[], form: LoopForm, split: RowSplit): Stmt[] {
  const { rows, invocations, places } = form;
  return workgroups(rows, invocations, allocations(steps, form), (row, lane) => {
    const shared = (kernel: Kernel): Stmt[] => {
      const { axes, body } = atRow(kernel, split, places, row);
      const { merged, map } = mergeAxes(axes, allIndices(body));
      const count = extentOf(merged);
      const turn = axis('turn', Math.ceil(count / invocations));
      const at = named('at', add(multiply(of(turn), invocations), lane));
      const indices = namedIndices(merged, limited(at.index, count - 1));
      const element = [...indices.stmts, ...substituteStmts(substituteStmts(body, map), indices.map)];
      const inside = [...at.stmts, ...within(at.index, count, element)];
      return turn.extent === 1 ? inside : [loop(turn, 'serial', inside)];
    };
    return new Steps(places, shared, true).list(steps);
  });
}

/** An invocation for each row, which does everything in turn. */
function byInvocations(steps: readonly LoweredStep[], form: LoopForm, split: RowSplit): Stmt[] {
  const { rows, invocations, places } = form;
  return workgroups(Math.ceil(rows / invocations), invocations, [], (group, lane) => {
    const row = named('row', add(multiply(group, invocations), lane));
    const at = limited(row.index, rows - 1);
    const inTurn = (kernel: Kernel): Stmt[] => {
      const { axes, body } = atRow(kernel, split, places, at);
      const { merged, map } = mergeAxes(axes, allIndices(body));
      return nest(merged, 'serial', substituteStmts(body, map));
    };
    const body = [...allocations(steps, form), ...new Steps(places, inTurn, false).list(steps)];
    return [...row.stmts, ...within(row.index, rows, body)];
  });
}

/** A phase of one row: its other axes, and its accesses to the loop's own memory in that row's part. */
function atRow(
  kernel: Kernel,
  split: RowSplit,
  places: ReadonlyMap<Buffer, Buffer>,
  row: IndexExpr,
): { axes: readonly Axis[]; body: readonly Stmt[] } {
  const { axes, body } = phaseOf(kernel);
  const over = split.rowAxis(kernel);
  const moved = rewriteAccesses(body, (buffer, offset) => {
    const place = places.get(buffer);
    if (place === undefined) return { buffer, offset };
    const isPart = over !== null && split.split.has(buffer);
    return { buffer: place, offset: isPart ? withinRow(offset, over, buffer.size / split.rows) : offset };
  });
  if (over !== null) return { axes: axes.filter((other) => other !== over), body: atIndex(moved, over, row) };
  return { axes, body: split.rows === 1 ? moved : storedOnce(moved, row) };
}

const atIndex = (body: readonly Stmt[], over: Axis, index: IndexExpr): Stmt[] =>
  substituteStmts(body, new Map([[over, index]]));

/** Of what all rows compute, one stores what others read. */
function storedOnce(body: readonly Stmt[], row: IndexExpr): Stmt[] {
  return body.map((stmt): Stmt => {
    switch (stmt.kind) {
      case 'store':
      case 'update':
        return stmt.buffer.space === 'global'
          ? { kind: 'if', condition: isLess(row, 1), then: [stmt], otherwise: [] }
          : stmt;
      case 'loop':
        return { ...stmt, body: storedOnce(stmt.body, row) };
      case 'if':
        return { ...stmt, then: storedOnce(stmt.then, row), otherwise: storedOnce(stmt.otherwise, row) };
      default:
        return stmt;
    }
  });
}

/** Steps as statements of a kernel, with barriers where invocations share what a step before touches. */
class Steps {
  readonly #places: ReadonlyMap<Buffer, Buffer>;
  readonly #phase: (kernel: Kernel) => Stmt[];
  readonly #shared: boolean;
  /** Arrays touched since all have met. */
  #read = new Set<Buffer>();
  #written = new Set<Buffer>();

  constructor(places: ReadonlyMap<Buffer, Buffer>, phase: (kernel: Kernel) => Stmt[], shared: boolean) {
    this.#places = places;
    this.#phase = phase;
    this.#shared = shared;
  }

  list(steps: readonly LoweredStep[]): Stmt[] {
    return steps.flatMap((step): Stmt[] => {
      if (isLoop(step)) return this.#loop(step);
      if (isBranch(step)) return this.#branch(step);
      const { summary, sources } = step.kernel;
      const before = this.#wait(step.kernel);
      return [...before, { kind: 'part', summary, sources, body: this.#phase(step.kernel) }];
    });
  }

  #loop({ axis: number, count, condition, steps }: LoweredLoop): Stmt[] {
    const meeting = this.#meet();
    const test = condition === null ? [] : this.#test(condition);
    return [loop(number ?? axis('round', count), 'serial', [...meeting, ...test, ...this.list(steps)])];
  }

  #test({ steps, predicate }: NonNullable<LoweredLoop['condition']>): Stmt[] {
    const before = this.list(steps);
    const { stmt, value } = this.#decision(predicate);
    return [...before, stmt, { kind: 'leave', condition: value }];
  }

  #branch({ predicate, then, otherwise }: Branch<KernelStep, Buffer>): Stmt[] {
    const { stmt, value } = this.#decision(predicate);
    const first = this.list(then);
    const [read, written] = [this.#read, this.#written];
    this.#met();
    const second = this.list(otherwise);
    this.#read = new Set([...read, ...this.#read]);
    this.#written = new Set([...written, ...this.#written]);
    return [stmt, { kind: 'if', condition: value, then: first, otherwise: second }];
  }

  /** A truth value that is the same for all that run these steps together. */
  #decision(predicate: Buffer): { stmt: Stmt; value: Expr } {
    const local: Local = { name: 'holds', dtype: 'bool', lanes: 1 };
    const buffer = this.#places.get(predicate)!;
    const value = localValue(local);
    if (!this.#shared) return { stmt: { kind: 'let', local, value: load(buffer, fixed(0)) }, value };
    this.#met();
    return { stmt: { kind: 'uniform', local, buffer, offset: fixed(0) }, value };
  }

  #wait({ parameters }: Kernel): Stmt[] {
    const touched = (except: 'read' | 'write'): Buffer[] =>
      parameters.flatMap(({ buffer, access }) => (access === except ? [] : (this.#places.get(buffer) ?? [])));
    const [read, written] = [touched('write'), touched('read')];
    const waits =
      [...read, ...written].some((buffer) => this.#written.has(buffer)) ||
      written.some((buffer) => this.#read.has(buffer));
    const meeting = waits ? this.#meet() : [];
    for (const buffer of read) this.#read.add(buffer);
    for (const buffer of written) this.#written.add(buffer);
    return meeting;
  }

  #meet(): Stmt[] {
    this.#met();
    return this.#shared ? [{ kind: 'barrier' }] : [];
  }

  #met(): void {
    this.#read = new Set();
    this.#written = new Set();
  }
}
