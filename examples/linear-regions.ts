// A relu network is linear in each of many regions. Over a square they are counted exactly, by cutting it along the lines where units
// change sign, and drawn from the signs that the compiled network computes: sixteen units in one layer, and in four layers of four.
// Run with: npx tsx examples/linear-regions.ts [--target c|wgsl|js] [--out FOLDER]
// Source: G. Montúfar, R. Pascanu, K. Cho, Y. Bengio, On the number of linear regions of deep neural networks, NeurIPS 2014.

import { type AnyTensor, concat, constant, func, input, nn } from 'ashlar';
import { compile } from 'ashlar/node';
import { beside, heatMap, type Picture } from './gallery/plots.ts';
import { type ExampleTarget, galleryProgram, type Shown } from './gallery/program.ts';

/** weight `[inputs][units]`, bias `[units]`. */
interface ReluLayer {
  readonly weight: readonly (readonly number[])[];
  readonly bias: readonly number[];
}
type Network = readonly ReluLayer[];

const units = 16;
const layers = 4;
const perLayer = units / layers;
const inputs = 2;

/** Sixteen lines that touch one small circle: no two are parallel and no three meet, so they cut the square as often as lines can. */
function shallow(): Network {
  const radius = 0.03;
  const angles = Array.from({ length: units }, (_, i) => (Math.PI * (i + 0.3)) / units);
  const bias = angles.map((angle) => -0.5 * (Math.cos(angle) + Math.sin(angle)) - radius);
  return [{ weight: [angles.map(Math.cos), angles.map(Math.sin)], bias }];
}

/**
 * Three layers fold the square, 2·x − 4·max(x − ½, 0) along each axis, so that what the last layer cuts out of it is repeated 64
 * times (section 3.1 of the paper).
 */
function folding(): Network {
  const fold: ReluLayer = {
    weight: [
      [2, 4, 0, 0],
      [0, 0, 2, 4],
    ],
    bias: [0, -2, 0, -2],
  };
  /** What the next layer reads instead of the coordinate: the first unit of each pair less the second. */
  const after = ({ weight: [x, y], bias }: ReluLayer): ReluLayer => ({
    weight: [x!, x!.map((w) => -w), y!, y!.map((w) => -w)],
    bias,
  });
  // Four lines with all six crossings inside.
  const last: ReluLayer = {
    weight: [
      [1, -0.4, 1, 0.25],
      [0.3, 1, -1, 1],
    ],
    bias: [-0.6, -0.25, 0.07, -0.68],
  };
  return [fold, after(fold), after(fold), after(last)];
}

/** Layers as training starts with them. */
function random(widths: readonly number[], seed: number): Network {
  return widths.map((width, i) => {
    const from = i === 0 ? inputs : widths[i - 1]!;
    const numbers = nn.initializers.normal(0, Math.sqrt(2 / from), seed + i)([from + 1, width], 'f32') as Float32Array;
    const row = (r: number): number[] => Array.from(numbers.subarray(r * width, (r + 1) * width));
    const weight = Array.from({ length: from }, (_, r) => row(r));
    // The first layer's lines pass near the middle of the square, where the others' do by themselves.
    const bias =
      i === 0
        ? row(from).map((b, u) => 0.3 * b - 0.5 * (weight[0]![u]! + weight[1]![u]!))
        : row(from).map((b) => 0.3 * b);
    return { weight, bias };
  });
}

export const networks: Readonly<Record<string, Network>> = {
  'one layer of 16, lines in general position': shallow(),
  'four layers of 4, folding': folding(),
  'one layer of 16, random': random([units], 5),
  'four layers of 4, random': random(new Array<number>(layers).fill(perLayer), 11),
};

const choose = (n: number, k: number): number => (k === 0 ? 1 : (choose(n - 1, k - 1) * n) / k);
/** The most regions into which lines, or planes, cut: Σ C(units, j) for j up to the number of inputs (Zaslavsky 1975). */
const cuts = (count: number): number =>
  Array.from({ length: inputs + 1 }, (_, j) => choose(count, j)).reduce((sum, term) => sum + term, 0);

export const bounds = {
  /** What no network of one layer exceeds, and some reach (proposition 2 of the paper). */
  shallow: cuts(units),
  /** What some deep network reaches at least (theorem 4). */
  deepReached: Math.floor(perLayer / inputs) ** (inputs * (layers - 1)) * cuts(perLayer),
  /** What none exceeds: each layer cuts each region at most as often as lines cut a plane. */
  deepAtMost: cuts(perLayer) ** layers,
};

type Point = readonly [x: number, y: number];
/** value = x·slope.x + y·slope.y + offset. */
type Affine = readonly [x: number, y: number, offset: number];
interface Cell {
  readonly corners: readonly Point[];
  /** The values that enter the next layer, in this cell. */
  readonly values: readonly Affine[];
}

const at = ([a, b, c]: Affine, [x, y]: Point): number => a * x + b * y + c;

/** The part of a convex polygon where `side` · the function is not negative. */
function part(corners: readonly Point[], line: Affine, side: 1 | -1): Point[] {
  return corners.flatMap((corner, i): Point[] => {
    const next = corners[(i + 1) % corners.length]!;
    const [here, there] = [side * at(line, corner), side * at(line, next)];
    const share = here / (here - there);
    const crossing: Point = [corner[0] + share * (next[0] - corner[0]), corner[1] + share * (next[1] - corner[1])];
    return [...(here >= 0 ? [corner] : []), ...(here * there < 0 ? [crossing] : [])];
  });
}

