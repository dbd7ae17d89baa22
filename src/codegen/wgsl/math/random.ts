// Philox 4x32-10 (J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11, section 3.3): a block is a vector.
// WGSL has no products of 64 bits; their high words come from 16-bit halves, whose sums stay below 2³².

import type { Helpers } from '../../helper-text.ts';

export const randomHelpers: Helpers = {
  ash_philox_block: {
    needs: [],
    text: `fn ash_multiply_high(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  let half = vec2(0xffffu);
  let places = vec2(16u);
  let a_low = a & half;
  let a_high = a >> places;
  let b_low = b & half;
  let b_high = b >> places;
  let middle = a_high * b_low + ((a_low * b_low) >> places);
  let carry = a_low * b_high + (middle & half);
  return a_high * b_high + (middle >> places) + (carry >> places);
}
// Philox 4x32-10, Salmon et al., SC'11.
fn ash_philox_block(c0: u32, c1: u32, c2: u32, c3: u32, key0: u32, key1: u32) -> vec4<u32> {
  let multipliers = vec2(0xcd9e8d57u, 0xd2511f53u);
  var moving = vec2(c2, c0);
  var waiting = vec2(c1, c3);
  var key = vec2(key0, key1);
  for (var round = 0u; round < 10u; round++) {
    let low = moving * multipliers;
    moving = ash_multiply_high(moving, multipliers) ^ waiting ^ key;
    moving = moving.yx;
    waiting = low;
    key += vec2(0x9e3779b9u, 0xbb67ae85u);
  }
  return vec4(moving.y, waiting.x, moving.x, waiting.y);
}`,
  },
  ash_philox_u32: {
    needs: ['ash_philox_block'],
    text: `fn ash_philox_u32(c0: u32, c1: u32, c2: u32, c3: u32, key0: u32, key1: u32, word: u32) -> u32 {
  let words = ash_philox_block(c0, c1, c2, c3, key0, key1);
  return select(select(words.x, words.y, word == 1u), select(words.z, words.w, word == 3u), word > 1u);
}`,
  },
};
