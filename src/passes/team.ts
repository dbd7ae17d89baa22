// Threads: which loops a team of threads shares, and where it has to wait. One team walks all kernels of a program in
// order. A loop with enough work becomes tasks, which threads take one after another; all other statements are a task of
// their own. Threads wait for one another only before a kernel that depends on what others may still be doing.

import { InternalError } from '../ir/errors.ts';
import type { Axis } from '../ir/index-expr.ts';
import type { Buffer, Kernel, Local, Stmt } from '../ir/kernel.ts';
import type { Program, ProgramBuffer, ProgramStep, Storage } from '../ir/program.ts';
import { countedLeaves, isBranch, isLoop, leavesOf, mapSteps, predicatesOf } from '../ir/steps.ts';
import { bytesPerElement } from '../ir/types.ts';
import { alternateLoops } from './alternate.ts';
import { accessesOf, exprsOf, walkExpr, walkStmts } from './expr-rewrite.ts';
import { leastShared, leastSharedByProgram, leastTask, mostOpenAccesses, mostTasks } from './schedule.ts';
import { assumedIterations } from './schedule-loops.ts';
import { cyclesOf } from './work.ts';

/** Shares a program's loops among threads, or makes all of them serial where a team would not pay. */
export function shareAmongThreads(program: Program): Program {
  const preparation = leavesOf(shareSteps(program.preparation));
  return { ...program, steps: shareSteps(program.steps), preparation };
}

/** True for a kernel whose loops a team shares; any other kernel is run by one thread. */
export function isShared({ body }: Kernel): boolean {
  return body.some((stmt) => stmt.kind === 'tasks');
}

/** True for steps that the team runs together; all others are run by one thread, loops and branches as a whole. */
export function isSharedStep(step: ProgramStep): boolean {
  return leavesOf([step]).some(({ kernel }) => isShared(kernel));
}

function shareSteps(steps: readonly ProgramStep[]): ProgramStep[] {
  const known = new Map<Kernel, Kernel>();
  const shared = (kernel: Kernel): Kernel => {
    const found = known.get(kernel) ?? shareKernel(kernel);
    known.set(kernel, found);
    return found;
  };
  const same = (buffer: ProgramBuffer): ProgramBuffer => buffer;
  const launches = mapSteps(steps, (launch) => ({ ...launch, kernel: shared(launch.kernel) }), same);
  const cycles = countedLeaves(launches, assumedIterations)
    .filter(({ leaf }) => isShared(leaf.kernel))
    .reduce((sum, { leaf, times }) => sum + times * cyclesOf(leaf.kernel.body), 0);
  if (cycles >= leastSharedByProgram) return alternateLoops(new Waits().of(launches), ({ kernel }) => isShared(kernel));
  return withoutWaits(mapSteps(steps, (launch) => ({ ...launch, kernel: serialKernel(launch.kernel) }), same));
}

function serialKernel(kernel: Kernel): Kernel {
  return { ...kernel, body: serial(kernel.body.filter(({ kind }) => kind !== 'barrier')) };
}

/** Loops in the order of their iterations, for one thread. */
function serial(body: readonly Stmt[]): Stmt[] {
  return body.map((stmt): Stmt => {
    if (stmt.kind === 'if') return { ...stmt, then: serial(stmt.then), otherwise: serial(stmt.otherwise) };
    if (stmt.kind !== 'loop') return stmt;
    const axisKind = stmt.axisKind === 'parallel' ? 'serial' : stmt.axisKind;
    return { ...stmt, axisKind, body: serial(stmt.body) };
  });
}

/** The kernel with its large loops as tasks. Between two barriers, what is not shared is one task, which comes first. */
function shareKernel(kernel: Kernel): Kernel {
  const body: Stmt[] = [];
  let alone: Stmt[] = [];
  let together: Stmt[] = [];
  const close = (): void => {
    if (alone.length > 0) body.push({ kind: 'tasks', axes: [], grain: 1, body: alone });
    body.push(...together);
    alone = [];
    together = [];
  };
  for (const stmt of kernel.body) {
    const tasks = tasksOf(stmt);
    if (tasks !== null) together.push(tasks);
    else if (stmt.kind !== 'barrier') alone.push(...serial([stmt]));
    else {
      close();
      body.push(stmt);
    }
  }
  close();
  if (!body.some((stmt) => stmt.kind === 'tasks' && stmt.axes.length > 0)) return serialKernel(kernel);
  const shared = { ...kernel, body };
  checkScopes(shared);
  return shared;
}

/** A parallel nest as tasks; null for any other statement and for a nest with too little work. */
function tasksOf(stmt: Stmt): Stmt | null {
  if (stmt.kind !== 'loop' || stmt.axisKind !== 'parallel') return null;
  const cycles = cyclesOf([stmt]);
  if (cycles < leastShared) return null;
  const least = Math.max(leastTask, cycles / mostTasks);
  const axes: Axis[] = [];
  let count = 1;
  let body: readonly Stmt[] = [stmt];
  // Inner axes stay loops of a task where the outer ones divide the work finely enough.
  for (;;) {
    const [inner, ...others] = body;
    if (inner?.kind !== 'loop' || inner.axisKind !== 'parallel' || others.length > 0) break;
    if (cycles / count <= least || count * inner.axis.extent >= 2 ** 31) break;
    axes.push(inner.axis);
    count *= inner.axis.extent;
    body = inner.body;
  }
  const pieces = Math.min(count, Math.max(1, Math.round(cycles / least)));
  if (pieces < 2) return null;
  return { kind: 'tasks', axes, grain: Math.ceil(count / pieces), body: serial(body) };
}

