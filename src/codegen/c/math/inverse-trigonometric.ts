// asin, acos, atan and atan2 of f32. Arguments of asin beyond ½ are halved by asin a = π/2 − 2·asin √((1 − a)/2), those of
// atan beyond 1 by atan a = π/2 − atan 1/a; what is left is t + t³P(t²), P by scripts/minimax.py. π/2 and π are added in
// two parts, the smaller to the smaller.

import type { HelperText } from './helper-text.ts';

/** π/2 as the f32 next to it and what that misses; twice each is π. */
const [halfPi, halfPiRest] = ['0x1.921fb6p0f', '-0x1.777a5cp-25f'];
const [pi, piRest] = ['0x1.921fb6p1f', '-0x1.777a5cp-24f'];
/** What each misses, as a part of itself. */
const restOfPi = '-0x1.de12ca0000000p-26f';

export const inverseTrigonometrics: Readonly<Record<string, HelperText>> = {
  ash_asin_half_f32: {
    needs: ['ASH_INLINE'],
    text: `/* asin t for |t| up to 1/2, given its square */
ASH_INLINE float ash_asin_half_f32(float t, float z) {
  float p = 0.0421663038f;
  p = p * z + 0.0241795164f;
  p = p * z + 0.0454703756f;
  p = p * z + 0.0749529749f;
  p = p * z + 0.166667521f;
  return t + t * z * p;
}`,
  },
  ash_asin_f32: {
    needs: ['ash_asin_half_f32'],
    text: `ASH_INLINE float ash_asin_f32(float x) {
  const float a = fabsf(x);
  const float z = a > 0.5f ? 0.5f - 0.5f * a : a * a;
  const float y = ash_asin_half_f32(a > 0.5f ? sqrtf(z) : a, z);
  return copysignf(a > 0.5f ? ${halfPi} - (2.0f * y - ${halfPiRest}) : y, x);
}`,
  },
  ash_acos_f32: {
    needs: ['ash_asin_half_f32'],
    text: `ASH_INLINE float ash_acos_f32(float x) {
  const float a = fabsf(x);
  const float z = a > 0.5f ? 0.5f - 0.5f * a : a * a;
  const float y = ash_asin_half_f32(a > 0.5f ? sqrtf(z) : a, z);
  const float near = ${halfPi} - (copysignf(y, x) - ${halfPiRest});
  const float far = x > 0.0f ? 2.0f * y : ${pi} - (2.0f * y - ${piRest});
  return a > 0.5f ? far : near;
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
  ash_atan_f32: {
    needs: ['ash_atan_unit_f32'],
    text: `ASH_INLINE float ash_atan_f32(float x) {
  const float a = fabsf(x);
  const float y = ash_atan_unit_f32((a > 1.0f ? 1.0f : a) / (a > 1.0f ? a : 1.0f));
  return copysignf(a > 1.0f ? ${halfPi} - (y - ${halfPiRest}) : y, x);
}`,
  },
  // By the smaller over the larger; equal ones are a quotient of 1 even where both are infinite, and of 0 where both are 0.
  ash_atan2_f32: {
    needs: ['ash_atan_unit_f32', 'ash_float_of_bits', 'ash_bits_of_float'],
    text: `ASH_INLINE float ash_atan2_f32(float y, float x) {
  const float a = fabsf(x);
  const float b = fabsf(y);
  const float quotient = (b > a ? a : b) / (b > a ? b : a);
  const float equal = a == 0.0f ? 0.0f : 1.0f;
  const float t = ash_atan_unit_f32(a == b ? equal : quotient);
  const float straight = (int32_t)ash_bits_of_float(x) < 0 ? ${pi} : 0.0f;
  const float base = b > a ? ${halfPi} : straight;
  /* Added from pi/2, taken from pi, and the reverse. */
  const float turned = ash_float_of_bits(ash_bits_of_float(b > a ? -t : t) ^ (ash_bits_of_float(x) & 0x80000000u));
  return copysignf(base + (turned + base * ${restOfPi}), y);
}`,
  },
};
