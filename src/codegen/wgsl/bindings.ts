// Which parts of which blocks a dispatch is bound to. Each parameter has a binding of its own, typed as its elements are,
// as long as there are enough; where there are not, parameters of one block share one, at offsets that stand in the code.

import { LimitationError } from '../../ir/errors.ts';
import type { Buffer, Kernel, KernelParameter } from '../../ir/kernel.ts';
import { vectorBuffers } from '../../passes/gpu/vector-buffers.ts';
import type { Location } from './expressions.ts';
import { Names } from './names.ts';
import type { WgslLimits } from './program.ts';
import type { ShaderBinding } from './statements.ts';

/** A part of a block of memory, in bytes. */
export interface Place {
  readonly block: string;
  readonly offset: number;
  readonly bytes: number;
}

/** The bindings of a launch, where each parameter lies in them, and what they are bound to. */
export interface BoundLaunch {
  readonly bindings: readonly ShaderBinding[];
  readonly locations: ReadonlyMap<Buffer, Location>;
  readonly places: readonly Place[];
}

interface Bound {
  readonly parameter: KernelParameter;
  readonly place: Place;
}

export function bindLaunch(kernel: Kernel, places: readonly Place[], limits: WgslLimits): BoundLaunch {
  const vectors = vectorBuffers(kernel.body);
  const all = kernel.parameters.map((parameter, i): Bound => ({ parameter, place: places[i]! }));
  // A dispatch uses a buffer either for reading or for writing, whatever the parts.
  const written = new Set(all.filter(({ parameter }) => parameter.access !== 'read').map(({ place }) => place.block));
  const names = new Names();
  const locations = new Map<Buffer, Location>();
  const bindings: ShaderBinding[] = [];
  const bound: Place[] = [];
  for (const group of grouped(all, limits.maxStorageBuffersPerShaderStage)) {
    const first = group[0]!;
    const place = span(group.map((next) => next.place));
    if (place.bytes > limits.maxStorageBufferBindingSize) throw tooLarge(group, place, limits);
    const [dtype, ...others] = new Set(group.map(({ parameter }) => parameter.buffer.dtype));
    const type = (others.length === 0 ? dtype : 'u32') as ShaderBinding['type'];
    const name = names.fresh(group.length === 1 ? first.parameter.buffer.name : place.block);
    const lanes = group.length === 1 ? (vectors.get(first.parameter.buffer) ?? 1) : 1;
    for (const { parameter, place: own } of group)
      locations.set(parameter.buffer, { name, type, lanes, first: (own.offset - place.offset) / 4 });
    bindings.push({ name, type, lanes, access: written.has(place.block) ? 'read_write' : 'read' });
    bound.push(place);
  }
  if (bindings.length > limits.maxStorageBuffersPerShaderStage)
    throw new LimitationError(
      `kernel ${kernel.name} reads and writes ${bindings.length} blocks of memory; a shader of this device has ${limits.maxStorageBuffersPerShaderStage} bindings (limit maxStorageBuffersPerShaderStage)`,
    );
  return { bindings, locations, places: bound };
}

/** One parameter each while there are enough bindings; else the blocks with the most parameters are bound as one first. */
function grouped(all: readonly Bound[], most: number): Bound[][] {
  const blocks = new Map<string, Bound[]>();
  for (const next of all) blocks.set(next.place.block, [...(blocks.get(next.place.block) ?? []), next]);
  let count = all.length;
  const merged = new Set<string>();
  for (const [block, members] of [...blocks].sort(([, a], [, b]) => b.length - a.length)) {
    if (count <= most) break;
    merged.add(block);
    count -= members.length - 1;
  }
  const groups: Bound[][] = all.filter(({ place }) => !merged.has(place.block)).map((next) => [next]);
  return [...groups, ...[...merged].map((block) => blocks.get(block)!)];
}

function span(places: readonly Place[]): Place {
  const offset = Math.min(...places.map((place) => place.offset));
  const end = Math.max(...places.map((place) => place.offset + place.bytes));
  return { block: places[0]!.block, offset, bytes: end - offset };
}

function tooLarge(group: readonly Bound[], { bytes }: Place, limits: WgslLimits): LimitationError {
  const names = group.map(({ parameter }) => parameter.buffer.name).join(', ');
  return new LimitationError(
    `${names} takes ${bytes} bytes; a binding of this device holds ${limits.maxStorageBufferBindingSize} (limit maxStorageBufferBindingSize)`,
  );
}
