// Random numbers: every distribution against its own by moments, Kolmogorov and Smirnov's distance or chi squared, with fixed
// seeds, so that a test fails always or never; the same numbers on every target; keys that never meet.

import { describe, expect, it } from 'vitest';
import { type AnyTensor, func, input, random, type Tensor, variable } from '../src/index.ts';
import { philox4x32 } from '../src/ir/philox.ts';
import { normalProbability } from '../src/lang/standard-normal.ts';
import { randomStream } from '../src/nn/random.ts';
import { type CompileTargetOptions, compile } from '../src/runtime/compile.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

const device = await testDevice();
const targets: readonly CompileTargetOptions[] = [
  { target: 'c' },
  { target: 'js' },
  ...(typeof device === 'string' ? [] : [{ target: 'wgsl' } as const]),
];
type Arrays = Record<string, ArrayLike<number>>;
const seed = random.key(2024);

async function values(
  outputs: Record<string, AnyTensor>,
  options: CompileTargetOptions = { target: 'js' },
): Promise<Arrays> {
  const run = await compile(func({ inputs: [], outputs }), options);
  return (await run({})) as Arrays;
}

const drawn = async (tensor: AnyTensor): Promise<number[]> => Array.from((await values({ y: tensor })).y!);

const count = 40_000;
const mean = (list: readonly number[]): number => list.reduce((sum, value) => sum + value, 0) / list.length;
const moment = (list: readonly number[], power: number): number => mean(list.map((value) => value ** power));

/** √n times the largest distance of the empirical distribution from a continuous one. Above 1.95 in one of a thousand samples. */
function distance(list: readonly number[], probability: (x: number) => number): number {
  const sorted = [...list].sort((a, b) => a - b);
  const gaps = sorted.map((x, i) => Math.max((i + 1) / list.length - probability(x), probability(x) - i / list.length));
  return Math.max(...gaps) * Math.sqrt(list.length);
}
const oneInThousand = 1.95;

/** Σ (seen − expected)²/expected. */
function chiSquared(seen: readonly number[], expected: readonly number[]): number {
  return seen.reduce((sum, each, i) => sum + (each - expected[i]!) ** 2 / expected[i]!, 0);
}

/** About where chi squared is in one of a thousand samples (E. B. Wilson, M. M. Hilferty, PNAS 17, 1931). */
const chiBound = (freedom: number): number =>
  freedom * (1 - 2 / (9 * freedom) + 3.09 * Math.sqrt(2 / (9 * freedom))) ** 3;

