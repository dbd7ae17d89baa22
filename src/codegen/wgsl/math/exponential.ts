// exp, expm1, tanh, sinh, cosh and erf: x = n·ln 2 + r with |r| ≤ ½ ln 2, so eˣ = 2ⁿ·eʳ.

import type { Helpers } from '../../helper-text.ts';

const reduction = (value: string): string => `\
  let n = round(${value} * 0x1.715476p+0f);
  let r = (${value} - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f;`;

/** eʳ − 1 = r + z·p with z = r². */
const polynomial = `\
  let z = r * r;
  let p = (0.49999997f + r * 0.16666542f) + z * ((0.0416672044f + r * 0.00836664718f) + z * 0.00138824969f);`;

export const exponentials: Helpers = {
  ash_two_to: {
    needs: [],
    text: `// 2^n for n from -126 to 127
fn ash_two_to(n: i32) -> f32 { return bitcast<f32>((n + 127) << 23u); }`,
  },
  ash_copysign: {
    needs: [],
    text: `fn ash_copysign(x: f32, sign: f32) -> f32 {
  return bitcast<f32>((bitcast<u32>(x) & 0x7fffffffu) | (bitcast<u32>(sign) & 0x80000000u));
}`,
  },
  ash_between: {
    needs: [],
    text: `// x brought between two numbers; NaN becomes one of them.
fn ash_between(x: f32, low: f32, high: f32) -> f32 {
  return select(low, select(high, x, x < high), x > low);
}`,
  },
  ash_exp_f32: {
    needs: ['ash_between', 'ash_two_to', 'ash_is_nan'],
    text: `fn ash_exp_f32(x: f32) -> f32 {
  let c = ash_between(x, -104.0f, 89.0f);
${reduction('c')}
${polynomial}
  let y = 1.0f + (r + z * p);
  // In two factors, because n reaches from -150 to 128.
  let whole = i32(n);
  let half = whole >> 1u;
  return select(y * ash_two_to(half) * ash_two_to(whole - half), x, ash_is_nan(x));
}`,
  },
  ash_half_expm1: {
    needs: ['ash_two_to'],
    text: `// (e^x - 1)/2 for x between -30 and 89
fn ash_half_expm1(x: f32) -> f32 {
${reduction('x')}
${polynomial}
  let scale = ash_two_to(i32(n) - 1);
  return scale * (r + z * p) + (scale - 0.5f);
}`,
  },
  ash_expm1_f32: {
    needs: ['ash_half_expm1', 'ash_between', 'ash_is_nan'],
    text: `fn ash_expm1_f32(x: f32) -> f32 {
  let y = 2.0f * ash_half_expm1(ash_between(x, -30.0f, 89.0f));
  return select(y, x, abs(x) < 0x1p-25f || ash_is_nan(x));
}`,
  },
  ash_tanh_f32: {
    needs: ['ash_half_expm1', 'ash_between', 'ash_copysign', 'ash_is_nan'],
    text: `fn ash_tanh_f32(x: f32) -> f32 {
  let a = ash_between(abs(x), 0.0f, 10.0f);
  let h = ash_half_expm1(a + a);
  return select(ash_copysign(h / (h + 1.0f), x), x, ash_is_nan(x));
}`,
  },
  ash_sinh_f32: hyperbolic('sinh'),
  ash_cosh_f32: hyperbolic('cosh'),
  ash_erf_f32: {
    needs: ['ash_half_expm1', 'ash_between', 'ash_copysign', 'ash_is_nan'],
    text: `fn ash_erf_f32(x: f32) -> f32 {
  let a = ash_between(abs(x), 0.0f, 3.93f);
  let z = a * a;
  let first = (a * 0.636619389f - 5.41192087e-08f) + z * (0.102777831f - a * 0.019153066f);
  let last = (a * 0.00166702422f - 0.000160393043f) + z * ((a * 0.000117640702f - 0.000632834912f) - z * 9.25619861e-06f);
  let p = first + z * z * last;
  let exponent = a * 1.12837923f + a * p;
  let y = ash_copysign(2.0f * ash_half_expm1(-exponent), x);
  // Below, the slope is 2/√π, and the products would leave the range.
  return select(select(y, x * 1.12837923f, a < 0x1p-13f), x, ash_is_nan(x));
}`,
  },
};

/** From C = cosh r − 1 and S = sinh r with m = 2ⁿ⁻¹ + 2⁻ⁿ⁻¹ and d = 2ⁿ⁻¹ − 2⁻ⁿ⁻¹, all at half its size, as in C. */
function hyperbolic(name: 'sinh' | 'cosh'): Helpers[string] {
  const result =
    name === 'cosh'
      ? '  return select(2.0f * (m + (m * c + d * s)), x, ash_is_nan(x));'
      : `  let y = ash_copysign(2.0f * (d + (d * c + m * s)), x);
  return select(y, x, a < 0x1p-13f || ash_is_nan(x));`;
  const text = `fn ash_${name}_f32(x: f32) -> f32 {
  let a = ash_between(abs(x), 0.0f, 89.5f);
${reduction('a')}
  let z = r * r;
  let c = z * (0.5f + z * (0.0416664593f + z * 0.00139355822f));
  let s = r + r * z * (0.166666672f + z * (0.00833328906f + z * 0.000199052025f));
  // The smaller power not below 2^-62, where it no longer counts.
  let up = ash_two_to(i32(n) - 2);
  let down = ash_two_to(-min(i32(n), 60) - 2);
  let m = up + down;
  let d = up - down;
${result}
}`;
  return { needs: ['ash_between', 'ash_two_to', 'ash_copysign', 'ash_is_nan'], text };
}
