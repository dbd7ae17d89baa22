// exp, expm1, tanh, sinh and cosh of f32, from one reduction: x = n·ln 2 + r with |r| ≤ ½ ln 2, so eˣ = 2ⁿ·eʳ (W. J. Cody
// and W. Waite, "Software Manual for the Elementary Functions", 1980, chapter 6). ln 2 is subtracted in two parts, the first
// short enough for its product with n to be exact without fused multiplication. n is rounded by adding 1.5·2²³: the sum's
// low bits are then n itself, plus whatever bias is added with it, and a shift makes them the exponent of a factor 2ⁿ.
// Polynomials: scripts/minimax.py.

import type { HelperText } from '../../helper-text.ts';

/** `n` and `r` of the value `value`; the low bits of `shifted` are n + bias. */
const reduction = (value: string, bias: number): string => `\
  const float shifted = ${value} * 0x1.715476p+0f + ${12582912 + bias}.0f;
  const float n = shifted - ${12582912 + bias}.0f;
  const float r = (${value} - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f;`;

/** eʳ − 1 = r + z·p with z = r²; in Estrin's order, whose chains are shorter than Horner's. */
const polynomial = `\
  const float z = r * r;
  const float p = (0.49999997f + r * 0.16666542f) + z * ((0.0416672044f + r * 0.00836664718f) + z * 0.00138824969f);`;

export const exponentials: Readonly<Record<string, HelperText>> = {
  // As integers, because gcc 12 follows constants of floats: it would compute once more, for each clamp, all that depends on
  // the result. The bits of floats have their order, reversed below 0, and above all of it those of NaN.
  ash_between_f32: {
    needs: ['ash_float_of_bits', 'ash_bits_of_float'],
    text: `/* x brought between two floats of either sign, given by their bits; NaN becomes one of them. */
ASH_INLINE float ash_between_f32(float x, uint32_t lowest, int32_t highest) {
  const uint32_t bits = ash_bits_of_float(x);
  const int32_t raised = (int32_t)(bits < lowest ? bits : lowest);
  return ash_float_of_bits((uint32_t)(raised < highest ? raised : highest));
}`,
  },
  ash_size_f32: {
    needs: ['ash_float_of_bits', 'ash_bits_of_float'],
    text: `/* |x|, but not above a float given by its bits, which NaN becomes too. */
ASH_INLINE float ash_size_f32(float x, uint32_t highest) {
  const uint32_t bits = ash_bits_of_float(x) & 0x7fffffffu;
  return ash_float_of_bits(bits < highest ? bits : highest);
}`,
  },
  ash_exp_f32: {
    needs: ['ash_between_f32'],
    text: `ASH_INLINE float ash_exp_f32(float x) {
  const float c = ash_between_f32(x, 0xc2d00000u, 0x42b20000);  /* -104 and 89 */
${reduction('c', 254)}
${polynomial}
  const float y = 1.0f + (r + z * p);
  /* 2^n in two factors, because n reaches from -150 to 128; subnormal results are rounded once. */
  const uint32_t whole = ash_bits_of_float(shifted);
  const uint32_t half = whole >> 1;
  const float scaled = y * ash_float_of_bits(half << 23) * ash_float_of_bits((whole - half) << 23);
  return x == x ? scaled : x;
}`,
  },
  // (eˣ − 1)/2: the half keeps 2ⁿ finite up to n = 128, and tanh wants the half anyway.
  ash_half_expm1_f32: {
    needs: ['ash_float_of_bits', 'ash_bits_of_float'],
    text: `/* (e^x - 1)/2 for x between -30 and 89. */
ASH_INLINE float ash_half_expm1_f32(float x) {
${reduction('x', 126)}
${polynomial}
  const float scale = ash_float_of_bits(ash_bits_of_float(shifted) << 23);
  return scale * (r + z * p) + (scale - 0.5f);
}`,
  },
  ash_expm1_f32: {
    needs: ['ash_half_expm1_f32', 'ash_between_f32'],
    text: `ASH_INLINE float ash_expm1_f32(float x) {
  const float c = ash_between_f32(x, 0xc1f00000u, 0x42b20000);  /* -30 and 89 */
  const float y = 2.0f * ash_half_expm1_f32(c);
  return fabsf(x) >= 0x1p-25f ? y : x;
}`,
  },
  // With h = (e^{2|x|} − 1)/2, tanh|x| = h/(h + 1), accurate also near 0.
  ash_tanh_f32: {
    needs: ['ash_half_expm1_f32', 'ash_size_f32'],
    text: `ASH_INLINE float ash_tanh_f32(float x) {
  const float a = ash_size_f32(x, 0x41200000u);  /* 10 */
  const float h = ash_half_expm1_f32(a + a);
  const float y = copysignf(h / (h + 1.0f), x);
  return x == x ? y : x;
}`,
  },
  ...hyperbolic('sinh'),
  ...hyperbolic('cosh'),
};

/**
 * From C = cosh r − 1 and S = sinh r, with m = 2ⁿ⁻¹ + 2⁻ⁿ⁻¹ and d = 2ⁿ⁻¹ − 2⁻ⁿ⁻¹: cosh x = m + (m·C + d·S) and
 * sinh x = d + (d·C + m·S). Everything is computed at half its size, so that 2ⁿ⁻¹ stays finite.
 */
function hyperbolic(name: 'sinh' | 'cosh'): Record<string, HelperText> {
  const combined =
    name === 'cosh'
      ? `  const float y = 2.0f * (m + (m * c + d * s));
  return x == x ? y : x;`
      : `  const float y = copysignf(2.0f * (d + (d * c + m * s)), x);
  return a >= 0x1p-13f && x == x ? y : x;`;
  const text = `ASH_INLINE float ash_${name}_f32(float x) {
  const float a = ash_size_f32(x, 0x42b30000u);  /* 89.5 */
${reduction('a', 125)}
  const float z = r * r;
  const float c = z * (0.5f + z * (0.0416664593f + z * 0.00139355822f));
  const float s = r + r * z * (0.166666672f + z * (0.00833328906f + z * 0.000199052025f));
  /* 2^(n-2) and 2^(-n-2), the latter not below 2^-62, where it no longer counts. */
  const uint32_t whole = ash_bits_of_float(shifted) - 0x4b400000u;
  const float up = ash_float_of_bits(whole << 23);
  const float down = ash_float_of_bits((250u - (whole < 185u ? whole : 185u)) << 23);
  const float m = up + down;
  const float d = up - down;
${combined}
}`;
  return { [`ash_${name}_f32`]: { needs: ['ash_size_f32'], text } };
}
