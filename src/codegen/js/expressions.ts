// Expressions and index arithmetic as JavaScript. A value of dtype f32 is always a number that f32 holds: arithmetic is
// rounded by Math.fround (`f`), which gives the same bits as arithmetic in f32. The exceptions are the terms of a sum and what a
// store rounds anyway: `printRaw` leaves them in f64.

import { InternalError } from '../../ir/errors.ts';
import { toHalfBits } from '../../ir/half.ts';
import { type Atom, boundsOf, type IndexExpr } from '../../ir/index-expr.ts';
import type { Buffer, Expr, Local, ScalarOp } from '../../ir/kernel.ts';
import { type DType, isFloat } from '../../ir/types.ts';
import { asOperand, indexText, infixOperators } from '../text.ts';
import { big, wrapped } from './helpers.ts';
import type { Namer } from './names.ts';

/** What printing a kernel needs and collects. */
export interface Scope {
  readonly namer: Namer;
  readonly helpers: Set<string>;
  /** Registers that hold sums in f64: read as f32 they are rounded. */
  readonly sums: Set<Local>;
}

export const bufferName = (buffer: Buffer, scope: Scope): string => scope.namer.nameOf(buffer, buffer.name);

export function printIndex(index: IndexExpr, scope: Scope): string {
  return indexText(index, (atom) => printAtom(atom, scope));
}

function printAtom(atom: Atom, scope: Scope): string {
  switch (atom.kind) {
    case 'axis':
      return scope.namer.nameOf(atom, atom.name);
    case 'dynamic':
      return atom.expr.dtype === 'i64' ? `Number(${printExpr(atom.expr, scope)})` : operand(atom.expr, scope);
    case 'quotient': {
      const { lower, upper } = boundsOf(atom.value);
      const value = asOperand(printIndex(atom.value, scope));
      return lower >= 0 && upper < 2 ** 31 ? `(${value} / ${atom.by} | 0)` : `Math.floor(${value} / ${atom.by})`;
    }
    case 'remainder': {
      const rest = `${asOperand(printIndex(atom.value, scope))} % ${atom.by}`;
      return boundsOf(atom.value).lower >= 0 ? `(${rest})` : `((${rest} + ${atom.by}) % ${atom.by})`;
    }
  }
}

export function printLiteral(dtype: DType, value: number): string {
  switch (dtype) {
    case 'f32':
    case 'f64': {
      const exact = dtype === 'f32' ? Math.fround(value) : value;
      return Object.is(exact, -0) ? '-0' : String(exact);
    }
    case 'f16':
      return String(toHalfBits(value));
    case 'i64':
      // The largest of i64 is no double: 2^63 stands for it.
      return big(dtype, String(value >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(Math.max(value, -(2 ** 63)))));
    default:
      return String(value);
  }
}

const operand = (expr: Expr, scope: Scope): string => asOperand(printExpr(expr, scope));

function helper(name: string, scope: Scope): string {
  scope.helpers.add(name);
  return name;
}

/** The value, rounded to its dtype. */
export function printExpr(expr: Expr, scope: Scope): string {
  const raw = printRaw(expr, scope);
  return expr.dtype === 'f32' && isRounded(expr, scope) ? `f(${raw})` : raw;
}

/** Operations whose result on f32 values is an f32 value as it is. */
const exact: ReadonlySet<ScalarOp> = new Set(['neg', 'abs', 'sign', 'floor', 'ceil', 'round', 'max', 'min', 'rem']);

function isRounded(expr: Expr, scope: Scope): boolean {
  if (expr.kind === 'apply') return !exact.has(expr.op);
  if (expr.kind === 'cast') return !['bool', 'i8', 'u8', 'f16'].includes(expr.value.dtype);
  return expr.kind === 'local' && scope.sums.has(expr.local);
}

/** The value of an f32 expression before its last rounding; other dtypes as they are. */
export function printRaw(expr: Expr, scope: Scope): string {
  switch (expr.kind) {
    case 'literal':
      return printLiteral(expr.dtype, expr.value);
    case 'index':
      return printIndex(expr.value, scope);
    case 'load':
      if (expr.lanes !== 1) throw new InternalError('a vector in a JavaScript kernel');
      return `${bufferName(expr.buffer, scope)}[${printIndex(expr.offset, scope)}]`;
    case 'local':
      return scope.namer.nameOf(expr.local, expr.local.name);
    case 'splat':
      return printRaw(expr.value, scope);
    case 'vector':
    case 'component':
      throw new InternalError('a vector in a JavaScript kernel');
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
  if (from === 'f16' || to === 'f16') return `${helper(`ash_${from}_to_${to}`, scope)}(${printExpr(value, scope)})`;
  if (to === 'bool') return `${operand(value, scope)} != 0`;
  if (from === 'bool') return `${operand(value, scope)} ? ${big(to, 1)} : ${big(to, 0)}`;
  if (isFloat(to)) return from === 'i64' ? `Number(${printExpr(value, scope)})` : printExpr(value, scope);
  if (isFloat(from)) return `${helper(`ash_from_${to}`, scope)}(${printExpr(value, scope)})`;
  if (to === 'i64') return `BigInt(${printExpr(value, scope)})`;
  const narrow = from === 'i64' ? `Number(BigInt.asIntN(32, ${printExpr(value, scope)}))` : printExpr(value, scope);
  return wrapped(to, narrow);
}

const operators: Readonly<Partial<Record<ScalarOp, string>>> = { ...infixOperators, rem: '%' };
/** Functions of floats that JavaScript's Math lacks, or defines otherwise. */
const ownFunctions: ReadonlySet<ScalarOp> = new Set(['round', 'pow', 'erf']);
/** Functions of integers that no operator is. */
const integerFunctions: ReadonlySet<ScalarOp> = new Set([
  'div',
  'rem',
  'shl',
  'shr',
  'abs',
  'sign',
  'max',
  'min',
  'philox',
]);
/** Operators whose result may leave the range of an integer dtype, or its sign. */
const leaving: ReadonlySet<ScalarOp> = new Set(['add', 'sub', 'mul', 'and', 'or', 'xor']);

function printApply({ op, args }: Extract<Expr, { kind: 'apply' }>, scope: Scope): string {
  const { dtype } = args[0]!;
  const texts = args.map((arg) => operand(arg, scope));
  const call = (name: string): string => `${name}(${args.map((arg) => printExpr(arg, scope)).join(', ')})`;
  const isInteger = !isFloat(dtype) && dtype !== 'bool';
  if (op === 'not')
    return dtype === 'bool' ? `!${texts[0]}` : isSigned(dtype) ? `~${texts[0]}` : wrapped(dtype, `~${texts[0]}`);
  if (op === 'neg') return isInteger ? wrapped(dtype, `-${texts[0]}`) : `-${texts[0]}`;
  if (isInteger && integerFunctions.has(op)) return call(helper(`ash_${op}_${dtype}`, scope));
  if (op === 'mul' && (dtype === 'i32' || dtype === 'u32'))
    return `${call('Math.imul')}${dtype === 'u32' ? ' >>> 0' : ''}`;
  const operator = operators[op];
  if (operator !== undefined) {
    const text = `${texts[0]} ${operator} ${texts[1]}`;
    return isInteger && leaving.has(op) ? wrapped(dtype, text) : text;
  }
  return call(ownFunctions.has(op) ? helper(`ash_${op}`, scope) : `Math.${op}`);
}

const isSigned = (dtype: DType): boolean => dtype.startsWith('i');
