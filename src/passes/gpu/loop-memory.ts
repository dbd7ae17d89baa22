// Where a loop in one kernel keeps what is its own: arrays of a row's workgroup or invocation. Buffers of a type that are not needed
// at the same time share one.

import type { Buffer } from '../../ir/kernel.ts';
import { leavesOf } from '../../ir/steps.ts';
import { type Life, lifetimesOf } from '../lifetimes.ts';
import type { KernelStep, LoweredStep } from '../lowered.ts';
import type { RowSplit } from './loop-rows.ts';
import { gpuBytes } from './schedule.ts';

interface Shared {
  size: number;
  last: number;
  readonly members: Buffer[];
}

/** The array of each buffer. */
export function ownPlaces(
  steps: readonly LoweredStep[],
  { rows, split }: RowSplit,
  own: ReadonlySet<Buffer>,
  space: 'shared' | 'stack',
): ReadonlyMap<Buffer, Buffer> {
  const lives = livesWithCopies(steps);
  const arrays: Shared[] = [];
  const inOrder = [...own].sort((a, b) => lives.get(a)!.first - lives.get(b)!.first);
  for (const buffer of inOrder) {
    const { first, last } = lives.get(buffer)!;
    const size = split.has(buffer) ? buffer.size / rows : buffer.size;
    const free = arrays.filter((each) => each.members[0]!.dtype === buffer.dtype && each.last < first);
    const [fitting] = free.sort((a, b) => Math.abs(a.size - size) - Math.abs(b.size - size));
    if (fitting === undefined) arrays.push({ size, last, members: [buffer] });
    else {
      fitting.members.push(buffer);
      Object.assign(fitting, { size: Math.max(fitting.size, size), last });
    }
  }
  return new Map(
    arrays.flatMap(({ size, members }) => {
      const { name, dtype } = members[0]!;
      const array: Buffer = { name, dtype, size, space };
      return members.map((buffer) => [buffer, array] as const);
    }),
  );
}

/** When memory is needed: where something is copied to also as long as what may be computed there at once. */
function livesWithCopies(steps: readonly LoweredStep[]): ReadonlyMap<Buffer, Readonly<Life>> {
  const lives = new Map(lifetimesOf(steps).lives);
  const copies = leavesOf<KernelStep, Buffer>(steps).flatMap(({ copy }) => (copy === null ? [] : [copy]));
  for (let changed = true; changed; ) {
    changed = false;
    for (const { from, to } of copies) {
      const [source, target] = [lives.get(from)!, lives.get(to)!];
      const [first, last] = [Math.min(source.first, target.first), Math.max(source.last, target.last)];
      changed ||= first !== target.first || last !== target.last;
      lives.set(to, { first, last });
    }
  }
  return lives;
}

/** Bytes of all arrays; those that a workgroup shares begin at multiples of 16. */
export function bytesOfPlaces(places: ReadonlyMap<Buffer, Buffer>): number {
  return [...new Set(places.values())].reduce(
    (sum, { size, dtype }) => sum + Math.ceil((size * gpuBytes[dtype]) / 16) * 16,
    0,
  );
}
