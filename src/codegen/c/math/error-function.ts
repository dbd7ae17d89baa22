// erf of f32 in one piece: erf a = 1 − e^(−a(c + P(a))) for a ≥ 0, where c is the f32 next to 2/√π and P a polynomial whose
// weight falls as erf's slope does (scripts/minimax.py). expm1 keeps the digits of small results. Beyond 3.93 it is 1.

import type { HelperText } from '../../helper-text.ts';

export const errorFunction: Readonly<Record<string, HelperText>> = {
  ash_erf_f32: {
    needs: ['ash_half_expm1_f32', 'ash_size_f32'],
    text: `ASH_INLINE float ash_erf_f32(float x) {
  const float a = ash_size_f32(x, 0x407b851fu);  /* 3.93 */
  const float z = a * a;
  const float first = (a * 0.636619389f - 5.41192087e-08f) + z * (0.102777831f - a * 0.019153066f);
  const float last = (a * 0.00166702422f - 0.000160393043f) + z * ((a * 0.000117640702f - 0.000632834912f) - z * 9.25619861e-06f);
  const float p = first + z * z * last;
  const float exponent = a * 1.12837923f + a * p;
  const float y = copysignf(2.0f * ash_half_expm1_f32(-exponent), x);
  return x == x ? y : x;
}`,
  },
};
