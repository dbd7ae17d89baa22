// Scalar expressions and index arithmetic as WGSL. Syntax only: every choice was made before.

import { InternalError } from '../../ir/errors.ts';
import { toHalfBits } from '../../ir/half.ts';
import { type Atom, add, boundsOf, fixed, floorDiv, type IndexExpr } from '../../ir/index-expr.ts';
import { type Buffer, type Expr, type LoadExpr, lanesOf, literal, type ScalarOp, splat } from '../../ir/kernel.ts';
import type { DType } from '../../ir/types.ts';
import { indexText, asOperand as inParentheses, shortestFloat } from '../text.ts';
import type { Names } from './names.ts';

/** Where the elements of a buffer are: an array of words, which may hold other buffers before it and be of another type. */
export interface Location {
  readonly name: string;
  readonly type: DType;
  /** Of an array of vectors; else 1. */
  readonly lanes: number;
  /** In words. */
  readonly first: number;
}

/** What printing a kernel needs and collects. */
export interface Scope {
  readonly names: Names;
  readonly helpers: Set<string>;
  /** Of the kernel's parameters; what it allocates itself has its own name. */
  readonly locations: ReadonlyMap<Buffer, Location>;
  /** Of what the kernel allocates: arrays of vectors, by their lanes. */
  readonly vectors: ReadonlyMap<Buffer, number>;
}

export function typeName(dtype: DType, lanes = 1): string {
  if (lanes > 1) return `vec${lanes}<${typeName(dtype)}>`;
  // Half precision is bits; nothing is computed in it.
  if (dtype === 'f16') return 'u32';
  if (dtype === 'f32' || dtype === 'i32' || dtype === 'u32' || dtype === 'bool') return dtype;
  throw new InternalError(`${dtype} in a WGSL kernel`);
}

/** The text itself where it can stand beside an operator, else in parentheses. */
export function asOperand(text: string): string {
  const isWrapped = text.startsWith('(') && inParentheses(`f${text}`) === `f${text}`;
  return isWrapped ? text : inParentheses(text);
}

/** A function of ours, on vectors where there are lanes. */
export function helper(name: string, scope: Scope, lanes = 1): string {
  const whole = lanes === 1 ? name : `${name}_vec${lanes}`;
  scope.helpers.add(whole);
  return whole;
}

export function printIndex(index: IndexExpr, scope: Scope): string {
  return indexText(index, (atom) => printAtom(atom, scope));
}

function printAtom(atom: Atom, scope: Scope): string {
  switch (atom.kind) {
    case 'axis':
      return scope.names.nameOf(atom, atom.name);
    case 'dynamic':
      return atom.expr.dtype === 'i32' ? operand(atom.expr, scope) : `i32(${printExpr(atom.expr, scope)})`;
    case 'quotient':
    case 'remainder': {
      const value = printIndex(atom.value, scope);
      const isQuotient = atom.kind === 'quotient';
      if (boundsOf(atom.value).lower >= 0) {
        // A compiler does not know that the value is not negative, and would correct a division of signed numbers.
        const places = Math.log2(atom.by);
        if (!Number.isInteger(places)) return `(${asOperand(value)} ${isQuotient ? '/' : '%'} ${atom.by})`;
        return isQuotient ? `(${asOperand(value)} >> ${places}u)` : `(${asOperand(value)} & ${atom.by - 1})`;
      }
      return `${helper(isQuotient ? 'ash_floor_div' : 'ash_floor_mod', scope)}(${value}, ${atom.by})`;
    }
  }
}

export function printLiteral(dtype: DType, value: number, scope: Scope): string {
  switch (dtype) {
    case 'f32': {
      const rounded = Math.fround(value);
      if (Number.isNaN(rounded)) return `${helper('ash_special', scope)}(ash_nan_bits)`;
      if (!Number.isFinite(rounded))
        return `${rounded < 0 ? '-' : ''}${helper('ash_special', scope)}(ash_infinity_bits)`;
      return `${shortestFloat(rounded)}f`;
    }
    case 'bool':
      return value !== 0 ? 'true' : 'false';
    case 'f16':
      return `${toHalfBits(value)}u`;
    case 'u32':
      return `${value}u`;
    case 'i32':
      return value === -(2 ** 31) ? 'i32(-2147483648)' : `${value}i`;
    default:
      throw new InternalError(`a literal of ${dtype} in a WGSL kernel`);
  }
}

/** The place of an element, as it stands on either side of an assignment. */
export function printPlace(buffer: Buffer, offset: IndexExpr, scope: Scope): string {
  const location = scope.locations.get(buffer);
  if (location === undefined) return `${scope.names.nameOf(buffer, buffer.name)}[${printIndex(offset, scope)}]`;
  const at = { terms: offset.terms, constant: offset.constant + location.first };
  return `${location.name}[${printIndex(at, scope)}]`;
}

