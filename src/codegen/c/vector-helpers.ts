// What is done to all lanes of a vector at once, and GNU C has no operator for: conversions from types that weights are stored in.
// They are macros, because a function would have to be compiled for the processor of the section that calls it.

import type { HelperText } from '../helper-text.ts';

/** Intrinsics of x86, which compilers take in functions whose target has them. */
export const intrinsicsInclude: HelperText = {
  needs: [],
  text: `#if defined(__GNUC__) && defined(__x86_64__)
#include <immintrin.h>
#endif`,
};

/**
 * From f16. Sixteen lanes are AVX-512's, eight AVX2's, whose processors all have the instruction; four are any machine's, and computed
 * as `ash_f16_to_f32` does.
 */
function fromHalf(lanes: number): HelperText {
  const name = `ash_f16x${lanes}_to_f32`;
  if (lanes === 16)
    return {
      needs: ['ash_intrinsics'],
      text: `#define ${name}(x) ((ash_f32x16)_mm512_cvtph_ps((__m256i)(x)))`,
    };
  if (lanes === 8)
    return { needs: ['ash_intrinsics'], text: `#define ${name}(x) ((ash_f32x8)_mm256_cvtph_ps((__m128i)(x)))` };
  return {
    needs: [],
    text: `static inline ash_f32x${lanes} ${name}(ash_f16x${lanes} x) {
  typedef uint32_t bits __attribute__((vector_size(${4 * lanes})));
  const bits wide = __builtin_convertvector(x, bits);
  const ash_f32x${lanes} size = (ash_f32x${lanes})((wide & 0x7fffu) << 13) * 0x1p112f;
  const bits special = (bits)(size >= 65536.0f) & 0x7f800000u;
  return (ash_f32x${lanes})((bits)size | special | (wide & 0x8000u) << 16);
}`,
  };
}

/**
 * From bytes to i32. gcc 12 makes forty instructions of a conversion from 16 bytes, where AVX-512 has one and AVX2 one for eight; in a
 * product of one row that is nine tenths of the time.
 */
function fromByte(from: string, lanes: number): { readonly needs: readonly string[]; readonly wide: string } {
  const needs = ['ash_intrinsics'];
  const kind = from === 'i8' ? 'epi8' : 'epu8';
  if (lanes === 16) return { needs, wide: `((ash_i32x16)_mm512_cvt${kind}_epi32((__m128i)(x)))` };
  if (lanes === 8) return { needs, wide: `((ash_i32x8)_mm256_cvt${kind}_epi32(_mm_cvtsi64_si128((long long)(x))))` };
  return { needs: [], wide: `__builtin_convertvector((x), ash_i32x${lanes})` };
}

/** Four bytes of any place as an i32, the first the lowest. */
const word: HelperText = {
  needs: [],
  text: `typedef int32_t ash_word __attribute__((aligned(1), may_alias));
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define ASH_WORD(first) ((int32_t)__builtin_bswap32((uint32_t)*(const ash_word *)&(first)))
#else
#define ASH_WORD(first) (*(const ash_word *)&(first))
#endif`,
};

/**
 * Sums of products of bytes, added to `sum`. Processors with VNNI have an instruction for it; all of x86 one for pairs of 16 bits,
 * which the bytes at even and at odd places of x and w become. Elsewhere products are made in 32 bits.
 */
function dot4(lanes: number): HelperText {
  const name = `ash_dot4_i32x${lanes}`;
  const type = `ash_i32x${lanes}`;
  const bits = lanes * 32;
  const [prefix, register, target] = dotTargets[bits] ?? [null, null, null];
  const halves = `typedef int16_t ash_halves_i32x${lanes} __attribute__((vector_size(${bits / 8})));`;
  const pairs = `static inline __attribute__((always_inline${target})) ${type} ${name}_pairs(${type} sum, ${type} x, ${type} w) {
  const ${type} even = (${type})((ash_halves_i32x${lanes})w << 8 >> 8), odd = (${type})((ash_halves_i32x${lanes})w >> 8);
  sum += (${type})${prefix}_madd_epi16((${register})(x & 0x00ff00ff), (${register})even);
  return sum + (${type})${prefix}_madd_epi16((${register})((x >> 8) & 0x00ff00ff), (${register})odd);
}`;
  const plain = `static inline ${type} ${name}_plain(${type} sum, ${type} x, ${type} w) {
  for (int byte = 0; byte < 32; byte += 8) sum += ((x >> byte) & 255) * (w << (24 - byte) >> 24);
  return sum;
}`;
  const vnni = `#define ${name}_vnni(sum, x, w) ((${type})_mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(x), (__m512i)(w)))`;
  const choices =
    lanes === 16
      ? `${halves}\n${pairs}\n${vnni}\n#if defined(__AVX512VNNI__)\n#define ${name} ${name}_vnni\n#else\n#define ${name} ${name}_pairs\n#endif`
      : lanes === 8
        ? `${halves}\n${pairs}\n#define ${name} ${name}_pairs`
        : `#if defined(__x86_64__)\n${halves}\n${pairs}\n#define ${name} ${name}_pairs\n#else\n${plain}\n#define ${name} ${name}_plain\n#endif`;
  return { needs: ['ash_intrinsics'], text: choices };
}

/** By the bits of a vector: how intrinsics begin, their type, and what a function with them has to be compiled for. */
const dotTargets: Readonly<Record<number, readonly [prefix: string, register: string, target: string]>> = {
  512: ['_mm512', '__m512i', ', target("avx512f,avx512bw")'],
  256: ['_mm256', '__m256i', ', target("avx2")'],
  128: ['_mm', '__m128i', ''],
};

/** The text of a helper on vectors by its name, `ash_<from>x<lanes>_to_<to>`; null for all others. */
export function vectorHelper(name: string): HelperText | null {
  if (name === 'ash_intrinsics') return intrinsicsInclude;
  if (name === 'ASH_WORD') return word;
  const dot = /^ash_dot4_i32x(\d+)$/.exec(name);
  if (dot !== null) return dot4(Number(dot[1]));
  const conversion = /^ash_([a-z]+\d+)x(\d+)_to_([a-z]+\d+)$/.exec(name);
  if (conversion === null) return null;
  const [, from, lanes, to] = conversion as unknown as [string, string, string, string];
  if (from === 'f16') return fromHalf(Number(lanes));
  const { needs, wide } = fromByte(from, Number(lanes));
  const value = to === 'i32' ? wide : `__builtin_convertvector(${wide}, ash_${to}x${lanes})`;
  return { needs, text: `#define ${name}(x) ${value}` };
}
