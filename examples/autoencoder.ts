// Autoencoders of handwritten digits: a plain one with two latent numbers, drawn; one that removes noise; a sparse one with more units than
// pixels; and one that has never seen a zero, which tells zeros by the error of their reconstruction.
// Run with: npx tsx examples/autoencoder.ts [--target c|wgsl|js] [--out FOLDER]
// Sources: P. Vincent et al., ICML 2008, for noise; A. Ng, Sparse autoencoder, CS294A notes (2011), section 3, for the penalty.

import { type AnyTensor, batches, type Dataset, func, input, nn, selectExamples } from 'ashlar';
import { compile } from 'ashlar/node';
import { loadDigits } from './data.ts';
import { beside, histogram, imageGrid, linePlot, type Picture, scatterPlot } from './gallery/plots.ts';
import { type ExampleTarget, figure, galleryProgram, type Shown } from './gallery/program.ts';

const pixels = 64;
const batchSize = 50;
const heldOut = 400;

export interface Autoencoder {
  readonly encoder: nn.Layer;
  readonly decoder: nn.Layer;
  /** Of the normal noise that is added to the images it is trained on, not to those it has to give back. */
  readonly noise?: number;
  /** The activation that a unit should have in the mean, and the weight of the penalty; codes are then from 0 to 1. */
  readonly sparsity?: { readonly mean: number; readonly weight: number };
}

const images = (data: Dataset): { readonly count: number; readonly at: Float32Array } => ({
  count: data.x!.shape[0]!,
  at: data.x!.data as Float32Array,
});

/** Σ KL(ρ ‖ ρ̂) over the units, where ρ̂ is a unit's mean over the batch. Ng 2011, page 14. */
function sparsityPenalty(codes: AnyTensor, mean: number): AnyTensor {
  const active: AnyTensor = codes
    .mean(0)
    .maximum(1e-4)
    .minimum(1 - 1e-4);
  const on: AnyTensor = active.log().mul(-mean);
  const off: AnyTensor = active
    .neg()
    .add(1)
    .log()
    .mul(mean - 1);
  const entropy = mean * Math.log(mean) + (1 - mean) * Math.log(1 - mean);
  return on.add(off).add(entropy).sum();
}

/** A trained autoencoder: what it makes of images, and their codes. */
export interface Trained {
  run(data: Float32Array, count: number): Promise<{ readonly codes: Float32Array; readonly images: Float32Array }>;
  readonly losses: readonly number[];
}

export async function trainAutoencoder(
  { encoder, decoder, noise = 0, sparsity }: Autoencoder,
  training: Dataset,
  { target, epochs }: ExampleTarget & { readonly epochs: number },
): Promise<Trained> {
  const x = input('x', [batchSize, pixels]);
  const corrupted = nn.gaussianNoise(noise, { seed: 5 });
  const codes = encoder(noise > 0 ? corrupted(x) : x);
  const error = nn.squaredError(decoder(codes), x).sum(-1).mean();
  const loss = sparsity === undefined ? error : error.add(sparsityPenalty(codes, sparsity.mean).mul(sparsity.weight));
  const given = target === undefined ? {} : { target };
  const variables = [...encoder.variables, ...decoder.variables];
  const updates = [...nn.adam(loss, variables, { lr: 3e-3 }), ...(noise > 0 ? corrupted.updates() : [])];
  const step = await compile(func({ name: 'train', inputs: [x], outputs: { error }, updates }), given);
  const inferred = encoder(x, 'infer');
  const outputs = { codes: inferred, images: decoder(inferred) };
  const apply = await compile(func({ name: 'apply', inputs: [x], outputs }), { ...given, state: step.state });
  const flat = { x: { shape: [images(training).count, pixels], data: images(training).at } };
  const losses: number[] = [];
  for (let epoch = 0; epoch < epochs; epoch++) {
    let [sum, count] = [0, 0];
    for (const batch of batches(flat, { batchSize, seed: 1, epoch })) {
      sum += (await step({ x: batch.x as Float32Array })).error[0]!;
      count++;
    }
    losses.push(sum / count);
  }
  return {
    losses,
    async run(data, count) {
      const width = encoder(input('one', [1, pixels])).value.type.shape[1]!;
      const found = { codes: new Float32Array(count * width), images: new Float32Array(count * pixels) };
      for (let start = 0; start < count; start += batchSize) {
        const rows = Math.min(batchSize, count - start);
        const batch = new Float32Array(batchSize * pixels);
        batch.set(data.subarray(start * pixels, (start + rows) * pixels));
        const { codes, images } = await apply({ x: batch });
        found.codes.set(codes.subarray(0, rows * width), start * width);
        found.images.set(images.subarray(0, rows * pixels), start * pixels);
      }
      return found;
    },
  };
}

/** Σ (a − b)² of each image. */
export function errors(a: Float32Array, b: Float32Array): number[] {
  return Array.from({ length: a.length / pixels }, (_, i) => {
    let sum = 0;
    for (let pixel = i * pixels; pixel < (i + 1) * pixels; pixel++) sum += (a[pixel]! - b[pixel]!) ** 2;
    return sum;
  });
}

const mean = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;

/** The receiver's operating curve of scores that should be higher for outliers, and the area under it. */
export function operatingCurve(scores: readonly number[], isOutlier: readonly boolean[]) {
  const order = scores.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]!);
  const outliers = isOutlier.filter(Boolean).length;
  const [x, y] = [[0], [0]];
  let area = 0;
  for (const i of order) {
    const [right, up] = [x.at(-1)!, y.at(-1)!];
    if (!isOutlier[i]) area += up / (scores.length - outliers);
    x.push(right + (isOutlier[i] ? 0 : 1 / (scores.length - outliers)));
    y.push(up + (isOutlier[i] ? 1 / outliers : 0));
  }
  return { x, y, area };
}

