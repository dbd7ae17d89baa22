// sin, cos and tan of f32 for every argument, however large, and the inverse functions.
//
// |x| is measured in turns: 1/2π is cut into pieces of 29 bits, whose products with the 24 bits of x are exact in f64, and
// of each product only what is left of whole turns is kept (the idea of M. H. Payne and R. N. Hanek, "Radian reduction for
// trigonometric functions", SIGNUM Newsletter 18, 1983, without their choice of pieces by exponent, which would be a
// gather). What remains is split into quarter turns and an angle of at most π/4. Polynomials: scripts/minimax.py.

import type { HelperText } from '../../helper-text.ts';

/** 1/2π in steps of 29 bits; the last piece meets no argument so large that its product exceeds half a turn. */
const turnPieces = ['0x1.45f306cp-3', '0x1.c9c882ap-31', '0x1.4fe13a8p-61', '0x1.f47d4d3p-88', '0x1.dc0db62p-118'];
const lastPiece = '0x1.2b3278872084p-147';

/** The nearest whole number to a, which is not negative. */
const wholeTurns = `\
#if defined(__SSE4_1__) || defined(__aarch64__)
#define ash_whole_f64(a) rint(a)
#else
/* Adding 2^52 rounds what has a fraction. */
#define ash_whole_f64(a) ((a) < 0x1p52 ? ((a) + 0x1p52) - 0x1p52 : (a))
#endif`;

export const trigonometrics: Readonly<Record<string, HelperText>> = {
  ash_whole_f64: { needs: [], text: wholeTurns },
  ash_quarter_turns_f32: {
    needs: ['ASH_INLINE', 'ash_whole_f64'],
    text: `/* |x| = quarters·π/2 + *angle modulo whole turns, with |*angle| at most π/4; only the low two bits of quarters count. */
ASH_INLINE uint32_t ash_quarter_turns_f32(float x, float *angle) {
  const double a = fabs((double)x);
${turnPieces.map((piece, i) => `  const double turns${i} = a * ${piece};`).join('\n')}
  double turns = a * ${lastPiece};
${turnPieces
  .map((_piece, i) => `  turns = turns + (turns${i} - ash_whole_f64(turns${i}));`)
  .reverse()
  .join('\n')}
  const double shifted = 4.0 * turns + 0x1.8p52;
  *angle = (float)((turns - 0.25 * (shifted - 0x1.8p52)) * 6.283185307179586);
  uint64_t bits;
  memcpy(&bits, &shifted, sizeof bits);
  return (uint32_t)bits;
}`,
  },
  ash_sin_angle_f32: {
    needs: ['ASH_INLINE'],
    text: `ASH_INLINE float ash_sin_angle_f32(float r) {
  const float z = r * r;
  return r + r * z * (-0.166666552f + z * (0.00833215844f - z * 0.00019514958f));
}`,
  },
  ash_cos_angle_f32: {
    needs: ['ASH_INLINE'],
    text: `ASH_INLINE float ash_cos_angle_f32(float r) {
  const float z = r * r;
  return 1.0f + z * (z * (0.0416666456f + z * (z * 2.44327857e-05f - 0.0013887313f)) - 0.5f);
}`,
  },
  ash_sin_f32: {
    needs: [
      'ash_quarter_turns_f32',
      'ash_sin_angle_f32',
      'ash_cos_angle_f32',
      'ash_float_of_bits',
      'ash_bits_of_float',
    ],
    text: `ASH_INLINE float ash_sin_f32(float x) {
  float r;
  const uint32_t quarters = ash_quarter_turns_f32(x, &r);
  const float y = (quarters & 1u) != 0 ? ash_cos_angle_f32(r) : ash_sin_angle_f32(r);
  const uint32_t sign = (quarters << 30 ^ ash_bits_of_float(x)) & 0x80000000u;
  return ash_float_of_bits(ash_bits_of_float(y) ^ sign);
}`,
  },
  ash_cos_f32: {
    needs: [
      'ash_quarter_turns_f32',
      'ash_sin_angle_f32',
      'ash_cos_angle_f32',
      'ash_float_of_bits',
      'ash_bits_of_float',
    ],
    text: `ASH_INLINE float ash_cos_f32(float x) {
  float r;
  const uint32_t quarters = ash_quarter_turns_f32(x, &r);
  const float y = (quarters & 1u) != 0 ? ash_sin_angle_f32(r) : ash_cos_angle_f32(r);
  const uint32_t sign = (quarters + 1u) << 30 & 0x80000000u;
  return ash_float_of_bits(ash_bits_of_float(y) ^ sign);
}`,
  },
  // tan(r + π/2) = −1/tan r.
  ash_tan_f32: {
    needs: ['ash_quarter_turns_f32', 'ash_float_of_bits', 'ash_bits_of_float'],
    text: `ASH_INLINE float ash_tan_f32(float x) {
  float r;
  const uint32_t odd = ash_quarter_turns_f32(x, &r) & 1u;
  const float z = r * r;
  float p = 0.00939571764f;
  p = p * z + 0.00310278405f;
  p = p * z + 0.0244406294f;
  p = p * z + 0.0534083955f;
  p = p * z + 0.13338834f;
  p = p * z + 0.333331555f;
  const float t = r + r * z * p;
  const float y = (odd != 0 ? -1.0f : t) / (odd != 0 ? t : 1.0f);
  return ash_float_of_bits(ash_bits_of_float(y) ^ (ash_bits_of_float(x) & 0x80000000u));
}`,
  },
};
