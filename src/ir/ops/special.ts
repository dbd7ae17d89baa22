// Special functions in float64 that JavaScript lacks.

/**
 * erf(x): W. J. Cody, "Rational Chebyshev approximation for the error function", Math. Comp. 23 (1969), in the
 * coefficients of the CALERF program; relative error below 1e-15.
 */
export function erf(x: number): number {
  if (Number.isNaN(x)) return x;
  const y = Math.abs(x);
  if (y <= 0.46875) return x * small(y * y);
  const tail = Math.exp(-y * y) * (y <= 4 ? middle(y) : large(y));
  return x < 0 ? tail - 1 : 1 - tail;
}

const A = [3.1611237438705655, 113.86415415105016, 377.485237685302, 3209.3775891384694, 0.18577770618460315];
const B = [23.601290952344122, 244.02463793444417, 1282.6165260773723, 2844.236833439171];
const C = [
  0.5641884969886701, 8.883149794388375, 66.11919063714163, 298.6351381974001, 881.952221241769, 1712.0476126340707,
  2051.0783778260716, 1230.3393547979972, 2.1531153547440383e-8,
];
const D = [
  15.744926110709835, 117.6939508913125, 537.1811018620099, 1621.3895745666903, 3290.7992357334597, 4362.619090143247,
  3439.3676741437216, 1230.3393548037495,
];
const P = [
  0.30532663496123236, 0.36034489994980445, 0.12578172611122926, 0.016083785148742275, 0.0006587491615298378,
  0.016315387137302097,
];
const Q = [2.568520192289822, 1.8729528499234604, 0.5279051029514285, 0.06051834131244132, 0.0023352049762686918];

function small(z: number): number {
  let numerator = A[4]! * z;
  let denominator = z;
  for (let i = 0; i < 3; i++) {
    numerator = (numerator + A[i]!) * z;
    denominator = (denominator + B[i]!) * z;
  }
  return (numerator + A[3]!) / (denominator + B[3]!);
}

function middle(y: number): number {
  let numerator = C[8]! * y;
  let denominator = y;
  for (let i = 0; i < 7; i++) {
    numerator = (numerator + C[i]!) * y;
    denominator = (denominator + D[i]!) * y;
  }
  return (numerator + C[7]!) / (denominator + D[7]!);
}

function large(y: number): number {
  const z = 1 / (y * y);
  let numerator = P[5]! * z;
  let denominator = z;
  for (let i = 0; i < 4; i++) {
    numerator = (numerator + P[i]!) * z;
    denominator = (denominator + Q[i]!) * z;
  }
  const ratio = (z * (numerator + P[4]!)) / (denominator + Q[4]!);
  return (1 / Math.sqrt(Math.PI) - ratio) / y;
}

/** Rounds to the nearest integer, ties to even. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}
