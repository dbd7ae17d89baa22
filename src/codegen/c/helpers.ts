// The C functions that expressions call, as text; only those used are emitted. All are small, inline and without
// branches on data where a vector loop may call them, so that gcc and clang turn them into lanes.

import { type HelperText, helperTexts } from '../helper-text.ts';
import { mathHelpers } from './math/index.ts';
import { vectorHelper } from './vector-helpers.ts';

const fixedHelpers: Readonly<Record<string, HelperText>> = {
  ...mathHelpers,
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

/**
 * The body of max or min. Either operand's NaN comes through: where a is one, no comparison with it is true and it stays. b is
 * asked separately, because it is the constant of a clamp or what joins a maximum so far, which then need not wait. In two
 * steps, because gcc makes lanes of two selections but a branch of one selection on two conditions.
 */
const extreme = (type: string, better: '<' | '>'): string =>
  isFloat(type)
    ? `  const ${type} best = b ${better} a ? b : a;\n  return b == b ? best : b;`
    : `  return a ${better} b ? a : b;`;

const isFloat = (type: string): boolean => type === 'float' || type === 'double';
const unsignedOf = (type: string): string => (type.startsWith('u') ? type : `u${type}`);
/** Narrow types multiply as unsigned int: their own products promote to int, where uint16 could overflow. */
const wide = (type: string): string => (type.includes('8') ? 'uint32_t' : unsignedOf(type));

/** The text of a helper by name: a fixed one, one on vectors, `ash_<family>_<dtype>`, or `ash_<float>_to_<integer>`. */
export function helperText(name: string): HelperText {
  const fixed = fixedHelpers[name];
  const found = fixed ?? vectorHelper(name);
  if (found !== null) return found;
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
export const helpersInOrder = (used: Iterable<string>): string[] => helperTexts(used, helperText);