/** The type of the words among which a buffer lies. */
export function wordType(buffer: Buffer, scope: Scope): DType {
  return scope.locations.get(buffer)?.type ?? buffer.dtype;
}

/** The lanes of an array of vectors; 1 of one of scalars. */
export function arrayLanes(buffer: Buffer, scope: Scope): number {
  return scope.locations.get(buffer)?.lanes ?? scope.vectors.get(buffer) ?? 1;
}

/** The place of a vector in an array of vectors. */
export function printVectorPlace(buffer: Buffer, offset: IndexExpr, lanes: number, scope: Scope): string {
  const name = scope.locations.get(buffer)?.name ?? scope.names.nameOf(buffer, buffer.name);
  return `${name}[${printIndex(floorDiv(offset, lanes), scope)}]`;
}

function printLoad({ buffer, offset, lanes }: LoadExpr, scope: Scope): string {
  if (lanes > 1) {
    if (arrayLanes(buffer, scope) === lanes) return printVectorPlace(buffer, offset, lanes, scope);
    const parts = Array.from({ length: lanes }, (_, lane) => printLoad(scalarAt(buffer, offset, lane), scope));
    return `${typeName(buffer.dtype, lanes)}(${parts.join(', ')})`;
  }
  const place = printPlace(buffer, offset, scope);
  return wordType(buffer, scope) === buffer.dtype ? place : `bitcast<${typeName(buffer.dtype)}>(${place})`;
}

function scalarAt(buffer: Buffer, offset: IndexExpr, lane: number): LoadExpr {
  return { kind: 'load', dtype: buffer.dtype, buffer, offset: add(offset, fixed(lane)), lanes: 1 };
}

/** An expression that can stand beside an operator. */
function operand(expr: Expr, scope: Scope): string {
  return asOperand(printExpr(expr, scope));
}

export function printExpr(expr: Expr, scope: Scope): string {
  switch (expr.kind) {
    case 'literal':
      return printLiteral(expr.dtype, expr.value, scope);
    case 'index':
      return expr.value.terms.length === 0 ? `${expr.value.constant}i` : printIndex(expr.value, scope);
    case 'load':
      return printLoad(expr, scope);
    case 'local':
      return scope.names.nameOf(expr.local, expr.local.name);
    case 'cast':
      return printCast(expr.value, expr.dtype, scope);
    case 'select': {
      const [otherwise, then, condition] = [expr.otherwise, expr.then, expr.condition].map((part) =>
        printExpr(part, scope),
      );
      return `select(${otherwise}, ${then}, ${condition})`;
    }
    case 'apply':
      return printApply(expr.op, expr.args, scope);
    case 'splat':
      return `${typeName(expr.dtype, expr.lanes)}(${printExpr(expr.value, scope)})`;
    case 'vector':
      return `${typeName(expr.dtype, expr.elements.length)}(${expr.elements.map((element) => printExpr(element, scope)).join(', ')})`;
    case 'component':
      return `${operand(expr.value, scope)}.${'xyzw'[expr.lane]!}`;
  }
}

function printCast(value: Expr, to: DType, scope: Scope): string {
  const text = printExpr(value, scope);
  const lanes = lanesOf(value);
  if (to === 'f16' || value.dtype === 'f16') return `${helper(`ash_${value.dtype}_to_${to}`, scope, lanes)}(${text})`;
  if (to === 'bool') return differs(value.dtype, text, printExpr(splat(literal(value.dtype, 0), lanes), scope));
  if (value.dtype === 'f32' && to !== 'f32') return `${helper(`ash_f32_to_${to}`, scope, lanes)}(${text})`;
  return `${typeName(to, lanes)}(${text})`;
}

/** NaN differs from everything; the operator != of floats leaves open whether it does. */
function differs(dtype: DType, a: string, b: string): string {
  const [left, right] = [asOperand(a), asOperand(b)];
  return dtype === 'f32' ? `!(${left} == ${right})` : `${left} != ${right}`;
}

/** How an operation is written: an operator, a built-in function, or a function of ours (`ash_<op>_<dtype>`). */
type Spelling = { readonly operator: string } | { readonly builtin: string } | 'helper';

const infix = (operator: string): Spelling => ({ operator });
const builtin = (name: string): Spelling => ({ builtin: name });

