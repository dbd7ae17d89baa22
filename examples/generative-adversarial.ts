// Two generative adversarial networks draw points from a ring of eight bells: one with the non-saturating loss, one with Wasserstein's and a
// penalty on the critic's gradient, whose step has derivatives of derivatives. Each step, with the points that it is shown, the noise
// and both optimizers, is one compiled program without inputs.
// Run with: npx tsx examples/generative-adversarial.ts [--target c|wgsl|js] [--out FOLDER]
// Sources: I. Goodfellow et al., NIPS 2014, section 3; I. Gulrajani et al., NIPS 2017, algorithm 1; M. Heusel et al., NIPS 2017, for the two
// rates.

import { type AnyTensor, constant, func, gather, grad, nn, random, variable } from 'ashlar';
import { compile } from 'ashlar/node';
import { beside, linePlot, scatterPlot } from './gallery/plots.ts';
import { type ExampleTarget, figure, galleryProgram, type Shown } from './gallery/program.ts';

const bells = 8;
const radius = 2;
const deviation = 0.1;
const noises = 4;
const batchSize = 128;
const drawn = 1000;
/** Ten is usual for images; on a plane less is enough. */
const penaltyWeight = 1;

const centres = Array.from({ length: bells }, (_, i) => [
  radius * Math.cos((2 * Math.PI * i) / bells),
  radius * Math.sin((2 * Math.PI * i) / bells),
]);

const mlp = (inputs: number, outputs: number, slope: (x: AnyTensor) => AnyTensor): nn.Layer =>
  nn.sequential(nn.dense(inputs, 64), slope as never, nn.dense(64, 64), slope as never, nn.dense(64, outputs));

/** Points of the ring, `[count, 2]`. */
function ring(key: random.Key, count: number): AnyTensor {
  const [which, where] = random.split(key, 2);
  const bell = random.categorical(which, constant(0).broadcastTo([count, bells]) as never);
  return (gather(constant(centres), bell) as AnyTensor).add(random.normal(where, [count, 2]).mul(deviation));
}

export type Game = 'non-saturating' | 'Wasserstein';

/**
 * Losses of both players on examples `[batch, ..]`, real and made. With Wasserstein's also the critic's estimate of the distance between
 * them and, as it is part of the loss, the mean norm of its gradient on lines from one to the other.
 */
export function losses(
  game: Game,
  critic: nn.Layer,
  real: AnyTensor,
  made: AnyTensor,
  key: random.Key,
  penaltyWeight: number,
) {
  const [onReal, onMade]: AnyTensor[] = [critic(real), critic(made)];
  if (game === 'non-saturating')
    return {
      critic: onReal!.neg().softplus().mean().add(onMade!.softplus().mean()),
      generator: onMade!.neg().softplus().mean(),
    };
  const share = random.uniform(
    key,
    (real.shape as number[]).map((length, axis) => (axis === 0 ? length : 1)),
  );
  const between = real.mul(share).add(made.mul(share.neg().add(1))) as AnyTensor;
  const [slope] = grad(critic(between).sum(), [between]) as AnyTensor[];
  const norm: AnyTensor = slope!.flatten(1).square().sum(-1).add(1e-12).sqrt();
  const distance: AnyTensor = onReal!.mean().sub(onMade!.mean());
  return {
    critic: distance.neg().add(norm.sub(1).square().mean().mul(penaltyWeight)),
    generator: onMade!.mean().neg(),
    distance,
    norm: norm.mean(),
  };
}

export interface Played {
  readonly points: { readonly x: Float32Array; readonly y: Float32Array };
  /** The share of points within three deviations of a bell, and how many bells have at least a quarter of their due. */
  readonly near: number;
  readonly bells: number;
  /** Every twentieth step: the norm of the critic's gradient, or the discriminator's loss. */
  readonly curve: readonly number[];
}

export interface GameOptions extends ExampleTarget {
  readonly steps?: number;
}

