// The C functions that expressions call, as text; only those used are emitted. All are small, inline and without
// branches on data where a vector loop may call them, so that gcc and clang turn them into lanes.

export interface HelperText {
  readonly text: string;
  readonly needs: readonly string[];
}

const fixedHelpers: Readonly<Record<string, HelperText>> = {
  ash_float_bits: {
    needs: [],
    text: `static inline float ash_float_bits(int32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}`,
  },
  ash_bits_of: {
    needs: [],
    text: `static inline int32_t ash_bits_of(float value) {
  int32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}`,
  },
  // Cody and Waite's reduction by ln 2 in two parts and the polynomial of Cephes' expf (S. L. Moshier); below 2 ulp.
  ash_exp_f32: {
    needs: ['ash_float_bits'],
    text: `static inline float ash_exp_f32(float x) {
  float c = x < -104.0f ? -104.0f : x;
  c = c > 89.0f ? 89.0f : c;
  c = x == x ? c : 0.0f;
  const float n = rintf(c * 1.44269504f);
  float r = c - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const float y = p * r * r + r + 1.0f;
  /* 2^n in two factors, so that subnormal results are exact. */
  const int32_t whole = (int32_t)n;
  const int32_t half = whole / 2;
  const float scaled = y * ash_float_bits((half + 127) * (1 << 23)) * ash_float_bits((whole - half + 127) * (1 << 23));
  return x == x ? scaled : x;
}`,
  },
  // Cephes' logf (S. L. Moshier): mantissa in [√½, √2), polynomial of degree 9; below 2 ulp.
  ash_log_f32: {
    needs: ['ash_float_bits', 'ash_bits_of'],
    text: `static inline float ash_log_f32(float x) {
  const int tiny = x < 1.17549435e-38f;
  const float normal = tiny ? x * 8388608.0f : x;
  const int32_t bits = ash_bits_of(normal > 0.0f ? normal : 1.0f) + (0x3f800000 - 0x3f3504f3);
  const float e = (float)((bits >> 23) - 127 - (tiny ? 23 : 0));
  const float f = ash_float_bits((bits & 0x7fffff) + 0x3f3504f3) - 1.0f;
  float p = 7.0376836292e-2f;
  p = p * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  const float z = f * f;
  float y = f * z * p;
  y = y + e * -2.12194440e-4f;
  y = y - 0.5f * z;
  const float finite = f + y + e * 0.693359375f;
  const float negative = x == 0.0f ? -INFINITY : NAN;
  const float ordered = x > 0.0f ? (x > 3.40282347e38f ? x : finite) : negative;
  return x == x ? ordered : x;
}`,
  },
  // Cephes' tanhf (S. L. Moshier): odd polynomial below 0.625, else 1 − 2/(e^{2x} + 1).
  ash_tanh_f32: {
    needs: ['ash_exp_f32'],
    text: `static inline float ash_tanh_f32(float x) {
  const float a = fabsf(x);
  const float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const float small = p * z * x + x;
  const float large = 1.0f - 2.0f / (ash_exp_f32(a + a) + 1.0f);
  return a < 0.625f ? small : (x < 0.0f ? -large : large);
}`,
  },
  ash_floor_div: {
    needs: [],
    text: `static inline ash_index ash_floor_div(ash_index value, ash_index by) {
  const ash_index quotient = value / by;
  return value % by < 0 ? quotient - 1 : quotient;
}`,
  },
  ash_floor_mod: {
    needs: [],
    text: `static inline ash_index ash_floor_mod(ash_index value, ash_index by) {
  const ash_index rest = value % by;
  return rest < 0 ? rest + by : rest;
}`,
  },
};

const cTypes: Readonly<Record<string, string>> = {
  f32: 'float',
  f64: 'double',
  i8: 'int8_t',
  u8: 'uint8_t',
  i32: 'int32_t',
  u32: 'uint32_t',
  i64: 'int64_t',
  bool: 'uint8_t',
};
const bits: Readonly<Record<string, number>> = { i8: 8, u8: 8, i32: 32, u32: 32, i64: 64 };
const limits: Readonly<Record<string, readonly [string, string]>> = {
  i8: ['INT8_MIN', 'INT8_MAX'],
  u8: ['0', 'UINT8_MAX'],
  i32: ['INT32_MIN', 'INT32_MAX'],
  u32: ['0', 'UINT32_MAX'],
  i64: ['INT64_MIN', 'INT64_MAX'],
};

