// Four ways to find out why a network does not learn, each on digits: with a network that has a fault, and with the same one
// without it. Run with: npx tsx examples/debugging.ts [--target c|wgsl|js] [--out FOLDER]

import { type AnyTensor, customVjp, func, grad, input, nn, overfitOneBatch, selectExamples, type Tensor } from 'ashlar';
import { compile } from 'ashlar/node';
import { loadDigits } from './data.ts';
import { beside, linePlot, type Picture, type Series, scatterPlot } from './gallery/plots.ts';
import { type ExampleTarget, figure, galleryProgram, type Shown } from './gallery/program.ts';

const batchSize = 64;
const x = input('x', [batchSize, 1, 8, 8]);
const y = input('y', [batchSize], 'i32');

/** The first digits: x `[64, 1, 8, 8]` and y `[64]`. */
function firstDigits() {
  const digits = selectExamples(
    loadDigits(),
    Array.from({ length: batchSize }, (_, i) => i),
  );
  return { x: digits.x!.data as Float32Array, y: digits.y!.data as Int32Array };
}

const classifier = (activation: (x: AnyTensor) => AnyTensor, ...last: ((x: AnyTensor) => AnyTensor)[]): nn.Layer => {
  nn.setSeed(1);
  nn.resetNames();
  return nn.sequential(nn.flatten(), nn.dense(64, 32), activation as never, nn.dense(32, 10), ...(last as never[]));
};
const lossOf = (network: nn.Layer): AnyTensor => nn.crossEntropy(network(x), y).mean();

/** tanh whose derivative was mistaken: 1 − y where it is 1 − y². */
const mistakenTanh = customVjp(
  (v: Tensor<[number, number], 'f32'>) => v.tanh(),
  ({ outputs, cotangents }) => [(cotangents as AnyTensor).mul((outputs as AnyTensor).neg().add(1))] as never,
);

/** The worst errors of gradients, by variable. */
export function checkedGradients(): { readonly sound: nn.GradientError[]; readonly faulty: nn.GradientError[] } {
  const { x, y } = firstDigits();
  const checked = (activation: (x: AnyTensor) => AnyTensor) =>
    nn.gradientCheck(lossOf(classifier(activation)), { given: { x, y }, elements: 6 });
  return { sound: checked((v) => v.tanh()), faulty: checked(mistakenTanh as never) };
}

/** How many of 32 relu units are dead before each step: at a rate that throws them where no gradient reaches them, all soon are. */
export async function deadUnitsAt(lr: number, { target, steps = 30 }: ExampleTarget & { steps?: number } = {}) {
  nn.setSeed(1);
  nn.resetNames();
  const hidden = nn.sequential(nn.flatten(), nn.dense(64, 32), nn.relu);
  const activations = hidden(x);
  const loss = nn.crossEntropy(nn.dense(32, 10)(activations), y).mean();
  const outputs = { dead: nn.deadUnits(activations) };
  const updates = nn.sgd(loss, undefined, { lr });
  const step = await compile(func({ name: 'step', inputs: [x, y], outputs, updates }), on(target));
  const counts: number[] = [];
  for (let i = 0; i < steps; i++) {
    const dead = (await step(firstDigits())).dead as Uint8Array;
    counts.push(dead.filter((unit) => unit !== 0).length);
  }
  return counts;
}

/** The loss on one batch, learnt again and again: of logits, and of probabilities that were taken for logits. */
export async function overfitted({ target, steps = 300 }: ExampleTarget & { steps?: number } = {}) {
  const learn = async (network: nn.Layer) => {
    const loss = lossOf(network);
    const updates = nn.adam(loss, network.variables, { lr: 0.01 });
    const step = await compile(func({ name: 'step', inputs: [x, y], outputs: { loss }, updates }), on(target));
    return overfitOneBatch(step, firstDigits(), { steps });
  };
  return {
    sound: await learn(classifier(nn.relu)),
    faulty: await learn(classifier(nn.relu, (v) => nn.softmax(v, -1))),
  };
}

const depth = 8;
const firstValues = {
  Xavier: nn.initializers.xavierNormal,
  'too small': (seed: number) => nn.initializers.normal(0, 0.03, seed),
  'too large': (seed: number) => nn.initializers.normal(0, 0.6, seed),
};

export interface LayerStatistics {
  /** Of the layers' results, first to last. */
  readonly activations: readonly nn.Statistics[];
  /** Of the gradients of the layers' weights. */
  readonly gradients: readonly nn.Statistics[];
}

