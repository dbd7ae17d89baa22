// log, log1p, asinh, acosh and atanh: the argument is 2ⁿ(1 + f) with 1 + f in [2/3, 4/3). Subnormal arguments may count as
// zero, as everywhere on a GPU.

import type { Helpers } from '../../helper-text.ts';

export const logarithms: Helpers = {
  ash_log_sum: {
    needs: [],
    text: `// n ln 2 + log(1 + f)
fn ash_log_sum(n: f32, f: f32) -> f32 {
  let z = f * f;
  let first = (0.333333343f - f * 0.249998197f) + z * (0.19999598f - f * 0.16679579f);
  let last = (0.143044576f - f * 0.121957779f) + z * ((0.107542314f - f * 0.128450602f) + z * 0.120071679f);
  let p = first + z * z * last;
  let rest = z * (f * p - 0.5f) + n * 0x1.7f7d1cp-20f;
  return n * 0x1.62e4p-1f + (f + rest);
}`,
  },
  ash_log_ends: {
    needs: ['ash_special', 'ash_is_nan'],
    text: `// y, or what belongs to an x of zero or below, of infinity, and to NaN
fn ash_log_ends(x: f32, y: f32) -> f32 {
  let infinity = ash_special(ash_infinity_bits);
  let below = select(ash_special(ash_nan_bits), -infinity, x == 0.0f);
  let above = select(y, infinity, x >= infinity);
  return select(select(below, above, x > 0.0f), x, ash_is_nan(x));
}`,
  },
  ash_log_f32: {
    needs: ['ash_log_sum', 'ash_log_ends'],
    text: `fn ash_log_f32(x: f32) -> f32 {
  let small = x < 0x1p-126f;
  let bits = bitcast<u32>(select(x, x * 0x1p25f, small)) - 0x3f2aaaabu;
  let n = f32(bitcast<i32>(bits) >> 23u) + select(0.0f, -25.0f, small);
  let f = bitcast<f32>((bits & 0x7fffffu) + 0x3f2aaaabu) - 1.0f;
  return ash_log_ends(x, ash_log_sum(n, f));
}`,
  },
  // What 1 + x loses counts only where its logarithm is small, and there x is f itself.
  ash_log1p_twice: {
    needs: ['ash_log_sum', 'ash_special', 'ash_is_nan'],
    text: `// log(1 + x) + doublings ln 2
fn ash_log1p_twice(x: f32, doublings: f32) -> f32 {
  let near = abs(x) < 0.3125f;
  let bits = bitcast<u32>(1.0f + x) - 0x3f2aaaabu;
  let n = select(f32(bitcast<i32>(bits) >> 23u), 0.0f, near);
  let f = select(bitcast<f32>((bits & 0x7fffffu) + 0x3f2aaaabu) - 1.0f, x, near);
  let y = ash_log_sum(n + doublings, f);
  let infinity = ash_special(ash_infinity_bits);
  let below = select(ash_special(ash_nan_bits), -infinity, x == -1.0f);
  let above = select(y, infinity, x >= infinity);
  return select(select(below, above, x > -1.0f), x, ash_is_nan(x));
}`,
  },
  ash_log1p_f32: {
    needs: ['ash_log1p_twice', 'ash_is_nan'],
    text: `fn ash_log1p_f32(x: f32) -> f32 {
  return select(ash_log1p_twice(x, 0.0f), x, abs(x) < 0x1p-25f);
}`,
  },
  ash_asinh_f32: {
    needs: ['ash_log1p_twice', 'ash_copysign', 'ash_is_nan'],
    text: `fn ash_asinh_f32(x: f32) -> f32 {
  let a = abs(x);
  let square = a * a;
  let near = a + square / (1.0f + sqrt(1.0f + square));
  let far = a >= 0x1p28f;
  let y = ash_log1p_twice(select(near, a, far), select(0.0f, 1.0f, far));
  return select(ash_copysign(y, x), x, a < 0x1p-12f || ash_is_nan(x));
}`,
  },
  ash_acosh_f32: {
    needs: ['ash_log1p_twice', 'ash_special', 'ash_is_nan'],
    text: `fn ash_acosh_f32(x: f32) -> f32 {
  let t = x - 1.0f;
  let near = t + sqrt(t * (t + 2.0f));
  let far = x >= 0x1p28f;
  let y = ash_log1p_twice(select(near, x, far), select(0.0f, 1.0f, far));
  return select(ash_special(ash_nan_bits), y, x >= 1.0f);
}`,
  },
  ash_atanh_f32: {
    needs: ['ash_log1p_twice', 'ash_copysign', 'ash_special', 'ash_is_nan'],
    text: `fn ash_atanh_f32(x: f32) -> f32 {
  let a = abs(x);
  let inside = select(2.0f * a / (1.0f - a), ash_special(ash_infinity_bits), a == 1.0f);
  let y = 0.5f * ash_log1p_twice(inside, 0.0f);
  let signed = select(ash_copysign(y, x), ash_special(ash_nan_bits), a > 1.0f);
  return select(signed, x, a < 0x1p-12f || ash_is_nan(x));
}`,
  },
};
