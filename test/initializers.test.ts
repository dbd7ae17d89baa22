// First values of variables: the generator against its authors' known answers, and initializers by their bounds and
// moments on 10⁵ numbers. Seeds are fixed, so nothing here is left to chance; tolerances are five standard errors.

import { nn, variable } from 'ashlar';
import { beforeEach, describe, expect, it } from 'vitest';
import { keyOf, philox4x32, unitInterval, type Words2, type Words4 } from '../src/ir/philox.ts';
import { randomStream } from '../src/nn/random.ts';
import { expectClose } from './helpers/close.ts';

const { initializers } = nn;
const count = 100_000;

describe('Philox 4x32-10', () => {
  // J. K. Salmon et al., Random123, tests/kat_vectors, lines "philox4x32 10": counter, key, result.
  const knownAnswers: readonly (readonly [Words4, Words2, Words4])[] = [
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ];

  it.each(knownAnswers)('of counter %j under key %j is %j', (counter, key, result) => {
    expect(philox4x32(counter, key)).toEqual(result);
  });

  it('takes a seed of up to 53 bits as a key of two words', () => {
    expect(keyOf(5)).toEqual([5, 0]);
    expect(keyOf(2 ** 32 + 7)).toEqual([7, 1]);
    expect(keyOf(2 ** 53 - 1)).toEqual([0xffffffff, 0x1fffff]);
  });

  it('maps two words to [0, 1) with 53 bits', () => {
    expect(unitInterval(0, 0)).toBe(0);
    expect(unitInterval(0x80000000, 0)).toBe(0.5);
    expect(unitInterval(0, 0x800)).toBe(2 ** -53);
    expect(unitInterval(0xffffffff, 0xffffffff)).toBe(1 - 2 ** -53);
  });

  it('makes a stream from counters 0, 1, … of the seed: two words for each number', () => {
    const { uniform } = randomStream(0);
    const [high, low] = [0x6627e8d5, 0xe169c58d];
    expect(uniform()).toBe((high * 2 ** 21 + Math.floor(low / 2 ** 11)) / 2 ** 53);
    expect(uniform()).toBe((0xbc57ac4c * 2 ** 21 + Math.floor(0x9b00dbd8 / 2 ** 11)) / 2 ** 53);
    const [a, b] = philox4x32([1, 0, 0, 0], [0, 0]);
    expect(uniform()).toBe(unitInterval(a, b));
  });
});

it('normal numbers are Box and Muller’s √(−2 log(1 − u)) cos(2π u′) of two uniform ones', () => {
  // Of the first known answer above, in Python.
  expectClose([randomStream(0).normal()], [-0.09047305844120267], 1e-15);
});

type Initializer = ReturnType<typeof initializers.zeros>;

function elementsOf(initializer: Initializer, shape: readonly number[]): Float64Array {
  const elements = initializer(shape, 'f32');
  return typeof elements === 'number' ? Float64Array.of(elements) : Float64Array.from(elements);
}

/** Mean, variance and the fourth moment about the mean over the variance squared. */
function momentsOf(elements: Float64Array): { mean: number; variance: number; kurtosis: number } {
  const average = (of: (x: number) => number): number => elements.reduce((sum, x) => sum + of(x), 0) / elements.length;
  const mean = average((x) => x);
  const variance = average((x) => (x - mean) ** 2);
  return { mean, variance, kurtosis: average((x) => (x - mean) ** 4) / variance ** 2 };
}

/** `kurtosis` of the distribution also tells the standard error of its variance: σ² √((κ − 1) / n). */
function expectMoments(elements: Float64Array, mean: number, variance: number, kurtosis: number): void {
  const found = momentsOf(elements);
  const { length } = elements;
  expect(Math.abs(found.mean - mean)).toBeLessThan(5 * Math.sqrt(variance / length));
  expect(Math.abs(found.variance - variance)).toBeLessThan(5 * variance * Math.sqrt((kurtosis - 1) / length));
  expect(Math.abs(found.kurtosis - kurtosis)).toBeLessThan(0.1);
}

const uniformKurtosis = 9 / 5;
const normalKurtosis = 3;

