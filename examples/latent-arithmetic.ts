// What the latent numbers of a variational autoencoder of digits are good for: lines between two digits, which stay digits where
// those between their pixels are two digits at once; and arithmetic: a four, less the mean of fours, plus the mean of nines, is a
// nine, in the hand of whoever wrote the four.
// Run with: npx tsx examples/latent-arithmetic.ts [--target c|wgsl|js] [--out FOLDER]
// Sources: A. Radford, L. Metz, S. Chintala, ICLR 2016, section 6.3; T. White, "Sampling generative networks", 2016.

import type { Dataset } from 'ashlar';
import { beside } from './gallery/plots.ts';
import { type ExampleTarget, figure, galleryProgram, type Shown } from './gallery/program.ts';
import { binaryDigits, digitGrid, pixels, trainVariational } from './variational-autoencoder.ts';

/** Of a line, its ends included. */
const places = 9;
const kinds = 10;
const pairs = [
  [0, 1],
  [2, 7],
  [3, 8],
  [4, 9],
  [5, 6],
] as const;

export interface Arithmetic {
  /** Digits on lines between pairs, `[pairs, places, 64]`: by latent numbers, and by pixels. */
  readonly lines: Float32Array;
  readonly faded: Float32Array;
  /** Pixels neither black nor white (from 0.25 to 0.75), of digits in the middle of both. */
  readonly grey: { readonly lines: number; readonly faded: number };
  /** One held-out digit of each kind made each kind, `[kinds, kinds, 64]`. */
  readonly turned: Float32Array;
  /** Of all digits held out, made the next kind: how many of their nearest neighbours among those trained on are of it. */
  readonly readAsTurned: number;
}

const imagesOf = (data: Dataset): Float32Array => data.x!.data as Float32Array;
const imageOf = (images: Float32Array, i: number): Float32Array => images.subarray(i * pixels, (i + 1) * pixels);
const mean = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;

/** Σ amounts·vectors, elementwise. */
function combined(...terms: readonly (readonly [amount: number, vector: Float32Array])[]): Float32Array {
  return terms[0]![1].map((_, i) => terms.reduce((sum, [amount, vector]) => sum + amount * vector[i]!, 0));
}

function meanRow(rows: readonly Float32Array[]): Float32Array {
  return combined(...rows.map((row) => [1 / rows.length, row] as const));
}

const joined = (rows: readonly Float32Array[]): Float32Array => Float32Array.from(rows.flatMap((row) => [...row]));

/** The place of the image with the least squared distance. */
function nearest(image: Float32Array, images: Float32Array): number {
  let [best, least] = [0, Number.POSITIVE_INFINITY];
  for (let i = 0; i < images.length / pixels; i++) {
    let distance = 0;
    for (let pixel = 0; pixel < pixels; pixel++) distance += (images[i * pixels + pixel]! - image[pixel]!) ** 2;
    if (distance < least) [best, least] = [i, distance];
  }
  return best;
}

const greyShare = (images: Float32Array): number => mean(images.map((pixel) => (pixel > 0.25 && pixel < 0.75 ? 1 : 0)));

export async function latentArithmetic(
  options: ExampleTarget & { readonly epochs?: number } = {},
): Promise<Arithmetic> {
  const { latents, encode, decode } = await trainVariational(options);
  const { training, heldOut } = binaryDigits();
  const codeOf = (codes: Float32Array, i: number) => codes.subarray(i * latents, (i + 1) * latents);
  const codes = await encode(imagesOf(heldOut));
  const firstOf = (digit: number) => (heldOut.y!.data as Int32Array).indexOf(digit);

  const line = (from: Float32Array, to: Float32Array): Float32Array[] =>
    Array.from({ length: places }, (_, i) => combined([1 - i / (places - 1), from], [i / (places - 1), to]));
  const onLines = pairs.flatMap(([a, b]) => line(codeOf(codes, firstOf(a)), codeOf(codes, firstOf(b))));
  const lines = await decode(joined(onLines));
  const rebuilt = await decode(joined(pairs.flat().map((digit) => codeOf(codes, firstOf(digit)))));
  const faded = joined(pairs.flatMap((_, i) => line(imageOf(rebuilt, 2 * i), imageOf(rebuilt, 2 * i + 1))));
  const middles = (images: Float32Array): Float32Array =>
    joined(pairs.map((_, i) => imageOf(images, i * places + (places - 1) / 2)));

  const known = await encode(imagesOf(training));
  const labels = training.y!.data as Int32Array;
  const means = Array.from({ length: kinds }, (_, kind) =>
    meanRow([...labels.keys()].filter((i) => labels[i] === kind).map((i) => codeOf(known, i))),
  );
  const own = heldOut.y!.data as Int32Array;
  const turn = (i: number, kind: number) => combined([1, codeOf(codes, i)], [-1, means[own[i]!]!], [1, means[kind]!]);
  const next = (i: number) => (own[i]! + 1) % kinds;
  const all = [...own.keys()];
  const made = await decode(joined(all.map((i) => turn(i, next(i)))));
  const read = all.map((i) => labels[nearest(imageOf(made, i), imagesOf(training))]);
  const shown = Array.from({ length: kinds * kinds }, (_, i) => turn(firstOf(Math.floor(i / kinds)), i % kinds));
  return {
    lines,
    faded,
    grey: { lines: greyShare(middles(lines)), faded: greyShare(middles(faded)) },
    turned: await decode(joined(shown)),
    readAsTurned: mean(all.map((i) => (read[i] === next(i) ? 1 : 0))),
  };
}

export const showArithmetic = ({ lines, faded, grey, turned, readAsTurned }: Arithmetic): Shown => ({
  figures: {
    'grey pixels half-way by latent numbers': `${figure(100 * grey.lines, 2)} %`,
    'grey pixels half-way by pixels': `${figure(100 * grey.faded, 2)} %`,
    'digits made the next kind, whose nearest neighbour is of it': `${figure(100 * readAsTurned, 2)} %`,
  },
  pictures: [
    beside([
      digitGrid(lines, places, 'Lines between latent numbers'),
      digitGrid(faded, places, 'Lines between pixels'),
      digitGrid(turned, kinds, 'A digit of each kind (down) made each kind (across)'),
    ]),
  ],
});

await galleryProgram(import.meta.url, async (options) => showArithmetic(await latentArithmetic(options)));