describe('distributions', () => {
  it('uniform numbers lie in [low, high) evenly, each the upper 24 bits of a word', async () => {
    const list = await drawn(random.uniform(seed, [count]));
    expect(distance(list, (x) => x)).toBeLessThan(oneInThousand);
    expect(list.every((x) => x >= 0 && x < 1)).toBe(true);
    expect(list.slice(0, 4)).toEqual(
      philox4x32([0, 0, 0, 0], [2024, 0]).map((word) => Math.floor(word / 256) / 2 ** 24),
    );
    const scaled = await drawn(random.uniform(seed, [count], { low: -3, high: 5 }));
    expect(distance(scaled, (x) => (x + 3) / 8)).toBeLessThan(oneInThousand);
    expect(random.uniform(seed, [3, 4]).shape satisfies [3, 4]).toEqual([3, 4]);
  });

  it('pairs of neighbours fill the square', async () => {
    const list = await drawn(random.uniform(seed, [2 * count]));
    const cells = new Array<number>(256).fill(0);
    for (let i = 0; i < count; i++) cells[Math.floor(list[2 * i]! * 16) * 16 + Math.floor(list[2 * i + 1]! * 16)]!++;
    expect(
      chiSquared(
        cells,
        cells.map(() => count / 256),
      ),
    ).toBeLessThan(chiBound(255));
  });

  it('normal numbers have the moments and the distribution', async () => {
    const list = await drawn(random.normal(seed, [count]));
    expect(distance(list, normalProbability)).toBeLessThan(oneInThousand);
    // Standard errors of the moments: √(1, 2, 15, 96)/√n.
    const bounds = [1, Math.sqrt(2), Math.sqrt(15), Math.sqrt(96)].map((error) => (3.3 * error) / Math.sqrt(count));
    [0, 1, 0, 3].forEach((expected, i) => {
      expect(Math.abs(moment(list, i + 1) - expected)).toBeLessThan(bounds[i]!);
    });
  });

  it('truncated normal numbers stay inside, on either side and around zero', async () => {
    for (const [low, high] of [
      [-2, 2],
      [0.5, 1],
      [2, 4],
      [-6, -3],
      [-1, 8],
    ] as const) {
      const list = await drawn(random.truncatedNormal(seed, [count], { low, high }));
      const [below, above] = [normalProbability(low), normalProbability(high)];
      expect(list.every((z) => z >= low && z <= high)).toBe(true);
      // From the upper tail probabilities differ by less than they are rounded.
      const probability = (z: number): number =>
        low > 0
          ? 1 -
            (normalProbability(-z) - normalProbability(-high)) / (normalProbability(-low) - normalProbability(-high))
          : (normalProbability(z) - below) / (above - below);
      expect(distance(list, probability), `${low} to ${high}`).toBeLessThan(oneInThousand);
    }
  });

  it('exponential and Gumbel numbers have theirs', async () => {
    const exponential = await drawn(random.exponential(seed, [count]));
    expect(distance(exponential, (x) => -Math.expm1(-x))).toBeLessThan(oneInThousand);
    const gumbel = await drawn(random.gumbel(seed, [count]));
    expect(distance(gumbel, (x) => Math.exp(-Math.exp(-x)))).toBeLessThan(oneInThousand);
    expect([...exponential, ...gumbel].every(Number.isFinite)).toBe(true);
  });

  it('Bernoulli trials succeed as often as they should', async () => {
    for (const p of [0, 0.1, 0.5, 1]) {
      const list = await drawn(random.bernoulli(seed, p, [count]));
      expect(Math.abs(mean(list) - p)).toBeLessThanOrEqual((3.3 * Math.sqrt(p * (1 - p))) / Math.sqrt(count));
    }
    const rows = input('p', [4, 1]);
    const run = await compile(func({ inputs: [rows], outputs: { y: random.bernoulli(seed, rows, [4, 10_000]) } }), {
      target: 'js',
    });
    const { y } = run({ p: Float32Array.of(0, 0.25, 0.75, 1) });
    [0, 0.25, 0.75, 1].forEach((p, row) => {
      expect(Math.abs(mean(Array.from(y.subarray(row * 10_000, (row + 1) * 10_000))) - p)).toBeLessThan(0.0145);
    });
  });

  it('categories come as often as softmax says', async () => {
    const logits = input('logits', [4]);
    const rows = logits.reshape([1, 4]).broadcastTo([count, 4]);
    const run = await compile(func({ inputs: [logits], outputs: { y: random.categorical(seed, rows) } }), {
      target: 'js',
    });
    const given = Float32Array.of(0, 1, -2, 2.5);
    const { y } = run({ logits: given });
    const weights = Array.from(given, Math.exp);
    const total = weights.reduce((sum, weight) => sum + weight);
    const seen = [0, 1, 2, 3].map((category) => y.filter((found) => found === category).length);
    expect(
      chiSquared(
        seen,
        weights.map((weight) => (weight / total) * count),
      ),
    ).toBeLessThan(chiBound(3));
  });

  it('permutations hold every number once, and all orders come alike', async () => {
    const order = await drawn(random.permutation(seed, 1000));
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    const step = variable('step', [], { dtype: 'u32', trainable: false });
    const run = await compile(
      func({
        inputs: [],
        outputs: { y: random.permutation(random.foldIn(seed, step), 4) },
        updates: [[step, step.add(1)]],
      }),
      { target: 'c' },
    );
    const seen = new Map<string, number>();
    for (let i = 0; i < 4800; i++) {
      const text = run({}).y.join('');
      seen.set(text, (seen.get(text) ?? 0) + 1);
    }
    expect(seen.size).toBe(24);
    expect(chiSquared([...seen.values()], new Array(24).fill(200))).toBeLessThan(chiBound(23));
  });

  it('dropout keeps the expected sum, and shares decisions along axes', async () => {
    const list = await drawn(random.dropout(seed, random.uniform(seed, [count]).mul(0).add(1), 0.3));
    expect(new Set(list)).toEqual(new Set([0, Math.fround(1 / 0.7)]));
    expect(Math.abs(mean(list) - 1)).toBeLessThan((3.3 * Math.sqrt(0.3 / 0.7)) / Math.sqrt(count));
    const x = random.uniform(seed, [5, 6, 7]).mul(0).add(1);
    const shared = await drawn(random.dropout(seed, x, 0.5, { shared: [1] }));
    const at = (n: number, t: number, c: number): number => shared[(n * 6 + t) * 7 + c]!;
    for (let n = 0; n < 5; n++)
      for (let c = 0; c < 7; c++) for (let t = 1; t < 6; t++) expect(at(n, t, c)).toBe(at(n, 0, c));
    expect(new Set(shared).size).toBe(2);
  });
});

