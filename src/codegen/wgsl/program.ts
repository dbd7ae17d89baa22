// A program as WGSL: one shader module for each kernel that differs, and what a runtime needs to run them without knowing
// anything else: blocks of memory, where values lie in them, and dispatches in order.

import { LimitationError, type SourcePosition } from '../../ir/errors.ts';
import type { Buffer, Kernel } from '../../ir/kernel.ts';
import type { Launch, Program, ProgramBuffer, RangeCheck } from '../../ir/program.ts';
import { leavesOf } from '../../ir/steps.ts';
import { bytesPerElement, sizeOf, type TensorType } from '../../ir/types.ts';
import { isNarrow, legalize } from '../../passes/gpu/legalize.ts';
import { bindingAlignment, gpuBytes } from '../../passes/gpu/schedule.ts';
import { mostNumbers } from '../../passes/schedule-loops.ts';
import { toComment } from '../names.ts';
import { bindLaunch, type Place } from './bindings.ts';
import { dispatchOf, type Grid, gridOf, printShader, type ShaderBinding } from './statements.ts';
import { gateBlock, type StepWriter, type WgslStep, wgslSteps } from './steps.ts';

/** What of a device's limits programs depend on. */
export interface WgslLimits {
  /** Bindings of a shader. */
  readonly maxStorageBuffersPerShaderStage: number;
  /** Bytes of a binding. */
  readonly maxStorageBufferBindingSize: number;
  /** Bytes of a block. */
  readonly maxBufferSize: number;
  /** Bytes that the invocations of a workgroup share. */
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupSizeX: number;
}

/** What every WebGPU device offers. */
export const defaultLimits: WgslLimits = {
  maxStorageBuffersPerShaderStage: 8,
  maxStorageBufferBindingSize: 134_217_728,
  maxBufferSize: 268_435_456,
  maxComputeWorkgroupStorageSize: 16_384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
};

export interface WgslModule {
  readonly name: string;
  readonly code: string;
  readonly bindings: readonly ShaderBinding[];
  /** Uniforms behind them, each the number of a loop, by dynamic offset. */
  readonly numbers: number;
}

/** One kernel on its way to the device: its module, the parts of blocks that it is bound to, its workgroups. */
export interface Dispatch {
  readonly kind: 'dispatch';
  readonly kernel: string;
  /** The first of the user's lines that made it. */
  readonly source: SourcePosition | null;
  readonly module: number;
  readonly bindings: readonly Place[];
  readonly workgroups: readonly [number, number];
  /** Whose numbers its uniforms are: positions among the numbered loops around it. */
  readonly numbers: readonly number[];
  /** Where in the block of gates its workgroups stand, if a value decides whether it runs; else they are those above. */
  readonly gate: number | null;
}

/** A value that goes in or out. `packed`: bytes, four to a word, or halves, two; otherwise a narrow element takes a word. */
export interface Boundary extends Place {
  readonly name: string;
  readonly type: TensorType;
  readonly packed: boolean;
}

export interface WgslProgram {
  readonly name: string;
  readonly modules: readonly WgslModule[];
  /** Run once, before the first call. */
  readonly preparation: readonly Dispatch[];
  readonly steps: readonly WgslStep[];
  /** How many numbers of iterations there must be: 0, 1, 2, .. at multiples of 256 bytes. */
  readonly numbers: number;
  /** Bytes of the blocks that belong to the program alone, by name. */
  readonly blocks: Readonly<Record<string, number>>;
  readonly inputs: readonly Boundary[];
  readonly outputs: readonly Boundary[];
  readonly states: readonly Boundary[];
  readonly constants: readonly (Boundary & { readonly data: ArrayLike<number> | null })[];
  readonly checks: readonly RangeCheck[];
}

/** Where a state lies: in a block that other programs may share. */
export type StatePlaces = (name: string, type: TensorType) => Place;

/**
 * Prints a program whose kernels were made for a GPU. Throws LimitationError where a block or a binding would exceed the
 * limits, with what is needed and what there is.
 */