/** The program of a training step, all of it, and that which draws. */
export function gameOf(game: Game) {
  nn.resetNames();
  nn.setSeed(4);
  const generator = mlp(noises, 2, (x) => x.relu());
  const critic = mlp(2, 1, (x) => x.maximum(x.mul(0.2)));
  const step = variable('step', [], { dtype: 'u32', trainable: false });
  const [forReal, forNoise, forPenalty] = random.split(random.foldIn(random.key(9), step), 3);
  const made: AnyTensor = generator(random.normal(forNoise, [batchSize, noises]));
  const {
    critic: criticLoss,
    generator: generatorLoss,
    norm,
  } = losses(game, critic, ring(forReal, batchSize), made, forPenalty, penaltyWeight);
  const adam = { beta1: 0.5, beta2: 0.9 };
  const updates: nn.Update[] = [
    ...nn.adam(criticLoss, critic.variables, { lr: 2e-3, name: 'critic', ...adam }),
    ...nn.adam(generatorLoss, generator.variables, { lr: 5e-4, name: 'generator', ...adam }),
    [step, step.add(1)],
  ];
  const points = generator(random.normal(random.key(1), [drawn, noises]));
  return {
    train: func({ name: 'train', outputs: { shown: norm ?? criticLoss }, updates }),
    draw: func({ name: 'draw', outputs: { points } }),
  };
}

export async function play(game: Game, { target, steps = 4000 }: GameOptions = {}): Promise<Played> {
  const programs = gameOf(game);
  const given = target === undefined ? {} : { target };
  const train = await compile(programs.train, given);
  const draw = await compile(programs.draw, { ...given, state: train.state });
  const curve: number[] = [];
  for (let i = 0; i < steps; i++) {
    if (i % 20 === 19) curve.push((await train({})).shown[0]!);
    else await train({}, { outputs: [] });
  }
  const points = (await draw({})).points as Float32Array;
  const [x, y] = [points.filter((_, i) => i % 2 === 0), points.filter((_, i) => i % 2 === 1)];
  const bellOf = (i: number): number =>
    centres.findIndex(([a, b]) => Math.hypot(x[i]! - a!, y[i]! - b!) < 3 * deviation);
  const found = Array.from(x, (_, i) => bellOf(i)).filter((bell) => bell >= 0);
  const reached = centres.filter((_, bell) => found.filter((other) => other === bell).length > drawn / bells / 4);
  return { points: { x, y }, near: found.length / drawn, bells: reached.length, curve };
}

const last = (curve: readonly number[]): number => {
  const end = curve.slice(-Math.ceil(curve.length / 5));
  return end.reduce((sum, value) => sum + value, 0) / end.length;
};

/** The mean norm of the critic's gradient in the last fifth of the steps. */
export const normAtEnd = ({ curve }: Played): number => last(curve);

export function showGames(games: Readonly<Record<Game, Played>>): Shown {
  const range = [-3, 3] as const;
  const ringOf = centres.map(([x, y]) => ({ x: x!, y: y! }));
  const bellSeries = { name: 'bells', x: ringOf.map(({ x }) => x), y: ringOf.map(({ y }) => y) };
  const plot = (game: Game) =>
    scatterPlot([{ name: 'drawn', ...games[game].points }, bellSeries], {
      ...{ title: `Drawn with the ${game} loss`, x: { title: 'x', range }, y: { title: 'y', range }, height: 320 },
    });
  const { curve } = games.Wasserstein;
  return {
    figures: {
      ...Object.fromEntries(
        Object.entries(games).flatMap(([game, { near, bells: reached }]) => [
          [`bells reached of ${bells}, ${game}`, reached],
          [`points within three deviations of a bell, ${game}`, `${figure(100 * near, 2)} %`],
        ]),
      ),
      'norm of the critic’s gradient at the end': figure(normAtEnd(games.Wasserstein), 2),
    },
    pictures: [
      beside([
        plot('non-saturating'),
        plot('Wasserstein'),
        linePlot([{ name: 'norm', x: curve.map((_, i) => 20 * (i + 1)), y: curve }], {
          ...{ title: 'Norm of the critic’s gradient', x: { title: 'step' }, y: { title: 'norm' }, height: 320 },
        }),
      ]),
    ],
  };
}

await galleryProgram(import.meta.url, async (options) =>
  showGames({
    'non-saturating': await play('non-saturating', options),
    Wasserstein: await play('Wasserstein', options),
  }),
);
