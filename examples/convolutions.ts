// Convolutions over one axis and over three: every way to lay a kernel over a short signal and over a few voxels, in numbers that
// can be checked by hand, and two networks, one that tells waveforms apart and one that tells solids apart.
// Run with: npx tsx examples/convolutions.ts [--target c|wgsl|js] [--out FOLDER]

import { type AnyTensor, type Dataset, func, input, nn } from 'ashlar';
import { compile } from 'ashlar/node';
import { type TrainedClassifier, trainClassifier } from './gallery/classifier.ts';
import { beside, imageGrid, linePlot, type Picture } from './gallery/plots.ts';
import { type ExampleTarget, galleryProgram, type Shown } from './gallery/program.ts';

export const signal = [0, 0, 1, 2, 3, 3, 3, 0];
const taps = [1, 2, 3];
/** 4 × 4 × 4 voxels, of which the 2 × 2 × 2 in the middle are filled: along each axis 0 1 1 0. */
const voxels = Array.from({ length: 64 }, (_, i) =>
  [i >> 4, (i >> 2) & 3, i & 3].every((place) => place === 1 || place === 2) ? 1 : 0,
);
/** 2 × 2 × 2 taps: the products of 1 2 along the depth, 1 3 along the height and 1 5 along the width. */
const voxelTaps = Array.from({ length: 8 }, (_, i) => (i & 4 ? 2 : 1) * (i & 2 ? 3 : 1) * (i & 1 ? 5 : 1));

const kinds: Readonly<Record<string, nn.ConvTransposeOptions & { readonly dilation?: number }>> = {
  valid: { padding: 'valid' },
  same: { padding: 'same' },
  strided: { padding: 'valid', strides: 2 },
  dilated: { padding: 'valid', dilation: 2 },
};