export function printWgsl(program: Program, states: StatePlaces, limits: WgslLimits = defaultLimits): WgslProgram {
  const layout = new Layout(limits);
  const boundary = (buffer: ProgramBuffer): Boundary => {
    const place = buffer.storage === 'state' ? states(buffer.name, buffer.type) : layout.place(buffer);
    return { ...place, name: buffer.name, type: buffer.type, packed: isPacked(buffer) };
  };
  const inputs = program.inputs.map(boundary);
  const outputs = program.outputs.map(boundary);
  const constants = [...program.constants, ...program.externals].map((buffer) => ({
    ...boundary(buffer),
    data: buffer.data,
  }));
  const stateValues = program.states.map(boundary);
  const statePlaces = new Map(stateValues.map((value) => [value.name, value]));
  const placeOf = (buffer: ProgramBuffer): Place =>
    buffer.storage === 'state' ? statePlaces.get(buffer.name)! : layout.place(buffer);
  layout.block('arena', program.arenaBytes);
  layout.block('prepared', program.preparedBytes);
  const modules = new Modules();
  const writer: StepWriter = {
    dispatch: (launch) => dispatchFor(launch, placeOf, modules, limits),
    module: (module) => modules.addOnce(module),
    predicate: (buffer) => ({ place: placeOf(buffer), packed: isPacked(buffer) }),
  };
  const preparing = wgslSteps(program.preparation, writer);
  const made = wgslSteps(program.steps, writer);
  layout.block(gateBlock, made.gateBytes);
  expectNumbers(made.numbers, limits);
  return {
    name: program.name,
    preparation: leavesOf(preparing.steps),
    steps: made.steps,
    numbers: made.numbers,
    modules: modules.list,
    blocks: layout.blocks,
    inputs,
    outputs,
    states: stateValues,
    constants,
    checks: program.checks,
  };
}

/** Throws LimitationError where a loop is longer than a device can number its iterations. */
function expectNumbers(numbers: number, { maxBufferSize }: WgslLimits): void {
  const bytes = numbers * bindingAlignment;
  if (bytes > maxBufferSize)
    throw new LimitationError(
      `the numbers of a loop of ${numbers} iterations take ${bytes} bytes; a buffer of this device holds ${maxBufferSize} (limit maxBufferSize). Split the sequence`,
    );
}

/** Values that the caller's bytes become without a conversion, because no kernel writes them. */
function isPacked({ storage, type }: ProgramBuffer): boolean {
  return isNarrow(type.dtype) && (storage === 'input' || storage === 'constant' || storage === 'external');
}

/** Bytes that a value takes on the device; bindings and copies are whole words, and never empty. */
export function deviceBytes(type: TensorType, packed: boolean): number {
  const bytes = sizeOf(type.shape) * (packed ? bytesPerElement : gpuBytes)[type.dtype];
  return Math.max(4, Math.ceil(bytes / 4) * 4);
}

/** Values with storage of their own, one after another in blocks of what a buffer may hold. */
class Layout {
  readonly blocks: Record<string, number> = {};
  readonly #limits: WgslLimits;
  readonly #places = new Map<string, Place>();
  readonly #open = new Map<string, string>();
  constructor(limits: WgslLimits) {
    this.#limits = limits;
  }

  /** Declares a block of known size. */
  block(name: string, bytes: number): void {
    const { maxBufferSize } = this.#limits;
    if (bytes > maxBufferSize)
      throw new LimitationError(
        `the ${name} of intermediate values takes ${bytes} bytes; a buffer of this device holds ${maxBufferSize} (limit maxBufferSize). Use smaller batches`,
      );
    if (bytes > 0) this.blocks[name] = bytes;
  }

  place(buffer: ProgramBuffer): Place {
    const { storage, index, offset, type } = buffer;
    const bytes = deviceBytes(type, isPacked(buffer));
    if (storage === 'arena' || storage === 'prepared') return { block: storage, offset, bytes };
    const key = `${storage} ${index}`;
    const known = this.#places.get(key);
    if (known !== undefined) return known;
    const block = this.#blockFor(storage, bytes);
    const place: Place = { block, offset: this.blocks[block] ?? 0, bytes };
    this.blocks[block] = place.offset + Math.ceil(bytes / bindingAlignment) * bindingAlignment;
    this.#places.set(key, place);
    return place;
  }

