// Bayesian optimization: a Gaussian process over the results so far says at each point what is likely there, and the next trial is
// where the improvement that may be expected is greatest. D. R. Jones, M. Schonlau, W. J. Welch, J. Global Optimization 13 (1998).

import { UserError } from '../ir/errors.ts';
import { erf } from '../ir/ops/special.ts';
import { type GaussianProcess, gaussianProcess, type Prediction } from './gaussian-process.ts';
import type { Dimension, Point } from './space.ts';
import { type Draws, drawsOf, type Evaluated, randomPoint, type Strategy } from './strategy.ts';

export interface BayesianOptions {
  /** Random points before the first model. Default 8. */
  readonly initial?: number;
  /**
   * Trials that are proposed together, each as if those before it had given the best value so far (the constant liar of D. Ginsbourger
   * et al., 2010). As many as there are workers keeps all of them at work; fewer look at more results. Default 2.
   */
  readonly round?: number;
}

export function bayesian({ initial = 8, round = 2 }: BayesianOptions = {}): Strategy {
  if (!(Number.isInteger(initial) && Number.isInteger(round) && initial >= 1 && round >= 1))
    throw new UserError(`bayesian: whole numbers of at least 1 expected, initial ${initial} and round ${round} given`);
  return {
    name: 'Bayesian',
    description: `bayesian(${JSON.stringify({ initial, round })})`,
    propose(space, earlier, count, seed) {
      const dimensions = Object.values(space);
      const first = earlier.length;
      const draws = (i: number) => drawsOf(seed, first + i, i + first < initial ? 'point' : 'candidates');
      if (first < initial)
        return Array.from({ length: Math.min(count, initial - first) }, (_, i) => randomPoint(dimensions, draws(i)));
      const known = settled(earlier);
      const best = Math.min(...known.map(({ value }) => value));
      const points: Point[] = [];
      for (let i = 0; i < Math.min(count, round); i++) {
        const lies = points.map((point) => ({ point, value: best }));
        points.push(mostPromising(dimensions, [...known, ...lies], draws(i)));
      }
      return points;
    },
  };
}

interface Known {
  readonly point: Point;
  readonly value: number;
}

/**
 * Values that a model can use: what failed is as bad as the worst, and what is far worse than the median says no more than that it is
 * bad; a diverged training's loss of 10⁹ would make all others look alike.
 */
function settled(earlier: readonly Evaluated[]): Known[] {
  const values = earlier.flatMap(({ value }) => (value === null ? [] : [value])).sort((a, b) => a - b);
  if (values.length === 0) return earlier.map(({ point }) => ({ point, value: 0 }));
  const median = values[Math.floor(values.length / 2)]!;
  const bound = median + worstBeyondMedian * (median - values[0]!);
  const worst = Math.min(values.at(-1)!, bound);
  return earlier.map(({ point, value }) => ({ point, value: Math.min(value ?? worst, worst) }));
}

/** In distances of the best value from the median. */
const worstBeyondMedian = 2;

/** Random points, and points around the best ones, among which the greatest expected improvement is looked for. */
const randomCandidates = 512;
const nearCandidates = 64;
const centres = 4;
const spreads = [0.1, 0.02];

function mostPromising(dimensions: readonly Dimension[], known: readonly Known[], draws: Draws): Point {
  const mean = known.reduce((sum, { value }) => sum + value, 0) / known.length;
  const encode = (point: Point) => encoded(dimensions, point);
  const process: GaussianProcess = gaussianProcess(
    known.map(({ point }) => encode(point)),
    known.map(({ value }) => value - mean),
  );
  const best = Math.min(...known.map(({ value }) => value)) - mean;
  const ranked = known.toSorted((a, b) => a.value - b.value).slice(0, centres);
  const candidates = [
    ...Array.from({ length: randomCandidates }, () => randomPoint(dimensions, draws)),
    ...ranked.flatMap(({ point }) =>
      spreads.flatMap((spread) => Array.from({ length: nearCandidates }, () => near(dimensions, point, spread, draws))),
    ),
  ];
  let chosen = { point: candidates[0]!, improvement: Number.NEGATIVE_INFINITY };
  for (const point of candidates) {
    const improvement = expectedImprovement(process.predict(encode(point)), best);
    if (improvement > chosen.improvement) chosen = { point, improvement };
  }
  return chosen.point;
}

function near(dimensions: readonly Dimension[], point: Point, spread: number, { uniform, normal }: Draws): Point {
  return point.map((unit, i) => {
    if (dimensions[i]!.ordered) return Math.min(1, Math.max(0, unit + spread * normal()));
    return uniform() < spread ? uniform() : unit;
  });
}

/**
 * What the kernel sees of a point: discrete values by what stands for each, so that the model is level where the objective is
 * (E. C. Garrido-Merchán, D. Hernández-Lobato, 2020), and a choice by a coordinate for each value, all equally far from each other.
 */
function encoded(dimensions: readonly Dimension[], point: Point): number[] {
  return dimensions.flatMap((dimension, i) => {
    const unit = dimension.centre(point[i]!);
    if (dimension.ordered) return [unit];
    const chosen = Math.floor(unit * dimension.count);
    return Array.from({ length: dimension.count }, (_, value) => (value === chosen ? Math.SQRT1_2 : 0));
  });
}

/** E max(best − y, 0) for a normal y: equation 15 of Jones et al. */
export function expectedImprovement({ mean, deviation }: Prediction, best: number): number {
  if (!(deviation > 0)) return Math.max(0, best - mean);
  const z = (best - mean) / deviation;
  const density = Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);
  const below = 0.5 * (1 + erf(z * Math.SQRT1_2));
  return (best - mean) * below + deviation * density;
}
