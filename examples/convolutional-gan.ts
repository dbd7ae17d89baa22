// Two convolutional generative adversarial networks draw handwritten digits: a DCGAN, with batch normalisation in both players and the
// non-saturating loss; and one with Wasserstein's loss, whose critic has layer normalisation and a penalty on its gradient, so that its
// step has derivatives of the derivatives of convolutions and of normalisation. A network that reads digits judges what they draw.
// Run with: npx tsx examples/convolutional-gan.ts [--target c|wgsl|js] [--out FOLDER]
// Sources: A. Radford, L. Metz, S. Chintala, ICLR 2016, section 3; I. Gulrajani et al., NIPS 2017, algorithm 1 and section 4; M. Heusel et
// al., NIPS 2017, for the two rates in place of several steps of the critic.

import { type AnyTensor, batches, func, input, nn, random, splitDataset, variable } from 'ashlar';
import { compile } from 'ashlar/node';
import { loadDigits } from './data.ts';
import { digitReader, type Judgement, judged } from './gallery/digit-judge.ts';
import { beside, imageGrid, linePlot } from './gallery/plots.ts';
import { type ExampleTarget, figure, galleryProgram, type Shown } from './gallery/program.ts';
import { type Game, losses } from './generative-adversarial.ts';

const side = 8;
const pixels = side * side;
const noises = 32;
const channels = 32;
const penaltyWeight = 10;
/** Steps between those whose losses are read. */
const readEvery = 10;

const { training, validation: heldOut } = splitDataset(loadDigits(), 0.2, 1);
const imagesOf = (data: typeof training): Float32Array => data.x!.data as Float32Array;
/** As many are drawn as are held out, because a distance of clouds depends on their sizes. */
const drawn = imagesOf(heldOut).length / pixels;

const doubling = { strides: 2, padding: 'same' } as const;
const beforeNorm = { ...doubling, bias: false };

/** `[N, 32] → [N, 1, 8, 8]`, from −1 to 1. */
function generatorNet(): nn.Layer {
  const toImages = (x: AnyTensor): AnyTensor => x.reshape([-1, 2 * channels, 2, 2]);
  return nn.sequential(
    nn.dense(noises, 2 * channels * 4, { bias: false }),
    toImages as never,
    nn.batchNorm(2 * channels),
    nn.relu,
    nn.convTranspose2d(2 * channels, channels, 4, beforeNorm),
    nn.batchNorm(channels),
    nn.relu,
    nn.convTranspose2d(channels, 1, 4, doubling),
    nn.tanh,
  );
}

/** `[N, 1, 8, 8] → [N, 1]`. Strides take the place of pools. */
function criticNet(game: Game): nn.Layer {
  return nn.sequential(
    nn.conv2d(1, channels, 4, doubling),
    nn.leakyRelu(0.2),
    nn.conv2d(channels, 2 * channels, 4, beforeNorm),
    // The penalty is on the gradient of each image alone: no image may change the result of another.
    game === 'Wasserstein' ? nn.layerNorm([2 * channels, 2, 2]) : nn.batchNorm(2 * channels),
    nn.leakyRelu(0.2),
    nn.flatten(),
    nn.dense(2 * channels * 4, 1),
  );
}

const optimizers: Readonly<Record<Game, Readonly<Record<'critic' | 'generator', nn.AdamOptions>>>> = {
  'non-saturating': { critic: { lr: 5e-4, beta1: 0.5 }, generator: { lr: 5e-4, beta1: 0.5 } },
  Wasserstein: { critic: { lr: 1e-3, beta1: 0, beta2: 0.9 }, generator: { lr: 3e-4, beta1: 0, beta2: 0.9 } },
};

export interface Played {
  /** Images `[drawn, 64]` from 0 to 1, of the generator before its training and after. */
  readonly before: Float32Array;
  readonly after: Float32Array;
  /** Every tenth step: the critic's estimate of Wasserstein's distance, or the discriminator's loss. */
  readonly losses: readonly number[];
  /** The norm of the critic's gradient, where it is part of the loss. */
  readonly norms: readonly number[];
}

export interface GameOptions extends ExampleTarget {
  readonly steps?: number;
  readonly batchSize?: number;
}

/** The program of a training step on `batchSize` images, all of it, and that which draws. */
export function digitsGameOf(game: Game, batchSize = 64) {
  nn.resetNames();
  nn.setSeed(4);
  const [generator, critic] = [generatorNet(), criticNet(game)];
  const x = input('x', [batchSize, 1, side, side]);
  const step = variable('step', [], { dtype: 'u32', trainable: false });
  const [forNoise, forPenalty] = random.split(random.foldIn(random.key(9), step), 2);
  const made: AnyTensor = generator(random.normal(forNoise, [batchSize, noises]));
  const lost = losses(game, critic, x.mul(2).sub(1) as AnyTensor, made, forPenalty, penaltyWeight);
  const updates: nn.Update[] = [
    ...nn.adam(lost.critic, critic.variables, { name: 'critic', ...optimizers[game].critic }),
    ...nn.adam(lost.generator, generator.variables, { name: 'generator', ...optimizers[game].generator }),
    ...generator.updates(),
    [step, step.add(1)],
  ];
  const outputs = { loss: lost.distance ?? lost.critic, ...(lost.norm && { norm: lost.norm }) };
  const images = generator(random.normal(random.key(1), [drawn, noises]), 'infer')
    .add(1)
    .mul(0.5) as AnyTensor;
  return {
    train: func({ name: 'train', inputs: [x], outputs, updates }),
    draw: func({ name: 'draw', outputs: { images } }),
  };
}

