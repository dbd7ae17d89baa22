// exp, expm1, tanh and log of f64, as their namesakes of f32: the reduction by ln 2 in two parts, 2ⁿ from the low bits of a sum
// with 1.5·2⁵². The logarithm is log(1 + f) = 2·atanh s with s = f/(2 + f), whose series needs a third of the terms of that in f;
// arranged as f − f²/2 + s·(f²/2 + R(s²)), since 2s = f − s·f, its first terms have no rounding of s in them (so does fdlibm's
// e_log.c, Sun Microsystems 1993). Polynomials: scripts/minimax.py.

import type { HelperText } from '../../helper-text.ts';

/** `n`, `r` and eʳ − 1 = r + z·p of the value `value`; the low bits of `shifted` are n + bias. */
const reduction = (value: string, bias: number): string => `\
  const double shifted = ${value} * 0x1.71547652b82fep+0 + (0x1.8p52 + ${bias}.0);
  const double n = shifted - (0x1.8p52 + ${bias}.0);
  const double r = (${value} - n * 0x1.62e42fefa38p-1) - n * 0x1.ef35793c7673p-45;
  const double z = r * r;
  const double low = (0.5 + r * 0.16666666666666677) + z * (0.041666666666666505 + r * 0.0083333333333215128);
  const double middle = (0.0013888888888963498 + r * 0.00019841269886477424) +
                        z * (2.480158717105845e-05 + r * 2.7557243804011049e-06);
  const double high = (2.7557403279907382e-07 + r * 2.510919518504732e-08) + z * 2.0875324112594118e-09;
  const double p = low + z * z * (middle + z * z * high);`;

export const doubles: Readonly<Record<string, HelperText>> = {
  ash_double_of_bits: {
    needs: ['ASH_INLINE'],
    text: `ASH_INLINE double ash_double_of_bits(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}`,
  },
  ash_bits_of_double: {
    needs: ['ASH_INLINE'],
    text: `ASH_INLINE uint64_t ash_bits_of_double(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}`,
  },
  ash_exp_f64: {
    needs: ['ash_double_of_bits', 'ash_bits_of_double'],
    text: `ASH_INLINE double ash_exp_f64(double x) {
  double c = x < -746.0 ? -746.0 : x;
  c = c > 710.0 ? 710.0 : c;
${reduction('c', 2046)}
  const double y = 1.0 + (r + z * p);
  /* 2^n in two factors, because n reaches from -1076 to 1024; subnormal results are rounded once. */
  const uint64_t whole = ash_bits_of_double(shifted);
  const uint64_t half = whole >> 1;
  return y * ash_double_of_bits(half << 52) * ash_double_of_bits((whole - half) << 52);
}`,
  },
  ash_half_expm1_f64: {
    needs: ['ash_double_of_bits', 'ash_bits_of_double'],
    text: `/* (e^x - 1)/2 for x between -60 and 710. */
ASH_INLINE double ash_half_expm1_f64(double x) {
${reduction('x', 1022)}
  const double scale = ash_double_of_bits(ash_bits_of_double(shifted) << 52);
  return scale * (r + z * p) + (scale - 0.5);
}`,
  },
  ash_expm1_f64: {
    needs: ['ash_half_expm1_f64'],
    text: `ASH_INLINE double ash_expm1_f64(double x) {
  double c = x < -60.0 ? -60.0 : x;
  c = c > 710.0 ? 710.0 : c;
  const double y = 2.0 * ash_half_expm1_f64(c);
  return fabs(x) >= 0x1p-54 ? y : x;
}`,
  },
  ash_tanh_f64: {
    needs: ['ash_half_expm1_f64'],
    text: `ASH_INLINE double ash_tanh_f64(double x) {
  const double a = fabs(x);
  const double h = ash_half_expm1_f64(a > 22.0 ? 44.0 : a + a);
  return copysign(h / (h + 1.0), x);
}`,
  },
  ash_log_f64: {
    needs: ['ash_double_of_bits', 'ash_bits_of_double'],
    text: `ASH_INLINE double ash_log_f64(double x) {
  const double normal = x < 0x1p-1022 ? x * 0x1p54 : x;
  const double unscale = x < 0x1p-1022 ? 1023.0 + 54.0 : 1023.0;
  /* The bits of the root of 1/2 are taken away, and 1023 is added to the exponent, so that it stays positive. */
  const uint64_t bits = ash_bits_of_double(normal) - UINT64_C(0x3fe6a09e667f3bcd) + (UINT64_C(1023) << 52);
  const double n = ash_double_of_bits((bits >> 52) | UINT64_C(0x4330000000000000)) - 0x1p52 - unscale;
  const double f = ash_double_of_bits((bits & UINT64_C(0xfffffffffffff)) + UINT64_C(0x3fe6a09e667f3bcd)) - 1.0;
  const double s = f / (2.0 + f);
  const double z = s * s;
  const double low = (0.3333333333333367 + z * 0.1999999999970804) + z * z * (0.14285714371043534 + z * 0.11111099301410879);
  const double high = (0.090917814246448042 + z * 0.076570433660381423) + z * z * 0.073978016753135575;
  const double rest = 2.0 * z * (low + (z * z) * (z * z) * high);
  const double square = 0.5 * f * f;
  const double y = n * 0x1.62e42fefa38p-1 + (f - (square - (s * (square + rest) + n * 0x1.ef35793c7673p-45)));
  const double ends = x == 0.0 ? -INFINITY : NAN;
  const double above = x < INFINITY ? y : x;
  return x > 0.0 ? above : ends;
}`,
  },
};