/** Eight layers of tanh before training, by the first values of their weights. */
export async function layerStatistics({ target }: ExampleTarget = {}): Promise<Record<string, LayerStatistics>> {
  const found: Record<string, LayerStatistics> = {};
  for (const [name, initializer] of Object.entries(firstValues)) {
    nn.resetNames();
    const layers = Array.from({ length: depth }, (_, i) => nn.dense(64, 64, { initializer: initializer(i + 1) }));
    const activations: AnyTensor[] = [];
    for (const layer of layers) activations.push((layer(activations.at(-1) ?? x.flatten(1)) as AnyTensor).tanh());
    const loss = nn.crossEntropy(nn.dense(64, 10)(activations.at(-1)!), y).mean();
    const gradients = grad(
      loss,
      layers.map(({ variables }) => variables[0]!),
    ) as AnyTensor[];
    const outputs = Object.fromEntries([
      ...activations.map((activation, i) => [`activation${i}`, nn.statistics(activation)]),
      ...gradients.map((gradient, i) => [`gradient${i}`, nn.statistics(gradient)]),
    ]) as Record<string, AnyTensor>;
    const run = await compile(func({ name: 'watch', inputs: [x, y], outputs }), on(target));
    const values = (await run(firstDigits())) as Readonly<Record<string, Float32Array>>;
    const read = (what: string) => layers.map((_, i) => nn.readStatistics(values[`${what}${i}`]!));
    found[name] = { activations: read('activation'), gradients: read('gradient') };
  }
  return found;
}

const on = (target: ExampleTarget['target']): ExampleTarget => (target === undefined ? {} : { target });

async function findings(options: ExampleTarget): Promise<Shown> {
  const gradients = checkedGradients();
  const dead = { sound: await deadUnitsAt(0.3, options), faulty: await deadUnitsAt(30, options) };
  const batch = await overfitted(options);
  const statistics = await layerStatistics(options);
  const size = { width: 300, height: 200 };
  const places = gradients.sound.map((_, i) => i + 1);
  const errors = ({ error }: nn.GradientError): number => Math.max(error, 1e-12);
  const byLayer = (what: keyof LayerStatistics): Series[] =>
    Object.entries(statistics).map(([name, found]) => ({
      name,
      x: found[what].map((_, i) => i + 1),
      y: found[what].map(({ deviation }) => Math.max(deviation, 1e-12)),
    }));
  const pictures: Picture[] = [
    scatterPlot(
      [
        { name: 'tanh', x: places, y: gradients.sound.map(errors) },
        { name: 'its derivative mistaken', x: places, y: gradients.faulty.map(errors) },
      ],
      {
        title: 'gradient check: the worst error, by variable',
        x: { title: gradients.sound.map(({ variable }) => variable).join(', '), range: [0, places.length + 1] },
        y: { title: 'error', log: true },
        ...size,
      },
    ),
    linePlot(
      [
        { name: 'rate 0.3', y: dead.sound },
        { name: 'rate 30', y: dead.faulty },
      ],
      { title: 'dead units of 32', x: { title: 'step' }, y: { title: 'dead units', range: [0, 32] }, ...size },
    ),
    linePlot(
      [
        { name: 'logits', y: batch.sound.losses },
        { name: 'softmax before the loss', y: batch.faulty.losses },
      ],
      { title: 'one batch, again and again', x: { title: 'step' }, y: { title: 'cross-entropy', log: true }, ...size },
    ),
    linePlot(byLayer('activations'), {
      title: 'activations, by first values of the weights',
      x: { title: 'layer' },
      y: { title: 'standard deviation', log: true },
      ...size,
      points: true,
    }),
    linePlot(byLayer('gradients'), {
      title: 'gradients of the weights',
      x: { title: 'layer' },
      y: { title: 'standard deviation', log: true },
      ...size,
      points: true,
    }),
  ];
  const [worst] = [...gradients.faulty].sort((a, b) => b.error - a.error) as [nn.GradientError];
  return {
    figures: {
      'worst error of a gradient, derived':
        Math.max(...gradients.sound.map(({ error }) => error)) < 1e-6 ? 'below 1e-6' : 'above 1e-6',
      'worst error of a gradient, its rule mistaken': `${figure(worst.error, 2)} in ${worst.variable}`,
      'dead units at the end, rate 0.3': dead.sound.at(-1)!,
      'dead units at the end, rate 30': dead.faulty.at(-1)!,
      'steps until one batch is learnt': batch.sound.losses.length,
      'loss on one batch that cannot vanish': figure(batch.faulty.losses.at(-1)!),
      ...Object.fromEntries(
        Object.entries(statistics).map(([name, { activations }]) => [
          `deviation of the last layer’s activations, ${name}`,
          figure(activations.at(-1)!.deviation, 2),
        ]),
      ),
    },
    pictures: [beside(pictures, 3)],
  };
}

await galleryProgram(import.meta.url, findings);
