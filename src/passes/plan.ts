// The memory plan: where every buffer of the lowered kernels lives. Inputs, outputs, states and constants have their
// own storage; updates are written straight into their state where no kernel still needs the old value; everything
// else shares one arena by lifetime.

import { InternalError } from '../ir/errors.ts';
import type { Func, Node, Value } from '../ir/graph.ts';
import type { Buffer, Kernel } from '../ir/kernel.ts';
import type { Launch, Program, ProgramBuffer, RangeCheck, Storage } from '../ir/program.ts';
import { isBranch, isLoop, leavesOf, listsOf, mapLists, mapSteps } from '../ir/steps.ts';
import { bytesPerElement, sizeOf, type TensorType } from '../ir/types.ts';
import { aligned, planArena } from './arena.ts';
import { aliasBuffers, canReplace } from './in-place.ts';
import { lifetimesOf } from './lifetimes.ts';
import { constantBuffers } from './lower.ts';
import { copyStep, type KernelStep, type Lowered, type LoweredStep } from './lowered.ts';
import type { Machine, MemoryRules } from './machine.ts';
import { type Aliases, mergeCopies } from './merge-copies.ts';
import { swapCarries } from './swap-carries.ts';

export interface PlanOptions {
  /** Constants of more elements than this are external. Default: none are. */
  readonly mostInlineElements?: number;
}

export function planProgram(
  func: Func,
  lowered: Lowered,
  checks: readonly RangeCheck[],
  machine: Machine,
  { mostInlineElements = Number.POSITIVE_INFINITY }: PlanOptions = {},
): Program {
  const storage = assignStorage(func, lowered, mostInlineElements);
  const preparation = preparable(func, lowered, storage);
  const running = lowered.steps.filter(
    (step) => isLoop(step) || isBranch(step) || !preparation.kernels.has(step.kernel),
  );
  const steps = [...running, ...updates(func, lowered, machine)];
  const isOwn = (buffer: Buffer): boolean => !storage.has(buffer) && !preparation.buffers.has(buffer);
  const aliases = mergeCopies(steps, isOwn);
  reuseDying(steps, isOwn, aliases);
  const merged = loopsAsKernels(aliased(steps, aliases), machine);
  const planned = { steps: machine.swapsCarries ? swapCarries(merged, isOwn, machine) : merged, preparation };
  return assemble(func, lowered, planned, { storage, memory: machine.memory }, checks);
}

/** The steps with buffers that share a place as one, and without what would copy a place to itself. */
function aliased(steps: readonly LoweredStep[], { root }: Aliases): LoweredStep[] {
  return mapLists<KernelStep, Buffer, KernelStep, Buffer>(
    steps,
    (list, inner) =>
      list.flatMap((step): LoweredStep[] => {
        if (isLoop(step) || isBranch(step)) return [inner(step)];
        const { kernel, copy } = step;
        if (copy !== null && root(copy.from) === root(copy.to)) return [];
        const copied = copy === null ? null : { from: root(copy.from), to: root(copy.to) };
        return [{ kind: 'kernel', kernel: aliasBuffers(kernel, root), copy: copied }];
      }),
    root,
  );
}

/** The steps with every loop that has a form as one kernel. */
function loopsAsKernels(steps: readonly LoweredStep[], { loopKernels }: Machine): LoweredStep[] {
  if (loopKernels === null) return [...steps];
  return mapLists<KernelStep, Buffer, KernelStep, Buffer>(
    steps,
    (list, inner) =>
      list.map((step): LoweredStep => {
        if (isLoop(step) && step.form !== null) return loopKernels.kernel(step, step.form);
        return isLoop(step) || isBranch(step) ? inner(step) : step;
      }),
    (buffer) => buffer,
  );
}

/** Kernels that read constants and one another's results alone, and the buffers that they write. */
interface Preparation {
  readonly kernels: ReadonlySet<Kernel>;
  readonly buffers: ReadonlySet<Buffer>;
}

function preparable(func: Func, lowered: Lowered, storage: ReadonlyMap<Buffer, Place>): Preparation {
  const writers = writersOf(lowered.steps);
  const results = new Set(func.results.map(({ value }) => lowered.bufferOf.get(value)));
  const kernels = new Set<Kernel>();
  const buffers = new Set<Buffer>();
  for (const step of lowered.steps) {
    if (isLoop(step) || isBranch(step)) continue;
    const { kernel } = step;
    const constant = kernel.parameters.every(({ buffer, access }) => {
      const place = storage.get(buffer)?.storage;
      if (access === 'read') return place === 'constant' || place === 'external' || buffers.has(buffer);
      return place === undefined && !results.has(buffer) && writers.get(buffer) === 1;
    });
    if (!constant) continue;
    kernels.add(kernel);
    for (const { buffer, access } of kernel.parameters) if (access !== 'read') buffers.add(buffer);
  }
  return { kernels, buffers };
}

