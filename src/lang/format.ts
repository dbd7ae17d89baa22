// Expressions as people write them: `w2 * exp(w1 * x)`. For reading derivatives, not for parsing: broadcasts and
// reshapes are left out, and factors of one and terms of zero disappear.

import type { Node, Value } from '../ir/graph.ts';
import type { OpName } from '../ir/opattrs.ts';
import { isFloat } from '../ir/types.ts';
import type { AnyTensor } from './tensor.ts';

interface Text {
  readonly text: string;
  /** Binding strength: 0 comparisons and logic, 1 sums, 2 quotients, 3 products, 4 signs, 5 atoms and calls. */
  readonly strength: number;
}

/** Sign, own strength, and what each side needs to stand without parentheses; `a == b & c` always has them. */
type Infix = readonly [sign: string, strength: number, left: number, right: number];
const infix: Readonly<Partial<Record<OpName, Infix>>> = {
  sub: ['-', 1, 1, 2],
  div: ['/', 2, 2, 4],
  rem: ['%', 2, 2, 4],
  eq: ['==', 0, 1, 1],
  ne: ['!=', 0, 1, 1],
  lt: ['<', 0, 1, 1],
  le: ['<=', 0, 1, 1],
  gt: ['>', 0, 1, 1],
  ge: ['>=', 0, 1, 1],
  and: ['&', 0, 1, 1],
  or: ['|', 0, 1, 1],
  xor: ['^', 0, 1, 1],
};
const silent: ReadonlySet<OpName> = new Set<OpName>(['broadcast', 'reshape', 'cast', 'after']);

const atom = (text: string): Text => ({ text, strength: 5 });
const wrap = (part: Text, strength: number): string => (part.strength < strength ? `(${part.text})` : part.text);

/** The expression as a formula over the names of inputs and variables. Long shared parts are written out each time. */
export function format(tensor: AnyTensor): string {
  return formatValue(tensor.value, new Map()).text;
}

function formatValue(value: Value, known: Map<Value, Text>): Text {
  const found = known.get(value);
  if (found !== undefined) return found;
  const text = value.producer === null ? atom(value.name ?? '?') : formatNode(value.producer, value, known);
  known.set(value, text);
  return text;
}

function formatNode(node: Node, value: Value, known: Map<Value, Text>): Text {
  const parts = node.operands.map((operand) => formatValue(operand, known));
  if (silent.has(node.op)) return parts[0]!;
  if (node.op === 'constant') return formatConstant(node as Node<'constant'>);
  if (node.op === 'mul') return product(parts as [Text, Text]);
  if (node.op === 'add') return sum(parts as [Text, Text]);
  if (node.op === 'neg') return { text: `-${wrap(parts[0]!, 4)}`, strength: 4 };
  const operator = infix[node.op];
  if (operator !== undefined) {
    const [sign, strength, left, right] = operator;
    return { text: `${wrap(parts[0]!, left)} ${sign} ${wrap(parts[1]!, right)}`, strength };
  }
  return atom(
    `${callName(node)}(${parts.map(({ text }) => text).join(', ')})${node.results.length > 1 ? `[${value.index}]` : ''}`,
  );
}

function callName(node: Node): string {
  if (node.op === 'custom') return (node as Node<'custom'>).attrs.callee.name;
  return node.op === 'reduce' || node.op === 'cumulative' ? (node as Node<'reduce'>).attrs.kind : node.op;
}

function formatConstant({ attrs }: Node<'constant'>): Text {
  if (attrs.data.length > 4) return atom(`constant[${attrs.shape}]`);
  const numbers = Array.from(attrs.data, (value) =>
    String(isFloat(attrs.dtype) ? Number(Number(value).toPrecision(7)) : value),
  );
  const text = attrs.data.length === 1 ? numbers[0]! : `[${numbers.join(', ')}]`;
  return { text, strength: text.startsWith('-') ? 4 : 5 };
}

function product([x, y]: readonly [Text, Text]): Text {
  if (x.text === '1') return y;
  if (y.text === '1') return x;
  if (y.text === '-1') return { text: `-${wrap(x, 4)}`, strength: 4 };
  return { text: `${wrap(x, 2)} * ${wrap(y, 3)}`, strength: 3 };
}

function sum([x, y]: readonly [Text, Text]): Text {
  if (x.text === '0') return y;
  if (y.text === '0') return x;
  if (y.strength >= 2 && y.text.startsWith('-')) return { text: `${wrap(x, 1)} - ${y.text.slice(1)}`, strength: 1 };
  return { text: `${wrap(x, 1)} + ${wrap(y, 1)}`, strength: 1 };
}
