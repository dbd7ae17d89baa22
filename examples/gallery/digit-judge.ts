// How good drawn digits are: what a network that was trained to read digits makes of them, beside what it makes of real ones.

import { type AnyTensor, type Dataset, func, input, nn } from 'ashlar';
import { compile } from 'ashlar/node';
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { trainClassifier } from './classifier.ts';
import type { ExampleTarget } from './program.ts';

const kinds = 10;
const width = 32;

/** What the reader makes of images. */
export interface Reading {
  /** `[count, 32]`: the results of the layer before the last. */
  readonly features: Float32Array;
  /** The digit that is read, and its probability. */
  readonly digits: readonly number[];
  readonly certainties: readonly number[];
}

/** Images `[count, 1, 8, 8]` from 0 to 1, of a count that is given before, as a network reads them that is trained here. */
export async function digitReader(
  training: Dataset,
  heldOut: Dataset,
  count: number,
  { target }: ExampleTarget = {},
): Promise<(images: Float32Array) => Promise<Reading>> {
  nn.resetNames();
  nn.setSeed(1);
  const body = nn.sequential(
    nn.conv2d(1, 16, 3, { padding: 'same' }),
    nn.relu,
    nn.conv2d(16, 32, 3, { padding: 'same', strides: 2 }),
    nn.relu,
    nn.flatten(),
    nn.dense(32 * 16, width),
    nn.relu,
  );
  const head = nn.dense(width, kinds);
  const given = target === undefined ? {} : { target };
  const { state } = await trainClassifier({
    network: nn.sequential(body, head),
    classes: kinds,
    ...{ training, heldOut, epochs: 12, batchSize: 32, lr: 0.002, ...given },
  });
  const x = input('x', [count, 1, 8, 8]);
  const features: AnyTensor = body(x, 'infer');
  const probabilities: AnyTensor = nn.softmax(head(features), -1);
  const outputs = { features, digits: probabilities.argmax(-1), certainties: probabilities.max(-1) };
  const read = await compile(func({ name: 'read', inputs: [x], outputs }), { ...given, state });
  return async (images) => {
    const { features, digits, certainties } = await read({ x: images });
    return {
      features: Float32Array.from(features as Float32Array),
      digits: Array.from(digits),
      certainties: Array.from(certainties as Float32Array),
    };
  };
}

/** What tells drawn digits from others. */
export interface Judgement {
  /** From the real ones, in the reader's features. */
  readonly distance: number;
  /** The share that is read with a probability above 0.9. */
  readonly certain: number;
  /** The share of the rarest digit; a tenth where all are as frequent. */
  readonly rarest: number;
}

export function judged(drawn: Reading, real: Reading): Judgement {
  const share = (holds: (i: number) => boolean): number =>
    drawn.digits.filter((_, i) => holds(i)).length / drawn.digits.length;
  return {
    distance: frechetDistance(drawn.features, real.features, width),
    certain: share((i) => drawn.certainties[i]! > 0.9),
    rarest: Math.min(...Array.from({ length: kinds }, (_, kind) => share((i) => drawn.digits[i] === kind))),
  };
}

/**
 * |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½), the squared Fréchet distance of two clouds of points `[count, width]` that are taken for normal
 * ones. M. Heusel et al., NIPS 2017, eq. 6.
 */
export function frechetDistance(a: Float32Array, b: Float32Array, width: number): number {
  const [first, second] = [moments(a, width), moments(b, width)];
  const apart = first.mean.reduce((sum, value, i) => sum + (value - second.mean[i]!) ** 2, 0);
  // Σ₁ Σ₂ has the eigenvalues of √Σ₁ Σ₂ √Σ₁, which is symmetric.
  const root = squareRoot(first.covariance);
  const common = squareRoot(root.mmul(second.covariance).mmul(root));
  return apart + first.covariance.trace() + second.covariance.trace() - 2 * common.trace();
}

function moments(points: Float32Array, width: number): { readonly mean: number[]; readonly covariance: Matrix } {
  const rows = Matrix.from1DArray(points.length / width, width, Array.from(points));
  const mean = rows.mean('column');
  const centred = rows.subRowVector(mean);
  return {
    mean,
    covariance: centred
      .transpose()
      .mmul(centred)
      .div(rows.rows - 1),
  };
}

/** Of a symmetric matrix without eigenvalues below 0 but for rounding. */
function squareRoot(matrix: Matrix): Matrix {
  const { eigenvectorMatrix: vectors, realEigenvalues } = new EigenvalueDecomposition(matrix, {
    assumeSymmetric: true,
  });
  const roots = Matrix.diag(realEigenvalues.map((value) => Math.sqrt(Math.max(0, value))));
  return vectors.mmul(roots).mmul(vectors.transpose());
}
