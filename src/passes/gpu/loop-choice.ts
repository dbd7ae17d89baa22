// Whether a loop becomes one kernel, and in which form: how long its iterations would take one workgroup, or one invocation, for each
// row, against the dispatches that they are otherwise. The numbers are in schedule-loops.ts.

import type { Axis } from '../../ir/index-expr.ts';
import type { Buffer, Kernel, Stmt } from '../../ir/kernel.ts';
import { countedLeaves, isLoop, type LoopForm, leavesOf, listsOf, predicatesOf } from '../../ir/steps.ts';
import { bytesPerElement } from '../../ir/types.ts';
import { accessesOf, axesIn } from '../expr-rewrite.ts';
import { extentOf } from '../loops.ts';
import type { KernelStep, LoweredStep } from '../lowered.ts';
import type { LoopInPhases } from '../machine.ts';
import { assumedIterations } from '../schedule-loops.ts';
import { cyclesOf } from '../work.ts';
import { bytesOfPlaces, ownPlaces } from './loop-memory.ts';
import { phaseOf, type RowSplit, splitByRows } from './loop-rows.ts';
import { fewestRowInvocations, type GpuTarget, gpuBytes, powerBelow } from './schedule.ts';
import { leastLoopGain, longestLoop, mostBoundApart, mostLoopPhases } from './schedule-loops.ts';

/** What is estimated of a loop, in nanoseconds. */
export interface LoopEstimate {
  /** As a sequence of dispatches. */
  readonly apart: number;
  /** As one kernel, in every form that fits. */
  readonly forms: readonly { readonly form: LoopForm; readonly time: number }[];
}

/** The form that an estimate finds best; null where a sequence of dispatches is better, or nothing fits. */
export function chooseLoopForm(loop: LoopInPhases, target: GpuTarget): LoopForm | null {
  const { apart, forms } = estimateLoop(loop, target);
  const [first, ...others] = forms;
  if (first === undefined) return null;
  const best = others.reduce((least, next) => (next.time < least.time ? next : least), first);
  return best.time <= longestLoop && best.time * leastLoopGain <= apart ? best.form : null;
}

export function estimateLoop(loop: LoopInPhases, target: GpuTarget): LoopEstimate {
  const { steps, results, dispatches } = loop;
  const kernels = leavesOf<KernelStep, Buffer>(steps).map(({ kernel }) => kernel);
  const own = ownBuffers(kernels, results);
  const fits = isBounded(steps) && kernels.length <= mostLoopPhases && keepsToItself(kernels, steps, results, own);
  const forms = [...(fits ? new Set([1, ...loop.rows]) : [])].flatMap((rows) => {
    const split = splitByRows(steps, rows, (buffer) => own.has(buffer));
    return rows > 1 && split.split.size === 0 ? [] : formsOf(loop, split, own, target);
  });
  const work = (workOf(steps) * target.loops.operation) / target.wanted;
  return { apart: dispatches * target.loops.dispatch + work, forms };
}

/** What is written in the loop and is no result. */
function ownBuffers(kernels: readonly Kernel[], results: ReadonlySet<Buffer>): Set<Buffer> {
  const written = kernels.flatMap(({ parameters }) => parameters.filter(({ access }) => access !== 'read'));
  return new Set(written.map(({ buffer }) => buffer).filter((buffer) => !results.has(buffer)));
}

function isBounded(steps: readonly LoweredStep[]): boolean {
  return steps.every((step) => (!isLoop(step) || Number.isFinite(step.count)) && listsOf(step).every(isBounded));
}

/** Results are only written, decisions are the loop's own, and few enough parts of memory are bound. */
function keepsToItself(
  kernels: readonly Kernel[],
  steps: readonly LoweredStep[],
  results: ReadonlySet<Buffer>,
  own: ReadonlySet<Buffer>,
): boolean {
  const parameters = kernels.flatMap((kernel) => kernel.parameters);
  const bound = new Set(parameters.map(({ buffer }) => buffer).filter((buffer) => !own.has(buffer)));
  const bytes = [...bound].reduce((sum, { size, dtype }) => sum + size * gpuBytes[dtype], 0);
  return (
    parameters.every(({ buffer, access }) => own.has(buffer) || access === (results.has(buffer) ? 'write' : 'read')) &&
    predicatesOf<KernelStep, Buffer>(steps).every((buffer) => own.has(buffer)) &&
    (bound.size <= mostBoundApart.count || bytes <= mostBoundApart.bytes)
  );
}

/** Of all rows together, in operations that one invocation does one after another. */
function workOf(steps: readonly LoweredStep[]): number {
  return countedLeaves<KernelStep, Buffer>(steps, assumedIterations).reduce((sum, { leaf, times }) => {
    const { axes, body } = phaseOf(leaf.kernel);
    return sum + times * extentOf(axes) * cyclesOf(body);
  }, 0);
}

