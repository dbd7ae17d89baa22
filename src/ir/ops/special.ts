// Special functions in float64 that JavaScript lacks.

/** A quotient of two polynomials, in the order in which `ratio` takes their coefficients. */
export interface Rational {
  readonly numerator: readonly number[];
  readonly denominator: readonly number[];
}

/**
 * W. J. Cody, "Rational Chebyshev approximation for the error function", Math. Comp. 23 (1969), in the coefficients of the
 * CALERF program: erf(x)/x in x² up to 0.46875, erfc(x)·e^x² in x up to 4, and beyond it in 1/x².
 */
export const errorFunction: Readonly<Record<'small' | 'middle' | 'large', Rational>> = {
  small: {
    numerator: [3.1611237438705655, 113.86415415105016, 377.485237685302, 3209.3775891384694, 0.18577770618460315],
    denominator: [23.601290952344122, 244.02463793444417, 1282.6165260773723, 2844.236833439171],
  },
  middle: {
    numerator: [
      0.5641884969886701, 8.883149794388375, 66.11919063714163, 298.6351381974001, 881.952221241769, 1712.0476126340707,
      2051.0783778260716, 1230.3393547979972, 2.1531153547440383e-8,
    ],
    denominator: [
      15.744926110709835, 117.6939508913125, 537.1811018620099, 1621.3895745666903, 3290.7992357334597,
      4362.619090143247, 3439.3676741437216, 1230.3393548037495,
    ],
  },
  large: {
    numerator: [
      0.30532663496123236, 0.36034489994980445, 0.12578172611122926, 0.016083785148742275, 0.0006587491615298378,
      0.016315387137302097,
    ],
    denominator: [
      2.568520192289822, 1.8729528499234604, 0.5279051029514285, 0.06051834131244132, 0.0023352049762686918,
    ],
  },
};

/** erf(x), with a relative error below 1e-15. */
export function erf(x: number): number {
  if (Number.isNaN(x)) return x;
  const y = Math.abs(x);
  if (y <= 0.46875) return x * ratio(y * y, errorFunction.small);
  return x < 0 ? tailBeyond(y) - 1 : 1 - tailBeyond(y);
}

/** erfc(x) = 1 − erf(x), with a relative error below 1e-14 down to where it underflows. */
export function erfc(x: number): number {
  return x > 0.46875 ? tailBeyond(x) : 1 - erf(x);
}

/** erfc of y > 0.46875. */
function tailBeyond(y: number): number {
  const { middle, large } = errorFunction;
  const z = 1 / (y * y);
  return Math.exp(-y * y) * (y <= 4 ? ratio(y, middle) : (1 / Math.sqrt(Math.PI) - z * ratio(z, large)) / y);
}

/** Both by Horner's rule; the denominator's leading coefficient is 1, the numerator's stands last. */
function ratio(x: number, { numerator, denominator }: Rational): number {
  const last = denominator.length - 1;
  let above = numerator[last + 1]! * x;
  let below = x;
  for (let i = 0; i < last; i++) {
    above = (above + numerator[i]!) * x;
    below = (below + denominator[i]!) * x;
  }
  return (above + numerator[last]!) / (below + denominator[last]!);
}

/** Rounds to the nearest integer, ties to even. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}
