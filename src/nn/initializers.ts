// First values of variables. Fans: a dense weight [in, out] has fan-in `in` and fan-out `out`; a convolution kernel
// [out, in, K..] has fan-in in·∏K and fan-out out·∏K.

import { UserError } from '../ir/errors.ts';
import type { Initializer } from '../lang/variable.ts';
import { type RandomStream, randomStream, seedOr } from './random.ts';

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

/** [fan-in, fan-out] of a weight. */
export function fansOf(shape: readonly number[]): [number, number] {
  if (shape.length < 2) return [shape[0] ?? 1, shape[0] ?? 1];
  if (shape.length === 2) return [shape[0]!, shape[1]!];
  const taps = sizeOf(shape.slice(2));
  return [shape[1]! * taps, shape[0]! * taps];
}

/** A number at a time for a weight of `shape`. */
type Draw = (random: RandomStream, shape: readonly number[]) => () => number;

function drawn(seed: number | undefined, draw: Draw): Initializer {
  const fixed = seedOr(seed);
  return (shape) => {
    const next = draw(randomStream(fixed), shape);
    const elements = new Float32Array(sizeOf(shape));
    for (let i = 0; i < elements.length; i++) elements[i] = next();
    return elements;
  };
}

export const zeros = (): Initializer => () => 0;
export const ones = (): Initializer => () => 1;
export const constant =
  (value: number): Initializer =>
  () =>
    value;
/** Uniform in [low, high), then rounded to f32. */
export const uniform = (low = -0.05, high = 0.05, seed?: number): Initializer =>
  drawn(seed, (random) => () => low + (high - low) * random.uniform());
export const normal = (mean = 0, deviation = 0.05, seed?: number): Initializer =>
  drawn(seed, (random) => () => mean + deviation * random.normal());
/** Normal, drawn again beyond two deviations. */
export const truncatedNormal = (mean = 0, deviation = 0.05, seed?: number): Initializer =>
  drawn(seed, (random) => () => {
    let value = random.normal();
    while (Math.abs(value) > 2) value = random.normal();
    return mean + deviation * value;
  });

const uniformWithin = (bound: number, random: RandomStream) => (): number => (2 * random.uniform() - 1) * bound;
const normalOf = (deviation: number, random: RandomStream) => (): number => random.normal() * deviation;

/** Uniform in ±√(6 / (fan-in + fan-out)). X. Glorot, Y. Bengio, AISTATS 2010, eq. 16. */
export const xavierUniform = (seed?: number): Initializer =>
  drawn(seed, (random, shape) => {
    const [fanIn, fanOut] = fansOf(shape);
    return uniformWithin(Math.sqrt(6 / (fanIn + fanOut)), random);
  });
/** Normal of variance 2 / (fan-in + fan-out). Glorot and Bengio 2010. */
export const xavierNormal = (seed?: number): Initializer =>
  drawn(seed, (random, shape) => {
    const [fanIn, fanOut] = fansOf(shape);
    return normalOf(Math.sqrt(2 / (fanIn + fanOut)), random);
  });
/** Uniform in ±√(6 / fan-in). K. He et al., ICCV 2015, eq. 10. */
export const heUniform = (seed?: number): Initializer =>
  drawn(seed, (random, shape) => uniformWithin(Math.sqrt(6 / fansOf(shape)[0]), random));
/** Normal of variance 2 / fan-in. He et al. 2015, eq. 10. */
export const heNormal = (seed?: number): Initializer =>
  drawn(seed, (random, shape) => normalOf(Math.sqrt(2 / fansOf(shape)[0]), random));

/** Orthonormal rows or columns, whichever are fewer, of the weight as [first axis, the rest]. A. Saxe et al., ICLR 2014. */
export const orthogonal = (gain = 1, seed?: number): Initializer => {
  const fixed = seedOr(seed);
  return (shape) => {
    if (shape.length < 2) throw new UserError(`orthogonal: a weight of at least two axes expected, [${shape}] given`);
    const rows = shape[0]!;
    const columns = sizeOf(shape) / rows;
    const random = randomStream(fixed);
    const [count, length] = rows <= columns ? [rows, columns] : [columns, rows];
    const vectors = orthonormal(count, length, random);
    const element = (row: number, column: number): number =>
      rows <= columns ? vectors[row]![column]! : vectors[column]![row]!;
    return Float32Array.from(
      { length: rows * columns },
      (_, i) => gain * element(Math.floor(i / columns), i % columns),
    );
  };
};

/** Gram and Schmidt's process on normal vectors, each orthogonalised twice for accuracy. */
function orthonormal(count: number, length: number, random: RandomStream): number[][] {
  const vectors: number[][] = [];
  while (vectors.length < count) {
    const vector = Array.from({ length }, () => random.normal());
    for (let sweep = 0; sweep < 2; sweep++) {
      for (const other of vectors) {
        const dot = vector.reduce((sum, value, i) => sum + value * other[i]!, 0);
        for (let i = 0; i < length; i++) vector[i]! -= dot * other[i]!;
      }
    }
    const size = Math.hypot(...vector);
    vectors.push(vector.map((value) => value / size));
  }
  return vectors;
}
