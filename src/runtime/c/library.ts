// A compiled program in this process: loaded with koffi, called with the caller's own typed arrays.

import koffi from 'koffi';
import type { CSource } from '../../codegen/c/program.ts';
import { InternalError } from '../../ir/errors.ts';
import type { Program } from '../../ir/program.ts';
import { arrayConstructor, arrayFrom, type TypedArray } from '../arrays.ts';

export type NativeCall = (
  states: readonly TypedArray[],
  inputs: readonly TypedArray[],
  outputs: readonly TypedArray[],
  threads: number,
) => void;

/** Kernels keep scratch on the stack, which is koffi's own during a call. Configurable only before the first library is loaded. */
const stackBytes = 8 * 2 ** 20;
let configured = false;

/** Loads a compiled program. Throws the loader's error where the file is not a library of this machine. */
export function loadLibrary(path: string, source: CSource, program: Program): NativeCall {
  if (!configured) {
    configured = true;
    try {
      koffi.config({ sync_stack_size: stackBytes });
    } catch {
      // The application loaded a library of its own first; koffi's default of 2 MB holds every schedule's scratch.
    }
  }
  const library = koffi.load(path);
  const run = library.func(
    `int ${source.name}_run(void *workspace, void **states, void **inputs, void **outputs, int threads)`,
  );
  const workspace = alignedBytes(program.arenaBytes);
  const fixed = persistentMemory(library, source, program);
  return (states, inputs, outputs, threads) => {
    const status = run(workspace, [...states, ...fixed], inputs, outputs, threads) as number;
    if (status !== 0) throw new InternalError(`${source.name}_run returned status ${status}`);
  };
}

/** The external constants and what the preparation makes of them; constants that only it reads are let go. */
function persistentMemory(
  library: ReturnType<typeof koffi.load>,
  source: CSource,
  program: Program,
): (TypedArray | null)[] {
  const read = new Set(program.steps.flatMap(({ args }) => args));
  // Those that kernels read at every call are copied: their source may change.
  const constants = program.externals.map((buffer): TypedArray => {
    const { type, data } = buffer;
    const isOwn = !read.has(buffer) && data instanceof arrayConstructor(type.dtype);
    return isOwn ? (data as TypedArray) : arrayFrom(type, data!);
  });
  if (program.preparation.length === 0) return constants;
  const prepare = library.func(`void ${source.name}_prepare(void **states, int threads)`);
  const prepared = alignedBytes(program.preparedBytes);
  prepare([...program.states.map(() => null), ...constants, prepared], 1);
  // A pointer must not be null: constants that no step reads are stood for by the prepared block.
  return [...constants.map((array, i) => (read.has(program.externals[i]!) ? array : prepared)), prepared];
}

/** Bytes whose address is a multiple of 64, untouched so far, in large pages where there are many. */
function alignedBytes(count: number): Uint8Array {
  const bytes = new Uint8Array(count + 128);
  const past = Number(koffi.address(bytes) % 64n);
  if (count >= 2 * largePage) adviseLargePages(bytes);
  return bytes.subarray((64 - past) % 64);
}

const largePage = 2 ** 21;
/** Linux on x86-64 and arm64: <asm-generic/mman-common.h>. */
const MADV_HUGEPAGE = 14;

/**
 * Weights that are read once a call are bound by memory, and with pages of 4 KB by the tables of pages as well: 23 to 33
 * GB/s for 128 MB on one core of a Zen 4. A wish, not a need: the kernel may refuse it.
 */
function adviseLargePages(bytes: Uint8Array): void {
  if (process.platform !== 'linux') return;
  const madvise = koffi.load(null).func('int madvise(uintptr_t address, size_t length, int advice)');
  const page = 4096n;
  const first = ((koffi.address(bytes) + page - 1n) / page) * page;
  const end = ((koffi.address(bytes) + BigInt(bytes.length)) / page) * page;
  madvise(first, end - first, MADV_HUGEPAGE);
}
