// Optimizers and learning-rate schedules on one surface, f(x, y) = (1 − x)² + 10·(y − x²)²: a curved valley whose walls are steep
// and whose floor is nearly level. Every method moves a point of its own, and all are updates of one compiled function.
// Run with: npx tsx examples/optimizer-paths.ts [--target c|wgsl|js] [--out FOLDER]
// Source of the surface: H. H. Rosenbrock, The Computer Journal 3 (1960), with 10 in place of 100.

import { type AnyTensor, func, input, interpret, nn, variable } from 'ashlar';
import { compile } from 'ashlar/node';
import { beside, heatMap, linePlot, over, type Picture, type Series } from './gallery/plots.ts';
import { type ExampleTarget, figure, galleryProgram, type Shown } from './gallery/program.ts';

const start = { x: -1.5, y: 1.5 };
const { constant, stepDecay, exponentialDecay, cosine, warmUp } = nn.schedules;

/** The updates of one method; `name` keeps its counter apart from the others'. */
type Method = (loss: AnyTensor, name: string) => nn.Update[];

/** Each with a rate of its own, as is usual: what one can bear makes another diverge. */
const optimizers: Readonly<Record<string, Method>> = {
  'gradient descent': (loss, name) => nn.sgd(loss, undefined, { lr: 0.008, name }),
  momentum: (loss, name) => nn.momentum(loss, undefined, { lr: 0.003, name }),
  Nesterov: (loss, name) => nn.nesterov(loss, undefined, { lr: 0.003, name }),
  AdaGrad: (loss, name) => nn.adagrad(loss, undefined, { lr: 0.5, name }),
  RMSProp: (loss, name) => nn.rmsprop(loss, undefined, { lr: 0.02, name }),
  Adam: (loss, name) => nn.adam(loss, undefined, { lr: 0.08, name }),
};

/** Gradient descent on noisy gradients, as minibatches give them: the noise averages out where the rate falls. */
const scheduledRate = 0.01;
const deviation = 4;
const schedules = (steps: number): Readonly<Record<string, nn.schedules.Schedule>> => ({
  constant: constant(scheduledRate),
  'a tenth at each third': stepDecay(scheduledRate, steps / 3, 0.1),
  exponential: exponentialDecay(scheduledRate, steps, 0.01),
  cosine: cosine(scheduledRate, steps),
  'warm-up, then cosine': warmUp(Math.round(steps / 10), cosine(scheduledRate, steps)),
});

/** f, for scalars or any tensors of one shape. */
const valley = (x: AnyTensor, y: AnyTensor): AnyTensor =>
  x.neg().add(1).square().add(y.sub(x.square()).square().mul(10));

export interface Path {
  readonly x: readonly number[];
  readonly y: readonly number[];
  /** f at each point; the first is the start. */
  readonly loss: readonly number[];
}

export interface PathOptions extends ExampleTarget {
  readonly steps?: number;
}

/** Paths by the method's name: of the optimizers, and of gradient descent by schedule. */
export interface Paths {
  readonly optimizers: Readonly<Record<string, Path>>;
  readonly schedules: Readonly<Record<string, Path>>;
}

/** What moves one point: its coordinates, f there and the updates. */
function mover(index: number, method: (loss: AnyTensor, x: AnyTensor, y: AnyTensor) => nn.Update[]) {
  const x = variable(`x${index}`, [], { initial: start.x });
  const y = variable(`y${index}`, [], { initial: start.y });
  const loss = valley(x, y);
  return { names: [x.name, y.name] as const, loss, updates: method(loss, x, y) };
}

