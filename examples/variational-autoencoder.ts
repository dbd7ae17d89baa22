// A variational autoencoder of handwritten digits in black and white: the evidence lower bound that it is trained on, against the
// evidence itself, estimated by importance sampling; digits on a walk over two latent numbers; and digits drawn from nothing.
// Run with: npx tsx examples/variational-autoencoder.ts [--target c|wgsl|js] [--out FOLDER]
// Sources: D. P. Kingma, M. Welling, ICLR 2014 (eq. 10, appendix C); Y. Burda, R. Grosse, R. Salakhutdinov, ICLR 2016 (eq. 8).

import {
  type AnyTensor,
  batches,
  type Dataset,
  evaluate,
  func,
  input,
  logSumExp,
  narrow,
  nn,
  random,
  selectExamples,
  variable,
} from 'ashlar';
import { compile } from 'ashlar/node';
import { loadDigits } from './data.ts';
import { beside, imageGrid, linePlot, type Picture } from './gallery/plots.ts';
import { type ExampleTarget, figure, galleryProgram, type Shown } from './gallery/program.ts';

export const pixels = 64;
const side = 8;
const hidden = 128;
const batchSize = 100;
const heldOutExamples = 400;
/** Draws of the latent numbers of each image, for the estimate of its evidence. */
const draws = 200;

/** Digits in black and white, `[count, 64]`, with their labels. */
export function binaryDigits(): { readonly training: Dataset; readonly heldOut: Dataset } {
  const digits = loadDigits();
  const [count] = digits.x.shape as [number];
  const ink = Float32Array.from(digits.x.data, (pixel) => (Number(pixel) >= 0.5 ? 1 : 0));
  const all = { x: { shape: [count, pixels], data: ink }, y: digits.y };
  const from = (start: number, length: number) =>
    selectExamples(
      all,
      Array.from({ length }, (_, i) => start + i),
    );
  const kept = count - heldOutExamples;
  return { training: from(0, kept), heldOut: from(kept, heldOutExamples) };
}

/** −Σ (log σ² + (z − μ)²/σ² + log 2π)/2 over the last axis. */
function logNormal(z: AnyTensor, mean: AnyTensor, logVariance: AnyTensor): AnyTensor {
  const squares: AnyTensor = z.sub(mean).square().mul(logVariance.neg().exp());
  return squares
    .add(logVariance)
    .add(Math.log(2 * Math.PI))
    .sum(-1)
    .mul(-0.5);
}

function model(latents: number) {
  const encoder = nn.sequential(nn.dense(pixels, hidden), nn.relu, nn.dense(hidden, 2 * latents));
  const decoder = nn.sequential(nn.dense(latents, hidden), nn.relu, nn.dense(hidden, pixels));
  /** q(z|x). */
  const posterior = (x: AnyTensor): { readonly mean: AnyTensor; readonly logVariance: AnyTensor } => {
    const both = encoder(x);
    return { mean: narrow(both, -1, 0, latents), logVariance: narrow(both, -1, latents, latents) };
  };
  const sample = (key: random.Key, { mean, logVariance }: ReturnType<typeof posterior>, shape: readonly number[]) =>
    mean.add(logVariance.mul(0.5).exp().mul(random.normal(key, shape))) as AnyTensor;
  /** log p(x|z), from logits of ink. */
  const likelihood = (x: AnyTensor, z: AnyTensor): AnyTensor =>
    nn
      .binaryCrossEntropyWithLogits(decoder(z), x.broadcastTo([...z.shape.slice(0, -1), pixels]))
      .sum(-1)
      .neg();
  /** KL(q(z|x) ‖ p(z)). Kingma and Welling, appendix B. */
  const divergence = ({ mean, logVariance }: ReturnType<typeof posterior>): AnyTensor =>
    mean.square().add(logVariance.exp()).sub(logVariance).sub(1).sum(-1).mul(0.5);
  return {
    variables: [...encoder.variables, ...decoder.variables],
    posterior,
    sample,
    likelihood,
    divergence,
    decoder,
  };
}

export interface Bounds {
  /** Means over the digits held out, in nats. */
  readonly bound: number;
  readonly evidence: number;
}

export interface VariationalAutoencoder extends Bounds {
  readonly latents: number;
  /** The bound by epoch, on the digits that it is trained on. */
  readonly bounds: readonly number[];
  /** The means of the latent numbers of images `[count, 64]`. */
  encode(images: Float32Array): Promise<Float32Array>;
  /** Probabilities of ink, of latent numbers `[count, latents]`. */
  decode(codes: Float32Array): Promise<Float32Array>;
}

export interface VariationalOptions extends ExampleTarget {
  readonly epochs?: number;
  readonly latents?: number;
}

