// Copies that need not be: what is computed to be copied can be computed where the copy would go, if nobody still needs what
// stands there. States at the end of a call, carries at the end of an iteration and the first values of carries are all such
// copies, so that the same rule updates them in place.

import type { Buffer, Kernel } from '../ir/kernel.ts';
import { isBranch, isLoop, leavesOf, listsOf, predicatesOf } from '../ir/steps.ts';
import { aliasBuffers, canReplace } from './in-place.ts';
import type { KernelStep, LoweredStep } from './lowered.ts';

/** Buffers that share another's place, each with the next on the way to it. */
export class Aliases {
  readonly #next = new Map<Buffer, Buffer>();

  set(from: Buffer, to: Buffer): void {
    this.#next.set(from, to);
  }

  /** Those that have a place elsewhere, and those whose place is shared. */
  all(): Set<Buffer> {
    return new Set([...this.#next.keys(), ...this.#next.values()]);
  }

  readonly root = (buffer: Buffer): Buffer => {
    let root = buffer;
    for (let next = this.#next.get(root); next !== undefined; next = this.#next.get(root)) root = next;
    // Chains can be as long as the program: those walked are shortened.
    for (let at = buffer; at !== root; ) {
      const next = this.#next.get(at)!;
      this.#next.set(at, root);
      at = next;
    }
    return root;
  };
}

/** Where in a list of steps a buffer is touched. */
interface Touch {
  readonly at: number;
  readonly reads: boolean;
  readonly writes: boolean;
}

/** Gives what is copied the place of what it is copied to, wherever that is safe. `isOwn`: memory of the program's choice. */
export function mergeCopies(steps: readonly LoweredStep[], isOwn: (buffer: Buffer) => boolean): Aliases {
  const aliases = new Aliases();
  const total = new Map<Buffer, number>();
  const lists = listsWithCopies(steps);
  if (lists.length === 0) return aliases;
  for (const { buffer } of touchesOf(steps)) total.set(buffer, (total.get(buffer) ?? 0) + 1);
  for (const list of lists) {
    const touches = new Map<Buffer, Touch[]>();
    list.forEach((step, at) => {
      for (const { buffer, reads, writes } of touchesOf([step])) {
        const root = aliases.root(buffer);
        const known = touches.get(root);
        if (known === undefined) touches.set(root, [{ at, reads, writes }]);
        else known.push({ at, reads, writes });
      }
    });
    list.forEach((step, at) => {
      if (isLoop(step) || isBranch(step) || step.copy === null) return;
      const [from, to] = [aliases.root(step.copy.from), aliases.root(step.copy.to)];
      const [ofFrom, ofTo] = [touches.get(from)!, touches.get(to)!];
      const fits = from !== to && isOwn(from) && from.size === to.size && from.dtype === to.dtype;
      if (!fits || ofFrom.length !== total.get(from)) return;
      if (!isFreeFor(list, at, { from, ofFrom, to, ofTo }, aliases)) return;
      aliases.set(from, to);
      touches.set(to, [...ofTo, ...ofFrom]);
      total.set(to, total.get(to)! + total.get(from)!);
    });
  }
  return aliases;
}

/** True where `to` holds nothing that is needed from the step on that first writes `from` until it is copied. */
function isFreeFor(
  list: readonly LoweredStep[],
  at: number,
  { from, ofFrom, to, ofTo }: { from: Buffer; ofFrom: readonly Touch[]; to: Buffer; ofTo: readonly Touch[] },
  aliases: Aliases,
): boolean {
  const first = Math.min(...ofFrom.map((touch) => touch.at));
  const last = Math.max(...ofFrom.map((touch) => touch.at));
  const written = ofFrom.some((touch) => touch.at === first && touch.writes && !touch.reads);
  if (last > at || first === at || !written) return false;
  const between = ofTo.filter((touch) => touch.at > first && touch.at <= at && !(touch.at === at && !touch.reads));
  if (between.length > 0) return false;
  const beside = ofTo.filter((touch) => touch.at === first);
  if (beside.length === 0) return true;
  const step = list[first]!;
  if (isLoop(step) || isBranch(step) || beside.some(({ writes }) => writes)) return false;
  return canReplace(aliasBuffers(step.kernel, aliases.root), to, from);
}

/** Lists of steps in which a copy stands, the inner ones first. */
function listsWithCopies(steps: readonly LoweredStep[]): (readonly LoweredStep[])[] {
  const inner = steps.flatMap((step) => listsOf(step).flatMap(listsWithCopies));
  const copies = steps.some((step) => !isLoop(step) && !isBranch(step) && step.copy !== null);
  return copies ? [...inner, steps] : inner;
}

/** Every access of kernels inside, and the reading of predicates. */
export function touchesOf(
  steps: readonly LoweredStep[],
): { readonly buffer: Buffer; readonly reads: boolean; readonly writes: boolean }[] {
  const ofKernel = ({ parameters }: Kernel) =>
    parameters.map(({ buffer, access }) => ({ buffer, reads: access !== 'write', writes: access !== 'read' }));
  return [
    ...leavesOf<KernelStep, Buffer>(steps).flatMap(({ kernel }) => ofKernel(kernel)),
    ...predicatesOf<KernelStep, Buffer>(steps).map((buffer) => ({ buffer, reads: true, writes: false })),
  ];
}
