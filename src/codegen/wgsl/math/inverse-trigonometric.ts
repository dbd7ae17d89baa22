// asin, acos, atan and atan2: arguments of asin beyond ½ are halved, those of atan beyond 1 inverted; what is left is
// t + t³P(t²). π/2 and π are added in two parts, the smaller to the smaller.

import type { Helpers } from '../../helper-text.ts';

const [pi, halfPi] = ['0x1.921fb6p1f', '0x1.921fb6p0f'];
/** What those miss, as a part of themselves. */
const rest = '-0x1.de12cap-26f';

export const inverseTrigonometrics: Helpers = {
  ash_asin_reduced: {
    needs: [],
    text: `// asin of a up to 1/2, else of the root of (1 - a)/2; a is not negative
fn ash_asin_reduced(a: f32) -> f32 {
  let far = a > 0.5f;
  let z = select(a * a, 0.5f - 0.5f * a, far);
  let t = select(a, sqrt(z), far);
  var p = 0.0421663038f;
  p = p * z + 0.0241795164f;
  p = p * z + 0.0454703756f;
  p = p * z + 0.0749529749f;
  p = p * z + 0.166667521f;
  return t + t * z * p;
}`,
  },
  ash_asin_f32: {
    needs: ['ash_asin_reduced', 'ash_copysign', 'ash_special', 'ash_is_nan'],
    text: `fn ash_asin_f32(x: f32) -> f32 {
  let a = abs(x);
  let y = ash_asin_reduced(a);
  let size = select(y, ${halfPi} - (2.0f * y - ${halfPi} * ${rest}), a > 0.5f);
  return select(select(ash_copysign(size, x), ash_special(ash_nan_bits), a > 1.0f), x, ash_is_nan(x));
}`,
  },
  ash_acos_f32: {
    needs: ['ash_asin_reduced', 'ash_special', 'ash_is_nan'],
    text: `fn ash_acos_f32(x: f32) -> f32 {
  let a = abs(x);
  let y = ash_asin_reduced(a);
  let left = x < 0.0f;
  let far = select(2.0f * y, ${pi} + (${pi} * ${rest} - 2.0f * y), left);
  let near = ${halfPi} + (${halfPi} * ${rest} + select(-y, y, left));
  let angle = select(near, far, a > 0.5f);
  return select(select(angle, ash_special(ash_nan_bits), a > 1.0f), x, ash_is_nan(x));
}`,
  },
  ash_atan_unit: {
    needs: [],
    text: `// atan t for t from 0 to 1
fn ash_atan_unit(t: f32) -> f32 {
  let z = t * t;
  var p = 0.00292069186f;
  p = p * z - 0.0163679253f;
  p = p * z + 0.043211855f;
  p = p * z - 0.0755221322f;
  p = p * z + 0.106660038f;
  p = p * z - 0.142110556f;
  p = p * z + 0.199937731f;
  p = p * z - 0.333331525f;
  return t + t * z * p;
}`,
  },
  ash_atan_f32: {
    needs: ['ash_atan_unit', 'ash_copysign', 'ash_is_nan'],
    text: `fn ash_atan_f32(x: f32) -> f32 {
  let a = abs(x);
  let far = a > 1.0f;
  let y = ash_atan_unit(select(a, 1.0f / a, far));
  let angle = select(y, ${halfPi} - (y - ${halfPi} * ${rest}), far);
  return select(ash_copysign(angle, x), x, ash_is_nan(x));
}`,
  },
  // By the smaller over the larger of |y| and |x|; ∞/∞ counts as 1 and 0/0 as 0. Both are scaled, because a quotient may
  // be formed by way of a reciprocal, which is 0 for the largest numbers.
  ash_atan2_f32: {
    needs: ['ash_atan_unit', 'ash_copysign', 'ash_special', 'ash_is_nan'],
    text: `fn ash_atan2_f32(y: f32, x: f32) -> f32 {
  let a = abs(x);
  let b = abs(y);
  let larger = max(a, b);
  let scale = select(select(1.0f, 0x1p-64f, larger > 0x1p64f), 0x1p64f, larger < 0x1p-64f);
  let quotient = (min(a, b) * scale) / (larger * scale);
  let infinity = ash_special(ash_infinity_bits);
  let known = select(quotient, select(0.0f, 1.0f, a == b), larger >= infinity);
  let t = ash_atan_unit(select(known, 0.0f, larger == 0.0f));
  let steep = b > a;
  let left = (bitcast<u32>(x) >> 31u) == 1u;
  let base = select(select(0.0f, ${pi}, left), ${halfPi}, steep);
  // t is added to pi/2 on the left and to 0, taken from pi/2 on the right and from pi.
  let turned = select(t, -t, steep != left);
  let angle = ash_copysign(base + (turned + base * ${rest}), y);
  return select(angle, ash_special(ash_nan_bits), ash_is_nan(x) || ash_is_nan(y));
}`,
  },
};
