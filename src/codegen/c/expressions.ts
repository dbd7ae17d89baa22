// Scalar and vector expressions and index arithmetic as C. Syntax only: every choice was made before.

import { InternalError } from '../../ir/errors.ts';
import { toHalfBits } from '../../ir/half.ts';
import { type Atom, boundsOf, type IndexExpr } from '../../ir/index-expr.ts';
import { type Buffer, type Expr, isWord, lanesOf, type ScalarOp } from '../../ir/kernel.ts';
import { type DType, isFloat } from '../../ir/types.ts';
import { asOperand, constantText, floatText, indexText, infixOperators, shortestFloat } from '../text.ts';
import { mathHelpers } from './math/index.ts';
import type { Namer } from './names.ts';

/** What printing a kernel needs and collects. */
export interface Scope {
  readonly namer: Namer;
  readonly helpers: Set<string>;
  /** Vector types used, as `f32x16`. */
  readonly vectors: Map<string, { dtype: DType; lanes: number }>;
  /** How a size stands in the text: an extent, a stride, a divisor. Default: as it is. */
  readonly size?: (value: number) => string;
  /** Names of sums of indices that stand before the lines that use them, by `sumKey`. */
  readonly bases?: ReadonlyMap<string, string>;
}

/** Equal for indices that are equal but for their constants. */
export const sumKey = ({ terms }: IndexExpr, scope: Scope): string =>
  printIndex({ terms, constant: 0 }, { ...scope, size: String, bases: new Map() });

export const sizeText = (value: number, { size = String }: Scope): string => size(value);

const scalarTypes: Readonly<Record<DType, string>> = {
  f32: 'float',
  f64: 'double',
  f16: 'uint16_t',
  i8: 'int8_t',
  u8: 'uint8_t',
  i32: 'int32_t',
  u32: 'uint32_t',
  i64: 'int64_t',
  bool: 'uint8_t',
};

/** C's type of an element in memory. */
export function scalarType(dtype: DType): string {
  return scalarTypes[dtype];
}

export function typeOf(dtype: DType, lanes: number, scope: Scope): string {
  if (lanes === 1) return scalarType(dtype);
  const name = `${dtype}x${lanes}`;
  scope.vectors.set(name, { dtype, lanes });
  return `ash_${name}`;
}

/** The macro that reads lanes of a vector type from memory. */
export const loadOf = (type: string): string => type.toUpperCase();
/** The macro that has lanes of a vector type in memory stand on the left of an assignment. */
export const placeOf = (type: string): string => `${loadOf(type)}_AT`;

export function bufferName(buffer: Buffer, scope: Scope): string {
  return scope.namer.nameOf(buffer, buffer.name);
}

export function printIndex(index: IndexExpr, scope: Scope): string {
  const base = index.terms.length > 1 && scope.bases?.size ? scope.bases.get(sumKey(index, scope)) : undefined;
  if (base !== undefined) return base + constantText(index.constant, (value) => sizeText(value, scope));
  const converted = convertedBySum(index);
  return indexText(
    index,
    (atom) => (atom === converted?.atom ? operand(converted.expr, scope) : printFactor(atom, scope)),
    (value) => sizeText(value, scope),
  );
}

/** The integer that needs no cast: C makes it an index where it is added to one, before anything could overflow. */
function convertedBySum({ terms }: IndexExpr): { atom: Atom; expr: Expr } | null {
  const integers = terms.filter(({ atom }) => atom.kind === 'dynamic');
  const [only] = integers;
  if (only === undefined || integers.length > 1 || terms.length === 1 || only.coefficient !== 1) return null;
  const { atom } = only;
  return atom.kind === 'dynamic' && atom.expr.kind === 'local' && atom.expr.dtype === 'i32'
    ? { atom, expr: atom.expr }
    : null;
}

/** An atom that stands first in a product, where C takes what is left of an operator together. */
function printFactor(atom: Atom, scope: Scope): string {
  switch (atom.kind) {
    case 'axis':
      return scope.namer.nameOf(atom, atom.name);
    case 'dynamic':
      return `(ash_index)${operand(atom.expr, scope)}`;
    case 'quotient':
    case 'remainder': {
      const value = printIndex(atom.value, scope);
      const isQuotient = atom.kind === 'quotient';
      if (boundsOf(atom.value).lower >= 0) {
        return `${/ /.test(value) ? `(${value})` : value} ${isQuotient ? '/' : '%'} ${sizeText(atom.by, scope)}`;
      }
      return `${helper(isQuotient ? 'ash_floor_div' : 'ash_floor_mod', scope)}(${value}, ${sizeText(atom.by, scope)})`;
    }
  }
}