export async function playDigits(
  game: Game,
  { target, steps = 3000, batchSize = 64 }: GameOptions = {},
): Promise<Played> {
  const programs = digitsGameOf(game, batchSize);
  const given = target === undefined ? {} : { target };
  const train = await compile(programs.train, given);
  const draw = await compile(programs.draw, { ...given, state: train.state });
  const drawDigits = async () => Float32Array.from((await draw({})).images as Float32Array);

  const before = await drawDigits();
  const curves = { losses: [] as number[], norms: [] as number[] };
  for (let epoch = 0, done = 0; done < steps; epoch++)
    for (const batch of batches({ x: training.x! }, { batchSize, seed: 1, epoch })) {
      if (done++ === steps) break;
      const shown = { x: batch.x as Float32Array };
      if (done % readEvery !== 0) await train(shown, { outputs: [] });
      else {
        const { loss, norm } = await train(shown);
        curves.losses.push(loss[0]!);
        if (norm !== undefined) curves.norms.push(norm[0]!);
      }
    }
  return { before, after: await drawDigits(), ...curves };
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
/** The mean of a fifth of a curve: the first is 0, the last 4. */
export const fifth = (curve: readonly number[], which: number): number =>
  mean(curve.slice((which * curve.length) / 5, ((which + 1) * curve.length) / 5));

export interface Digits {
  readonly games: Readonly<Record<Game, Played>>;
  /** Of what each has drawn, of as many real digits that were trained on, and of what an untrained generator draws. */
  readonly judgements: Readonly<Record<Game | 'real' | 'untrained', Judgement>>;
}

export async function drawnDigits(options: GameOptions = {}): Promise<Digits> {
  const games = {
    'non-saturating': await playDigits('non-saturating', options),
    Wasserstein: await playDigits('Wasserstein', options),
  };
  const read = await digitReader(training, heldOut, drawn, options);
  const real = await read(imagesOf(heldOut));
  const judge = async (images: Float32Array) => judged(await read(images), real);
  return {
    games,
    judgements: {
      real: await judge(imagesOf(training).subarray(0, drawn * pixels)),
      'non-saturating': await judge(games['non-saturating'].after),
      Wasserstein: await judge(games.Wasserstein.after),
      untrained: await judge(games.Wasserstein.before),
    },
  };
}

const titles = {
  real: 'real digits',
  'non-saturating': 'DCGAN',
  Wasserstein: 'Wasserstein with penalty',
  untrained: 'untrained generator',
} as const;

export function showDigits({ games, judgements }: Digits): Shown {
  const shown = 100;
  const grid = (images: Float32Array, title: string) =>
    imageGrid(images, [shown, side, side], { title, columns: 10, range: [0, 1] });
  const curve = (y: readonly number[], title: string, axis: string) =>
    linePlot([{ name: axis, x: y.map((_, i) => readEvery * (i + 1)), y }], {
      ...{ title, x: { title: 'step' }, y: { title: axis }, width: 350 },
    });
  const { Wasserstein, 'non-saturating': dcgan } = games;
  const told = (what: string, of: (judgement: Judgement) => number | string) =>
    Object.entries(judgements).map(([name, judgement]) => [
      `${what}, ${titles[name as keyof typeof titles]}`,
      of(judgement),
    ]);
  return {
    figures: {
      ...Object.fromEntries([
        ...told('Fréchet distance from digits held out', ({ distance }) => figure(distance)),
        ...told('read with a probability above 0.9', ({ certain }) => `${figure(100 * certain, 2)} %`),
        ...told('share of the rarest digit', ({ rarest }) => `${figure(100 * rarest, 2)} %`),
      ]),
      'Wasserstein’s distance by the critic, in the first fifth of the steps': figure(fifth(Wasserstein.losses, 0), 2),
      'Wasserstein’s distance by the critic, in the last fifth': figure(fifth(Wasserstein.losses, 4), 2),
      'norm of the critic’s gradient, in the last fifth': figure(fifth(Wasserstein.norms, 4), 3),
    },
    pictures: [
      beside(
        [
          grid(imagesOf(heldOut), 'Digits held out'),
          grid(dcgan.after, 'Drawn by the DCGAN'),
          grid(Wasserstein.after, 'Drawn with Wasserstein’s loss and the penalty'),
          curve(dcgan.losses, 'The discriminator’s loss, DCGAN', 'cross-entropy'),
          curve(Wasserstein.losses, 'Wasserstein’s distance by the critic', 'distance'),
          curve(Wasserstein.norms, 'Norm of the critic’s gradient', 'norm'),
        ],
        3,
      ),
    ],
  };
}

await galleryProgram(import.meta.url, async (options) => showDigits(await drawnDigits(options)));