  /** The open block of a storage, or a new one where that is full. */
  #blockFor(storage: string, bytes: number): string {
    const open = this.#open.get(storage) ?? storage;
    const isFull = (this.blocks[open] ?? 0) + bytes > this.#limits.maxBufferSize;
    const block = isFull && this.blocks[open] !== undefined ? `${storage}_${Object.keys(this.blocks).length}` : open;
    this.#open.set(storage, block);
    return block;
  }
}

/** Modules by their text: kernels that differ in the names of their buffers alone share one. */
class Modules {
  readonly list: WgslModule[] = [];
  readonly #known = new Map<string, number>();
  readonly #names = new Map<string, number>();

  add(kernel: Kernel, bindings: readonly ShaderBinding[], code: string, key: string): number {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const count = (this.#names.get(kernel.name) ?? 0) + 1;
    this.#names.set(kernel.name, count);
    this.#known.set(key, this.list.length);
    const name = toComment(count === 1 ? kernel.name : `${kernel.name}_${count}`);
    this.list.push({ name, code, bindings, numbers: kernel.iterations.length });
    return this.list.length - 1;
  }

  /** A module that no kernel is. */
  addOnce(module: WgslModule): number {
    const known = this.#known.get(module.code);
    if (known !== undefined) return known;
    this.#known.set(module.code, this.list.length);
    this.list.push(module);
    return this.list.length - 1;
  }
}

function dispatchFor(
  { kernel, args }: Launch,
  placeOf: (buffer: ProgramBuffer) => Place,
  modules: Modules,
  limits: WgslLimits,
): ReturnType<StepWriter['dispatch']> {
  // A kernel over no elements has nothing to do.
  if (gridOf(kernel).group.extent === 0) return null;
  if (kernel.iterations.length > mostNumbers)
    throw new LimitationError(
      `kernel ${kernel.name} stands in ${kernel.iterations.length} loops, and a device numbers ${mostNumbers}: join some of them`,
    );
  const packed = new Set<Buffer>();
  kernel.parameters.forEach(({ buffer }, i) => {
    if (isPacked(args[i]!)) packed.add(buffer);
  });
  const legal = legalize(kernel, packed);
  const { bindings, locations, places } = bindLaunch(legal, args.map(placeOf), limits);
  const grid = gridOf(legal);
  expectWorkgroup(kernel.name, grid, limits);
  const { code, key } = printShader(legal, bindings, locations);
  const module = modules.add(kernel, bindings, code, key);
  const source = kernel.sources[0] ?? null;
  return { kernel: kernel.name, source, module, bindings: places, workgroups: dispatchOf(grid.group.extent) };
}

/** Throws LimitationError where a device's workgroups are too small; those of WebGPU's default limits suffice. */
function expectWorkgroup(kernel: string, { lane, shared }: Grid, limits: WgslLimits): void {
  // Arrays in workgroup memory begin at multiples of 16 bytes.
  const bytes = shared.reduce((sum, { dtype, size }) => sum + Math.ceil((size * gpuBytes[dtype]) / 16) * 16, 0);
  const needs = {
    maxComputeWorkgroupStorageSize: [bytes, 'bytes that a workgroup shares'],
    maxComputeInvocationsPerWorkgroup: [lane.extent, 'invocations in a workgroup'],
    maxComputeWorkgroupSizeX: [lane.extent, 'invocations side by side in a workgroup'],
  } as const;
  for (const [limit, [needed, what]] of Object.entries(needs)) {
    const offered = limits[limit as keyof typeof needs];
    if (needed > offered)
      throw new LimitationError(
        `kernel ${kernel} needs ${needed} ${what}; this device has ${offered} (limit ${limit})`,
      );
  }
}
