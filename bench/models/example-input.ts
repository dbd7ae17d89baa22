// What models are run on: numbers in [−1, 1), or indices below the vocabulary's size, the same in every process.

import { seededUniform } from './net.ts';

export function exampleInput(
  { vocabulary }: { readonly vocabulary?: number },
  shape: readonly number[],
): Float32Array | Int32Array {
  const seed = 987_654;
  const count = shape.reduce((all, dim) => all * dim, 1);
  if (vocabulary === undefined) return seededUniform(seed, count, 1);
  return Int32Array.from(seededUniform(seed, count, vocabulary / 2, vocabulary / 2), Math.floor);
}
