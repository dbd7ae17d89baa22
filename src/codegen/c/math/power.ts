// pow of f32 as 2^(y·log₂|x|) in f64, whose 53 bits make up for the large exponent; special cases by Annex F of the C
// standard. f32 parts of x keep the reduction narrow; polynomials by scripts/minimax.py.

import type { HelperText } from '../../helper-text.ts';

/** Horner's rule, coefficients from the constant on, as statements that leave the value in `p`. */
function horner(variable: string, coefficients: readonly string[]): string {
  const [last, ...others] = [...coefficients].reverse() as [string, ...string[]];
  const steps = others.map(
    (each) => `  p = p * ${variable} ${each.startsWith('-') ? `- ${each.slice(1)}` : `+ ${each}`};`,
  );
  return [`  double p = ${last};`, ...steps].join('\n');
}

/** log₂(1 + f) = f·P(f) for 1 + f in [2/3, 4/3]. */
const log2 = [
  '1.4426950408925703',
  '-0.72134752046910233',
  '0.48089834380706303',
  '-0.36067375190513629',
  '0.28853945790908864',
  '-0.2404499814639402',
  '0.20607535383397999',
  '-0.18030249314913355',
  '0.16090196260059941',
  '-0.14501405403206505',
  '0.12347706616861556',
  '-0.11172764073595513',
  '0.15779868001301239',
  '-0.15057583964560889',
];
/** 2^r = 1 + r·P(r) for |r| ≤ ½, the 1 written as the constant. */
const exp2 = [
  '1.0',
  '0.69314720285466369',
  '0.24022647913511253',
  '0.055503324716450059',
  '0.0096184373698261442',
  '0.0013398874256055271',
  '0.0001535335887460724',
];

export const powers: Readonly<Record<string, HelperText>> = {
  // log₂ 0 is −∞, so that 0 and ∞ to any power but 0 come out by themselves.
  ash_log2_wide_f32: {
    needs: ['ash_float_of_bits', 'ash_bits_of_float'],
    text: `/* log2 of a, which is not negative, to 38 bits */
ASH_INLINE double ash_log2_wide_f32(float a) {
  const float normal = a < 0x1p-126f ? a * 0x1p25f : a;
  const float unscale = a < 0x1p-126f ? -25.0f : 0.0f;
  const uint32_t bits = ash_bits_of_float(normal) - 0x3f2aaaabu;
  const float whole = (float)((int32_t)bits >> 23) + unscale;
  const float above = a < INFINITY ? whole : a;
  const double n = a == 0.0f ? -INFINITY : above;
  const double f = ash_float_of_bits((bits & 0x7fffffu) + 0x3f2aaaabu) - 1.0f;
${horner('f', log2)}
  return n + f * p;
}`,
  },
  ash_exp2_wide_f32: {
    needs: ['ASH_INLINE'],
    text: `ASH_INLINE float ash_exp2_wide_f32(double x) {
  double c = x < -160.0 ? -160.0 : x;
  c = c > 140.0 ? 140.0 : c;
  const double shifted = c + 0x1.8p52;
  const double r = c - (shifted - 0x1.8p52);
${horner('r', exp2)}
  uint64_t bits;
  memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 1023u) << 52;
  double scale;
  memcpy(&scale, &bits, sizeof scale);
  return (float)(p * scale);
}`,
  },
  // y is odd where the last bit of |y| + 2²³ is; from 2²³ on |y| is whole, and from 2²⁴ on even. No truth values but in
  // the comparisons themselves: gcc 12 does not vectorise those that come from elsewhere.
  ash_pow_f32: {
    needs: ['ash_log2_wide_f32', 'ash_exp2_wide_f32'],
    text: `ASH_INLINE float ash_pow_f32(float x, float y) {
  const float a = fabsf(x);
  const float b = fabsf(y);
  const float size = ash_exp2_wide_f32((double)y * ash_log2_wide_f32(a));
  const float even = 0x1p24f;
  const float shifted = b < 0x1p23f ? b + 0x1p23f : b;
  const float fraction = b < 0x1p23f ? (shifted - 0x1p23f) - b : 0.0f;
  const float above = b < even ? shifted : even;
  const float parity = fraction == 0.0f ? above : even;
  const uint32_t sign = ash_bits_of_float(x) & ash_bits_of_float(parity) << 31;
  const float signed_size = ash_float_of_bits(ash_bits_of_float(size) ^ sign);
  const float undefined = x < 0.0f ? NAN : signed_size;
  const float root = a < INFINITY ? undefined : signed_size;
  const float real = fraction == 0.0f ? signed_size : root;
  const float limit = b == INFINITY ? 1.0f : real;
  const float unit = a == 1.0f ? limit : real;
  const float base = x == 1.0f ? 1.0f : unit;
  return y == 0.0f ? 1.0f : base;
}`,
  },
};