describe('numbers of other dtypes', () => {
  const words = (counter: number): number[] =>
    Array.from({ length: 3 }, (_, block) => philox4x32([block, 0, 0, counter], [2024, 0])).flat();

  it('in f64 have the bits of two words, in f16 eleven', async () => {
    const [upper, lower] = [words(0), words(3)];
    const wanted = upper.map((word, i) => (word * 2 ** 21 + Math.floor(lower[i]! / 2 ** 11)) / 2 ** 53);
    for (const options of targets.filter(({ target }) => target !== 'wgsl')) {
      const { double, half } = await values(
        {
          double: random.uniform(seed, [12], { dtype: 'f64' }),
          half: random.uniform(seed, [12], { dtype: 'f16' }).cast('f32'),
        },
        options,
      );
      expect([...(double as Float64Array)]).toEqual(wanted);
      expect([...(half as Float32Array)]).toEqual(upper.map((word) => Math.floor(word / 2 ** 21) / 2 ** 11));
    }
    expect(random.uniform(seed, [3], { dtype: 'f64' }).dtype satisfies 'f64').toBe('f64');
    expect(random.uniform(seed, [3]).dtype satisfies 'f32').toBe('f32');
  });

  it('in f64 follow their distributions, on the places of those in f32', async () => {
    const dtype = 'f64';
    const { normal, single, exponential, gumbel, truncated } = (await values({
      normal: random.normal(seed, [count], { dtype }),
      single: random.normal(seed, [count]),
      exponential: random.exponential(seed, [count], { dtype }),
      gumbel: random.gumbel(seed, [count], { dtype }),
      truncated: random.truncatedNormal(seed, [count], { low: 0.5, high: 1, dtype }),
    })) as Record<string, Float64Array>;
    expect(distance([...normal!], normalProbability)).toBeLessThan(oneInThousand);
    expect(distance([...exponential!], (x) => -Math.expm1(-x))).toBeLessThan(oneInThousand);
    expect(distance([...gumbel!], (x) => Math.exp(-Math.exp(-x)))).toBeLessThan(oneInThousand);
    expect(truncated!.every((z) => z >= 0.5 && z <= 1)).toBe(true);
    expect(normal!.every((z, i) => Math.abs(z - single![i]!) <= 2e-6 * Math.max(1, Math.abs(z)))).toBe(true);
    // More digits than f32 has: Φ of most numbers is no multiple of 2⁻³².
    expect(normal!.filter((z) => z === Math.fround(z)).length).toBeLessThan(5);
  });

  it('whole numbers are the upper part of 64 bits times their count, on all targets', async () => {
    const cases = [
      { low: -3, high: 4 },
      { low: -(2 ** 31), high: 2 ** 31 },
      { low: 0, high: 3_000_000_001, dtype: 'u32' },
      { low: 7, high: 8 },
    ] as const;
    const [upper, lower] = [words(0), words(3)];
    for (const options of targets) {
      const found = await values(
        Object.fromEntries(cases.map((bounds, i) => [`y${i}`, random.integers(seed, [12], bounds) as AnyTensor])),
        options,
      );
      cases.forEach(({ low, high }, i) => {
        const wanted = upper.map((word, at) => {
          const bits = (BigInt(word) << 32n) | BigInt(lower[at]!);
          return low + Number((bits * BigInt(high - low)) >> 64n);
        });
        expect([...Array.from(found[`y${i}`]!)]).toEqual(wanted);
      });
    }
    expect(() => random.integers(seed, [2], { low: 3, high: 3 })).toThrow('low below high');
    expect(() => random.integers(seed, [2], { high: 2 ** 31 + 1 })).toThrow('2147483648');
  });

  it('dropout, Bernoulli trials and categories take them', async () => {
    const ones = random.uniform(seed, [count], { dtype: 'f64' }).mul(0).add(1);
    const { dropped, halves } = await values({
      dropped: random.dropout(seed, ones, 0.3),
      halves: random.dropout(seed, ones.cast('f16'), 0.5).cast('f32'),
    });
    expect(new Set(Array.from(dropped!))).toEqual(new Set([0, 1 / 0.7]));
    expect(new Set(Array.from(halves!))).toEqual(new Set([0, 2]));
    const logits = random.normal(seed, [50, 4], { dtype: 'f64' });
    const { double, single } = await values({
      double: random.categorical(seed, logits),
      single: random.categorical(seed, logits.cast('f32')),
    });
    expect(Array.from(double!)).toEqual(Array.from(single!));
  });
});