function formsOf(
  loop: LoopInPhases,
  split: RowSplit,
  own: ReadonlySet<Buffer>,
  target: GpuTarget,
): LoopEstimate['forms'] {
  const phases = countedLeaves<KernelStep, Buffer>(loop.steps, assumedIterations).map(
    ({ leaf: { kernel }, times }): RowPhase => ({ ...rowOf(kernel, split), kernel, times }),
  );
  const kept = ownPlaces(loop.steps, split, own, 'stack');
  const shared = ownPlaces(loop.steps, split, own, 'shared');
  return [
    ...(bytesOfPlaces(kept) <= target.loops.invocationBytes ? [byInvocation(loop, split, kept, phases, target)] : []),
    ...(target.barriers && bytesOfPlaces(shared) <= target.loopBytes
      ? [byWorkgroup(loop, split, shared, phases, target)]
      : []),
  ];
}

type Places = LoopForm['places'];
type Form = LoopEstimate['forms'][number];

function byInvocation(
  { name }: LoopInPhases,
  { rows }: RowSplit,
  places: Places,
  phases: readonly RowPhase[],
  { loops: costs }: GpuTarget,
): Form {
  const time = phases.reduce((sum, { axes, body, kernel, times }) => {
    const work = extentOf(axes) * cyclesOf(body) * costs.operation;
    return sum + times * (work + (readsStorage(kernel, places) ? costs.storage : 0));
  }, 0);
  const invocations = rows === 1 ? 1 : Math.min(costs.invocations, powerFrom(rows));
  return { form: { name, rows, each: 'invocation', invocations, places }, time: time * Math.max(1, rows / costs.rows) };
}

function byWorkgroup(
  { name }: LoopInPhases,
  { rows }: RowSplit,
  places: Places,
  phases: readonly RowPhase[],
  { loops: costs, invocations: most }: GpuTarget,
): Form {
  const widest = phases.reduce((count, { axes }) => Math.max(count, extentOf(axes)), 1);
  const invocations = Math.min(most, Math.max(fewestRowInvocations, powerFrom(widest)));
  const time = phases.reduce((sum, phase) => {
    const turns = Math.ceil(extentOf(phase.axes) / invocations);
    const read = bytesRead(phase, places) / costs.bytes;
    const work = Math.max(turns * cyclesOf(phase.body) * costs.operation, read);
    return sum + phase.times * (costs.phase + (read > 0 ? costs.storage : 0) + work);
  }, 0);
  const waves = Math.max(1, rows / costs.workgroups);
  return { form: { name, rows, each: 'workgroup', invocations, places }, time: time * waves };
}

/** The least power of two that is not below a number. */
const powerFrom = (count: number): number => (count <= 1 ? 1 : 2 * powerBelow(count - 1));

/** A phase of one row, as often as it runs. */
interface RowPhase {
  readonly axes: readonly Axis[];
  readonly body: readonly Stmt[];
  readonly kernel: Kernel;
  readonly times: number;
}

function rowOf(kernel: Kernel, split: RowSplit): { axes: readonly Axis[]; body: readonly Stmt[] } {
  const { axes, body } = phaseOf(kernel);
  const over = split.rowAxis(kernel);
  return { axes: axes.filter((axis) => axis !== over), body };
}

const readsStorage = ({ parameters }: Kernel, places: Places): boolean =>
  parameters.some(({ buffer, access }) => access !== 'write' && !places.has(buffer));

/** From storage, by one row: each element once, and of what is read slice by slice no more than a slice. */
function bytesRead({ kernel, axes, body }: RowPhase, places: Places): number {
  const counts = new Map<Buffer, number>();
  const count = (stmts: readonly Stmt[], times: number): void => {
    for (const stmt of stmts) {
      if (stmt.kind === 'loop') count(stmt.body, times * stmt.axis.extent);
      else if (stmt.kind === 'if') count([...stmt.then, ...stmt.otherwise], times);
      else
        for (const { buffer } of accessesOf([stmt]).loads)
          if (buffer.space === 'global' && !places.has(buffer)) counts.set(buffer, (counts.get(buffer) ?? 0) + times);
    }
  };
  count(body, extentOf(axes));
  const { loads } = accessesOf(body);
  return [...counts].reduce((sum, [buffer, times]) => {
    const offsets = loads.filter((load) => load.buffer === buffer).map(({ offset }) => offset);
    const slices = extentOf(axesIn(offsets, kernel.iterations));
    return sum + Math.min(times, buffer.size / slices) * bytesPerElement[buffer.dtype];
  }, 0);
}