function expectWithin(elements: Float64Array, low: number, high: number, reached: number): void {
  const [least, greatest] = [Math.min(...elements), Math.max(...elements)];
  expect(least).toBeGreaterThanOrEqual(low);
  expect(greatest).toBeLessThanOrEqual(high);
  // The bounds are nearly reached: the distribution is not narrower than it says.
  expect(least).toBeLessThan(low + reached * (high - low));
  expect(greatest).toBeGreaterThan(high - reached * (high - low));
}

describe('plain initializers', () => {
  it('fill tens of millions of elements at eight bytes each', () => {
    const zeros = variable('zeros', [9216, 4096]).initial();
    expect([zeros.length, (zeros as Float64Array).byteLength]).toEqual([9216 * 4096, 8 * 9216 * 4096]);
  });

  it('zeros, ones and constant fill', () => {
    const first = (initial: Initializer) => Array.from(variable('v', [2, 2], { initial }).initial());
    expect(first(initializers.zeros())).toEqual([0, 0, 0, 0]);
    expect(first(initializers.ones())).toEqual([1, 1, 1, 1]);
    expect(first(initializers.constant(-2.5))).toEqual([-2.5, -2.5, -2.5, -2.5]);
  });

  it('uniform fills [low, high)', () => {
    const elements = elementsOf(initializers.uniform(-1, 3, 1), [count]);
    expectWithin(elements, -1, 3, 1e-3);
    expectMoments(elements, 1, 16 / 12, uniformKurtosis);
    expectWithin(elementsOf(initializers.uniform(undefined, undefined, 2), [count]), -0.05, 0.05, 1e-3);
  });

  it('normal has its mean and deviation', () => {
    const elements = elementsOf(initializers.normal(2, 0.5, 3), [count]);
    expectMoments(elements, 2, 0.25, normalKurtosis);
    // Of 10⁵ standard normal numbers 4550 are expected beyond two deviations, give or take 66.
    const beyond = elements.filter((x) => Math.abs(x - 2) > 1).length;
    expect(Math.abs(beyond - 4550)).toBeLessThan(5 * 66);
    expectMoments(elementsOf(initializers.normal(undefined, undefined, 4), [count]), 0, 0.0025, normalKurtosis);
  });

  it('truncatedNormal stays within two deviations', () => {
    const elements = elementsOf(initializers.truncatedNormal(1, 0.5, 5), [count]);
    expectWithin(elements, 0, 2, 2e-3);
    // Variance 1 − 4 φ(2) / (2 Φ(2) − 1) and kurtosis of a standard normal number cut at ±2: from SciPy's truncnorm.
    expectMoments(elements, 1, 0.7737413035499232 * 0.25, 2.3655367171296495);
  });
});

describe('initializers by fans', () => {
  // A kernel [out 50, in 20, 10, 10] has 2000 inputs and 5000 outputs; a dense weight [200, 500] 200 and 500.
  const shapes = [
    { shape: [200, 500], fanIn: 200, fanOut: 500 },
    { shape: [50, 20, 10, 10], fanIn: 2000, fanOut: 5000 },
  ];

  it('fansOf a scalar, a vector, a dense weight and a kernel', () => {
    expect(initializers.fansOf([])).toEqual([1, 1]);
    expect(initializers.fansOf([7])).toEqual([7, 7]);
    expect(initializers.fansOf([200, 500])).toEqual([200, 500]);
    expect(initializers.fansOf([50, 20, 10, 10])).toEqual([2000, 5000]);
    expect(initializers.fansOf([6, 1, 5])).toEqual([5, 30]);
  });

  it.each(shapes)('Xavier and He on $shape', ({ shape, fanIn, fanOut }) => {
    const bound = Math.sqrt(6 / (fanIn + fanOut));
    const single = 1 + 1e-7;
    const xavier = elementsOf(initializers.xavierUniform(6), shape);
    expectWithin(xavier, -bound * single, bound * single, 1e-3);
    expectMoments(xavier, 0, 2 / (fanIn + fanOut), uniformKurtosis);
    expectMoments(elementsOf(initializers.xavierNormal(7), shape), 0, 2 / (fanIn + fanOut), normalKurtosis);
    const heBound = Math.sqrt(6 / fanIn) * single;
    const he = elementsOf(initializers.heUniform(8), shape);
    expectWithin(he, -heBound, heBound, 1e-3);
    expectMoments(he, 0, 2 / fanIn, uniformKurtosis);
    expectMoments(elementsOf(initializers.heNormal(9), shape), 0, 2 / fanIn, normalKurtosis);
  });
});

