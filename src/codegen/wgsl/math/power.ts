// pow as 2^(y·log₂|x|), the logarithm and the product in two f32 each: the first has twelve bits, so that its products are
// exact however they are contracted. log₂ m = (2/ln 2)·atanh s with s = f/(2 + f), m = 1 + f in [2/3, 4/3); the arrangement
// 3·atanh s = s(3 + s² + s⁴(3/5 + 3/7·s² + …)) is that of fdlibm's e_powf.c (Sun Microsystems, 1993), with its coefficients.
// Special cases by Annex F of the C standard.

import type { Helpers } from '../../helper-text.ts';

export const powers: Helpers = {
  ash_upper: {
    needs: [],
    text: `// The leading twelve bits
fn ash_upper(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) & 0xfffff000u); }`,
  },
  ash_log2_parts: {
    needs: ['ash_upper'],
    text: `// log2 of a > 0 as a sum of two
fn ash_log2_parts(a: f32) -> vec2<f32> {
  let small = a < 0x1p-126f;
  let bits = bitcast<u32>(select(a, a * 0x1p25f, small)) - 0x3f2aaaabu;
  let n = f32(bitcast<i32>(bits) >> 23u) + select(0.0f, -25.0f, small);
  let f = bitcast<f32>((bits & 0x7fffffu) + 0x3f2aaaabu) - 1.0f;
  let d = ash_upper(2.0f + f);
  let s = f / (2.0f + f);
  let s_upper = ash_upper(s);
  let s_lower = ((f - s_upper * d) - s_upper * (f - (d - 2.0f))) / (2.0f + f);
  let z = s * s;
  let series = 0.6f + z * (0.428571433f + z * (0.333333343f + z * (0.272728115f + z * (0.230660751f + z * 0.206975013f))));
  let r = z * z * series + s_lower * (s_upper + s);
  let square = s_upper * s_upper;
  let t = ash_upper(3.0f + square + r);
  let t_lower = r - ((t - 3.0f) - square);
  let u = s_upper * t;
  let v = s_lower * t + t_lower * s;
  let p = ash_upper(u + v);
  let p_lower = v - (p - u);
  let w = p * 0x1.ec6p-1f;
  let w_lower = p * 0x1.09dc3ap-13f + p_lower * 0x1.ec709ep-1f;
  let sum = ash_upper((w + w_lower) + n);
  return vec2<f32>(sum, w_lower - ((sum - n) - w));
}`,
  },
  ash_exp2_sum: {
    needs: ['ash_two_to', 'ash_special'],
    text: `// 2 to the power of a sum of two
fn ash_exp2_sum(x: f32, lower: f32) -> f32 {
  let sum = x + lower;
  let n = round(clamp(sum, -160.0f, 140.0f));
  let r = (x - n) + lower;
  let high = 0.0555033247f + r * (0.00961843737f + r * (0.00133988743f + r * 0.000153533588f));
  let y = 1.0f + r * (0.693147203f + r * (0.240226479f + r * high));
  let half = i32(n) >> 1u;
  let scaled = y * ash_two_to(half) * ash_two_to(i32(n) - half);
  return select(select(scaled, ash_special(ash_infinity_bits), sum >= 128.0f), 0.0f, sum < -151.0f);
}`,
  },
  // Beyond 2³⁴ the exponent leaves no base but 1 between 0 and infinity.
  ash_pow_f32: {
    needs: ['ash_log2_parts', 'ash_exp2_sum', 'ash_upper', 'ash_special', 'ash_is_nan', 'ash_between'],
    text: `fn ash_pow_f32(x: f32, y: f32) -> f32 {
  let a = abs(x);
  let b = abs(y);
  let infinity = ash_special(ash_infinity_bits);
  let nan = ash_special(ash_nan_bits);
  let log2 = ash_log2_parts(a);
  let c = ash_between(y, -0x1p34f, 0x1p34f);
  let upper = ash_upper(c);
  let inside = ash_exp2_sum(upper * log2.x, (c - upper) * log2.x + c * log2.y);
  let end = select(0.0f, infinity, (a == 0.0f) == (y < 0.0f));
  let size = select(inside, end, a == 0.0f || a >= infinity);
  let is_whole = b >= 0x1p23f || floor(b) == b;
  let is_odd = is_whole && b < 0x1p24f && (u32(min(b, 0x1p24f)) & 1u) == 1u;
  let signed = select(size, -size, is_odd && (bitcast<u32>(x) >> 31u) == 1u);
  let real = select(signed, nan, x < 0.0f && a < infinity && !is_whole);
  let limit = select(real, 1.0f, a == 1.0f && b >= infinity);
  let known = select(limit, nan, ash_is_nan(x) || ash_is_nan(y));
  return select(known, 1.0f, y == 0.0f || x == 1.0f);
}`,
  },
};
