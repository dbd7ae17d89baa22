// The WGSL functions that expressions call; only those used are printed. Integer operations never trap and floats keep NaN
// and infinities: WGSL allows an implementation to assume that there are none, so tests for them look at bits.

import { type Helpers, helperTexts } from '../helper-text.ts';
import { mathHelpers } from './math/index.ts';

const fixed: Helpers = {
  // WGSL evaluates what it can beforehand and refuses infinities there. What is read from a variable it cannot.
  ash_special: {
    needs: [],
    text: `var<private> ash_nan_bits: u32 = 0x7fc00000u;
var<private> ash_infinity_bits: u32 = 0x7f800000u;
fn ash_special(bits: u32) -> f32 { return bitcast<f32>(bits); }`,
  },
  ash_is_nan: {
    needs: [],
    text: 'fn ash_is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }',
  },
  // Drivers take 0 · x and 0 / x for 0 whatever x is. These are a zero of x's sign, or NaN.
  ash_zero_times: {
    needs: ['ash_special'],
    text: `fn ash_zero_times(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  return ash_special(select(bits & 0x80000000u, ash_nan_bits, (bits & 0x7fffffffu) >= 0x7f800000u));
}`,
  },
  ash_zero_over: {
    needs: ['ash_special'],
    text: `fn ash_zero_over(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let size = bits & 0x7fffffffu;
  return ash_special(select(bits & 0x80000000u, ash_nan_bits, size == 0u || size > 0x7f800000u));
}`,
  },
  ash_floor_div: {
    needs: [],
    text: `fn ash_floor_div(value: i32, by: i32) -> i32 {
  let quotient = value / by;
  return select(quotient, quotient - 1, value % by < 0);
}`,
  },
  ash_floor_mod: {
    needs: [],
    text: `fn ash_floor_mod(value: i32, by: i32) -> i32 {
  let rest = value % by;
  return select(rest, rest + by, rest < 0);
}`,
  },
  ash_max_f32: extreme('max', '>'),
  ash_min_f32: extreme('min', '<'),
  ash_subgroup_max: subgroupExtreme('max', 'Max'),
  ash_subgroup_min: subgroupExtreme('min', 'Min'),
  ash_sign_f32: {
    needs: [],
    text: 'fn ash_sign_f32(x: f32) -> f32 { return select(select(x, -1.0f, x < 0.0f), 1.0f, x > 0.0f); }',
  },
  ash_sign_i32: { needs: [], text: 'fn ash_sign_i32(x: i32) -> i32 { return sign(x); }' },
  ash_sign_u32: { needs: [], text: 'fn ash_sign_u32(x: u32) -> u32 { return min(x, 1u); }' },
  ash_div_i32: {
    needs: [],
    text: `fn ash_div_i32(a: i32, b: i32) -> i32 {
  let by = select(b, 1, b == 0 || b == -1);
  return select(select(a / by, -a, b == -1), 0, b == 0);
}`,
  },
  ash_div_u32: {
    needs: [],
    text: 'fn ash_div_u32(a: u32, b: u32) -> u32 { return select(a / max(b, 1u), 0u, b == 0u); }',
  },
  ash_rem_i32: {
    needs: [],
    text: `fn ash_rem_i32(a: i32, b: i32) -> i32 {
  let by = select(b, 1, b == 0 || b == -1);
  return a % by;
}`,
  },
  ash_rem_u32: {
    needs: [],
    text: 'fn ash_rem_u32(a: u32, b: u32) -> u32 { return select(a % max(b, 1u), 0u, b == 0u); }',
  },
  // Whole numbers: the significand of x is reduced by that of y, eight places at a time.
  ash_rem_f32: {
    needs: ['ash_special', 'ash_two_to', 'ash_copysign', 'ash_is_nan'],
    text: `fn ash_significand(bits: u32) -> u32 { return (bits & 0x7fffffu) | select(0u, 0x800000u, bits >= 0x800000u); }
fn ash_rem_f32(x: f32, y: f32) -> f32 {
  let a = bitcast<u32>(x) & 0x7fffffffu;
  let b = bitcast<u32>(y) & 0x7fffffffu;
  if (a >= 0x7f800000u || b > 0x7f800000u || b == 0u) { return ash_special(ash_nan_bits); }
  if (a < b) { return x; }
  let by = ash_significand(b);
  let exponent = max(b >> 23u, 1u);
  var places = max(a >> 23u, 1u) - exponent;
  var rest = ash_significand(a) % by;
  while (places > 0u && rest != 0u) {
    let step = min(places, 8u);
    rest = (rest << step) % by;
    places -= step;
  }
  let half = (i32(exponent) - 150) >> 1u;
  return ash_copysign(f32(rest) * ash_two_to(half) * ash_two_to(i32(exponent) - 150 - half), x);
}`,
  },
  ash_shl_i32: shift('shl', 'i32', 'select(a << (bitcast<u32>(b) & 31u), 0, bitcast<u32>(b) > 31u)'),
  ash_shl_u32: shift('shl', 'u32', 'select(a << (b & 31u), 0u, b > 31u)'),
  ash_shr_i32: shift('shr', 'i32', 'a >> min(bitcast<u32>(b), 31u)'),
  ash_shr_u32: shift('shr', 'u32', 'select(a >> (b & 31u), 0u, b > 31u)'),
  // IEEE 754 binary16 as bits, by whole numbers: WGSL leaves open how its own conversions round.
  ash_f16_to_f32: {
    needs: [],
    text: `fn ash_f16_to_f32(x: u32) -> f32 {
  let size = x & 0x7fffu;
  let normal = bitcast<f32>((size << 13u) + select(0x38000000u, 0x70000000u, size >= 0x7c00u));
  let value = select(normal, f32(size) * 0x1p-24f, size < 0x400u);
  return bitcast<f32>(bitcast<u32>(value) | ((x & 0x8000u) << 16u));
}`,
  },
  ash_f32_to_f16: {
    needs: [],
    text: `fn ash_f32_to_f16(x: f32) -> u32 {
  let size = bitcast<u32>(x) & 0x7fffffffu;
  let small = bitcast<u32>(bitcast<f32>(size) + 0.5f) - 0x3f000000u;
  let normal = (size - 0x37fff001u + ((size >> 13u) & 1u)) >> 13u;
  let finite = select(normal, small, size < 0x38800000u);
  let special = select(0x7c00u, 0x7e00u, size > 0x7f800000u);
  return select(special, finite, size < 0x47800000u) | ((bitcast<u32>(x) >> 16u) & 0x8000u);
}`,
  },
  // The next f32 below 2³¹ and 2³².
  ash_f32_to_i32: {
    needs: ['ash_is_nan'],
    text: `fn ash_f32_to_i32(x: f32) -> i32 {
  let inside = i32(clamp(x, -2147483648.0f, 2147483520.0f));
  return select(select(inside, 2147483647, x >= 2147483648.0f), 0, ash_is_nan(x));
}`,
  },
  ash_f32_to_u32: {
    needs: ['ash_is_nan'],
    text: `fn ash_f32_to_u32(x: f32) -> u32 {
  let inside = u32(clamp(x, 0.0f, 4294967040.0f));
  return select(select(inside, 4294967295u, x >= 4294967296.0f), 0u, ash_is_nan(x));
}`,
  },
};