function helper(name: string, scope: Scope): string {
  scope.helpers.add(name);
  return name;
}

export function printLiteral(dtype: DType, value: number): string {
  switch (dtype) {
    case 'f32':
    case 'f64': {
      if (Number.isNaN(value)) return 'NAN';
      if (!Number.isFinite(dtype === 'f32' ? Math.fround(value) : value)) return value > 0 ? 'INFINITY' : '-INFINITY';
      const exact = dtype === 'f32' ? shortestFloat(Math.fround(value)) : floatText(value);
      return dtype === 'f32' ? `${exact}f` : exact;
    }
    case 'bool':
      return value !== 0 ? '1' : '0';
    case 'i32':
      return value === -(2 ** 31) ? '(-2147483647 - 1)' : String(value);
    case 'i64':
      return value <= -(2 ** 63) ? 'INT64_MIN' : value >= 2 ** 63 ? 'INT64_MAX' : `INT64_C(${value})`;
    case 'u32':
      return `${value}u`;
    case 'i8':
    case 'u8':
      return String(value);
    case 'f16':
      return String(toHalfBits(value));
  }
}

export function printLoad(expr: Extract<Expr, { kind: 'load' }>, scope: Scope): string {
  const name = bufferName(expr.buffer, scope);
  if (isWord(expr)) return `${helper('ASH_WORD', scope)}(${name}[${printIndex(expr.offset, scope)}])`;
  if (expr.lanes === 1) return `${name}[${printIndex(expr.offset, scope)}]`;
  const load = loadOf(typeOf(expr.dtype, expr.lanes, scope));
  return `${load}(${name}[${printIndex(expr.offset, scope)}])`;
}

/** An expression that can stand beside an operator. */
const operand = (expr: Expr, scope: Scope): string => asOperand(printExpr(expr, scope));

export function printExpr(expr: Expr, scope: Scope): string {
  switch (expr.kind) {
    case 'literal':
      return expr.dtype === 'i32' && expr.value > 1
        ? sizeText(expr.value, scope)
        : printLiteral(expr.dtype, expr.value);
    case 'index':
      return printIndex(expr.value, scope);
    case 'load':
      return printLoad(expr, scope);
    case 'local':
      return scope.namer.nameOf(expr.local, expr.local.name);
    case 'splat':
      return `(${typeOf(expr.dtype, expr.lanes, scope)}){0} + ${laneOperand(expr.value, scope)}`;
    case 'vector':
      return `(${typeOf(expr.dtype, expr.elements.length, scope)}){${expr.elements.map((element) => printExpr(element, scope)).join(', ')}}`;
    case 'component':
      return `${operand(expr.value, scope)}[${expr.lane}]`;
    case 'cast':
      return printCast(expr.value, expr.dtype, scope);
    case 'select':
      return `${operand(expr.condition, scope)} ? ${operand(expr.then, scope)} : ${operand(expr.otherwise, scope)}`;
    case 'apply':
      return printApply(expr, scope);
  }
}

function printCast(value: Expr, to: DType, scope: Scope): string {
  const from = value.dtype;
  const lanes = lanesOf(value);
  if (lanes > 1) return `${vectorConversion(from, to, lanes, scope)}(${printExpr(value, scope)})`;
  if (from === 'f16' || to === 'f16') return `${helper(`ash_${from}_to_${to}`, scope)}(${printExpr(value, scope)})`;
  if (to === 'bool') return `${operand(value, scope)} != 0`;
  if (isFloat(from) && !isFloat(to)) return `${helper(`ash_${from}_to_${to}`, scope)}(${printExpr(value, scope)})`;
  // gcc makes no lanes of a conversion from a byte that a comparison made; of a selection it does.
  if (from === 'bool' && isFloat(to))
    return `${operand(value, scope)} ? ${printLiteral(to, 1)} : ${printLiteral(to, 0)}`;
  return `(${scalarType(to)})${operand(value, scope)}`;
}

/** The macro or function that converts all lanes; its types are declared before it. */
function vectorConversion(from: DType, to: DType, lanes: number, scope: Scope): string {
  for (const dtype of [from, to, 'i32'] as const) typeOf(dtype, lanes, scope);
  return helper(`ash_${from}x${lanes}_to_${to}`, scope);
}

