// Four ways to look for hyper-parameters of one network: which finds what in how many trials. Trials train on handwritten digits in worker
// processes, which run this same module.
// Run with: npx tsx examples/hyper-parameter-search.ts [--target c|wgsl|js] [--out FOLDER]
// Sources: J. Bergstra, Y. Bengio, JMLR 13 (2012), for random points; D. R. Jones et al., J. Global Optimization 13 (1998), for the
// Bayesian search; A. E. Eiben, J. E. Smith, Introduction to Evolutionary Computing, for evolution.

import { fileURLToPath } from 'node:url';
import { batches, evaluate, func, grad, input, nn, selectExamples, variable } from 'ashlar';
import { compile, search } from 'ashlar/node';
import { loadDigits } from './data.ts';
import { beside, linePlot, type Picture, scatterPlot } from './gallery/plots.ts';
import { type ExampleTarget, figure, galleryProgram, type Shown } from './gallery/program.ts';

const space = {
  rate: search.log(1e-3, 10),
  momentum: search.linear(0, 0.98),
  decay: search.log(1e-6, 1e-1),
  hidden: search.choice(8, 32),
  activation: search.choice('tanh', 'relu'),
};
type Parameters = search.ParametersOf<typeof space>;

const strategies: readonly search.Strategy[] = [
  search.grid({ rate: 4, momentum: 2, decay: 1 }),
  search.random(),
  search.evolutionary(),
  search.bayesian(),
];
const batchSize = 50;
const examples = { training: 1000, validation: 700 };
const epochs = 2;

/** The network of one size and activation, its step with the other hyper-parameters as inputs. */
async function trainable(hidden: number, activation: 'tanh' | 'relu', { target }: ExampleTarget) {
  nn.setSeed(1);
  nn.resetNames();
  const network = nn.sequential(nn.flatten(), nn.dense(64, hidden), nn[activation], nn.dense(hidden, 10));
  const x = input('x', [batchSize, 1, 8, 8]);
  const y = input('y', [batchSize], 'i32');
  const [rate, momentum, decay] = [input('rate', []), input('momentum', []), input('decay', [])];
  const losses = nn.crossEntropy(network(x), y);
  const { variables } = network;
  const gradients = grad(losses.mean(), [...variables]);
  const updates = variables.flatMap((parameter, i): nn.Update[] => {
    const velocity = variable(`${parameter.name}.velocity`, parameter.type.shape, { trainable: false });
    const next = velocity.mul(momentum).add(gradients[i]!).add(parameter.mul(decay));
    return [
      [velocity, next],
      [parameter, parameter.sub(next.mul(rate))],
    ];
  });
  const given = target === undefined ? {} : { target };
  const inputs = [x, y, rate, momentum, decay] as const;
  const step = await compile(func({ name: 'step', inputs, outputs: { loss: losses.mean() }, updates }), given);
  const score = await compile(func({ name: 'score', inputs: [x, y], outputs: { loss: losses } }), {
    ...given,
    state: step.state,
  });
  const first = new Map<string, Float32Array>();
  for (const name of step.state.names())
    first.set(name, Float32Array.from((await step.state.get(name)) as Float32Array));
  const restart = async (): Promise<void> => {
    for (const [name, values] of first) await step.state.set(name, values);
  };
  return { step, score, restart };
}

/** Trials in this process: the validation loss of a network that was trained for two epochs. */
function objective(options: ExampleTarget): search.Objective<Parameters> {
  const digits = loadDigits();
  const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);
  const training = selectExamples(digits, range(0, examples.training));
  const validation = selectExamples(digits, range(examples.training, examples.validation));
  const known = new Map<string, ReturnType<typeof trainable>>();
  return async ({ hidden, activation, ...numbers }) => {
    const key = `${hidden} ${activation}`;
    if (!known.has(key)) known.set(key, trainable(hidden, activation, options));
    const { step, score, restart } = await known.get(key)!;
    await restart();
    const { rate, momentum, decay } = numbers;
    const given = { rate: Float32Array.of(rate), momentum: Float32Array.of(momentum), decay: Float32Array.of(decay) };
    for (let epoch = 0; epoch < epochs; epoch++)
      for (const { x, y } of batches(training, { batchSize, seed: 1, epoch }))
        await step({ x: x as Float32Array, y: y as Int32Array, ...given });
    return (await evaluate(score, validation, { batchSize })).loss!;
  };
}