export interface Results {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

/** What each kind makes of the signal and of the voxels; 'transposed' is that of the strided results. */
export interface Worked {
  readonly signal: Readonly<Record<string, Results>>;
  readonly voxels: Readonly<Record<string, Results>>;
}

export async function workedConvolutions({ target }: ExampleTarget = {}): Promise<Worked> {
  const x = input('x', [1, 1, signal.length]);
  const v = input('v', [1, 1, 4, 4, 4]);
  const weight = (elements: readonly number[]) => ({ bias: false, initializer: () => elements });
  const outputs: Record<string, AnyTensor> = {};
  for (const [name, options] of Object.entries(kinds)) {
    outputs[`signal ${name}`] = nn.conv1d(1, 1, 3, { ...options, ...weight(taps) })(x);
    outputs[`voxels ${name}`] = nn.conv3d(1, 1, 2, { ...options, ...weight(voxelTaps) })(v);
  }
  const spread = { strides: 2, padding: 'valid' } as const;
  outputs['signal transposed'] = nn.convTranspose1d(1, 1, 3, { ...spread, ...weight(taps) })(
    outputs['signal strided']!,
  );
  outputs['voxels transposed'] = nn.convTranspose3d(1, 1, 2, { ...spread, ...weight(voxelTaps) })(
    outputs['voxels strided']!,
  );
  const run = await compile(func({ name: 'kinds', inputs: [x, v], outputs }), target === undefined ? {} : { target });
  const found = await run({ x: Float32Array.from(signal), v: Float32Array.from(voxels) });
  const of = (what: string): Record<string, Results> =>
    Object.fromEntries(
      [...Object.keys(kinds), 'transposed'].map((name) => {
        const key = `${what} ${name}`;
        const shape = (outputs[key]!.shape as readonly number[]).slice(2);
        return [name, { shape, values: Array.from(found[key] as Float32Array) }];
      }),
    );
  return { signal: of('signal'), voxels: of('voxels') };
}

/** Examples `[count, 1, ..shape]` of classes in turn, drawn by a function of uniform numbers. */
function examplesOf(
  shape: readonly number[],
  count: number,
  seed: number,
  classes: readonly ((next: () => number, at: (i: number) => readonly number[]) => (i: number) => number)[],
): Dataset {
  const size = shape.reduce((product, dim) => product * dim, 1);
  const numbers = nn.initializers.uniform(0, 1, seed)([count, 16], 'f32') as Float32Array;
  const noise = nn.initializers.normal(0, 0.3, seed + 1)([count, size], 'f32') as Float32Array;
  const places = Array.from({ length: size }, (_, i) => {
    const place: number[] = [];
    let rest = i;
    for (const dim of shape.toReversed()) {
      place.unshift(rest % dim);
      rest = Math.floor(rest / dim);
    }
    return place;
  });
  const x = new Float32Array(count * size);
  const y = new Int32Array(count);
  for (let example = 0; example < count; example++) {
    let used = 0;
    y[example] = example % classes.length;
    const value = classes[y[example]!]!(
      () => numbers[16 * example + used++]!,
      (i) => places[i]!,
    );
    for (let i = 0; i < size; i++) x[example * size + i] = value(i) + noise[example * size + i]!;
  }
  return { x: { shape: [count, 1, ...shape], data: x }, y: { shape: [count], data: y } };
}

const samples = 64;
export const waveNames = ['sine', 'square', 'sawtooth'];
/** One to four periods from any phase: from a phase in periods to a height. */
const waves = [
  (phase: number) => Math.SQRT2 * Math.sin(2 * Math.PI * phase),
  (phase: number) => (phase % 1 < 0.5 ? 1 : -1),
  (phase: number) => Math.sqrt(3) * (2 * (phase % 1) - 1),
].map((wave) => (next: () => number) => {
  const [periods, start] = [1 + 3 * next(), next()];
  return (i: number) => wave(start + (periods * i) / samples);
});

const side = 8;
export const solidNames = ['ball', 'cube', 'three bars'];
/** Solids of one volume, nearly, at any place: from offsets to the middle, in voxels, to whether one is filled. */
const solids = [
  (offsets: readonly number[]) => Math.hypot(...offsets) < 2.48,
  (offsets: readonly number[]) => Math.max(...offsets) < 2,
  (offsets: readonly number[]) => [...offsets].sort((a, b) => a - b)[1]! < 1 && Math.max(...offsets) < 3,
].map((solid) => (next: () => number, at: (i: number) => readonly number[]) => {
  const middle = [next(), next(), next()].map((place) => 3 + 2 * place - 0.5);
  return (i: number) => (solid(at(i).map((place, axis) => Math.abs(place - middle[axis]!))) ? 1 : 0);
});

const signals = (count: number, seed: number) => examplesOf([samples], count, seed, waves);
const shapes = (count: number, seed: number) => examplesOf([side, side, side], count, seed, solids);

export interface LearnOptions extends ExampleTarget {
  readonly examples?: number;
  /** How many others it is judged by. */
  readonly heldOut?: number;
  readonly epochs?: number;
}

/** Learns to tell waveforms apart by strided and dilated convolutions over one axis. */
export function learnWaves({
  target,
  examples = 960,
  heldOut = 300,
  epochs = 12,
}: LearnOptions = {}): Promise<TrainedClassifier> {
  nn.setSeed(1);
  const network = nn.sequential(
    nn.conv1d(1, 16, 7, { padding: 'same', strides: 2 }),
    nn.relu,
    nn.conv1d(16, 32, 5, { padding: 'same', dilation: 2 }),
    nn.relu,
    nn.globalAvgPool(),
    nn.dense(32, waveNames.length),
  );
  const data = { training: signals(examples, 10), heldOut: signals(heldOut, 20) };
  return trainClassifier({
    network,
    classes: waveNames.length,
    ...data,
    epochs,
    batchSize: 32,
    lr: 0.01,
    ...on(target),
  });
}

/** Learns to tell solids apart by convolutions over three axes. */
export function learnSolids({
  target,
  examples = 960,
  heldOut = 300,
  epochs = 20,
}: LearnOptions = {}): Promise<TrainedClassifier> {
  nn.setSeed(1);
  const network = nn.sequential(
    nn.conv3d(1, 8, 3, { padding: 'same' }),
    nn.relu,
    nn.maxPool(2),
    nn.conv3d(8, 16, 3, { padding: 'same' }),
    nn.relu,
    nn.globalAvgPool(),
    nn.dense(16, solidNames.length),
  );
  const data = { training: shapes(examples, 30), heldOut: shapes(heldOut, 40) };
  return trainClassifier({
    network,
    classes: solidNames.length,
    ...data,
    epochs,
    batchSize: 32,
    lr: 0.01,
    ...on(target),
  });
}

const on = (target: ExampleTarget['target']): ExampleTarget => (target === undefined ? {} : { target });

function learningCurves(title: string, { losses }: TrainedClassifier): Picture {
  const epochs = losses.training.map((_, i) => i + 1);
  const series = [
    { name: 'training', x: epochs, y: losses.training },
    { name: 'held out', x: epochs, y: losses.heldOut },
  ];
  return linePlot(series, { title, x: { title: 'epoch' }, y: { title: 'cross-entropy' }, width: 280, height: 200 });
}

export function showConvolutions(
  worked: Worked,
  learnt: { waves: TrainedClassifier; solids: TrainedClassifier },
): Shown {
  const of = (kind: string): Picture => {
    const { values } = worked.signal[kind]!;
    const title = `${kind}: ${values.join(' ')}`;
    return linePlot(
      [
        {
          name: kind === 'transposed' ? 'strided' : 'signal',
          y: kind === 'transposed' ? worked.signal.strided!.values : signal,
        },
        { name: kind, y: values },
      ],
      { title, x: { title: 'place' }, y: { title: '' }, width: 220, height: 120, points: true },
    );
  };
  const someWaves = waveNames.map((name, i) => ({
    name,
    y: signals(3, 20).x!.data.slice(i * samples, (i + 1) * samples) as Float32Array,
  }));
  const solid = shapes(3, 40).x!.data as Float32Array;
  const slices = imageGrid(solid, [3 * side, side, side], {
    title: `${solidNames.join(', ')}: a row of slices each`,
    columns: side,
    scale: 8,
    range: [-0.5, 1.5],
  });
  const waves = linePlot(someWaves, {
    title: 'signals to be told apart',
    x: { title: 'sample' },
    y: { title: '' },
    width: 280,
    height: 200,
  });
  const numbers = Object.keys(worked.voxels).map((kind): [string, string] => [
    `voxels, ${kind}`,
    `${worked.voxels[kind]!.shape.join(' × ')}, sum ${worked.voxels[kind]!.values.reduce((sum, value) => sum + value, 0)}`,
  ]);
  return {
    figures: {
      ...Object.fromEntries(numbers),
      'waveforms told apart, of 300': Math.round(300 * learnt.waves.accuracy),
      'solids told apart, of 300': Math.round(300 * learnt.solids.accuracy),
    },
    pictures: [
      beside([...['valid', 'same', 'strided', 'dilated', 'transposed'].map(of)], 3),
      beside(
        [
          waves,
          learningCurves('waveforms, by conv1d', learnt.waves),
          slices,
          learningCurves('solids, by conv3d', learnt.solids),
        ],
        2,
      ),
    ],
  };
}

await galleryProgram(import.meta.url, async (options) =>
  showConvolutions(await workedConvolutions(options), {
    waves: await learnWaves(options),
    solids: await learnSolids(options),
  }),
);
