// Sharing: two kernels that do the same to the same buffers are one. The graph's common subexpressions are gone before
// this, but packed and padded operands come into being with lowering: a weight that every step of a recurrence reads is
// packed once, and an image that two convolutions read is padded once.

import type { Axis } from '../ir/index-expr.ts';
import type { Buffer, Kernel, Local } from '../ir/kernel.ts';
import { isBranch, isLoop, leavesOf, mapLists } from '../ir/steps.ts';
import { aliasBuffers } from './in-place.ts';
import type { KernelStep, Lowered, LoweredStep } from './lowered.ts';

/** Kernels that fill scratch and equal an earlier one of the same steps are dropped, and their readers read what that one filled. */
export function shareKernels(lowered: Lowered): Lowered {
  const writers = new Map<Buffer, number>();
  for (const { kernel } of leavesOf(lowered.steps))
    for (const { buffer, access } of kernel.parameters)
      if (access !== 'read') writers.set(buffer, (writers.get(buffer) ?? 0) + 1);
  const shared = new Map<Buffer, Buffer>();
  const alias = (buffer: Buffer): Buffer => shared.get(buffer) ?? buffer;
  const identities = new Map<Buffer, number>();
  const steps = mapLists<KernelStep, Buffer, KernelStep, Buffer>(
    lowered.steps,
    (list, inner) => {
      const candidates = new Map<string, Kernel[]>();
      return list.flatMap((step): LoweredStep[] => {
        if (isLoop(step) || isBranch(step)) return [inner(step)];
        const kernel = aliasBuffers(step.kernel, alias);
        const filled = scratchOf(kernel, lowered, writers);
        if (filled !== null) {
          const key = outline(kernel, identities);
          const known = candidates.get(key) ?? [];
          const earlier = known.find((other) => isSame(other, kernel));
          if (earlier !== undefined) {
            shared.set(filled, scratchOf(earlier, lowered, writers)!);
            return [];
          }
          candidates.set(key, [...known, kernel]);
        }
        return [kernel === step.kernel ? step : { ...step, kernel }];
      });
    },
    (buffer) => buffer,
  );
  return shared.size === 0 ? lowered : { ...lowered, steps };
}

/** True for kernels that do the same, with the numbers of the same loops. */
function isSame(a: Kernel, b: Kernel): boolean {
  const inSameLoops =
    a.iterations.length === b.iterations.length && a.iterations.every((t, i) => t === b.iterations[i]);
  return inSameLoops && bodyKey(a) === bodyKey(b);
}

/** The one buffer that a kernel writes, where it is scratch that nobody else writes and all that is read stays as it is. */
function scratchOf(kernel: Kernel, { buffers }: Lowered, writers: ReadonlyMap<Buffer, number>): Buffer | null {
  const written = kernel.parameters.filter(({ access }) => access !== 'read');
  const [only] = written;
  if (only === undefined || written.length > 1 || only.access !== 'write') return null;
  if (buffers.get(only.buffer) !== null || writers.get(only.buffer) !== 1) return null;
  const settled = kernel.parameters.every(({ buffer }) => (writers.get(buffer) ?? 0) <= 1);
  return settled ? only.buffer : null;
}

/** What can be compared without reading the body: what is read, and how much is written. */
function outline({ parameters, flops, bytes }: Kernel, identities: Map<Buffer, number>): string {
  const identity = (buffer: Buffer): number => {
    const found = identities.get(buffer) ?? identities.size;
    identities.set(buffer, found);
    return found;
  };
  return parameters
    .map(({ buffer, access }) => (access === 'read' ? identity(buffer) : `${buffer.dtype}[${buffer.size}]`))
    .concat(flops, bytes)
    .join(' ');
}

const keys = new WeakMap<Kernel, string>();

/** The body with axes, locals and buffers numbered as they appear: equal for kernels that differ in names alone. */
function bodyKey(kernel: Kernel): string {
  const known = keys.get(kernel);
  if (known !== undefined) return known;
  const numbers = new Map<object, string>();
  const numbered = (object: object, what: string): string => {
    const found = numbers.get(object) ?? `${numbers.size} ${what}`;
    numbers.set(object, found);
    return found;
  };
  const parameters = kernel.parameters.map(({ buffer }) => buffer);
  const key = JSON.stringify([parameters, kernel.iterations, kernel.body], (_, value: unknown) => {
    // JSON has one word for all that is not finite, and none for −0.
    if (typeof value === 'number')
      return Number.isFinite(value) && !Object.is(value, -0) ? value : `${1 / value} ${value}`;
    if (isBuffer(value)) return numbered(value, `${value.space} ${value.dtype}[${value.size}]`);
    if (isLocal(value)) return numbered(value, `${value.dtype} × ${value.lanes}`);
    if (isAxis(value)) return numbered(value, `< ${value.extent}`);
    return value;
  });
  keys.set(kernel, key);
  return key;
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

function isBuffer(value: unknown): value is Buffer {
  return isObject(value) && 'space' in value;
}
function isLocal(value: unknown): value is Local {
  return isObject(value) && 'lanes' in value && 'name' in value;
}
function isAxis(value: unknown): value is Axis {
  return isObject(value) && 'kind' in value && value.kind === 'axis';
}