/** Helpers that exist once per dtype: `ash_max_f32`. */
const families: Readonly<Record<string, (dtype: string, type: string) => string>> = {
  // Either operand's NaN comes through: a > b is false for a NaN b, which is then the answer. In two steps, because gcc
  // makes lanes of two selections but a branch of one selection on two conditions.
  max: (_d, t) => `(${t} a, ${t} b) {\n${extreme(t, '>')}\n}`,
  min: (_d, t) => `(${t} a, ${t} b) {\n${extreme(t, '<')}\n}`,
  sign: (d, t) =>
    `(${t} x) {\n  return ${isFloat(t) ? `x > 0 ? 1 : x < 0 ? -1 : x` : d.startsWith('u') ? 'x > 0' : `(${t})((x > 0) - (x < 0))`};\n}`,
  abs: (d, t) => `(${t} x) {\n  return ${d.startsWith('u') ? 'x' : `x < 0 ? (${t})(0u - (u${t})x) : x`};\n}`,
  div: (d, t) =>
    d.startsWith('u')
      ? `(${t} a, ${t} b) {\n  return (${t})(b == 0 ? 0 : a / b);\n}`
      : `(${t} a, ${t} b) {\n  return (${t})(b == 0 ? 0 : b == -1 ? (${t})(0u - (u${t})a) : a / b);\n}`,
  rem: (d, t) => `(${t} a, ${t} b) {\n  return (${t})(b == 0${d.startsWith('u') ? '' : ' || b == -1'} ? 0 : a % b);\n}`,
  shl: (d, t) =>
    `(${t} a, ${t} b) {\n  return ${d.startsWith('u') ? '' : 'b < 0 || '}b >= ${bits[d]} ? 0 : (${t})((${unsignedOf(t)})a << b);\n}`,
  shr: (d, t) =>
    d.startsWith('u')
      ? `(${t} a, ${t} b) {\n  return (${t})(b >= ${bits[d]} ? 0 : a >> b);\n}`
      : `(${t} a, ${t} b) {\n  return (${t})(a >> (b < 0 || b >= ${bits[d]} ? ${bits[d]! - 1} : b));\n}`,
  add: (_d, t) => `(${t} a, ${t} b) {\n  return (${t})((${unsignedOf(t)})a + (${unsignedOf(t)})b);\n}`,
  sub: (_d, t) => `(${t} a, ${t} b) {\n  return (${t})((${unsignedOf(t)})a - (${unsignedOf(t)})b);\n}`,
  mul: (_d, t) => `(${t} a, ${t} b) {\n  return (${t})((${wide(t)})a * (${wide(t)})b);\n}`,
};

const extreme = (type: string, better: '<' | '>'): string =>
  isFloat(type)
    ? `  const ${type} best = a ${better} b ? a : b;\n  return a == a ? best : a;`
    : `  return a ${better} b ? a : b;`;
const isFloat = (type: string): boolean => type === 'float' || type === 'double';
const unsignedOf = (type: string): string => (type.startsWith('u') ? type : `u${type}`);
/** Narrow types multiply as unsigned int: their own products promote to int, where uint16 could overflow. */
const wide = (type: string): string => (type.includes('8') ? 'uint32_t' : unsignedOf(type));

/** The text of a helper by name: a fixed one, `ash_<family>_<dtype>`, or `ash_<float>_to_<integer>`. */
export function helperText(name: string): HelperText {
  const fixed = fixedHelpers[name];
  if (fixed !== undefined) return fixed;
  const conversion = /^ash_(f32|f64)_to_(\w+)$/.exec(name);
  if (conversion !== null) {
    const [, from, to] = conversion as unknown as [string, string, string];
    const [low, high] = limits[to]!;
    const [type, source] = [cTypes[to]!, cTypes[from]!];
    const bound = (limit: string): string => `(${source})${limit}`;
    return {
      needs: [],
      text: `static inline ${type} ${name}(${source} x) {\n  return x != x ? 0 : x <= ${bound(low)} ? ${low} : x >= ${bound(high)} ? ${high} : (${type})x;\n}`,
    };
  }
  const family = /^ash_([a-z]+)_(\w+)$/.exec(name)!;
  const type = cTypes[family[2]!]!;
  return { needs: [], text: `static inline ${type} ${name}${families[family[1]!]!(family[2]!, type)}` };
}

/** Texts of the helpers and of all they need, each after what it needs. */
export function helpersInOrder(used: Iterable<string>): string[] {
  const done = new Set<string>();
  const texts: string[] = [];
  const visit = (name: string): void => {
    if (done.has(name)) return;
    done.add(name);
    const { text, needs } = helperText(name);
    needs.forEach(visit);
    texts.push(text);
  };
  [...used].sort().forEach(visit);
  return texts;
}
