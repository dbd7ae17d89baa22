// Random projection: points of many dimensions keep their distances, nearly, under a matrix of normal numbers to few dimensions; how
// few depends on the number of points and not on their dimension.
// Run with: npx tsx examples/random-projection.ts [--target c|wgsl|js] [--out FOLDER]
// Source: W. B. Johnson, J. Lindenstrauss, Contemporary Mathematics 26 (1984); the bound is that of S. Dasgupta and A. Gupta, Random
// Structures and Algorithms 22 (2003), theorem 2.1.

import { type AnyTensor, func, input, narrow, nn } from 'ashlar';
import { compile } from 'ashlar/node';
import { beside, linePlot, type Picture, type Series } from './gallery/plots.ts';
import { type ExampleTarget, figure, galleryProgram, type Shown } from './gallery/program.ts';

/** Dimensions that suffice for n points to keep all squared distances within 1 ± ε. */
export const sufficientDimensions = (points: number, epsilon: number): number =>
  Math.ceil((4 * Math.log(points)) / (epsilon ** 2 / 2 - epsilon ** 3 / 3));

export interface ProjectionOptions extends ExampleTarget {
  readonly points?: number;
  readonly dimensions?: number;
  /** Dimensions to project to. */
  readonly kept?: readonly number[];
}

/** For each number of dimensions kept: squared distances after over those before, of every pair of points. */
export type Ratios = ReadonlyMap<number, readonly number[]>;

/** `[N, D]` → `[N, N]`: ‖a‖² + ‖b‖² − 2·a·b. */
function squaredDistances(points: AnyTensor): AnyTensor {
  const squares: AnyTensor = points.square().sum(1, { keepDims: true });
  return squares.add(squares.transpose()).sub(points.matmul(points.transpose()).mul(2));
}

export async function projectedDistances(options: ProjectionOptions = {}): Promise<Ratios> {
  const { target, points = 150, dimensions = 4096, kept = [4, 16, 64, 256, 1024] } = options;
  const x = input('x', [points, dimensions]);
  const normal = input('normal', [dimensions, Math.max(...kept)]);
  const before = squaredDistances(x as AnyTensor);
  const outputs = Object.fromEntries(
    kept.map((k) => {
      const matrix: AnyTensor = (narrow(normal as AnyTensor, 1, 0, k) as AnyTensor).mul(1 / Math.sqrt(k));
      return [`kept${k}`, squaredDistances((x as AnyTensor).matmul(matrix)).div(before)];
    }),
  ) as Record<string, AnyTensor>;
  const run = await compile(
    func({ name: 'project', inputs: [x, normal], outputs }),
    target === undefined ? {} : { target },
  );
  const { uniform, normal: normalNumbers } = nn.initializers;
  // Few large coordinates and many small ones, in other places for each point, as counts of words are.
  const given = (uniform(0, 1, 1)([points, dimensions], 'f32') as Float32Array).map((value) => value ** 8);
  const matrix = normalNumbers(0, 1, 2)([dimensions, Math.max(...kept)], 'f32') as Float32Array;
  const found = (await run({ x: given, normal: matrix })) as Readonly<Record<string, Float32Array>>;
  return new Map(
    kept.map((k) => {
      const all = found[`kept${k}`]!;
      return [k, Array.from(all).filter((_, i) => Math.floor(i / points) < i % points)];
    }),
  );
}

/** The share of ratios within 1 ± ε. */
export const shareWithin = (ratios: readonly number[], epsilon: number): number =>
  ratios.filter((ratio) => Math.abs(ratio - 1) <= epsilon).length / ratios.length;
export const worst = (ratios: readonly number[]): number => Math.max(...ratios.map((ratio) => Math.abs(ratio - 1)));

function showProjection(ratios: Ratios, points: number): Shown {
  const bins = 80;
  const range = [0, 2] as const;
  const densities = [...ratios].map(([k, all]): Series => {
    const counts = new Array<number>(bins).fill(0);
    for (const ratio of all) if (ratio < range[1]) counts[Math.floor((ratio / range[1]) * bins)]!++;
    const x = counts.map((_, i) => ((i + 0.5) / bins) * range[1]);
    return { name: `${k} dimensions`, x, y: counts.map((count) => count / all.length) };
  });
  const kept = [...ratios.keys()];
  // ε at which the bound asks for so many dimensions, by halving; it says nothing above 1.
  const promised = kept.map((k) => {
    let [low, high] = [1e-3, 1];
    for (let i = 0; i < 40; i++) {
      const middle = (low + high) / 2;
      if (sufficientDimensions(points, middle) > k) low = middle;
      else high = middle;
    }
    return high;
  });
  const withPromise = kept.map((_, i) => i).filter((i) => promised[i]! < 0.999);
  const pictures: Picture[] = [
    linePlot(densities, {
      title: 'squared distances, after over before',
      x: { title: 'ratio', range },
      y: { title: 'share of pairs' },
      width: 360,
    }),
    linePlot(
      [
        { name: 'worst pair', x: kept, y: kept.map((k) => worst(ratios.get(k)!)) },
        { name: 'the bound', x: withPromise.map((i) => kept[i]!), y: withPromise.map((i) => promised[i]!) },
        { name: '√(2 / dimensions)', x: kept, y: kept.map((k) => Math.sqrt(2 / k)) },
      ],
      {
        title: 'how far ratios are from 1',
        x: { title: 'dimensions kept', log: true },
        y: { title: 'distance from 1', log: true },
        points: true,
        width: 360,
      },
    ),
  ];
  return {
    figures: {
      pairs: ratios.values().next().value!.length,
      ...Object.fromEntries(
        kept.map((k) => [
          `worst change of a squared distance, ${k} dimensions`,
          `${figure(100 * worst(ratios.get(k)!), 2)} %`,
        ]),
      ),
      'dimensions that suffice for 50 %, by the bound': sufficientDimensions(points, 0.5),
    },
    pictures: [beside(pictures)],
  };
}

await galleryProgram(import.meta.url, async (options) => showProjection(await projectedDistances(options), 150));