describe('orthogonal', () => {
  /** QᵀQ of columns, or QQᵀ of rows, whichever are fewer. */
  function gramOf(elements: Float64Array, rows: number, columns: number): number[] {
    const at = (row: number, column: number): number => elements[row * columns + column]!;
    const [fewer, more] = rows < columns ? [rows, columns] : [columns, rows];
    const entry = rows < columns ? at : (i: number, k: number): number => at(k, i);
    return Array.from({ length: fewer * fewer }, (_, at) => {
      const [i, j] = [Math.floor(at / fewer), at % fewer];
      let sum = 0;
      for (let k = 0; k < more; k++) sum += entry(i, k) * entry(j, k);
      return sum;
    });
  }
  const identity = (size: number, diagonal = 1): number[] =>
    Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? diagonal : 0));

  it.each([
    [5, 5],
    [64, 64],
    [30, 7],
    [7, 30],
    [1, 9],
  ])('has orthonormal columns or rows on [%i, %i]', (rows, columns) => {
    const elements = elementsOf(initializers.orthogonal(1, 10), [rows, columns]);
    expectClose(gramOf(elements, rows, columns), identity(Math.min(rows, columns)), 2e-7);
  });

  it('takes a kernel as [out, the rest], and scales by the gain', () => {
    const elements = elementsOf(initializers.orthogonal(3, 11), [4, 2, 3, 3]);
    expectClose(gramOf(elements, 4, 18), identity(4, 9), 2e-6);
  });

  it('refuses a vector', () => {
    expect(() => initializers.orthogonal()([4], 'f32')).toThrow(
      'orthogonal: a weight of at least two axes expected, [4] given',
    );
  });
});

describe('seeds', () => {
  beforeEach(() => nn.setSeed(1));

  const drawn: readonly { readonly name: string; readonly of: (seed?: number) => Initializer }[] = [
    { name: 'uniform', of: (seed) => initializers.uniform(0, 1, seed) },
    { name: 'normal', of: (seed) => initializers.normal(0, 1, seed) },
    { name: 'truncatedNormal', of: (seed) => initializers.truncatedNormal(0, 1, seed) },
    { name: 'xavierUniform', of: (seed) => initializers.xavierUniform(seed) },
    { name: 'xavierNormal', of: (seed) => initializers.xavierNormal(seed) },
    { name: 'heUniform', of: (seed) => initializers.heUniform(seed) },
    { name: 'heNormal', of: (seed) => initializers.heNormal(seed) },
    { name: 'orthogonal', of: (seed) => initializers.orthogonal(1, seed) },
  ];

  it.each(drawn)('$name has the same values for a seed, and others for another', ({ of }) => {
    const values = (initializer: Initializer): number[] => Array.from(elementsOf(initializer, [4, 5]));
    expect(values(of(42))).toEqual(values(of(42)));
    expect(values(of(42))).not.toEqual(values(of(43)));
    const once = of();
    expect(values(once)).toEqual(values(once));
    expect(values(once)).not.toEqual(values(of()));
    nn.setSeed(1);
    expect(values(of())).toEqual(values(once));
  });

  it('two layers differ, and the same program has the same weights again', () => {
    const weights = (): number[][] => {
      nn.setSeed(5);
      return [nn.dense(3, 2), nn.dense(3, 2)].map(({ variables }) => Array.from(variables[0]!.initial()));
    };
    const [first, second] = weights();
    expect(first).not.toEqual(second);
    expect(weights()).toEqual([first, second]);
  });

  it('refuses a seed that is no whole number', () => {
    for (const seed of [0.5, Number.NaN, 2 ** 53]) {
      expect(() => nn.setSeed(seed)).toThrow(`a seed that is a whole number expected, ${seed} given`);
      expect(() => initializers.uniform(0, 1, seed)).toThrow(`a seed that is a whole number expected, ${seed} given`);
    }
  });
});
