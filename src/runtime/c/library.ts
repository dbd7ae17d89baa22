// A compiled program in this process: loaded with koffi, called with the caller's own typed arrays.

import koffi from 'koffi';
import type { CSource } from '../../codegen/c/program.ts';
import { InternalError } from '../../ir/errors.ts';
import type { Program, ProgramBuffer } from '../../ir/program.ts';
import { leavesOf } from '../../ir/steps.ts';
import { bytesPerElement, sizeOf, type TensorType } from '../../ir/types.ts';
import { allocate, arrayConstructor, arrayFrom, type TypedArray } from '../arrays.ts';
import type { Weights } from '../weights.ts';

export type NativeCall = (
  states: readonly TypedArray[],
  inputs: readonly TypedArray[],
  outputs: readonly TypedArray[],
  threads: number,
) => void;

/** Kernels keep scratch on the stack, which is koffi's own during a call. Configurable only before the first library is loaded. */
const stackBytes = 8 * 2 ** 20;
let configured = false;

export type Library = ReturnType<typeof koffi.load>;

/** Throws the loader's error where the file is not a library of this machine. */
export function openLibrary(path: string): Library {
  if (!configured) {
    configured = true;
    try {
      koffi.config({ sync_stack_size: stackBytes });
    } catch {
      // The application loaded a library of its own first; koffi's default of 2 MB holds every schedule's scratch.
    }
  }
  return koffi.load(path);
}

/** Makes a loaded program ready to be called: reads its weights and runs its preparation. */
export function bindLibrary(library: Library, source: CSource, program: Program, weights: Weights | null): NativeCall {
  const run = library.func(
    `int ${source.name}_run(void *workspace, void *states, void *inputs, void *outputs, int threads)`,
  );
  const workspace = alignedBytes(program.arenaBytes);
  const fixed = persistentMemory(library, source, program, weights);
  const persistent = new Pointers(program.states.length + fixed.length);
  const given = new Pointers(program.inputs.length);
  const results = new Pointers(program.outputs.length);
  let bound: readonly TypedArray[] | null = null;
  return (states, inputs, outputs, threads) => {
    // States stay where they are: those of one store are looked up once.
    if (states !== bound) point(persistent, [...states, ...fixed]);
    bound = states;
    point(given, inputs);
    point(results, outputs);
    const status = run(workspace, persistent, given, results, threads) as number;
    if (status !== 0) throw new InternalError(`${source.name}_run returned status ${status}`);
  };
}

/** Addresses, as C reads them. With tables filled here, of states only once, a call of a small program takes 0.75 µs instead of 1.6. */
export const Pointers = koffi.sizeof('void *') === 8 ? BigUint64Array : Uint32Array;

export function point(table: BigUint64Array | Uint32Array, arrays: readonly TypedArray[]): void {
  arrays.forEach((array, i) => {
    // Nothing is read of an array without elements, but its pointer must not be null.
    const address = array.length === 0 ? 64n : koffi.address(array);
    table[i] = table instanceof BigUint64Array ? address : Number(address);
  });
}

/**
 * The externals and what the preparation makes of them. An external is read just before the first part that needs it; one
 * that no step reads goes after the last, so that beside the prepared block there is hardly more than one at a time.
 */
function persistentMemory(
  library: Library,
  source: CSource,
  { externals, preparation, preparedBytes, states, steps }: Program,
  weights: Weights | null,
): TypedArray[] {
  const kept = new Set(leavesOf(steps).flatMap(({ args }) => args));
  const held = new Map<ProgramBuffer, Held>();
  const hold = (buffer: ProgramBuffer): Held => {
    const found = held.get(buffer) ?? holdExternal(buffer, kept.has(buffer), weights);
    held.set(buffer, found);
    return found;
  };
  // A pointer must not be null: those that nobody reads are stood for by the prepared block.
  const prepared = alignedBytes(preparedBytes);
  const memory = (): TypedArray[] => [...externals.map((buffer) => held.get(buffer)?.array ?? prepared), prepared];
  if (preparation.length > 0) {
    const prepare = library.func(`void ${source.name}_prepare(int part, void **states, int threads)`);
    const lastPart = new Map(preparation.flatMap(({ args }, part) => args.map((buffer) => [buffer, part] as const)));
    preparation.forEach(({ args }, part) => {
      const read = args.filter(({ storage }) => storage === 'external');
      read.forEach(hold);
      prepare(part, [...states.map(() => null), ...memory()], 1);
      for (const buffer of read) {
        if (kept.has(buffer) || lastPart.get(buffer) !== part) continue;
        held.get(buffer)?.release();
        held.delete(buffer);
      }
    });
  }
  for (const buffer of externals) if (kept.has(buffer)) hold(buffer);
  return preparation.length === 0 ? memory().slice(0, -1) : memory();
}

