// What a convolutional network sees: the filters of its first layer, what they make of a digit, the pixels on which its answer
// depends (saliency), and images found by descent whose features are those of the digit (feature inversion).
// Run with: npx tsx examples/seeing.ts [--target c|wgsl|js] [--out FOLDER]
// Sources: K. Simonyan, A. Vedaldi, A. Zisserman, ICLR workshop 2014 (saliency); A. Mahendran, A. Vedaldi, CVPR 2015 (inversion).

import {
  type AnyTensor,
  arange,
  func,
  grad,
  input,
  narrow,
  nn,
  oneHot,
  selectExamples,
  splitDataset,
  variable,
} from 'ashlar';
import { compile } from 'ashlar/node';
import { loadDigits } from './data.ts';
import { type TrainedClassifier, trainClassifier } from './gallery/classifier.ts';
import { beside, imageGrid, type Picture } from './gallery/plots.ts';
import { type ExampleTarget, figure, galleryProgram, type Shown } from './gallery/program.ts';

const side = 8;
const filters = 16;
const filterSize = 3;

/** The network as parts, so that what each gives can be asked for. */
function parts() {
  nn.setSeed(1);
  nn.resetNames();
  return {
    conv1: nn.sequential(nn.conv2d(1, filters, filterSize, { padding: 'same', name: 'conv1' }), nn.relu),
    conv2: nn.sequential(nn.conv2d(filters, 32, 3, { padding: 'same', name: 'conv2' }), nn.relu, nn.maxPool(2)),
    dense: nn.sequential(nn.flatten(), nn.dense(32 * 16, 64, { name: 'dense1' }), nn.relu),
    logits: nn.dense(64, 10, { name: 'dense2' }),
  };
}
export const invertedParts = ['conv1', 'conv2', 'dense', 'logits'] as const;

export interface SeeingOptions extends ExampleTarget {
  readonly examples?: number;
  readonly epochs?: number;
  /** Parts whose features are inverted; all unless given. */
  readonly inverted?: readonly (typeof invertedParts)[number][];
  /** Steps of the descent that inverts features. */
  readonly steps?: number;
}

export interface Seen {
  readonly accuracy: number;
  /** One of each digit, `[10, 8, 8]`. */
  readonly images: ArrayLike<number>;
  /** `[16, 3, 3]`. */
  readonly filters: ArrayLike<number>;
  /** What the first layer makes of the 3, `[16, 8, 8]`. */
  readonly activations: ArrayLike<number>;
  /** |∂ logit of the digit / ∂ pixel|, `[10, 8, 8]`. */
  readonly saliency: ArrayLike<number>;
  /** By the part whose features were given: images `[10, 8, 8]`, and how far their features are from those, as a share. */
  readonly inversions: Readonly<Record<string, { readonly images: ArrayLike<number>; readonly distance: number }>>;
}

export async function seeing(options: SeeingOptions = {}): Promise<Seen> {
  const { target, examples = 1400, epochs = 12, steps = 400, inverted = invertedParts } = options;
  const on = target === undefined ? {} : { target };
  const network = parts();
  const all = loadDigits();
  const { training, validation: heldOut } = splitDataset(all, 0.2, 1);
  const shortened = selectExamples(
    training,
    Array.from({ length: Math.min(examples, training.y!.data.length) }, (_, i) => i),
  );
  const trained = await trainClassifier({
    network: nn.sequential(...Object.values(network)),
    classes: 10,
    training: shortened,
    heldOut,
    epochs,
    batchSize: 32,
    lr: 0.002,
    ...on,
  });
  const labels = Array.from(heldOut.y!.data);
  const ten = selectExamples(
    heldOut,
    Array.from({ length: 10 }, (_, digit) => labels.indexOf(digit)),
  );
  const x = input('x', [10, 1, side, side]);
  const features = featuresOf(network, x as AnyTensor);
  // Each digit's own logit; examples do not depend on each other, so one gradient of the sum has all of them.
  const own: AnyTensor = features.logits.mul(oneHot(arange(10), 10) as AnyTensor).sum();
  const look = await compile(
    func({
      name: 'look',
      inputs: [x],
      outputs: { ...features, saliency: (grad(own, [x as AnyTensor])[0] as AnyTensor).abs() },
    }),
    { ...on, state: trained.state },
  );
  const given = { x: ten.x!.data as Float32Array };
  const seen = (await look(given)) as Readonly<Record<string, Float32Array>>;
  const inversions: Record<string, Seen['inversions'][string]> = {};
  for (const part of inverted) inversions[part] = await invert(network, part, seen[part]!, trained, steps, on);
  const weights = await trained.state.get('conv1.weight');
  return {
    accuracy: trained.accuracy,
    images: given.x,
    filters: Array.from(weights, Number),
    activations: seen.conv1!.slice(3 * filters * side * side, 4 * filters * side * side),
    saliency: seen.saliency!,
    inversions,
  };
}

