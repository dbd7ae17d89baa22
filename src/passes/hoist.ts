// Kernels that do the same in every iteration run once, before the loop: a weight that every step of a recurrence reads is
// packed once. What reads constants alone leaves branches as well, since it becomes part of the preparation (plan.ts). The
// graph has lost what does not change by then; this is for kernels that lowering adds.

import type { Buffer } from '../ir/kernel.ts';
import { type Branch, isBranch, isLoop, type Loop, leavesOf } from '../ir/steps.ts';
import type { KernelStep, Lowered, LoweredStep } from './lowered.ts';

type Nested = Loop<KernelStep, Buffer> | Branch<KernelStep, Buffer>;

export function hoistKernels(lowered: Lowered): Lowered {
  if (lowered.steps.every((step) => !isLoop(step) && !isBranch(step))) return lowered;
  return { ...lowered, steps: hoisted(lowered.steps, lowered) };
}

/** The steps with what leaves each loop or branch in front of it. */
function hoisted(steps: readonly LoweredStep[], lowered: Lowered): LoweredStep[] {
  return steps.flatMap((step) => {
    if (!isLoop(step) && !isBranch(step)) return [step];
    const inner = withInner(step, (list) => hoisted(list, lowered));
    // What is one kernel keeps all that is in it.
    if (isLoop(inner) && inner.form !== null) return [inner];
    const leaving = leavingFrom(inner, lowered);
    return [...leaving, withInner(inner, (list) => list.filter((each) => !leaving.has(each as KernelStep)))];
  });
}

function withInner(step: Nested, list: (steps: readonly LoweredStep[]) => LoweredStep[]): Nested {
  if (isBranch(step)) return { ...step, then: list(step.then), otherwise: list(step.otherwise) };
  const { condition } = step;
  return {
    ...step,
    condition: condition === null ? null : { ...condition, steps: list(condition.steps) },
    steps: list(step.steps),
  };
}

/** The kernels directly in a loop or branch whose results are the same whenever they run, in order. */
function leavingFrom(step: Nested, lowered: Lowered): Set<KernelStep> {
  const lists = isLoop(step) ? [step.condition?.steps ?? [], step.steps] : [step.then, step.otherwise];
  const writers = new Map<Buffer, number>();
  for (const { kernel } of leavesOf<KernelStep, Buffer>([step]))
    for (const { buffer, access } of kernel.parameters)
      if (access !== 'read') writers.set(buffer, (writers.get(buffer) ?? 0) + 1);
  const leaving = new Set<KernelStep>();
  const settled = new Set<Buffer>();
  const isSettled = (buffer: Buffer): boolean =>
    settled.has(buffer) || (isLoop(step) ? !writers.has(buffer) : lowered.isConstant(buffer));
  for (const each of lists.flat()) {
    if (isLoop(each) || isBranch(each) || each.copy !== null) continue;
    const { parameters, iterations } = each.kernel;
    const varies = isLoop(step) && step.axis !== null && iterations.includes(step.axis);
    const same = parameters.every(({ buffer, access }) =>
      access === 'read' ? isSettled(buffer) : access === 'write' && writers.get(buffer) === 1,
    );
    if (varies || !same) continue;
    leaving.add(each);
    for (const { buffer, access } of parameters) if (access === 'write') settled.add(buffer);
  }
  return leaving;
}
