// AlexNet at full size: its layer table beside the published numbers, and steps of its training, whose memory is counted before
// they run and measured after.
// Run with: npx tsx examples/alexnet.ts [--target c|wgsl|js] [--out FOLDER]
// Source: A. Krizhevsky, I. Sutskever, G. Hinton, NIPS 2012; the optimizer is that of section 5.

import { func, input, nn } from 'ashlar';
import { compile } from 'ashlar/node';
import { barPlot, beside } from './gallery/plots.ts';
import { type ExampleTarget, figure, galleryProgram, type Shown } from './gallery/program.ts';
import { alexNet } from './models.ts';

const batchSize = 2;
const imageShape = [3, 227, 227] as const;
/** A tenth of the paper's, which is for 128 images at a time. */
const learningRate = 0.001;
const classes = 1000;

/** The rows for one image, on one graphics card or in the two groups of the paper. */
function alexNetTable(groups: 1 | 2): nn.LayerRow[] {
  return nn.layerTable(input('image', [1, ...imageShape]), alexNet({ groups }));
}

export const total = (rows: readonly nn.LayerRow[], column: 'parameters' | 'multiplyAdds'): number =>
  rows.reduce((sum, row) => sum + row[column], 0);
const elements = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

/** A function of the training step, for `count` images at a time. */
export function alexNetStep(count = batchSize) {
  nn.setSeed(1);
  const layers = alexNet();
  const network = nn.sequential(...Object.values(layers));
  const x = input('x', [count, ...imageShape]);
  const y = input('y', [count], 'i32');
  const loss = nn.crossEntropy(network(x), y).mean();
  const updates = nn.momentum(loss, network.variables, { lr: learningRate, momentum: 0.9, weightDecay: 0.0005 });
  return func({ name: 'alexnet_step', inputs: [x, y], outputs: { loss }, updates });
}

/** In bytes. */
export interface StepMemory {
  readonly parameters: number;
  /** The optimizer's: one number for each parameter. */
  readonly momentum: number;
  /** Results of all layers for the batch: what a gradient needs at most. */
  readonly activations: number;
  /** Everything that a step computes and does not keep, gradients included. */
  readonly arena: number;
}

export interface AlexNetRun {
  readonly ungrouped: readonly nn.LayerRow[];
  readonly grouped: readonly nn.LayerRow[];
  readonly losses: readonly number[];
  /** What the first step made of the biases of the first layer and the last. */
  readonly biases: readonly Float32Array[];
  readonly memory: StepMemory;
  readonly kernels: number;
}

export interface AlexNetOptions extends ExampleTarget {
  readonly images?: number;
  readonly steps?: number;
}

export async function trainAlexNet(options: AlexNetOptions = {}): Promise<AlexNetRun> {
  const { target = 'c', images = batchSize, steps = 2 } = options;
  const [ungrouped, grouped] = [alexNetTable(1), alexNetTable(2)];
  const train = alexNetStep(images);
  const step = target === 'wgsl' ? await compile(train, { target }) : await compile(train, { target });
  const x = nn.initializers.normal(0, 1, 7)([images, ...imageShape], 'f32') as Float32Array;
  const y = Int32Array.from({ length: images }, (_, i) => (i * 389) % classes);
  const losses = [(await step({ x, y })).loss[0]!];
  const biases = [];
  for (const name of ['conv1.bias', 'fc8.bias']) biases.push(Float32Array.from(await step.state.get(name), Number));
  for (let i = 1; i < steps; i++) losses.push((await step({ x, y })).loss[0]!);
  const parameters = 4 * total(ungrouped, 'parameters');
  return {
    ungrouped,
    grouped,
    losses,
    biases,
    memory: {
      parameters,
      momentum: parameters,
      activations: 4 * images * ungrouped.reduce((sum, { shape }) => sum + elements(shape), 0),
      arena: step.target === 'wgsl' ? step.program.blocks.arena! : step.program.arenaBytes,
    },
    kernels: step.program.steps.length,
  };
}

export function showAlexNet({ ungrouped, grouped, losses, memory, kernels }: AlexNetRun): Shown {
  const megabytes = (bytes: number): string => `${figure(bytes / 1e6)} MB`;
  const rows = ungrouped.filter(({ parameters }) => parameters > 0);
  const bars = (title: string, unit: string, of: (row: nn.LayerRow) => number) =>
    barPlot(
      rows.map((row) => ({ name: row.name, value: of(row) })),
      { title, y: { title: unit } },
    );
  return {
    figures: {
      ...Object.fromEntries(
        ungrouped.map(({ name, shape, parameters, multiplyAdds }) => [
          name,
          [
            shape.slice(1).join(' × '),
            ...(parameters > 0 ? [`${spelled(parameters)} parameters`, `${spelled(multiplyAdds)} multiply-adds`] : []),
          ].join(', '),
        ]),
      ),
      'parameters, ungrouped': spelled(total(ungrouped, 'parameters')),
      'parameters, in two groups': spelled(total(grouped, 'parameters')),
      'multiply-adds, ungrouped': spelled(total(ungrouped, 'multiplyAdds')),
      'multiply-adds, in two groups': spelled(total(grouped, 'multiplyAdds')),
      'kernels of a training step': kernels,
      [`losses of ${batchSize} images, step by step`]: losses.map((loss) => figure(loss, 2)).join(', '),
      'memory of parameters and momentum': megabytes(memory.parameters + memory.momentum),
      [`activations of ${batchSize} images`]: megabytes(memory.activations),
      'everything else that a step computes, gradients included': megabytes(memory.arena),
    },
    pictures: [
      beside([
        bars('Parameters are in the dense layers', 'millions of parameters', ({ parameters }) => parameters / 1e6),
        bars('The work is in the convolutions', 'millions of multiply-adds', ({ multiplyAdds }) => multiplyAdds / 1e6),
      ]),
    ],
  };
}

const spelled = (count: number): string => count.toLocaleString('en');

await galleryProgram(import.meta.url, async (options) => showAlexNet(await trainAlexNet(options)));
