// Half precision (IEEE 754 binary16) as bits, without branches: lanes on any processor, whether it has instructions for it or not.

import type { Helpers } from '../../helper-text.ts';

export const halfHelpers: Helpers = {
  // The exponent moves by a product, which is right for subnormal numbers too.
  ash_f16_to_f32: {
    needs: ['ash_float_of_bits', 'ash_bits_of_float'],
    text: `ASH_INLINE float ash_f16_to_f32(uint16_t x) {
  const float size = ash_float_of_bits((x & 0x7fffu) << 13) * 0x1p112f;
  const uint32_t special = size >= 65536.0f ? 0x7f800000u : 0u;
  return ash_float_of_bits(ash_bits_of_float(size) | special | (x & 0x8000u) << 16);
}`,
  },
  // To the nearest, ties to even. Below 2^-14 the sum with 1/2 rounds to the unit of subnormal numbers.
  ash_f32_to_f16: {
    needs: ['ash_float_of_bits', 'ash_bits_of_float'],
    text: `ASH_INLINE uint16_t ash_f32_to_f16(float x) {
  const uint32_t sign = ash_bits_of_float(x) >> 16 & 0x8000u;
  const uint32_t size = ash_bits_of_float(x) & 0x7fffffffu;
  const uint32_t small = ash_bits_of_float(ash_float_of_bits(size) + 0.5f) - 0x3f000000u;
  const uint32_t normal = (size - 0x37fff001u + (size >> 13 & 1u)) >> 13;
  const uint32_t finite = size < 0x38800000u ? small : normal;
  const uint32_t special = size > 0x7f800000u ? 0x7e00u : 0x7c00u;
  return (uint16_t)((size < 0x47800000u ? finite : special) | sign);
}`,
  },
};
