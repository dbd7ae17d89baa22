// Philox 4x32-10 in lanes (J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11, section 3.3): one word of
// a block. The rounds are written out, because compilers vectorise the loop around them, not the one of the rounds; of
// four calls for the words of one block they keep one.

import type { HelperText } from '../../helper-text.ts';

const rounds = Array.from(
  { length: 10 },
  (_, round) => `  ASH_PHILOX_ROUND(key0 + ${round}u * 0x9e3779b9u, key1 + ${round}u * 0xbb67ae85u)`,
);

export const randomHelpers: Readonly<Record<string, HelperText>> = {
  ash_multiply_high: {
    needs: ['ASH_INLINE'],
    text: `ASH_INLINE uint32_t ash_multiply_high(uint32_t a, uint32_t b) {
  return (uint32_t)(((uint64_t)a * b) >> 32);
}`,
  },
  ash_philox_u32: {
    needs: ['ash_multiply_high'],
    text: `/* Philox 4x32-10, Salmon et al., SC'11: one word of a block. */
#define ASH_PHILOX_ROUND(k0, k1) { \\
  const uint32_t high2 = ash_multiply_high(c2, 0xcd9e8d57u) ^ c1 ^ (k0); \\
  const uint32_t high0 = ash_multiply_high(c0, 0xd2511f53u) ^ c3 ^ (k1); \\
  c1 = c2 * 0xcd9e8d57u; \\
  c3 = c0 * 0xd2511f53u; \\
  c0 = high2; \\
  c2 = high0; }
ASH_INLINE uint32_t ash_philox_u32(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t key0, uint32_t key1, uint32_t word) {
${rounds.join('\n')}
  const uint32_t low = (word & 1u) != 0 ? c1 : c0;
  const uint32_t high = (word & 1u) != 0 ? c3 : c2;
  return (word & 2u) != 0 ? high : low;
}`,
  },
};