/** Either operand's NaN comes through: where a is one, no comparison with it is true and it stays. */
function extreme(name: string, better: '<' | '>'): Helpers[string] {
  return {
    needs: ['ash_is_nan'],
    text: `fn ash_${name}_f32(a: f32, b: f32) -> f32 { return select(select(a, b, b ${better} a), b, ash_is_nan(b)); }`,
  };
}

/** A subgroup's extreme passes over NaN, or does not. */
function subgroupExtreme(name: string, builtin: string): Helpers[string] {
  return {
    needs: ['ash_is_nan', 'ash_special'],
    text: `fn ash_subgroup_${name}(x: f32) -> f32 {
  return select(subgroup${builtin}(x), ash_special(ash_nan_bits), subgroupAny(ash_is_nan(x)));
}`,
  };
}

function shift(name: string, type: string, value: string): Helpers[string] {
  return { needs: [], text: `fn ash_${name}_${type}(a: ${type}, b: ${type}) -> ${type} { return ${value}; }` };
}

const helpers: Helpers = { ...fixed, ...mathHelpers };

/** A helper on vectors, lane by lane: there is no more in it than that, because a card computes lanes one after another too. */
function onVectors(name: string, scalar: string, lanes: number): Helpers[string] {
  const signature = new RegExp(`fn ${scalar}\\(([^)]*)\\) -> (\\w+)`).exec(helpers[scalar]!.text)!;
  const parameters = signature[1]!.split(', ').map((parameter) => parameter.split(': ') as [string, string]);
  const typed = parameters.map(([parameter, type]) => `${parameter}: vec${lanes}<${type}>`).join(', ');
  const calls = [...'xyzw'.slice(0, lanes)].map(
    (lane) => `${scalar}(${parameters.map(([parameter]) => `${parameter}.${lane}`).join(', ')})`,
  );
  const type = `vec${lanes}<${signature[2]!}>`;
  return { needs: [scalar], text: `fn ${name}(${typed}) -> ${type} {\n  return ${type}(${calls.join(', ')});\n}` };
}

function helperOf(name: string): Helpers[string] {
  const [, scalar, lanes] = /^(\w+)_vec(\d)$/.exec(name) ?? [];
  return scalar === undefined ? helpers[name]! : onVectors(name, scalar, Number(lanes));
}

/** Texts of the helpers and of all they need, each after what it needs. */
export const helpersInOrder = (used: Iterable<string>): string[] => helperTexts(used, helperOf);