export async function trainVariational({
  target,
  epochs = 60,
  latents = 8,
}: VariationalOptions = {}): Promise<VariationalAutoencoder> {
  const { training, heldOut } = binaryDigits();
  nn.resetNames();
  nn.setSeed(2);
  const { variables, posterior, sample, likelihood, divergence, decoder } = model(latents);
  const x = input('x', [batchSize, pixels]);
  const step = variable('step', [], { dtype: 'u32', trainable: false });
  const key = random.key(11);
  const q = posterior(x);
  const z = sample(random.foldIn(key, step), q, [batchSize, latents]);
  const bound = likelihood(x, z).sub(divergence(q)).mean();
  const updates: nn.Update[] = [...nn.adam(bound.neg(), variables, { lr: 3e-3 }), [step, step.add(1)]];
  const given = target === undefined ? {} : { target };
  const train = await compile(func({ name: 'train', inputs: [x], outputs: { bound }, updates }), given);
  const shared = { ...given, state: train.state };

  const many = sample(random.foldIn(key, step), q, [draws, batchSize, latents]);
  const likelihoods = likelihood(x, many);
  const zero = many.mul(0);
  const weights = likelihoods.add(logNormal(many, zero, zero)).sub(logNormal(many, q.mean, q.logVariance));
  const outputs = {
    bound: likelihoods.mean(0).sub(divergence(q)),
    evidence: logSumExp(weights, 0).sub(Math.log(draws)),
  };
  const measure = await compile(func({ name: 'measure', inputs: [x], outputs }), shared);
  const codes = input('codes', [batchSize, latents]);
  const encode = await compile(func({ name: 'encode', inputs: [x], outputs: { codes: q.mean } }), shared);
  const decode = await compile(
    func({ name: 'decode', inputs: [codes], outputs: { ink: decoder(codes).sigmoid() } }),
    shared,
  );

  const bounds: number[] = [];
  for (let epoch = 0; epoch < epochs; epoch++) {
    const found: number[] = [];
    for (const batch of batches({ x: training.x! }, { batchSize, seed: 1, epoch }))
      found.push((await train({ x: batch.x as Float32Array })).bound[0]!);
    bounds.push(found.reduce((sum, value) => sum + value, 0) / found.length);
  }
  const measured = await evaluate(measure, { x: heldOut.x! }, { batchSize });
  return {
    latents,
    bounds,
    bound: measured.bound!,
    evidence: measured.evidence!,
    encode: (images) => inBatches(images, pixels, latents, async (rows) => (await encode({ x: rows })).codes),
    decode: (given) => inBatches(given, latents, pixels, async (rows) => (await decode({ codes: rows })).ink),
  };
}

/** Rows through a function that takes a batch of them. */
async function inBatches(
  rows: Float32Array,
  width: number,
  resultWidth: number,
  run: (batch: Float32Array) => Promise<Float32Array>,
): Promise<Float32Array> {
  const count = rows.length / width;
  const results = new Float32Array(count * resultWidth);
  for (let start = 0; start < count; start += batchSize) {
    const batch = new Float32Array(batchSize * width);
    batch.set(rows.subarray(start * width, (start + batchSize) * width));
    const size = Math.min(batchSize, count - start);
    results.set((await run(batch)).subarray(0, size * resultWidth), start * resultWidth);
  }
  return results;
}

/** Images `[count, 64]` in rows of `columns`. */
export const digitGrid = (
  images: Float32Array,
  columns: number,
  title: string,
  captions?: readonly string[],
): Picture =>
  imageGrid(images, [images.length / pixels, side, side], {
    ...{ title, columns, range: [0, 1], scale: 4 },
    ...(captions && { captions }),
  });

/** The bound has to lie below the evidence, the more the worse q(z|x) fits; its samples have an error of a few hundredths. */
export async function showVariational(flat: VariationalAutoencoder, deep: VariationalAutoencoder): Promise<Shown> {
  const places = 15;
  const walk = Float32Array.from({ length: places * places * 2 }, (_, i) => {
    const [row, column] = [Math.floor(i / 2 / places), Math.floor(i / 2) % places];
    return ((i % 2 === 0 ? column : row) / (places - 1) - 0.5) * 5;
  });
  const drawing = await compile(func({ outputs: { z: random.normal(random.key(5), [100, deep.latents]) } }), {
    target: 'js',
  });
  const curve = (name: string, { bounds }: VariationalAutoencoder) => ({
    ...{ name, y: bounds.slice(1), x: bounds.slice(1).map((_, epoch) => epoch + 2) },
  });
  return {
    figures: Object.fromEntries(
      [flat, deep].flatMap(({ latents, bound, evidence }) => [
        [`evidence lower bound, ${latents} latent numbers`, figure(bound, 4)],
        [`evidence by ${draws} samples, ${latents} latent numbers`, figure(evidence, 4)],
      ]),
    ),
    pictures: [
      beside([
        digitGrid(await flat.decode(walk), places, 'A walk over two latent numbers, from −2.5 to 2.5'),
        digitGrid(await deep.decode(drawing({}).z as Float32Array), 10, `Drawn from ${deep.latents} latent numbers`),
        linePlot([curve(`${flat.latents} latent numbers`, flat), curve(`${deep.latents} latent numbers`, deep)], {
          ...{ title: 'The bound in training, in nats', x: { title: 'epoch' }, y: { title: 'bound' } },
        }),
      ]),
    ],
  };
}

await galleryProgram(import.meta.url, async (options) =>
  showVariational(
    await trainVariational({ ...options, latents: 2, epochs: 100 }),
    await trainVariational({ ...options, latents: 8 }),
  ),
);
