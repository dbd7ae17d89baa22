// Inputs for functions in tests: seeded, of the type of each parameter, in an example's domain.

import { seeded } from '../../src/cli/arrays.ts';
import type { Func } from '../../src/ir/graph.ts';
import { roundToHalf } from '../../src/ir/half.ts';
import type { NdArray } from '../../src/ir/ndarray.ts';
import { isFloat, sizeOf, type TensorType } from '../../src/ir/types.ts';

export { seeded };

export function sample(
  type: TensorType,
  random: () => number,
  [low, high]: readonly [number, number] = [-2, 2],
): NdArray {
  const element = (): number => {
    const value = low + (high - low) * random();
    if (type.dtype === 'bool') return random() < 0.5 ? 0 : 1;
    // Inputs are exact in their type, so that every target reads the same numbers.
    if (type.dtype === 'f16') return roundToHalf(value);
    if (isFloat(type.dtype)) return Math.fround(value);
    if (type.dtype === 'u32' || type.dtype === 'u8') return Math.floor(random() * 7);
    return Math.floor(random() * 12) - (type.dtype === 'i32' && random() < 0.3 ? 4 : 2);
  };
  return { type, data: Float64Array.from({ length: sizeOf(type.shape) }, element) };
}

export function sampleInputs(func: Func, seed: number, domain?: readonly [number, number]): NdArray[] {
  const random = seeded(seed);
  return func.parameters.map(({ value }) => sample(value.type, random, domain));
}