const area = (corners: readonly Point[]): number =>
  0.5 *
  Math.abs(
    corners.reduce((sum, [x, y], i) => {
      const [nextX, nextY] = corners[(i + 1) % corners.length]!;
      return sum + x * nextY - nextX * y;
    }, 0),
  );

/** Below this a part is what rounding leaves of a line. */
const leastArea = 1e-12;

/** The convex cells of the unit square in which no unit changes its sign. */
export function linearRegions(network: Network): Cell[] {
  const square: Point[] = [
    [0, 0],
    [1, 0],
    [1, 1],
    [0, 1],
  ];
  let cells: Cell[] = [
    {
      corners: square,
      values: [
        [1, 0, 0],
        [0, 1, 0],
      ],
    },
  ];
  for (const { weight, bias } of network) {
    cells = cells.flatMap(({ corners, values }) => {
      const sums = bias.map((offset, unit): Affine => {
        const along = (k: 0 | 1 | 2) => values.reduce((sum, value, i) => sum + value[k] * weight[i]![unit]!, 0);
        return [along(0), along(1), along(2) + offset];
      });
      const parts = sums.reduce<Point[][]>(
        (pieces, line) =>
          pieces.flatMap((piece) =>
            ([1, -1] as const).map((side) => part(piece, line, side)).filter((cut) => area(cut) > leastArea),
          ),
        [[...corners]],
      );
      return parts.map((piece): Cell => {
        const middle: Point = [mean(piece.map(([x]) => x)), mean(piece.map(([, y]) => y))];
        return { corners: piece, values: sums.map((sum) => (at(sum, middle) > 0 ? sum : [0, 0, 0])) };
      });
    });
  }
  return cells;
}

const mean = (numbers: readonly number[]): number => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

export interface RegionOptions extends ExampleTarget {
  /** Points along each side of the square at which the compiled network is asked. */
  readonly points?: number;
}

export interface Regions {
  /** Counted by cutting. */
  readonly count: number;
  /** For each point `[points, points]` the number of its pattern of signs, in the order of appearance. */
  readonly patterns: readonly number[];
}

/** The regions of each network, by name. */
export async function countRegions({ target, points = 240 }: RegionOptions = {}): Promise<Record<string, Regions>> {
  const x = input('x', [points * points, inputs]);
  const outputs: Record<string, AnyTensor> = {};
  for (const [name, network] of Object.entries(networks)) outputs[name] = signsOf(network, x as AnyTensor);
  const run = await compile(func({ name: 'signs', inputs: [x], outputs }), target === undefined ? {} : { target });
  const place = (i: number): number => (i + 0.5) / points;
  const grid = Float32Array.from({ length: 2 * points * points }, (_, i) =>
    i % 2 === 0 ? place((i >> 1) % points) : place(Math.floor((i >> 1) / points)),
  );
  const found = (await run({ x: grid })) as Readonly<Record<string, Uint8Array>>;
  return Object.fromEntries(
    Object.entries(networks).map(([name, network]) => {
      const seen = new Map<string, number>();
      const patterns = Array.from({ length: points * points }, (_, i) => {
        const pattern = found[name]!.subarray(i * units, (i + 1) * units).join('');
        if (!seen.has(pattern)) seen.set(pattern, seen.size);
        return seen.get(pattern)!;
      });
      return [name, { count: linearRegions(network).length, patterns }];
    }),
  );
}

/** Which units are above 0: `[N, 2]` → bool `[N, 16]`. */
function signsOf(network: Network, x: AnyTensor): AnyTensor {
  let value = x;
  const signs = network.map(({ weight, bias }): AnyTensor => {
    const sums: AnyTensor = value.matmul(constant(weight.map((row) => [...row])) as AnyTensor).add(constant([...bias]));
    value = nn.relu(sums);
    return sums.gt(0);
  });
  return signs.length === 1 ? signs[0]! : (concat(signs as [AnyTensor], 1) as AnyTensor);
}

function showRegions(found: Readonly<Record<string, Regions>>): Shown {
  const pictures = Object.entries(found).map(([name, { count, patterns }]): Picture => {
    const side = Math.sqrt(patterns.length);
    // Neighbours in order of appearance get colours far apart.
    const colours = patterns.map((pattern) => (pattern * 0.61803) % 1);
    return heatMap(colours, [side, side], {
      title: `${name}: ${count} regions`,
      x: { title: '', range: [0, 1] },
      y: { title: '', range: [0, 1] },
      width: side,
      height: side,
    });
  });
  return {
    figures: {
      ...Object.fromEntries(Object.entries(found).map(([name, { count }]) => [`regions of ${name}`, count])),
      'most that one layer of 16 can have': bounds.shallow,
      'that four layers of 4 can have at least': bounds.deepReached,
      'that four layers of 4 can have at most': bounds.deepAtMost,
    },
    pictures: [beside(pictures, 2)],
  };
}

await galleryProgram(import.meta.url, async (options) => showRegions(await countRegions(options)));
