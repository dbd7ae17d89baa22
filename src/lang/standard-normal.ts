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

/** Numerator and denominator of each range, from the constant on. */
const rational = {
  central: [
    [
      3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946, 45921.95393154987,
      67265.7709270087, 33430.57558358813, 2509.0809287301227,
    ],
    [
      1, 42.31333070160091, 687.1870074920579, 5394.196021424751, 21213.794301586597, 39307.89580009271,
      28729.085735721943, 5226.495278852854,
    ],
  ],
  outer: [
    [
      1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045, 1.2704582524523684,
      0.2417807251774506, 0.022723844989269184, 0.0007745450142783414,
    ],
    [
      1, 2.053191626637759, 1.6763848301838038, 0.6897673349851, 0.14810397642748008, 0.015198666563616457,
      0.0005475938084995345, 1.0507500716444169e-9,
    ],
  ],
  far: [
    [
      6.657904643501103, 5.463784911164114, 1.7848265399172913, 0.29656057182850487, 0.026532189526576124,
      0.0012426609473880784, 2.7115555687434876e-5, 2.0103343992922881e-7,
    ],
    [
      1, 0.599832206555888, 0.1369298809227358, 0.014875361290850615, 0.0007868691311456133, 1.8463183175100548e-5,
      1.421511758316446e-7, 2.0442631033899397e-15,
    ],
  ],
} as const;

/**
 * The quantile z ≤ 0 of probabilities 0 < p ≤ ½ of f64, with a relative error of 10⁻¹⁶: M. Wichura, "Algorithm AS 241: The percentage
 * points of the normal distribution", Applied Statistics 37 (1988), PPND16.
 */
export function standardNormalDouble(b: Builder, p: Value): Value {
  const q = b.sub(p, b.like(p, 0.5));
  const ratio = (x: Value, [over, under]: readonly (readonly number[])[]): Value =>
    b.div(polynomial(b, x, over!), polynomial(b, x, under!));
  const inner = b.mul(q, ratio(b.sub(b.like(q, 0.180625), b.mul(q, q)), rational.central));
  const root = b.sqrt(b.neg(b.log(p)));
  const outer = ratio(b.sub(root, b.like(root, 1.6)), rational.outer);
  const far = ratio(b.sub(root, b.like(root, 5)), rational.far);
  const tail = b.neg(b.select(b.le(root, b.like(root, 5)), outer, far));
  return b.select(b.ge(q, b.like(q, -0.425)), inner, tail);
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
