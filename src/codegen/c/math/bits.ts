// What all functions of this folder stand on: the bits of a float, and functions that are always inlined, since a call in
// a loop would keep the loop out of lanes.

import type { HelperText } from '../../helper-text.ts';

export const bitHelpers: Readonly<Record<string, HelperText>> = {
  // Rounding by adding and subtracting 1.5·2²³ needs f32 arithmetic in f32, which x87 does not do.
  ASH_INLINE: {
    needs: [],
    text: `#if defined(__FLT_EVAL_METHOD__) && (__FLT_EVAL_METHOD__ == 1 || __FLT_EVAL_METHOD__ == 2)
#error "float arithmetic must be done in float; on 32-bit x86 compile with -msse2 -mfpmath=sse"
#endif
#define ASH_INLINE static inline __attribute__((always_inline))`,
  },
  ash_float_of_bits: {
    needs: ['ASH_INLINE'],
    text: `ASH_INLINE float ash_float_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}`,
  },
  ash_bits_of_float: {
    needs: ['ASH_INLINE'],
    text: `ASH_INLINE uint32_t ash_bits_of_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}`,
  },
};
