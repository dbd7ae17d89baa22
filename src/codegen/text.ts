// What every printer writes alike: sums of index terms, decimal numbers, and whether a text can stand beside an operator.

import type { Atom, IndexExpr } from '../ir/index-expr.ts';
import type { ScalarOp } from '../ir/kernel.ts';

/** Operations that C and JavaScript write between their operands, and alike. */
export const infixOperators: Readonly<Partial<Record<ScalarOp, string>>> = {
  add: '+',
  sub: '-',
  mul: '*',
  div: '/',
  eq: '==',
  ne: '!=',
  lt: '<',
  le: '<=',
  gt: '>',
  ge: '>=',
  and: '&',
  or: '|',
  xor: '^',
};

/** A linear combination as a sum; `printAtom` gives texts that can be factors, `printInteger` those of positive integers. */
export function indexText(
  index: IndexExpr,
  printAtom: (atom: Atom) => string,
  printInteger: (value: number) => string = String,
): string {
  let text = '';
  for (const { atom, coefficient } of index.terms) {
    const size = Math.abs(coefficient);
    const product = size === 1 ? printAtom(atom) : `${printAtom(atom)} * ${printInteger(size)}`;
    if (text === '') text = coefficient < 0 ? `-${size === 1 ? product : `(${product})`}` : product;
    else text += coefficient < 0 ? ` - ${product}` : ` + ${product}`;
  }
  if (text === '') return index.constant > 0 ? printInteger(index.constant) : String(index.constant);
  return text + constantText(index.constant, printInteger);
}

/** What adds a constant to a sum. */
export function constantText(constant: number, printInteger: (value: number) => string): string {
  if (constant === 0) return '';
  return constant > 0 ? ` + ${printInteger(constant)}` : ` - ${printInteger(-constant)}`;
}

/** The text itself where it can stand beside an operator, else in parentheses. */
export function asOperand(text: string): string {
  const stands = /^[\w.]+$|^\w+\[[^[\]]*\]$/.test(text) || (/^\w+\(.*\)$/.test(text) && balancedCall(text));
  return stands ? text : `(${text})`;
}

/** False where a text such as `f(a) + g(b)` only looks like one call. */
function balancedCall(text: string): boolean {
  const open = text.indexOf('(');
  if (open < 0) return true;
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === '(') depth++;
    if (text[i] === ')' && --depth === 0) return i === text.length - 1;
  }
  return false;
}

/** A finite float64 with a point or an exponent. */
export function floatText(value: number): string {
  const text = Object.is(value, -0) ? '-0' : String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

const largestFloat = 3.4028234663852886e38;

/** The shortest decimal that rounds to this f32, which is finite, and is not beyond the largest one, which WGSL refuses. */
export function shortestFloat(value: number): string {
  for (let digits = 1; digits < 10; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value && Math.abs(short) <= largestFloat)
      return floatText(Object.is(value, -0) ? value : short);
  }
  return floatText(value);
}
