// asin, acos, atan and atan2 of f32. Arguments of asin beyond ½ are halved by asin a = π/2 − 2·asin √((1 − a)/2), those of
// atan beyond 1 by atan a = π/2 − atan 1/a; what is left is t + t³P(t²), P by scripts/minimax.py. π/2 and π are added in
// two parts, the smaller to the smaller.

import type { HelperText } from '../../helper-text.ts';

/** π/2 and π as the f32 next to them, as bits too, and what those miss as a part of themselves. */
const [halfPi, piBits, halfPiBits] = ['0x1.921fb6p0f', '0x40490fdbu', '0x3fc90fdbu'];
const rest = '-0x1.de12cap-26f';

export const inverseTrigonometrics: Readonly<Record<string, HelperText>> = {
  // Conditions that choose more than once are masks: gcc 12 would compute all that lies between twice, once for each side.
  ash_choose_f32: {
    needs: ['ash_float_of_bits', 'ash_bits_of_float'],
    text: `/* x where the mask has ones, y where it has zeros. */
ASH_INLINE float ash_choose_f32(uint32_t mask, float x, float y) {
  return ash_float_of_bits((ash_bits_of_float(x) & mask) | (ash_bits_of_float(y) & ~mask));
}`,
  },
  ash_greater_mask: {
    needs: ['ASH_INLINE'],
    text: `/* Ones where x is greater than y, both the bits of floats that are not negative. */
ASH_INLINE uint32_t ash_greater_mask(uint32_t x, uint32_t y) {
  return (uint32_t)((int32_t)(y - x) >> 31);
}`,
  },
  ash_asin_reduced_f32: {
    needs: ['ash_choose_f32'],
    text: `/* asin of a up to 1/2, else of the root of (1 - a)/2, as the mask says; a is not negative. */
ASH_INLINE float ash_asin_reduced_f32(float a, uint32_t far) {
  const float z = ash_choose_f32(far, 0.5f - 0.5f * a, a * a);
  const float t = ash_choose_f32(far, sqrtf(z), a);
  float p = 0.0421663038f;
  p = p * z + 0.0241795164f;
  p = p * z + 0.0454703756f;
  p = p * z + 0.0749529749f;
  p = p * z + 0.166667521f;
  return t + t * z * p;
}`,
  },
  ash_asin_f32: {
    needs: ['ash_asin_reduced_f32', 'ash_greater_mask'],
    text: `ASH_INLINE float ash_asin_f32(float x) {
  const float a = fabsf(x);
  const uint32_t far = ash_greater_mask(ash_bits_of_float(a), 0x3f000000u);
  const float y = ash_asin_reduced_f32(a, far);
  return copysignf(ash_choose_f32(far, ${halfPi} - (2.0f * y - ${halfPi} * ${rest}), y), x);
}`,
  },
  // π/2 − asin x; far from 0, 2·asin √((1 − a)/2) or what it leaves of π.
  ash_acos_f32: {
    needs: ['ash_asin_reduced_f32', 'ash_greater_mask'],
    text: `ASH_INLINE float ash_acos_f32(float x) {
  const float a = fabsf(x);
  const uint32_t bits = ash_bits_of_float(x);
  const uint32_t far = ash_greater_mask(ash_bits_of_float(a), 0x3f000000u);
  const float y = ash_asin_reduced_f32(a, far);
  const uint32_t left = (uint32_t)((int32_t)bits >> 31);
  const float base = ash_float_of_bits((far & left & ${piBits}) | (~far & ${halfPiBits}));
  /* y is taken away where x is positive and near 0 or negative and far from it. */
  const float turned = ash_float_of_bits(ash_bits_of_float(ash_choose_f32(far, 2.0f * y, y)) ^ ((far ^ ~left) & 0x80000000u));
  return base + (turned + base * ${rest});
}`,
  },
  ash_atan_unit_f32: {
    needs: ['ASH_INLINE'],
    text: `/* atan t for t from 0 to 1 */
ASH_INLINE float ash_atan_unit_f32(float t) {
  const float z = t * t;
  float p = 0.00292069186f;
  p = p * z - 0.0163679253f;
  p = p * z + 0.043211855f;
  p = p * z - 0.0755221322f;
  p = p * z + 0.106660038f;
  p = p * z - 0.142110556f;
  p = p * z + 0.199937731f;
  p = p * z - 0.333331525f;
  return t + t * z * p;
}`,
  },
  // By the smaller over the larger of |y| and |x|, found as integers: so is a NaN, as the larger. 0/0 counts as 0.
  ash_atan2_f32: {
    needs: ['ash_atan_unit_f32', 'ash_greater_mask', 'ash_float_of_bits', 'ash_bits_of_float'],
    text: `ASH_INLINE float ash_atan2_f32(float y, float x) {
  const uint32_t a = ash_bits_of_float(x) & 0x7fffffffu;
  const uint32_t b = ash_bits_of_float(y) & 0x7fffffffu;
  const float smaller = ash_float_of_bits(a < b ? a : b);
  const uint32_t larger = a < b ? b : a;
  const float quotient = smaller / ash_float_of_bits(larger > 1u ? larger : 1u);
  const uint32_t infinity = 0x7f800000u;
  const float t = ash_atan_unit_f32(((a ^ infinity) | (b ^ infinity)) == 0 ? 1.0f : quotient);
  const uint32_t steep = ash_greater_mask(b, a);
  const uint32_t left = (uint32_t)((int32_t)ash_bits_of_float(x) >> 31);
  const float base = ash_float_of_bits((steep & ${halfPiBits}) | (~steep & left & ${piBits}));
  /* t is added to pi/2 on the left and to 0, taken from pi/2 on the right and from pi. */
  const float turned = ash_float_of_bits(ash_bits_of_float(t) ^ ((steep ^ left) & 0x80000000u));
  return copysignf(base + (turned + base * ${rest}), y);
}`,
  },
  ash_atan_f32: {
    needs: ['ash_atan_unit_f32', 'ash_choose_f32', 'ash_greater_mask'],
    text: `ASH_INLINE float ash_atan_f32(float x) {
  const uint32_t a = ash_bits_of_float(x) & 0x7fffffffu;
  const uint32_t one = 0x3f800000u;
  const float y = ash_atan_unit_f32(ash_float_of_bits(a < one ? a : one) / ash_float_of_bits(a < one ? one : a));
  return copysignf(ash_choose_f32(ash_greater_mask(a, one), ${halfPi} - (y - ${halfPi} * ${rest}), y), x);
}`,
  },
};