/** Sections run on different threads: each declares what it keeps in registers and on the stack. */
function checkScopes(kernel: Kernel): void {
  for (const section of kernel.body) {
    const declared = new Set<Buffer | Local>();
    walkStmts([section], (stmt) => {
      if (stmt.kind === 'let' || stmt.kind === 'accumulator') declared.add(stmt.local);
      if (stmt.kind === 'allocate') declared.add(stmt.buffer);
    });
    const check = (used: Buffer | Local): void => {
      if (!declared.has(used))
        throw new InternalError(`kernel ${kernel.name}: a task uses ${used.name}, which it does not declare`);
    };
    const { loads, stores } = accessesOf([section]);
    for (const { buffer } of [...loads, ...stores]) if (buffer.space !== 'global') check(buffer);
    walkStmts([section], (stmt) => {
      for (const expr of exprsOf(stmt)) walkExpr(expr, (inner) => inner.kind === 'local' && check(inner.local));
    });
  }
}

/** Memory that a launch touches: a range of bytes of a block, or one buffer of another storage. */
interface Access {
  readonly storage: Storage;
  readonly from: number;
  readonly to: number;
  readonly writes: boolean;
}

/** What a step touches: of a loop or branch, all that may run, and what it looks at. */
function accessesOfStep(step: ProgramStep): Access[] {
  return [
    ...leavesOf([step]).flatMap(({ kernel, args }) =>
      args.map((buffer, i) => ({ ...placeOf(buffer), writes: kernel.parameters[i]!.access !== 'read' })),
    ),
    ...predicatesOf([step]).map((buffer) => ({ ...placeOf(buffer), writes: false })),
  ];
}

function placeOf({ storage, index, offset, type }: ProgramBuffer): Omit<Access, 'writes'> {
  if (storage !== 'arena' && storage !== 'prepared') return { storage, from: index, to: index + 1 };
  const elements = type.shape.reduce((product, extent) => product * extent, 1);
  return { storage, from: offset, to: offset + elements * bytesPerElement[type.dtype] };
}

function conflict(earlier: readonly Access[], later: readonly Access[]): boolean {
  return later.some((b) =>
    earlier.some((a) => (a.writes || b.writes) && a.storage === b.storage && a.from < b.to && b.from < a.to),
  );
}

/**
 * A step waits where it touches what an earlier one writes, or writes what it reads, since the last wait. Steps that one
 * thread runs one after another need no wait among themselves. Loops and branches with shared loops inside are walked by all
 * threads: they do not wait, but what is in them does.
 */
class Waits {
  #open: Access[] = [];
  /** What the run of unshared steps that ends here touches: the same thread goes on. */
  #run: Access[] = [];

  of(steps: readonly ProgramStep[]): ProgramStep[] {
    return steps.map((step) => {
      if ((isLoop(step) || isBranch(step)) && isSharedStep(step)) return this.#nested(step);
      const accesses = accessesOfStep(step);
      if (isSharedStep(step)) this.#close();
      const waits = this.#open.length > mostOpenAccesses || conflict(this.#open, accesses);
      if (waits) {
        this.#open = [];
        this.#run = [];
      }
      (isSharedStep(step) ? this.#open : this.#run).push(...accesses);
      return isLoop(step) || isBranch(step) ? { ...withoutWaits([step])[0]!, waits } : { ...step, waits };
    });
  }

  /** A predicate is read behind a wait of its own, so nothing is open behind it; an iteration may begin as the last one ended. */
  #nested(step: ProgramStep): ProgramStep {
    this.#close();
    const entering = [...this.#open, ...accessesOfStep(step)];
    const ends: Access[] = [];
    const list = (steps: readonly ProgramStep[], open: readonly Access[]): ProgramStep[] => {
      this.#open = [...open];
      const waiting = this.of(steps);
      this.#close();
      return waiting;
    };
    const made = withLists(step, (steps, isBody) => {
      const waiting = list(steps, isBody && decides(step) ? [] : entering);
      if (isBody) ends.push(...this.#open);
      return waiting;
    });
    this.#open = ends;
    return made;
  }

  #close(): void {
    this.#open.push(...this.#run);
    this.#run = [];
  }
}

/** True where a value decides what runs. */
const decides = (step: ProgramStep): boolean => isBranch(step) || (isLoop(step) && step.condition !== null);

/** The step with its lists replaced, of which all but a loop's condition are its body, and no wait of its own. */
function withLists(
  step: ProgramStep,
  list: (steps: readonly ProgramStep[], isBody: boolean) => ProgramStep[],
): ProgramStep {
  if (isBranch(step))
    return { ...step, then: list(step.then, true), otherwise: list(step.otherwise, true), waits: false };
  if (!isLoop(step)) return { ...step, waits: false };
  const { condition } = step;
  const tested = condition === null ? null : { ...condition, steps: list(condition.steps, false) };
  return { ...step, condition: tested, steps: list(step.steps, true), waits: false };
}

/** Steps that one thread runs. */
const withoutWaits = (steps: readonly ProgramStep[]): ProgramStep[] =>
  steps.map((step) => withLists(step, withoutWaits));