/** On bools, which clang would rather not see as bits. */
const logical: Readonly<Partial<Record<ScalarOp, string>>> = { and: '&&', or: '||', xor: '!=' };
/** Integers wrap and never trap, which plain C operators do not promise. */
const wrapping: ReadonlySet<ScalarOp> = new Set(['add', 'sub', 'mul', 'div', 'rem', 'shl', 'shr']);

/** C's name of each function of floats; null where it is not a function call of libm or ours. */
const floatFunctions: Readonly<Record<ScalarOp, string | null>> = {
  neg: null,
  abs: 'fabs',
  sign: null,
  floor: 'floor',
  ceil: 'ceil',
  round: 'rint',
  sqrt: 'sqrt',
  exp: 'exp',
  expm1: 'expm1',
  log: 'log',
  log1p: 'log1p',
  sin: 'sin',
  cos: 'cos',
  tan: 'tan',
  asin: 'asin',
  acos: 'acos',
  atan: 'atan',
  sinh: 'sinh',
  cosh: 'cosh',
  tanh: 'tanh',
  asinh: 'asinh',
  acosh: 'acosh',
  atanh: 'atanh',
  erf: 'erf',
  not: null,
  add: null,
  sub: null,
  mul: null,
  div: null,
  rem: 'fmod',
  philox: null,
  pow: 'pow',
  max: null,
  min: null,
  atan2: 'atan2',
  and: null,
  or: null,
  xor: null,
  shl: null,
  shr: null,
  eq: null,
  ne: null,
  lt: null,
  le: null,
  gt: null,
  ge: null,
  dot4: null,
};
/** Functions that are ours, and run in lanes; the others are libm's. */
const isOwnFunction = (op: ScalarOp, dtype: DType): boolean => `ash_${op}_${dtype}` in mathHelpers;

/** `sum + dot4(a, b)` in one: processors have an instruction for it. */
export function printDot4(sum: string, { args, dtype }: Extract<Expr, { kind: 'apply' }>, scope: Scope): string {
  const lanes = Math.max(...args.map(lanesOf));
  typeOf(dtype, lanes, scope);
  const name = helper(`ash_dot4_i32x${lanes}`, scope);
  return `${name}(${[sum, ...args.map((arg) => printExpr(arg, scope))].join(', ')})`;
}

function printApply({ op, args, dtype }: Extract<Expr, { kind: 'apply' }>, scope: Scope): string {
  const type = args[0]!.dtype;
  const call = (name: string): string => `${name}(${args.map((arg) => printExpr(arg, scope)).join(', ')})`;
  if (op === 'neg')
    return isFloat(type)
      ? `-${operand(args[0]!, scope)}`
      : `${helper(`ash_sub_${type}`, scope)}(0, ${printExpr(args[0]!, scope)})`;
  if (op === 'not')
    return type === 'bool' ? `!${operand(args[0]!, scope)}` : `(${scalarType(type)})~${operand(args[0]!, scope)}`;
  if (op === 'max' || op === 'min' || op === 'sign' || op === 'philox' || (op === 'abs' && !isFloat(type)))
    return call(helper(`ash_${op}_${type}`, scope));
  const name = isFloat(type) ? floatFunctions[op] : null;
  if (name !== null) {
    if (isOwnFunction(op, type)) return call(helper(`ash_${op}_${type}`, scope));
    return call(type === 'f32' ? `${name}f` : name);
  }
  const isInt = !isFloat(type) && type !== 'bool';
  if (isInt && wrapping.has(op) && lanesOf(args[0]!) === 1 && lanesOf(args[1]!) === 1)
    return call(helper(`ash_${op}_${type}`, scope));
  const operator = type === 'bool' ? (logical[op] ?? infixOperators[op]) : infixOperators[op];
  if (operator === undefined) throw new InternalError(`no C spelling of ${op} on ${type}`);
  const [a, b] = args.map((arg) => vectorOperand(arg, scope)) as [string, string];
  const text = `${a} ${operator} ${b}`;
  return (op === 'and' || op === 'or' || op === 'xor') && dtype !== 'bool' ? `(${scalarType(dtype)})(${text})` : text;
}

/** A scalar beside a vector is broadcast by the operator itself. */
function vectorOperand(expr: Expr, scope: Scope): string {
  return expr.kind === 'splat' ? laneOperand(expr.value, scope) : operand(expr, scope);
}

/** A scalar that becomes lanes: a literal has their type, which a size may not have. */
function laneOperand(expr: Expr, scope: Scope): string {
  return expr.kind === 'literal' ? asOperand(printLiteral(expr.dtype, expr.value)) : operand(expr, scope);
}
