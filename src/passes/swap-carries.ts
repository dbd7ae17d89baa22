// Carries that cannot be updated in place, since the kernel that writes the next value reads all of the last one: instead of a
// copy at the end of every iteration, two halves of a buffer change their roles. One copy behind the loop takes the last value to
// where it belongs. It pays where a copy is a kernel that others wait for.

import type { Axis } from '../ir/index-expr.ts';
import { add, fixed, type IndexExpr, modulo, multiply, of } from '../ir/index-expr.ts';
import { type Buffer, type Kernel, load, type Stmt } from '../ir/kernel.ts';
import { isBranch, isLoop, type Loop, mapLists } from '../ir/steps.ts';
import { rewriteAccesses } from './expr-rewrite.ts';
import { type KernelStep, kernelOf, type LoweredStep } from './lowered.ts';
import type { Machine } from './machine.ts';
import { touchesOf } from './merge-copies.ts';
import { fewestSwapped } from './schedule-loops.ts';

type LoweredLoop = Loop<KernelStep, Buffer>;

/** Halves begin at multiples of so many elements, so that what is aligned in one is in the other. */
const halfAlignment = 16;

export function swapCarries(
  steps: readonly LoweredStep[],
  isOwn: (buffer: Buffer) => boolean,
  machine: Machine,
): LoweredStep[] {
  const total = new Map<Buffer, number>();
  for (const { buffer } of touchesOf(steps)) total.set(buffer, (total.get(buffer) ?? 0) + 1);
  const swapped = (loop: LoweredLoop): LoweredStep[] => {
    const { axis } = loop;
    if (axis === null || loop.condition !== null || loop.count < fewestSwapped) return [loop];
    const before: LoweredStep[] = [];
    const after: LoweredStep[] = [];
    let { steps: inside } = loop;
    for (const step of loop.steps) {
      if (isLoop(step) || isBranch(step) || step.copy === null) continue;
      const { from, to } = step.copy;
      if (!isOwn(from) || !canSwap(inside, step, total.get(from)!)) continue;
      const half = Math.ceil(to.size / halfAlignment) * halfAlignment;
      const both: Buffer = { ...to, name: `${to.name}_both`, size: 2 * half };
      const halfAt = (number: IndexExpr): IndexExpr => multiply(modulo(number, 2), half);
      const places = new Map([
        [to, halfAt(of(axis))],
        [from, halfAt(add(of(axis), fixed(1)))],
      ]);
      inside = inside.flatMap((each) => (each === step ? [] : [movedStep(each, both, places, axis)]));
      before.push(partCopy({ buffer: to, at: 0 }, { buffer: both, at: 0 }, to.size, machine));
      after.push(partCopy({ buffer: both, at: (loop.count % 2) * half }, { buffer: to, at: 0 }, to.size, machine));
    }
    return [...before, { ...loop, steps: inside }, ...after];
  };
  return mapLists<KernelStep, Buffer, KernelStep, Buffer>(
    steps,
    (list, inner) =>
      list.flatMap((step): LoweredStep[] => {
        if (!isLoop(step) && !isBranch(step)) return [step];
        const made = inner(step);
        return isLoop(made) ? swapped(made) : [made];
      }),
    (buffer) => buffer,
  );
}

/** True where both values are touched by kernels directly in the loop alone, the old one only read and only before the copy. */
function canSwap(steps: readonly LoweredStep[], copy: KernelStep, touchesOfNext: number): boolean {
  const { from, to } = copy.copy!;
  const at = steps.indexOf(copy);
  let next = 0;
  for (const [i, step] of steps.entries()) {
    for (const { buffer, writes } of touchesOf([step])) {
      if (buffer !== from && buffer !== to) continue;
      if (isLoop(step) || isBranch(step) || i > at) return false;
      if (buffer === to && writes && step !== copy) return false;
      if (buffer === from) next++;
    }
  }
  return next === touchesOfNext;
}

function movedStep(step: LoweredStep, both: Buffer, places: ReadonlyMap<Buffer, IndexExpr>, axis: Axis): LoweredStep {
  if (isLoop(step) || isBranch(step)) return step;
  const { kernel } = step;
  if (!kernel.parameters.some(({ buffer }) => places.has(buffer))) return step;
  const body = rewriteAccesses(kernel.body, (buffer, offset) => {
    const from = places.get(buffer);
    return from === undefined ? { buffer, offset } : { buffer: both, offset: add(from, offset) };
  });
  const numbers = [...kernel.iterations.filter((other) => other !== axis), axis];
  const again: Kernel = { ...kernelOf(body, numbers, kernel), bytes: kernel.bytes };
  return { kind: 'kernel', kernel: again, copy: null };
}

interface Part {
  readonly buffer: Buffer;
  readonly at: number;
}

/** A copy of some elements of a buffer. */
function partCopy(from: Part, to: Part, size: number, machine: Machine): KernelStep {
  const i: Axis = { kind: 'axis', name: 'i', extent: size };
  const value = load(from.buffer, add(of(i), fixed(from.at)));
  const store: Stmt = { kind: 'store', buffer: to.buffer, offset: add(of(i), fixed(to.at)), value };
  const described = { name: 'copy', summary: 'copy', sources: [], flops: 0 };
  return { kind: 'kernel', kernel: kernelOf(machine.elementLoops([i], [store], 1), [], described), copy: null };
}