interface Place {
  readonly storage: Exclude<Storage, 'arena' | 'prepared'>;
  readonly index: number;
  readonly name: string;
}

/** Buffers with storage of their own; those missing live in the arena. */
function assignStorage(func: Func, lowered: Lowered, mostInlineElements: number): Map<Buffer, Place> {
  const places = new Map<Buffer, Place>();
  const counts = { input: 0, state: 0, output: 0, constant: 0, external: 0 };
  const place = (value: Value, storage: Place['storage'], name: string): void => {
    const buffer = lowered.bufferOf.get(value);
    const index = counts[storage]++;
    if (buffer !== undefined) places.set(buffer, { storage, index, name });
  };
  for (const { value, role, name } of func.parameters) place(value, role === 'weight' ? 'external' : role, name);
  for (const { value, role, name } of func.results) if (role === 'output') place(value, 'output', name);
  for (const value of constantBuffers(func)) {
    const buffer = lowered.bufferOf.get(value);
    if (buffer === undefined || places.has(buffer)) continue;
    place(value, sizeOf(value.type.shape) > mostInlineElements ? 'external' : 'constant', buffer.name);
  }
  return places;
}

/** The new values of states on their way there. */
function updates(func: Func, lowered: Lowered, machine: Machine): KernelStep[] {
  const states = new Map(
    func.parameters.filter(({ role }) => role === 'state').map(({ name, value }) => [name, value]),
  );
  return func.results.flatMap(({ name, role, value }) => {
    if (role !== 'update') return [];
    const state = lowered.bufferOf.get(states.get(name)!);
    const buffer = lowered.bufferOf.get(value);
    if (state === undefined || buffer === undefined)
      throw new InternalError(`the update of state ${name} has no buffer`);
    return [copyStep(buffer, state, machine)];
  });
}

/** How many kernels write a buffer. */
function writersOf(steps: readonly LoweredStep[]): Map<Buffer, number> {
  const writers = new Map<Buffer, number>();
  for (const { kernel } of leavesOf<KernelStep, Buffer>(steps))
    for (const { buffer, access } of kernel.parameters)
      if (access !== 'read') writers.set(buffer, (writers.get(buffer) ?? 0) + 1);
  return writers;
}

/** A buffer written by a kernel takes over one of the same size that dies there, read at the same index. */
function reuseDying(steps: readonly LoweredStep[], isOwn: (buffer: Buffer) => boolean, aliases: Aliases): void {
  const { lives, positions } = lifetimesOf(steps);
  const writers = writersOf(steps);
  const taken = new Set<Buffer>();
  // A buffer that stands for a state or another buffer may be read later under that name.
  const pinned = aliases.all();
  const isArena = (buffer: Buffer): boolean => isOwn(buffer) && !pinned.has(buffer);
  // What loops in one kernel keep is no part of the arena.
  const inKernels = new Set(formed(steps));
  for (const [step, position] of positions) {
    if (inKernels.has(step)) continue;
    const { kernel } = step;
    for (const { buffer: written, access } of kernel.parameters) {
      if (access !== 'write' || !isArena(written) || writers.get(written) !== 1) continue;
      if (lives.get(written)!.first !== position) continue;
      const dying = kernel.parameters.find(
        ({ buffer, access: how }) =>
          how === 'read' &&
          isArena(buffer) &&
          !taken.has(buffer) &&
          lives.get(buffer)!.last === position &&
          buffer.size === written.size &&
          buffer.dtype === written.dtype &&
          canReplace(kernel, buffer, written),
      );
      if (dying === undefined) continue;
      taken.add(dying.buffer);
      aliases.set(written, dying.buffer);
    }
  }
}

/** The kernels of loops that become one. */
function formed(steps: readonly LoweredStep[]): KernelStep[] {
  return steps.flatMap((step) =>
    isLoop(step) && step.form !== null ? leavesOf<KernelStep, Buffer>([step]) : listsOf(step).flatMap(formed),
  );
}

