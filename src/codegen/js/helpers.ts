// The JavaScript functions that expressions call, as text; only those used are emitted. Each does what the graph's
// operation of that name says (src/ir/ops), where JavaScript's own operator or function does something else.

import { errorFunction } from '../../ir/ops/special.ts';

const list = (coefficients: readonly number[]): string => `[${coefficients.join(', ')}]`;
const { small, middle, large } = errorFunction;

const fixedHelpers: Readonly<Record<string, string>> = {
  ash_round: `function ash_round(x) {
  const floor = Math.floor(x), rest = x - floor;
  if (rest === 0 || x !== x) return x;
  const nearest = rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1;
  return nearest === 0 && x < 0 ? -0 : nearest;
}`,
  ash_f16_to_f32: `function ash_f16_to_f32(x) {
  const sign = x & 0x8000 ? -1 : 1, exponent = x >> 10 & 31, fraction = x & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}`,
  ash_f32_to_f16: `const ash_float = new Float32Array(1), ash_bits = new Uint32Array(ash_float.buffer);
function ash_f32_to_f16(x) {
  ash_float[0] = x;
  const sign = ash_bits[0] >>> 16 & 0x8000, size = ash_bits[0] & 0x7fffffff;
  if (size >= 0x47800000) return sign | (size > 0x7f800000 ? 0x7e00 : 0x7c00);
  if (size >= 0x38800000) return sign | size - 0x37fff001 + (size >> 13 & 1) >> 13;
  ash_bits[0] = size;
  ash_float[0] += 0.5;
  return sign | ash_bits[0] - 0x3f000000;
}`,
  // a · b in f64 is off by at most 2¹⁰, its difference from the low word by 2¹¹: what is divided by 2³² rounds to the high word.
  ash_philox_u32: `/* Philox 4x32-10, Salmon et al., SC'11: one word of a block. */
function ash_philox_u32(c0, c1, c2, c3, key0, key1, word) {
  for (let round = 0; round < 10; round++) {
    const low0 = Math.imul(c0, 0xd2511f53) >>> 0, low2 = Math.imul(c2, 0xcd9e8d57) >>> 0;
    const high0 = (c0 * 0xd2511f53 - low0) / 0x100000000 + 0.5 >>> 0;
    const high2 = (c2 * 0xcd9e8d57 - low2) / 0x100000000 + 0.5 >>> 0;
    c0 = (high2 ^ c1 ^ key0) >>> 0;
    c1 = low2;
    c2 = (high0 ^ c3 ^ key1) >>> 0;
    c3 = low0;
    key0 = key0 + 0x9e3779b9 >>> 0;
    key1 = key1 + 0xbb67ae85 >>> 0;
  }
  return word < 2 ? word === 0 ? c0 : c1 : word === 2 ? c2 : c3;
}`,
  ash_pow: `function ash_pow(x, y) {
  return x === 1 || (x === -1 && (y === Infinity || y === -Infinity)) ? 1 : x ** y;
}`,
  ash_erf: `/* W. J. Cody, "Rational Chebyshev approximation for the error function", Math. Comp. 23 (1969). */
function ash_ratio(x, numerator, denominator) {
  const last = denominator.length - 1;
  let above = numerator[last + 1] * x, below = x;
  for (let i = 0; i < last; i++) {
    above = (above + numerator[i]) * x;
    below = (below + denominator[i]) * x;
  }
  return (above + numerator[last]) / (below + denominator[last]);
}
function ash_erf(x) {
  const y = Math.abs(x);
  if (!(y > 0.46875)) return x * ash_ratio(y * y, ${list(small.numerator)}, ${list(small.denominator)});
  const z = 1 / (y * y);
  const tail = Math.exp(-y * y) * (y <= 4
    ? ash_ratio(y, ${list(middle.numerator)}, ${list(middle.denominator)})
    : (${1 / Math.sqrt(Math.PI)} - z * ash_ratio(z, ${list(large.numerator)}, ${list(large.denominator)})) / y);
  return x < 0 ? tail - 1 : 1 - tail;
}`,
};

const bits: Readonly<Record<string, number>> = { i8: 8, u8: 8, i32: 32, u32: 32, i64: 64 };
const limits: Readonly<Record<string, readonly [number, number]>> = {
  i8: [-128, 127],
  u8: [0, 255],
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
};

/** A text of one of the integer dtypes brought back into its range. */
export function wrapped(dtype: string, text: string): string {
  switch (dtype) {
    case 'i32':
      return `(${text}) | 0`;
    case 'u32':
      return `(${text}) >>> 0`;
    case 'i8':
      return `(${text}) << 24 >> 24`;
    case 'u8':
      return `(${text}) & 255`;
    default:
      return `BigInt.asIntN(64, ${text})`;
  }
}

/** Helpers that exist once per integer dtype: `ash_div_i32`. */
const families: Readonly<Record<string, (dtype: string) => string>> = {
  div: (d) => `(a, b) {\n  return b == 0 ? ${zero(d)} : ${wrapped(d, 'a / b')};\n}`,
  rem: (d) => `(a, b) {\n  return b == 0 ? ${zero(d)} : a % b;\n}`,
  shl: (d) => `(a, b) {\n  return b < 0 || b >= ${bits[d]} ? ${zero(d)} : ${wrapped(d, 'a << b')};\n}`,
  shr: (d) =>
    d.startsWith('u')
      ? `(a, b) {\n  return b < 0 || b >= ${bits[d]} ? 0 : a >>> b;\n}`
      : `(a, b) {\n  return a >> (b < 0 || b >= ${bits[d]} ? ${big(d, bits[d]! - 1)} : b);\n}`,
  abs: (d) => `(x) {\n  return x < 0 ? ${wrapped(d, '-x')} : x;\n}`,
  sign: (d) => `(x) {\n  return x > 0 ? ${big(d, 1)} : x < 0 ? ${big(d, -1)} : ${zero(d)};\n}`,
  max: () => '(a, b) {\n  return a > b ? a : b;\n}',
  min: () => '(a, b) {\n  return a < b ? a : b;\n}',
  /** From a float: towards zero, saturating; NaN is 0. */
  from: (d) => {
    if (d === 'i64') {
      return '(x) {\n  return x !== x ? 0n : x <= -(2 ** 63) ? -(2n ** 63n) : x >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(Math.trunc(x));\n}';
    }
    const [low, high] = limits[d]!;
    return `(x) {\n  return x !== x ? 0 : x <= ${low} ? ${low} : x >= ${high} ? ${high} : Math.trunc(x) + 0;\n}`;
  },
};

/** A whole number as a literal of an integer dtype. */
export const big = (dtype: string, value: number | string): string => (dtype === 'i64' ? `${value}n` : String(value));
const zero = (dtype: string): string => big(dtype, 0);

/** The text of a helper by name. */
export function helperText(name: string): string {
  const fixed = fixedHelpers[name];
  if (fixed !== undefined) return fixed;
  const [, family, dtype] = /^ash_([a-z]+)_(\w+)$/.exec(name) as unknown as [string, string, string];
  return `function ${name}${families[family]!(dtype)}`;
}