/** On floats. Built-in functions stand only where their result is exact or correctly rounded wherever it matters. */
const onFloats: Readonly<Record<ScalarOp, Spelling>> = {
  neg: infix('-'),
  abs: builtin('abs'),
  sign: 'helper',
  floor: builtin('floor'),
  ceil: builtin('ceil'),
  round: builtin('round'),
  sqrt: builtin('sqrt'),
  not: infix('~'),
  add: infix('+'),
  sub: infix('-'),
  mul: infix('*'),
  div: infix('/'),
  max: 'helper',
  min: 'helper',
  and: infix('&'),
  or: infix('|'),
  xor: infix('^'),
  shl: 'helper',
  shr: 'helper',
  eq: infix('=='),
  ne: infix('!='),
  lt: infix('<'),
  le: infix('<='),
  gt: infix('>'),
  ge: infix('>='),
  dot4: 'helper',
  exp: 'helper',
  expm1: 'helper',
  log: 'helper',
  log1p: 'helper',
  sin: 'helper',
  cos: 'helper',
  tan: 'helper',
  asin: 'helper',
  acos: 'helper',
  atan: 'helper',
  sinh: 'helper',
  cosh: 'helper',
  tanh: 'helper',
  asinh: 'helper',
  acosh: 'helper',
  atanh: 'helper',
  erf: 'helper',
  pow: 'helper',
  atan2: 'helper',
  rem: 'helper',
  philox: 'helper',
};
/** On integers: what differs. */
const onIntegers: Readonly<Partial<Record<ScalarOp, Spelling>>> = {
  sign: 'helper',
  max: builtin('max'),
  min: builtin('min'),
  div: 'helper',
};
const onBools: Readonly<Partial<Record<ScalarOp, Spelling>>> = { not: infix('!'), xor: infix('!=') };

function printApply(op: ScalarOp, args: readonly Expr[], scope: Scope): string {
  const type = args[0]!.dtype;
  const texts = args.map((arg) => printExpr(arg, scope));
  const lanes = Math.max(...args.map(lanesOf));
  const call = (name: string): string => `${name}(${texts.join(', ')})`;
  // A comparison with itself asks for NaN, which may be assumed away: its bits may not.
  if (type === 'f32' && (op === 'ne' || op === 'eq') && texts[0] === texts[1])
    return `${op === 'eq' ? '!' : ''}${helper('ash_is_nan', scope, lanes)}(${texts[0]})`;
  const byZero = type === 'f32' ? printByZero(op, args, scope) : null;
  if (byZero !== null) return byZero;
  if ((op === 'shl' || op === 'shr') && isPlainShift(args[1]!)) {
    const by = (args[1] as Extract<Expr, { kind: 'literal' }>).value;
    return `${asOperand(texts[0]!)} ${op === 'shl' ? '<<' : '>>'} ${by}u`;
  }
  if (op === 'philox' && lanes > 1) return `${helper('ash_philox_block', scope)}(${texts.slice(0, -1).join(', ')})`;
  if (op === 'neg' && type === 'u32') return `0u - ${asOperand(texts[0]!)}`;
  if (op === 'ne') return differs(type, texts[0]!, texts[1]!);
  const special = type === 'bool' ? onBools[op] : type === 'f32' ? undefined : onIntegers[op];
  const spelling = special ?? onFloats[op];
  if (spelling === 'helper') return call(helper(`ash_${op}_${typeName(type)}`, scope, lanes));
  if ('builtin' in spelling) return call(spelling.builtin);
  const [a, b] = mixed(op, args).map((arg) => operand(arg, scope));
  if (b === undefined) return `${spelling.operator}${a}`;
  const text = `${a} ${spelling.operator} ${b}`;
  // Between commas, < and > would open and close a template list.
  return /[<>]/.test(spelling.operator) ? `(${text})` : text;
}

/** 0 · x, x · 0 and 0 / x, where x may be infinite or NaN; null for anything else. */
function printByZero(op: ScalarOp, args: readonly Expr[], scope: Scope): string | null {
  const scalars = args.map((arg) => (arg.kind === 'splat' ? arg.value : arg));
  const at = scalars.findIndex((arg) => arg.kind === 'literal' && arg.value === 0);
  if (at === -1 || !(op === 'mul' || (op === 'div' && at === 0))) return null;
  const name = helper(op === 'mul' ? 'ash_zero_times' : 'ash_zero_over', scope, Math.max(...args.map(lanesOf)));
  const isNegative = Object.is((scalars[at] as Extract<Expr, { kind: 'literal' }>).value, -0);
  return `${isNegative ? '-' : ''}${name}(${printExpr(args[1 - at]!, scope)})`;
}

/** Arithmetic of a scalar and a vector is that of the scalar in all lanes. */
function mixed(op: ScalarOp, args: readonly Expr[]): readonly Expr[] {
  const mayMix = (op === 'add' || op === 'sub' || op === 'mul') && args.some(({ kind }) => kind !== 'splat');
  return mayMix ? args.map((arg) => (arg.kind === 'splat' ? arg.value : arg)) : args;
}

function isPlainShift(by: Expr): boolean {
  return by.kind === 'literal' && by.value >= 0 && by.value < 32;
}