function assemble(
  func: Func,
  lowered: Lowered,
  { steps, preparation }: { readonly steps: readonly LoweredStep[]; readonly preparation: Preparation },
  { storage: places, memory }: { readonly storage: ReadonlyMap<Buffer, Place>; readonly memory: MemoryRules },
  checks: readonly RangeCheck[],
): Program {
  const arena = placeInArena(steps, places, preparation.buffers, memory);
  const prepared = placeInOrder(preparation.buffers, memory);
  const made = new Map<Buffer, ProgramBuffer>();
  const programBuffer = (buffer: Buffer): ProgramBuffer => {
    const found = made.get(buffer);
    if (found !== undefined) return found;
    const value = lowered.buffers.get(buffer) ?? null;
    const type: TensorType = value?.type ?? { dtype: buffer.dtype, shape: [buffer.size] };
    const place = places.get(buffer);
    const result: ProgramBuffer = {
      name: place?.name ?? buffer.name,
      storage: place?.storage ?? (prepared.offset.has(buffer) ? 'prepared' : 'arena'),
      type,
      index: place?.index ?? arena.index.get(buffer) ?? 0,
      offset: arena.offset.get(buffer) ?? prepared.offset.get(buffer) ?? 0,
      data: value?.producer?.op === 'constant' ? (value.producer as Node<'constant'>).attrs.data : null,
    };
    made.set(buffer, result);
    return result;
  };
  const launch = (kernel: Kernel): Launch => ({
    kind: 'launch',
    kernel,
    args: kernel.parameters.map(({ buffer }) => programBuffer(buffer)),
    waits: true,
  });
  const launches = mapSteps(steps, ({ kernel }: KernelStep) => launch(kernel), programBuffer);
  const preparing = largestFirst([...preparation.kernels].map(launch));
  const boundary = (value: Value, storage: Storage, name: string, index: number): ProgramBuffer => {
    const buffer = lowered.bufferOf.get(value);
    const placed = buffer === undefined ? undefined : programBuffer(buffer);
    if (placed !== undefined && placed.storage === storage && placed.index === index) return placed;
    return { name, storage, type: value.type, index, offset: 0, data: null };
  };
  const withRole = (role: 'input' | 'state') => func.parameters.filter((parameter) => parameter.role === role);
  const stored = (storage: Storage): ProgramBuffer[] =>
    [...made.values()].filter((buffer) => buffer.storage === storage).sort((a, b) => a.index - b.index);
  return {
    name: func.name,
    steps: launches,
    inputs: withRole('input').map(({ value, name }, i) => boundary(value, 'input', name, i)),
    states: withRole('state').map(({ value, name }, i) => boundary(value, 'state', name, i)),
    outputs: func.results
      .filter((result) => result.role === 'output')
      .map(({ value, name }, i) => boundary(value, 'output', name, i)),
    constants: stored('constant'),
    externals: stored('external'),
    preparation: preparing,
    preparedBytes: prepared.bytes,
    arenaBytes: arena.bytes,
    checks,
  };
}

/**
 * The preparation in an order that needs little memory: what reads the largest externals comes first, as the block that it
 * fills is still empty then. Launches that read another's result follow it.
 */
function largestFirst(launches: readonly Launch[]): Launch[] {
  const rank = new Map<Launch, number>();
  const madeBy = new Map<ProgramBuffer, Launch>();
  for (const launch of launches) {
    let bytes = 0;
    let least = Number.POSITIVE_INFINITY;
    for (const [i, buffer] of launch.args.entries()) {
      if (launch.kernel.parameters[i]!.access !== 'read') madeBy.set(buffer, launch);
      else if (buffer.storage === 'external') bytes += sizeOf(buffer.type.shape) * bytesPerElement[buffer.type.dtype];
      else if (madeBy.has(buffer)) least = Math.min(least, rank.get(madeBy.get(buffer)!)!);
    }
    rank.set(launch, Math.min(bytes, least));
  }
  return [...launches].sort((a, b) => rank.get(b)! - rank.get(a)!);
}

function placeInArena(
  steps: readonly LoweredStep[],
  places: ReadonlyMap<Buffer, Place>,
  prepared: ReadonlySet<Buffer>,
  memory: MemoryRules,
): { index: Map<Buffer, number>; offset: Map<Buffer, number>; bytes: number } {
  const { lives } = lifetimesOf(steps);
  const isPlaced = (buffer: Buffer): boolean => places.has(buffer) || prepared.has(buffer);
  const buffers = [...lives.keys()].filter((buffer) => !isPlaced(buffer));
  const lifetimes = buffers.map((buffer) => ({
    bytes: buffer.size * memory.bytesPerElement[buffer.dtype],
    ...lives.get(buffer)!,
  }));
  const { offsets, bytes } = planArena(lifetimes, memory.alignment);
  return {
    index: new Map(buffers.map((buffer, i) => [buffer, i])),
    offset: new Map(buffers.map((buffer, i) => [buffer, offsets[i]!])),
    bytes,
  };
}

/** One buffer after another: they all live as long as the program. */
function placeInOrder(
  buffers: ReadonlySet<Buffer>,
  memory: MemoryRules,
): { offset: Map<Buffer, number>; bytes: number } {
  const offset = new Map<Buffer, number>();
  let bytes = 0;
  for (const buffer of buffers) {
    offset.set(buffer, bytes);
    bytes += aligned(buffer.size * memory.bytesPerElement[buffer.dtype], memory.alignment);
  }
  return { offset, bytes };
}
