// log, log1p, asinh, acosh and atanh of f32: the argument is 2ⁿ(1 + f) with 1 + f in [2/3, 4/3), its logarithm
// n·ln 2 + f − f²/2 + f³P(f) (Cody and Waite, chapter 5; P by scripts/minimax.py, in Estrin's order). ln 2 has two parts,
// the first short enough for its product with n to be exact. Subtracting the bits of 2/3 leaves n above bit 23.

import type { HelperText } from '../../helper-text.ts';

export const logarithms: Readonly<Record<string, HelperText>> = {
  ash_log_sum_f32: {
    needs: ['ASH_INLINE'],
    text: `/* n ln 2 + log(1 + f) */
ASH_INLINE float ash_log_sum_f32(float n, float f) {
  const float z = f * f;
  const float first = (0.333333343f - f * 0.249998197f) + z * (0.19999598f - f * 0.16679579f);
  const float last = (0.143044576f - f * 0.121957779f) + z * ((0.107542314f - f * 0.128450602f) + z * 0.120071679f);
  const float p = first + z * z * last;
  const float rest = z * (f * p - 0.5f) + n * 0x1.7f7d1cp-20f;
  return n * 0x1.62e4p-1f + (f + rest);
}`,
  },
  ash_log_f32: {
    needs: ['ash_log_sum_f32', 'ash_float_of_bits', 'ash_bits_of_float'],
    text: `ASH_INLINE float ash_log_f32(float x) {
  const float normal = x < 0x1p-126f ? x * 0x1p25f : x;
  const float unscale = x < 0x1p-126f ? -25.0f : 0.0f;
  const uint32_t bits = ash_bits_of_float(normal) - 0x3f2aaaabu;
  const float n = (float)((int32_t)bits >> 23) + unscale;
  const float f = ash_float_of_bits((bits & 0x7fffffu) + 0x3f2aaaabu) - 1.0f;
  const float y = ash_log_sum_f32(n, f);
  const float ends = x == 0.0f ? -INFINITY : NAN;
  const float above = x < INFINITY ? y : x;
  return x > 0.0f ? above : ends;
}`,
  },
  // 1 + x is rounded to u; what the rounding lost (D. E. Knuth's two-sum, TAOCP volume 2, 4.2.2, theorem B) joins f.
  ash_log1p_twice_f32: {
    needs: ['ash_log_sum_f32', 'ash_float_of_bits', 'ash_bits_of_float'],
    text: `/* log(1 + x) + doublings ln 2 */
ASH_INLINE float ash_log1p_twice_f32(float x, float doublings) {
  const float u = 1.0f + x;
  const float most = u - 1.0f;
  const float lost = (1.0f - (u - most)) + (x - most);
  const uint32_t bits = ash_bits_of_float(u) - 0x3f2aaaabu;
  const int32_t n = (int32_t)bits >> 23;
  /* 2^-n; beyond 2^64 nothing that was lost counts. */
  const float scale = ash_float_of_bits((uint32_t)(127 - (n < 64 ? n : 64)) << 23);
  const float f = (ash_float_of_bits((bits & 0x7fffffu) + 0x3f2aaaabu) - 1.0f) + scale * lost;
  const float y = ash_log_sum_f32((float)n + doublings, f);
  const float ends = x == -1.0f ? -INFINITY : NAN;
  const float above = x < INFINITY ? y : x;
  return x > -1.0f ? above : ends;
}`,
  },
  ash_log1p_f32: {
    needs: ['ash_log1p_twice_f32'],
    text: `ASH_INLINE float ash_log1p_f32(float x) {
  return copysignf(ash_log1p_twice_f32(x, 0.0f), x);
}`,
  },
  // asinh a = log1p(a + a²/(1 + √(1 + a²))), and log 2a beyond 2²⁸.
  ash_asinh_f32: {
    needs: ['ash_log1p_twice_f32'],
    text: `ASH_INLINE float ash_asinh_f32(float x) {
  const float a = fabsf(x);
  const float square = a * a;
  const float near = a + square / (1.0f + sqrtf(1.0f + square));
  const float y = ash_log1p_twice_f32(a < 0x1p28f ? near : a, a < 0x1p28f ? 0.0f : 1.0f);
  return copysignf(a < 0x1p-12f ? a : y, x);
}`,
  },
  // With t = x − 1, acosh x = log1p(t + √(2t + t²)), and log 2x beyond 2²⁸.
  ash_acosh_f32: {
    needs: ['ash_log1p_twice_f32'],
    text: `ASH_INLINE float ash_acosh_f32(float x) {
  const float t = x - 1.0f;
  const float near = t + sqrtf(t * (t + 2.0f));
  const float y = ash_log1p_twice_f32(x < 0x1p28f ? near : x, x < 0x1p28f ? 0.0f : 1.0f);
  return x >= 1.0f ? y : NAN;
}`,
  },
  // atanh a = ½ log1p(2a/(1 − a)).
  ash_atanh_f32: {
    needs: ['ash_log1p_twice_f32'],
    text: `ASH_INLINE float ash_atanh_f32(float x) {
  const float a = fabsf(x);
  const float y = 0.5f * ash_log1p_twice_f32(2.0f * a / (1.0f - a), 0.0f);
  return copysignf(a < 0x1p-12f ? a : y, x);
}`,
  },
};
