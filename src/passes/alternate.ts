// Loops whose iterations read the same memory again, more of it than the nearest cache holds: every other iteration takes its tasks from
// the last to the first. A cache that evicts what was used longest ago keeps nothing of a sequence slightly longer than itself
// that is always read from the beginning; read there and back, as oxen plough, it keeps all but what does not fit. Tasks are independent, so
// results are the same bits.

import type { Launch, ProgramBuffer, ProgramStep } from '../ir/program.ts';
import { isBranch, isLoop, leavesOf, mapLists } from '../ir/steps.ts';
import { bytesPerElement, sizeOf } from '../ir/types.ts';
import { accessesOf, axesIn } from './expr-rewrite.ts';
import { fewestAlternated } from './schedule-loops.ts';

/** `isShared`: true for a launch with tasks. */
export function alternateLoops(steps: readonly ProgramStep[], isShared: (launch: Launch) => boolean): ProgramStep[] {
  return mapLists<Launch, ProgramBuffer, Launch, ProgramBuffer>(
    steps,
    (list, inner) =>
      list.map((step): ProgramStep => {
        if (!isLoop(step) && !isBranch(step)) return step;
        const made = inner(step);
        if (!isLoop(made) || bytesReadAgain(made, isShared) < fewestAlternated) return made;
        return { ...made, alternates: true };
      }),
    (place) => place,
  );
}

/** Bytes of buffers that tasks of every iteration read at the same places and none writes. */
function bytesReadAgain(loop: ProgramStep, isShared: (launch: Launch) => boolean): number {
  const leaves = leavesOf([loop]);
  const written = new Set(
    leaves.flatMap(({ kernel, args }) =>
      args.flatMap((buffer, i) => (kernel.parameters[i]!.access === 'read' ? [] : [keyOf(buffer)])),
    ),
  );
  const again = new Map<string, number>();
  for (const { kernel, args } of leaves.filter(isShared)) {
    const moving = new Set(
      accessesOf(kernel.body)
        .loads.filter(({ offset }) => axesIn([offset], kernel.iterations).length > 0)
        .map(({ buffer }) => buffer),
    );
    args.forEach((buffer, i) => {
      const parameter = kernel.parameters[i]!.buffer;
      const { shape, dtype } = buffer.type;
      if (!moving.has(parameter) && !written.has(keyOf(buffer)))
        again.set(keyOf(buffer), sizeOf(shape) * bytesPerElement[dtype]);
    });
  }
  return [...again.values()].reduce((sum, bytes) => sum + bytes, 0);
}

const keyOf = ({ storage, index, offset }: ProgramBuffer): string => `${storage} ${index} ${offset}`;