const dense = (...widths: readonly number[]): nn.Layer =>
  nn.sequential(
    ...widths.slice(1).flatMap((width, i) => {
      const layer = nn.dense(widths[i]!, width);
      return i === widths.length - 2 ? [layer] : [layer, nn.tanh];
    }),
  );

export interface AutoencoderOptions extends ExampleTarget {
  readonly epochs?: number;
}

export const noiseDeviation = 0.4;
export const sparsity = 0.05;
/** The digit that one autoencoder never sees. */
const outlier = 0;

export async function autoencoders({ target, epochs = 60 }: AutoencoderOptions = {}) {
  const digits = loadDigits();
  const count = digits.y.data.length;
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
  const training = selectExamples(digits, range(0, count - heldOut));
  const test = selectExamples(digits, range(count - heldOut, count));
  const labels = Array.from(test.y!.data);
  const clean = images(test).at;
  const options = { ...(target === undefined ? {} : { target }), epochs };
  nn.setSeed(1);

  const flat = await trainAutoencoder(
    { encoder: dense(pixels, 64, 32, 2), decoder: dense(2, 32, 64, pixels) },
    training,
    options,
  );
  const latent = await flat.run(clean, heldOut);

  const wide = () => ({ encoder: dense(pixels, 96), decoder: nn.sequential(nn.relu, nn.dense(96, pixels)) });
  const noise = nn.initializers.normal(0, noiseDeviation, 9)([heldOut, pixels], 'f32') as Float32Array;
  const noisy = clean.map((value, i) => value + noise[i]!);
  const plain = await (await trainAutoencoder(wide(), training, options)).run(noisy, heldOut);
  const denoiser = await trainAutoencoder({ ...wide(), noise: noiseDeviation }, training, options);
  const denoised = await denoiser.run(noisy, heldOut);

  const encoder = nn.sequential(nn.dense(pixels, 100, { name: 'features' }), nn.sigmoid);
  const overcomplete = { encoder, decoder: nn.dense(100, pixels), sparsity: { mean: sparsity, weight: 0.3 } };
  const sparse = await (await trainAutoencoder(overcomplete, training, options)).run(clean, heldOut);

  const normal = range(0, count - heldOut).filter((i) => digits.y.data[i] !== outlier);
  const narrow = { encoder: dense(pixels, 48, 10), decoder: dense(10, 48, pixels) };
  const detector = await trainAutoencoder(narrow, selectExamples(digits, normal), options);
  const scores = errors((await detector.run(clean, heldOut)).images, clean);

  return {
    labels,
    clean,
    noisy,
    plain: plain.images,
    denoised: denoised.images,
    latent: latent.codes,
    reconstructed: latent.images,
    losses: flat.losses,
    activity: sparse.codes,
    sparse: sparse.images,
    scores,
    curve: operatingCurve(
      scores,
      labels.map((label) => label === outlier),
    ),
  };
}

type Found = Awaited<ReturnType<typeof autoencoders>>;

/** What the tests and the page tell of it: errors are means over the held-out images, of the sum over 64 pixels. */
export function reached(found: Found) {
  const { clean, noisy, plain, denoised, reconstructed, sparse, activity, curve } = found;
  return {
    'error of two latent numbers': mean(errors(reconstructed, clean)),
    'error of noisy images': mean(errors(noisy, clean)),
    'after a plain autoencoder': mean(errors(plain, clean)),
    'after one trained to remove noise': mean(errors(denoised, clean)),
    'error of the sparse autoencoder': mean(errors(sparse, clean)),
    'mean activity of its units': mean(activity),
    'area under the curve for a digit never seen': curve.area,
  };
}

export function showAutoencoders(found: Found): Shown {
  const { labels, clean, noisy, plain, denoised, latent, scores, curve } = found;
  const digitsOf = (wanted: number) => labels.flatMap((label, i) => (label === wanted ? [i] : []));
  const clouds = Array.from({ length: 10 }, (_, digit) => ({
    name: String(digit),
    x: digitsOf(digit).map((i) => latent[2 * i]!),
    y: digitsOf(digit).map((i) => latent[2 * i + 1]!),
  }));
  const shown = 8;
  const rows = [clean, noisy, plain, denoised].flatMap((set) => Array.from(set.subarray(0, shown * pixels)));
  const grid: Picture = imageGrid(rows, [4 * shown, 8, 8], {
    title: 'Images, with noise, after a plain autoencoder, after one for noise',
    columns: shown,
    scale: 4,
    range: [0, 1],
  });
  const errorPlot = (title: string, of: (label: number) => boolean): Picture =>
    histogram(
      scores.filter((_, i) => of(labels[i]!)),
      30,
      { title, x: { title: 'error', range: [0, 5] }, y: { title: 'images' }, height: 110 },
    );
  return {
    figures: Object.fromEntries(Object.entries(reached(found)).map(([name, value]) => [name, figure(value, 2)])),
    pictures: [
      beside(
        [
          scatterPlot(clouds, {
            title: 'Held-out digits by their two latent numbers',
            x: { title: 'first' },
            y: { title: 'second' },
          }),
          linePlot([{ name: 'curve', x: curve.x, y: curve.y }], {
            title: 'Zeros told by the error of their reconstruction',
            x: { title: 'other digits taken for one' },
            y: { title: 'zeros found' },
          }),
          grid,
          errorPlot('Errors of digits like those trained on', (label) => label !== outlier),
          errorPlot('Errors of zeros, never seen', (label) => label === outlier),
        ],
        2,
      ),
    ],
  };
}

await galleryProgram(import.meta.url, async (options) => showAutoencoders(await autoencoders(options)));
