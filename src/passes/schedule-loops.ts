// What decides about loops of programs, beside schedule.ts.

/** Iterations from which on it pays to pack what all of them read: packing costs about as much as reading it twice more. */
export const fewestRepeated = 4;

/** Iterations from which on two halves that change their roles cost fewer kernels than a copy in each: they take two copies around. */
export const fewestSwapped = 4;

/** How many iterations an endless loop is taken for where work is estimated. */
export const assumedIterations = 16;

/**
 * On a device, a loop whose end values decide is sent in pieces of so many iterations, the first and at most; each has twice as many as
 * the one before. Reading whether it goes on takes as long as some hundred dispatches that do nothing.
 */
export const firstPiece = 16;
export const mostInPiece = 256;

/** Numbered loops around a kernel on a device: WebGPU's default limit of uniforms with dynamic offsets. */
export const mostNumbers = 8;

/**
 * Bytes that all iterations read, from which on tasks are taken there and back: the smallest second-level caches of today. A core
 * of a Zen 4 (1 MB) reads 1 MB again at 98 GB/s always forwards and at 109 there and back, 1.25 MB at 97 and 106.
 */
export const fewestAlternated = 2 ** 18;