export interface SearchOptions extends ExampleTarget {
  readonly trials?: number;
  readonly seeds?: readonly number[];
  /** The names of those that are run: all unless given. */
  readonly only?: readonly string[];
  /** Node's options for the processes that train, where they are not those of this one. */
  readonly execArgv?: readonly string[];
}

/** By the strategy's name, the trials of each seed. */
export type Searches = Readonly<Record<string, readonly (readonly search.Trial<Parameters>[])[]>>;

export async function hyperParameterSearches(options: SearchOptions = {}): Promise<Searches> {
  const { target, trials = 32, seeds = [1, 2, 3], only, execArgv } = options;
  const objective = search.workers({
    module: fileURLToPath(import.meta.url),
    count: 2,
    timeLimit: 300,
    args: target === undefined ? [] : [target],
    ...(execArgv === undefined ? {} : { execArgv }),
  });
  const found: Record<string, (readonly search.Trial<Parameters>[])[]> = {};
  for (const strategy of strategies.filter(({ name }) => only?.includes(name) ?? true)) {
    found[strategy.name] = [];
    // A grid has no seed.
    for (const seed of strategy.name === 'grid' ? seeds.slice(0, 1) : seeds) {
      const result = await search.run({ space, strategy, trials, seed, objective, progress: search.progressBar() });
      found[strategy.name]!.push(result.trials);
    }
  }
  return found;
}

/** The least value after each trial, in the mean of the seeds. */
export function bestSoFar(runs: Searches[string]): number[] {
  const lines = runs.map((trials) => {
    let best = Number.POSITIVE_INFINITY;
    return trials.map(({ value }) => (best = Math.min(best, value ?? best)));
  });
  return lines[0]!.map((_, trial) => lines.reduce((sum, line) => sum + line[trial]!, 0) / lines.length);
}

export function showSearches(searches: Searches): Shown {
  const named = Object.entries(searches);
  const lines = named.map(([name, runs]) => {
    const y = bestSoFar(runs);
    return { name, x: y.map((_, i) => i + 1), y };
  });
  const points = (title: string, [, runs]: readonly [string, Searches[string]]): Picture =>
    scatterPlot(
      [
        { name: 'first half', part: [0, 0.5] },
        { name: 'second half', part: [0.5, 1] },
      ].map(({ name, part }) => {
        const trials = runs[0]!.slice(part[0]! * runs[0]!.length, part[1]! * runs[0]!.length);
        return {
          name,
          x: trials.map(({ parameters }) => parameters.rate),
          y: trials.map(({ parameters }) => parameters.momentum),
        };
      }),
      { title, x: { title: 'rate', log: true, range: [1e-3, 10] }, y: { title: 'momentum', range: [0, 1] } },
    );
  const best = named.flatMap(([, runs]) => runs.flat()).reduce((a, b) => ((b.value ?? 9) < (a.value ?? 9) ? b : a));
  return {
    figures: {
      ...Object.fromEntries(
        lines.map(({ name, y }) => [`best validation loss of ${y.length} trials, ${name}`, figure(y.at(-1)!, 2)]),
      ),
      ...Object.fromEntries(
        lines.map(({ name, y }) => [
          `trials until ${goal}, ${name}`,
          y.findIndex((value) => value <= goal) + 1 || 'never',
        ]),
      ),
      'the best': Object.entries(best.parameters)
        .map(([name, value]) => `${name} ${typeof value === 'number' ? figure(value, 2) : value}`)
        .join(', '),
    },
    pictures: [
      beside(
        [
          linePlot(lines, {
            title: 'Best validation loss so far, mean of the seeds',
            x: { title: 'trial' },
            y: { title: 'loss', log: true, range: [0.15, 2.5] },
          }),
          ...named.map((strategy) => points(`Where ${strategy[0]} looked`, strategy)),
        ],
        3,
      ),
    ],
  };
}

/** A loss that a good choice reaches in two epochs. */
const goal = 0.4;

if (search.servesTrials()) {
  const [, , target] = process.argv;
  search.serveTrials(objective(target === undefined ? {} : { target: target as NonNullable<ExampleTarget['target']> }));
} else await galleryProgram(import.meta.url, async (options) => showSearches(await hyperParameterSearches(options)));
