// sin, cos and tan for every argument. Small ones lose whole quarter turns to π/2 in pieces of twelve bits (W. J. Cody and
// W. Waite, "Software Manual for the Elementary Functions", 1980, chapter 8); large ones are multiplied by 2/π in whole
// numbers, of which only the bits that matter are looked at (M. H. Payne and R. N. Hanek, "Radian reduction for
// trigonometric functions", SIGNUM Newsletter 18, 1983).

import type { Helpers } from '../../helper-text.ts';

/** 2/π after the point, in words of 32 bits from the most significant one; before them a word of zeros. */
const twoOverPi = '0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu';

export const trigonometrics: Helpers = {
  ash_product_high: {
    needs: [],
    text: `// The upper half of the 64 bits of a product
fn ash_product_high(a: u32, b: u32) -> u32 {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let first = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let second = (a & 0xffffu) * (b >> 16u) + (first & 0xffffu);
  return (a >> 16u) * (b >> 16u) + (first >> 16u) + (second >> 16u);
}`,
  },
  ash_turned: {
    needs: [],
    text: `// A number as quarter turns, of which the low two bits count, and an angle of at most pi/4
struct ash_turned { quarters: u32, angle: f32 }`,
  },
  // a = m·2^s with a whole m of 24 bits. Bits of 2/π of a weight of 2^(2 − s) and more make whole turns; of those below, 96
  // are taken. The upper 64 of the 96 low bits of the product are quarter turns with 62 bits after the point.
  ash_far_turns: {
    needs: ['ash_turned', 'ash_product_high', 'ash_two_to'],
    text: `// a of 4096 and more
fn ash_far_turns(a: f32) -> ash_turned {
  var words = array<u32, 8>(${twoOverPi});
  let bits = bitcast<u32>(a);
  let m = (bits & 0x7fffffu) | 0x800000u;
  let start = min((bits >> 23u) - 120u, 134u);
  let word = start >> 5u;
  let by = start & 31u;
  let back = 31u - by;
  let high = (words[word] << by) | ((words[word + 1u] >> 1u) >> back);
  let middle = (words[word + 1u] << by) | ((words[word + 2u] >> 1u) >> back);
  let low = (words[word + 2u] << by) | ((words[word + 3u] >> 1u) >> back);
  let own = m * middle;
  let fraction = own + ash_product_high(m, low);
  let whole = m * high + ash_product_high(m, middle) + select(0u, 1u, fraction < own);
  // The fraction, from -1/2 to 1/2, as a sign and 64 bits.
  let top = (whole << 2u) | (fraction >> 30u);
  let below = (whole & 0x20000000u) != 0u;
  let upper = select(top, ~top, below);
  let lower = select(fraction << 2u, ~(fraction << 2u), below);
  let zeros = min(countLeadingZeros(upper), 31u);
  let leading = (upper << zeros) | ((lower >> 1u) >> (31u - zeros));
  let size = f32(leading) * 0x1.921fb6p-32f * ash_two_to(-i32(zeros));
  return ash_turned((whole + 0x20000000u) >> 30u, select(size, -size, below));
}`,
  },
  ash_turns: {
    needs: ['ash_turned', 'ash_far_turns'],
    text: `fn ash_turns(x: f32) -> ash_turned {
  let a = abs(x);
  if (a >= 4096.0f) { return ash_far_turns(a); }
  let n = round(a * 0x1.45f306p-1f);
  let r = ((a - n * 0x1.92p+0f) - n * 0x1.fb4p-12f) - n * 0x1.444p-24f;
  return ash_turned(u32(n), r - n * 0x1.68c234p-39f);
}`,
  },
  ash_sin_angle: {
    needs: [],
    text: `fn ash_sin_angle(r: f32) -> f32 {
  let z = r * r;
  return r + r * z * (-0.166666552f + z * (0.00833215844f - z * 0.00019514958f));
}`,
  },
  ash_cos_angle: {
    needs: [],
    text: `fn ash_cos_angle(r: f32) -> f32 {
  let z = r * r;
  return 1.0f + z * (z * (0.0416666456f + z * (z * 2.44327857e-05f - 0.0013887313f)) - 0.5f);
}`,
  },
  ash_sin_f32: {
    needs: ['ash_turns', 'ash_sin_angle', 'ash_cos_angle', 'ash_undefined'],
    text: `fn ash_sin_f32(x: f32) -> f32 {
  let t = ash_turns(x);
  let y = select(ash_sin_angle(t.angle), ash_cos_angle(t.angle), (t.quarters & 1u) != 0u);
  let sign = ((t.quarters << 30u) ^ bitcast<u32>(x)) & 0x80000000u;
  return ash_undefined(x, bitcast<f32>(bitcast<u32>(y) ^ sign));
}`,
  },
  ash_cos_f32: {
    needs: ['ash_turns', 'ash_sin_angle', 'ash_cos_angle', 'ash_undefined'],
    text: `fn ash_cos_f32(x: f32) -> f32 {
  let t = ash_turns(x);
  let y = select(ash_cos_angle(t.angle), ash_sin_angle(t.angle), (t.quarters & 1u) != 0u);
  let sign = ((t.quarters + 1u) << 30u) & 0x80000000u;
  return ash_undefined(x, bitcast<f32>(bitcast<u32>(y) ^ sign));
}`,
  },
  // tan(r + π/2) = −1/tan r.
  ash_tan_f32: {
    needs: ['ash_turns', 'ash_undefined'],
    text: `fn ash_tan_f32(x: f32) -> f32 {
  let turned = ash_turns(x);
  let r = turned.angle;
  let z = r * r;
  var p = 0.00939571764f;
  p = p * z + 0.00310278405f;
  p = p * z + 0.0244406294f;
  p = p * z + 0.0534083955f;
  p = p * z + 0.13338834f;
  p = p * z + 0.333331555f;
  let t = r + r * z * p;
  let odd = (turned.quarters & 1u) != 0u;
  let y = select(t, -1.0f, odd) / select(1.0f, t, odd);
  return ash_undefined(x, bitcast<f32>(bitcast<u32>(y) ^ (bitcast<u32>(x) & 0x80000000u)));
}`,
  },
  ash_undefined: {
    needs: ['ash_special'],
    text: `// y, or NaN where x is infinite or NaN
fn ash_undefined(x: f32, y: f32) -> f32 {
  return select(y, ash_special(ash_nan_bits), (bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u);
}`,
  },
};
