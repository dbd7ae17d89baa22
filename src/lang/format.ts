// Expressions as people write them: `w2 * exp(w1 * x)`. For reading derivatives, not for parsing: broadcasts and
// reshapes are left out, and factors of one and terms of zero disappear.

import type { Node, Value } from '../ir/graph.ts';
import type { OpName } from '../ir/opattrs.ts';
import { isFloat } from '../ir/types.ts';
import type { AnyTensor } from './tensor.ts';

interface Text {
  readonly text: string;
  /** Binding strength: 1 sums, 2 products, 3 signs, 4 atoms and calls. */
  readonly strength: number;
}

const infix: Readonly<Partial<Record<OpName, readonly [string, number]>>> = {
  add: [' + ', 1],
  sub: [' - ', 1],
  mul: [' * ', 2],
  div: [' / ', 2],
  rem: [' % ', 2],
  eq: [' == ', 0],
  ne: [' != ', 0],
  lt: [' < ', 0],
  le: [' <= ', 0],
  gt: [' > ', 0],
  ge: [' >= ', 0],
  and: [' & ', 0],
  or: [' | ', 0],
  xor: [' ^ ', 0],
};
const silent: ReadonlySet<OpName> = new Set<OpName>(['broadcast', 'reshape', 'cast']);

const atom = (text: string): Text => ({ text, strength: 4 });
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
  if (node.op === 'neg') return { text: `-${wrap(parts[0]!, 3)}`, strength: 3 };
  const operator = infix[node.op];
  if (operator !== undefined) {
    const [sign, strength] = operator;
    return { text: `${wrap(parts[0]!, strength)}${sign}${wrap(parts[1]!, strength + 1)}`, strength };
  }
  return atom(
    `${callName(node)}(${parts.map(({ text }) => text).join(', ')})${node.results.length > 1 ? `[${value.index}]` : ''}`,
  );
}

function callName(node: Node): string {
  return node.op === 'reduce' || node.op === 'cumulative' ? (node as Node<'reduce'>).attrs.kind : node.op;
}

function formatConstant({ attrs }: Node<'constant'>): Text {
  if (attrs.data.length > 4) return atom(`constant[${attrs.shape}]`);
  const numbers = Array.from(attrs.data, (value) =>
    String(isFloat(attrs.dtype) ? Number(Number(value).toPrecision(7)) : value),
  );
  const text = attrs.data.length === 1 ? numbers[0]! : `[${numbers.join(', ')}]`;
  return { text, strength: text.startsWith('-') ? 3 : 4 };
}

function product([x, y]: readonly [Text, Text]): Text {
  if (x.text === '1') return y;
  if (y.text === '1') return x;
  if (y.text === '-1') return { text: `-${wrap(x, 3)}`, strength: 3 };
  return { text: `${wrap(x, 2)} * ${wrap(y, 2)}`, strength: 2 };
}

function sum([x, y]: readonly [Text, Text]): Text {
  if (x.text === '0') return y;
  if (y.text === '0') return x;
  if (y.strength >= 2 && y.text.startsWith('-')) return { text: `${wrap(x, 1)} - ${y.text.slice(1)}`, strength: 1 };
  return { text: `${wrap(x, 1)} + ${wrap(y, 1)}`, strength: 1 };
}