/** What each part makes of images. */
function featuresOf(network: ReturnType<typeof parts>, images: AnyTensor): Record<keyof typeof network, AnyTensor> {
  const found: Record<string, AnyTensor> = {};
  let value = images;
  for (const [name, part] of Object.entries(network)) {
    value = part(value, 'infer') as AnyTensor;
    found[name] = value;
  }
  return found as Record<keyof typeof network, AnyTensor>;
}

/** The weight of Σ(differences of neighbours)², which prefers smooth images among those of the same features. */
const smoothness = 0.002;

/** Ten images, found by Adam from grey, whose features come as near to the given ones as they can. */
async function invert(
  network: ReturnType<typeof parts>,
  part: (typeof invertedParts)[number],
  wanted: Float32Array,
  { state }: TrainedClassifier,
  steps: number,
  on: ExampleTarget,
) {
  const start = variable(`image_${part}`, [10, 1, side, side], { initial: 0 });
  // Pixels stay between 0 and 1.
  const images: AnyTensor = start.sigmoid();
  const features = featuresOf(network, images)[part];
  const target = input('wanted', features.shape as number[]);
  const distance: AnyTensor = features.sub(target).square().sum().div(target.square().sum());
  const across: AnyTensor = neighbours(images, 3).add(neighbours(images, 2));
  const updates = nn.adam(distance.add(across.mul(smoothness)), [start], { lr: 0.1, name: `invert_${part}` });
  const step = await compile(func({ name: 'invert', inputs: [target], outputs: { distance, images }, updates }), {
    ...on,
    state,
  });
  let found = (await step({ wanted })) as Readonly<Record<'distance' | 'images', Float32Array>>;
  for (let i = 1; i < steps; i++) found = (await step({ wanted })) as typeof found;
  return { images: found.images.slice(), distance: found.distance[0]! };
}

/** Σ of squared differences along an axis of `[10, 1, 8, 8]`, for each image. */
function neighbours(images: AnyTensor, axis: 2 | 3): AnyTensor {
  const [left, right] = [narrow(images, axis, 0, side - 1), narrow(images, axis, 1, side - 1)] as [
    AnyTensor,
    AnyTensor,
  ];
  return right.sub(left).square().sum().div(10);
}

/** Correlation of pixels, over all images. */
export function correlation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const mean = (values: ArrayLike<number>) => Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  const product = (x: ArrayLike<number>, y: ArrayLike<number>, mx: number, my: number) =>
    Array.from(x).reduce((sum, value, i) => sum + (value - mx) * (y[i]! - my), 0);
  return product(a, b, meanA, meanB) / Math.sqrt(product(a, a, meanA, meanA) * product(b, b, meanB, meanB));
}

function showSeen({ accuracy, images, filters: weights, activations, saliency, inversions }: Seen): Shown {
  const digits = [10, side, side] as const;
  const greatest = Math.max(...Array.from(weights, Math.abs));
  const pictures: Picture[] = [
    imageGrid(weights, [filters, filterSize, filterSize], {
      title: 'filters of the first layer, blue above 0',
      columns: 8,
      scale: 14,
      colours: 'redblue',
      range: [-greatest, greatest],
    }),
    imageGrid(activations, [filters, side, side], {
      title: 'what they make of the 3',
      columns: 8,
      scale: 5,
      colours: 'viridis',
      range: [0, Math.max(...Array.from(activations))],
    }),
    imageGrid(images, digits, { title: 'digits held out', columns: 10, scale: 5 }),
    imageGrid(saliency, digits, { title: 'saliency', columns: 10, scale: 5, colours: 'viridis' }),
    ...Object.entries(inversions).map(([part, { images }]) =>
      imageGrid(images, digits, {
        title: `images of the same features, of ${part}`,
        columns: 10,
        scale: 5,
        range: [0, 1],
      }),
    ),
  ];
  return {
    figures: {
      'digits held out that are read right': `${figure(100 * accuracy)} %`,
      ...Object.fromEntries(
        Object.entries(inversions).map(([part, inverted]) => [
          `correlation of inverted images with the digits, ${part}`,
          figure(correlation(inverted.images, images), 2),
        ]),
      ),
    },
    pictures: [beside(pictures, 2)],
  };
}

await galleryProgram(import.meta.url, async (options) => showSeen(await seeing(options)));
