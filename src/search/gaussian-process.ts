// Regression by a Gaussian process: what a function is likely to be where it was not evaluated, from where it was. The kernel is
// Matérn's of 5/2 with a length for each coordinate; lengths and noise are those of the greatest posterior density.
// C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning (2006), chapters 2, 4 and 5.

import { CholeskyDecomposition, Matrix } from 'ml-matrix';

type Vector = readonly number[];

export interface Prediction {
  readonly mean: number;
  readonly deviation: number;
}

export interface GaussianProcess {
  predict(x: Vector): Prediction;
}

interface Kernel {
  /** The distance along each coordinate after which values are little alike. */
  readonly lengths: Vector;
  /** Of the noise, over that of the function. */
  readonly noise: number;
}

/** Equation 4.17 with ν = 5/2, of variance 1. */
function matern(a: Vector, b: Vector, lengths: Vector): number {
  let squares = 0;
  for (let i = 0; i < a.length; i++) squares += ((a[i]! - b[i]!) / lengths[i]!) ** 2;
  const distance = Math.sqrt(5 * squares);
  return (1 + distance + (distance * distance) / 3) * Math.exp(-distance);
}

interface Fit {
  readonly kernel: Kernel;
  readonly factor: CholeskyDecomposition;
  /** (K + noise)⁻¹ y. */
  readonly weights: Vector;
  /** Of the function, at its most likely value for this kernel. */
  readonly variance: number;
  readonly logPosterior: number;
}

/** Algorithm 2.1 with the variance maximised in closed form. Null where rounding leaves the matrix without a root. */
function fitKernel(points: readonly Vector[], values: Vector, kernel: Kernel): Fit | null {
  const covariance = points.map((a, i) =>
    points.map((b, j) => matern(a, b, kernel.lengths) + (i === j ? kernel.noise : 0)),
  );
  const factor = new CholeskyDecomposition(new Matrix(covariance));
  if (!factor.isPositiveDefinite()) return null;
  const weights = factor.solve(Matrix.columnVector([...values])).to1DArray();
  const { length } = values;
  // Of values that are all the same it would be 0, and its logarithm infinite.
  const variance = Math.max(Number.MIN_VALUE, values.reduce((sum, value, i) => sum + value * weights[i]!, 0) / length);
  const root = factor.lowerTriangularMatrix;
  const logDeterminant = points.reduce((sum, _, i) => sum + 2 * Math.log(root.get(i, i)), 0);
  const logLikelihood = -0.5 * (length * Math.log(variance) + logDeterminant);
  return { kernel, factor, weights, variance, logPosterior: logLikelihood + logPrior(kernel) };
}

/** Lengths are about half of the unit interval, noise about a hundredth: few evaluations say little of them. */
const usual = { length: 0.5, noise: 1e-2 };
const logPrior = ({ lengths, noise }: Kernel): number =>
  lengths.reduce((sum, length) => sum - 0.5 * Math.log(length / usual.length) ** 2, 0) -
  0.5 * (Math.log(noise / usual.noise) / 2) ** 2;

/** Factors that a search tries on each length and on the noise, from far to near, and how often it goes round. */
const factors = [4, 2, 1.4];

/**
 * Fits points of the unit cube and values of mean 0. Coordinate search in the logarithm of lengths and noise: the posterior costs
 * a factorization of a matrix of as many rows as there are points.
 */
export function gaussianProcess(points: readonly Vector[], values: Vector): GaussianProcess {
  const dimensions = points[0]!.length;
  let best = fitKernel(points, values, {
    lengths: new Array<number>(dimensions).fill(usual.length),
    noise: usual.noise,
  })!;
  const consider = (kernel: Kernel): void => {
    const fit = kernel.noise < leastNoise ? null : fitKernel(points, values, kernel);
    if (fit !== null && fit.logPosterior > best.logPosterior) best = fit;
  };
  for (const factor of factors) {
    for (let i = 0; i <= dimensions; i++) {
      for (const change of [factor, 1 / factor]) {
        const { lengths, noise } = best.kernel;
        if (i === dimensions) consider({ lengths, noise: noise * change });
        else consider({ lengths: lengths.with(i, lengths[i]! * change), noise });
      }
    }
  }
  return { predict: (x) => predict(points, best, x) };
}

/** Below it rounding decides whether the matrix has a root. */
const leastNoise = 1e-6;

/** Equations 2.25 and 2.26. */
function predict(points: readonly Vector[], { kernel, factor, weights, variance }: Fit, x: Vector): Prediction {
  const likeness = points.map((point) => matern(point, x, kernel.lengths));
  const mean = likeness.reduce((sum, value, i) => sum + value * weights[i]!, 0);
  const explained = forwardSquares(factor.lowerTriangularMatrix, likeness);
  return { mean, deviation: Math.sqrt(Math.max(0, variance * (1 - explained))) };
}

/** ‖L⁻¹ b‖². */
function forwardSquares(lower: Matrix, b: Vector): number {
  const solved: number[] = [];
  for (let i = 0; i < b.length; i++) {
    let rest = b[i]!;
    for (let j = 0; j < i; j++) rest -= lower.get(i, j) * solved[j]!;
    solved.push(rest / lower.get(i, i));
  }
  return solved.reduce((sum, value) => sum + value * value, 0);
}
