// The standard normal distribution: its quantile function as an expression, and its probabilities as numbers.

import type { Builder } from '../ir/builder.ts';
import type { Value } from '../ir/graph.ts';
import { erfc } from '../ir/ops/special.ts';

/** By scripts/minimax.py, from the constant on: z/x in w. */
const central = [
  1.25331402, 0.32811904, 0.0163214225, -0.00327828899, -0.000204192271, 7.68913014e-5, 9.47673129e-7, -1.87842204e-6,
  2.16356469e-7, -8.24025825e-9,
];
/** z/(x√w) in 1/√w − ¼. */
const outer = [
  1.35756862, -0.280269593, 0.113830954, 0.792506933, -0.731248796, 9.84040833, 42.0807381, -27.6976681, -635.357605,
];
/** Where one takes over from the other. */
const boundary = 6;

/**
 * The quantile z ≤ 0 of probabilities 0 < p ≤ ½ of f32, with a relative error below 2⁻²⁰. As M. Giles, "Approximating the erfinv
 * function", GPU Computing Gems 2 (2011): z = −x·P(w) with x = 1 − 2p and w = −log(1 − x²) = −log(4p(1 − p)); P of √w far out.
 */
export function standardNormal(b: Builder, p: Value): Value {
  const one = b.like(p, 1);
  const x = b.sub(one, b.add(p, p));
  const w = b.neg(b.log(b.mul(b.mul(b.like(p, 4), p), b.sub(one, p))));
  const inner = polynomial(b, w, central);
  const far = b.mul(b.sqrt(w), polynomial(b, b.sub(b.rsqrt(w), b.like(w, 0.25)), outer));
  return b.neg(b.mul(x, b.select(b.lt(w, b.like(w, boundary)), inner, far)));
}

function polynomial(b: Builder, x: Value, coefficients: readonly number[]): Value {
  return coefficients
    .slice(0, -1)
    .reduceRight((sum, next) => b.add(b.mul(sum, x), b.like(x, next)), b.like(x, coefficients.at(-1)!));
}

/** Φ(z). */
export function normalProbability(z: number): number {
  return erfc(-z / Math.SQRT2) / 2;
}