describe('keys', () => {
  it('that are split or folded differ from one another and from what is drawn', async () => {
    const folded = Array.from({ length: 40 }, (_, i) => random.foldIn(seed, i));
    const all = [...random.split(seed, 20), ...folded, random.bits(seed, [80]).reshape([40, 2])];
    const words = await values(Object.fromEntries(all.map((tensor: AnyTensor, i) => [`k${i}`, tensor])));
    const pairs = Object.values(words).flatMap((list) =>
      Array.from({ length: list.length / 2 }, (_, i) => `${list[2 * i]} ${list[2 * i + 1]}`),
    );
    expect(pairs.length).toBe(100);
    expect(new Set(pairs).size).toBe(100);
  });

  it('give unrelated numbers for seeds that are neighbours', async () => {
    const [a, b] = await Promise.all([7, 8].map((next) => drawn(random.normal(random.key(next), [count]))));
    const correlation = mean(a!.map((value, i) => value * b![i]!));
    expect(Math.abs(correlation)).toBeLessThan(3.3 / Math.sqrt(count));
  });

  it('of a seed give the numbers that initializers draw', async () => {
    const [a, b] = await drawn(random.bits(random.key(5), [4]));
    expect(randomStream(5).uniform()).toBeCloseTo(a! / 2 ** 32, 8);
    expect(b).toBeDefined();
  });

  it('may be given when a function runs', async () => {
    const given = input('seed', [], 'i32');
    const run = await compile(func({ inputs: [given], outputs: { y: random.bits(random.key(given), [8]) } }), {
      target: 'js',
    });
    expect(Array.from(run({ seed: Int32Array.of(2024) }).y)).toEqual(await drawn(random.bits(seed, [8])));
  });

  it('are tuples and shapes in the types', () => {
    const [first, second] = random.split(seed);
    const key: Tensor<[2], 'u32'> = second;
    const many: Tensor<[7, 2], 'u32'> = random.keys(first, 7);
    const logits = input('logits', [5, 3]);
    const category: Tensor<[5], 'i32'> = random.categorical(key, logits);
    expect([many.shape, category.shape]).toEqual([[7, 2], [5]]);
    // @ts-expect-error there are two keys
    expect(random.split(seed, 2)[2]).toBeUndefined();
  });

  it('that are none are refused, as are rates and ranges that are none', () => {
    const wrong = input('x', [2]) as never;
    expect(() => random.uniform(wrong, [3])).toThrow(/random\.uniform\(.*\): a key u32\[2\] expected first/);
    expect(() => random.key(1.5)).toThrow(/a seed that is a whole number expected, 1\.5 given/);
    expect(() => random.foldIn(seed, -1)).toThrow(/at least 0 and below 2\^32 expected, -1 given/);
    expect(() => random.bernoulli(seed, 2, [3])).toThrow(/a probability in \[0, 1\] expected, 2 given/);
    expect(() => random.uniform(seed, [3], { low: 1, high: 0 })).toThrow(/low below high expected/);
    expect(() => random.dropout(seed, input('y', [2]), 1)).toThrow(/at least 0 and below 1 expected, 1 given/);
    expect(() => random.dropout(seed, input('y', [2]), 0.5, { shared: [1] })).toThrow(/axes \[1\] do not all exist/);
  });
});

describe(titleOf('every target', device), () => {
  const outputs = {
    uniform: random.uniform(seed, [50, 41]),
    choice: random.bernoulli(seed, 0.3, [64, 40]),
    order: random.permutation(seed, 300),
    dropped: random.dropout(seed, random.uniform(random.key(3), [64, 40]), 0.5),
    key: random.foldIn(random.split(seed, 3)[2], 9),
  };
  const near = {
    normal: random.normal(seed, [50, 40]),
    truncated: random.truncatedNormal(seed, [50, 40], { low: -1, high: 3 }),
    exponential: random.exponential(seed, [50, 40]),
    gumbel: random.gumbel(seed, [50, 40]),
  };

  it('draws the same bits, and functions of them within their bounds', async () => {
    const [first, ...others] = await Promise.all(targets.map((options) => values({ ...outputs, ...near }, options)));
    for (const other of others) {
      for (const name of Object.keys(outputs))
        expect(Array.from(other[name]!), name).toEqual(Array.from(first![name]!));
      for (const name of Object.keys(near))
        Array.from(first![name]!).forEach((value, i) => {
          const bound = 2 ** -20 * Math.max(Math.abs(value), 2 ** -4);
          expect(Math.abs(other[name]![i]! - value), `${name} ${value}`).toBeLessThan(bound);
        });
    }
  });

  it('draws anew in every step, and goes on anywhere from the state of another', async () => {
    const make = async (options: CompileTargetOptions) => {
      const step = variable('step', [], { dtype: 'u32', trainable: false });
      const noise = random.uniform(random.foldIn(seed, step), [6, 5]);
      const run = await compile(func({ inputs: [], outputs: { noise }, updates: [[step, step.add(1)]] }), options);
      return { next: async () => Array.from((await run({})).noise), run };
    };
    const origin = await make({ target: 'c' });
    const walk = [await origin.next(), await origin.next(), await origin.next()];
    expect(new Set(walk.flat()).size).toBe(90);
    for (const options of targets) {
      const other = await make(options);
      await other.run.state.set('step', Uint32Array.of(1));
      expect([await other.next(), await other.next()]).toEqual(walk.slice(1));
    }
  });
});