export async function optimizerPaths({ target, steps = 1000 }: PathOptions = {}): Promise<Paths> {
  const [noiseX, noiseY] = [input('noise_x', []), input('noise_y', [])];
  const byName: [string, ReturnType<typeof mover>][] = [];
  for (const [name, method] of Object.entries(optimizers))
    byName.push([name, mover(byName.length, (loss) => method(loss, `method${byName.length}`))]);
  for (const [name, lr] of Object.entries(schedules(steps))) {
    // The gradient of a·x + b·y is (a, b), whatever the point.
    const noisy = (loss: AnyTensor, x: AnyTensor, y: AnyTensor) => loss.add(noiseX.mul(x)).add(noiseY.mul(y));
    const method = `method${byName.length}`;
    byName.push([
      name,
      mover(byName.length, (loss, x, y) => nn.sgd(noisy(loss, x, y), undefined, { lr, name: method })),
    ]);
  }
  const movers = byName.map(([, mover]) => mover);
  const step = await compile(
    func({
      name: 'all_methods',
      inputs: [noiseX, noiseY],
      outputs: Object.fromEntries(movers.map(({ loss }, i) => [`loss${i}`, loss])),
      updates: movers.flatMap(({ updates }) => updates),
    }),
    target === undefined ? {} : { target },
  );
  const noise = nn.initializers.normal(0, deviation, 1)([steps + 1, 2], 'f32') as Float32Array;
  const paths = movers.map(() => ({ x: [] as number[], y: [] as number[], loss: [] as number[] }));
  for (let i = 0; i <= steps; i++) {
    const points = await Promise.all(movers.map(({ names }) => Promise.all(names.map((n) => step.state.get(n)))));
    const losses = await step({
      noise_x: noise.subarray(2 * i, 2 * i + 1),
      noise_y: noise.subarray(2 * i + 1, 2 * i + 2),
    });
    paths.forEach((path, method) => {
      const [x, y] = points[method]!;
      path.x.push(Number(x![0]));
      path.y.push(Number(y![0]));
      path.loss.push(losses[`loss${method}`]![0]!);
    });
  }
  const found = byName.map(([name], i): [string, Path] => [name, paths[i]!]);
  const count = Object.keys(optimizers).length;
  return { optimizers: Object.fromEntries(found.slice(0, count)), schedules: Object.fromEntries(found.slice(count)) };
}

const ranges = { x: [-2, 2], y: [-1, 3] } as const;
const size = { width: 400, height: 300 };

/** log₁₀ of the surface, by the reference evaluator. */
function surface(title: string): Picture {
  const cells = 80;
  const at = ([least, greatest]: readonly [number, number], i: number) =>
    least + ((i + 0.5) / cells) * (greatest - least);
  const all = Array.from({ length: cells * cells }, (_, cell) => cell);
  const x = all.map((cell) => at(ranges.x, cell % cells));
  const y = all.map((cell) => at(ranges.y, Math.floor(cell / cells)));
  const height = valley(input('x', [cells * cells]), input('y', [cells * cells]));
  const heights = Array.from(interpret({ height }, { x, y }).height.data, (value) => Math.log10(Number(value)));
  const axes = { x: { title: 'x', range: ranges.x }, y: { title: 'y', range: ranges.y } };
  return heatMap(heights, [cells, cells], { title, ...axes, ...size, colours: 'grays', range: [-5, 2.5] });
}

function pathsOn(paths: Readonly<Record<string, Path>>, title: string): Picture[] {
  const series = (line: (path: Path) => Omit<Series, 'name'>): Series[] =>
    Object.entries(paths).map(([name, path]) => ({ name, ...line(path) }));
  const axes = { x: { title: 'x', range: ranges.x }, y: { title: 'y', range: ranges.y } };
  // A point every few steps is as many as a picture can show.
  const every = Math.ceil(Object.values(paths)[0]!.loss.length / 250);
  const losses = series(({ loss }) => {
    const shown = loss.map((_, step) => step).filter((step) => step % every === 0);
    return { x: shown, y: shown.map((step) => Math.max(loss[step]!, 1e-8)) };
  });
  return [
    over(
      surface(title),
      linePlot(
        series(({ x, y }) => ({ x, y })),
        { title, ...axes },
      ),
    ),
    linePlot(losses, { title: 'f by step', x: { title: 'step' }, y: { title: 'f', log: true }, ...size }),
  ];
}

/** The mean of f over the last tenth of the steps, which noise moves less than the last value. */
export function reached({ loss }: Path): number {
  const last = loss.slice(-Math.ceil(loss.length / 10));
  return last.reduce((sum, value) => sum + value, 0) / last.length;
}

export function showPaths({ optimizers, schedules }: Paths): Shown {
  const figures = Object.entries({ ...optimizers, ...schedules });
  return {
    figures: Object.fromEntries(
      figures.map(([name, path]) => [`f in the last steps, ${name}`, figure(reached(path), 2)]),
    ),
    pictures: [
      beside(
        [
          ...pathsOn(optimizers, 'Optimizers, each at its own rate'),
          ...pathsOn(schedules, `Gradient descent on noisy gradients from a rate of ${scheduledRate}, by schedule`),
        ],
        2,
      ),
    ],
  };
}

await galleryProgram(import.meta.url, async (options) => showPaths(await optimizerPaths(options)));