interface Held {
  readonly array: TypedArray;
  /** Gives the memory back at once, where it is ours. */
  release(): void;
}

function holdExternal({ name, type, data }: ProgramBuffer, isKept: boolean, weights: Weights | null): Held {
  const nothing = (): void => {};
  if (data === null && weights === null) throw new InternalError(`no elements are known for the weight ${name}`);
  const made: Held[] = [];
  const memory = (): TypedArray => {
    const own = isKept ? { array: alignedArray(type), release: nothing } : releasable(type);
    made.push(own);
    return own.array;
  };
  const given: ArrayLike<number> | TypedArray = data ?? weights!.elements(name, type, memory);
  const [own] = made;
  if (own !== undefined && own.array === given) return own;
  if (!isKept && given instanceof arrayConstructor(type.dtype)) return { array: given as TypedArray, release: nothing };
  // What kernels read at every call is copied: its source may change.
  const array = isKept ? alignedArray(type) : allocate(type);
  return { array: arrayFrom(type, given as ArrayLike<number>, array), release: nothing };
}

/** An array that kernels read at every call, in large pages where it is large. */
function alignedArray({ dtype, shape }: TensorType): TypedArray {
  const { buffer, byteOffset } = alignedBytes(sizeOf(shape) * bytesPerElement[dtype]);
  return new (arrayConstructor(dtype))(buffer as ArrayBuffer, byteOffset, sizeOf(shape));
}

/** Memory outside of the garbage collector's reach: a buffer that is shrunk to nothing is given back to the system. */
function releasable({ dtype, shape }: TensorType): Held {
  const bytes = sizeOf(shape) * bytesPerElement[dtype];
  const buffer = new ArrayBuffer(bytes, { maxByteLength: bytes });
  return { array: new (arrayConstructor(dtype))(buffer), release: () => buffer.resize(0) };
}

/** Bytes whose address is a multiple of 64, untouched so far; half a large page or more begin where one does. */
export function alignedBytes(count: number): Uint8Array {
  const isLarge = count >= largePage / 2;
  const [alignment, spare] = isLarge ? [largePage, 2 * largePage] : [64, 128];
  const bytes = new Uint8Array(count + spare);
  const past = Number(koffi.address(bytes) % BigInt(alignment));
  const first = (alignment - past) % alignment;
  const aligned = bytes.subarray(first, first + count);
  if (isLarge) adviseLargePages(aligned);
  return aligned;
}

const largePage = 2 ** 21;
/** Linux on x86-64 and arm64: <asm-generic/mman-common.h>. */
const MADV_HUGEPAGE = 14;

/**
 * Weights that are read once a call are bound by memory, and with pages of 4 KB by the tables of pages as well: 23 to 33
 * GB/s for 128 MB on one core of a Zen 4. Smaller ones that a loop reads again and again fill a second-level cache evenly
 * only where they are one page: 1 MB in one of 1 MB at up to 108 GB/s instead of 98. A rest of less than half a page has small
 * ones, so that no memory is taken for nothing. A wish, not a need: the kernel may refuse it.
 */
function adviseLargePages(aligned: Uint8Array): void {
  if (process.platform !== 'linux') return;
  const madvise = koffi.load(null).func('int madvise(uintptr_t address, size_t length, int advice)');
  const length = Math.round(aligned.length / largePage) * largePage;
  madvise(koffi.address(aligned), length, MADV_HUGEPAGE);
}
