// What each attribute of each operation holds, at run time: the parser of the text form checks it before any type rule
// sees the attributes. The mapped type makes the table total: an attribute without its kind is a compile error.

import type { BinaryOp, OpAttrs, OpName, UnaryOp } from './opattrs.ts';
import { dtypes } from './types.ts';

type Check = (value: unknown) => boolean;
export interface AttrKind {
  readonly expected: string;
  readonly accepts: Check;
}

const kind = (expected: string, accepts: Check): AttrKind => ({ expected, accepts });
const word = (...words: readonly string[]): AttrKind =>
  kind(`one of ${words.join(', ')}`, (value) => words.includes(value as string));
const isInteger: Check = (value) => Number.isSafeInteger(value);
const isCount: Check = (value) => isInteger(value) && (value as number) >= 0;
const listOf =
  (item: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(item);
const pairOf =
  (item: Check): Check =>
  (value) =>
    listOf(item)(value) && (value as unknown[]).length === 2;

const integer = kind('an integer of at least 0', isCount);
const integerOrNull = kind('an integer of at least 0, or null', (value) => value === null || isCount(value));
const number = kind('a number', (value) => typeof value === 'number');
const flag = kind('true or false', (value) => typeof value === 'boolean');
const counts = kind('a list of integers of at least 0', listOf(isCount));
const integers = kind('a list of integers', listOf(isInteger));
const pairs = kind('a list of pairs of integers', listOf(pairOf(isInteger)));
const twoLists = kind('two lists of integers of at least 0', pairOf(listOf(isCount)));
const dtype = word(...dtypes);
const data = kind('a list of numbers', (value) =>
  listOf((item) => typeof item === 'number' || typeof item === 'boolean')(value),
);
const func = kind('a function', (value) => typeof value === 'object' && value !== null && 'parameters' in value);

const funcOrNull = kind('a function, or null', (value) => value === null || func.accepts(value));

const window = { window: counts, strides: counts, padding: pairs, dilation: counts };

/** By operation; elementwise operations have no attributes. */
const attrKinds: {
  readonly [K in Exclude<OpName, UnaryOp | BinaryOp>]: { readonly [A in keyof OpAttrs[K]]: AttrKind };
} = {
  constant: { dtype, shape: counts, data },
  iota: { dtype, shape: counts, axis: integer },
  randomBits: { shape: counts, counter: counts },
  select: {},
  cast: { dtype },
  broadcast: { shape: counts, axes: counts },
  reshape: { shape: counts },
  transpose: { permutation: counts },
  slice: { starts: counts, limits: counts, strides: counts },
  pad: { low: integers, high: integers, interior: counts, value: number },
  reverse: { axes: counts },
  concat: { axis: integer },
  gather: { axis: integer, batch: integer },
  scatterAdd: { axis: integer, batch: integer },
  reduce: { kind: word('sum', 'prod', 'max', 'min', 'and', 'or'), axes: counts },
  argreduce: { kind: word('max', 'min'), axis: integer },
  cumulative: { kind: word('sum', 'prod', 'max', 'min'), axis: integer, reverse: flag, exclusive: flag },
  sort: { axis: integer, descending: flag },
  topk: { k: integer },
  dot: { contract: twoLists, batch: twoLists },
  conv: { strides: counts, padding: pairs, lhsDilation: counts, rhsDilation: counts, groups: integer },
  reduceWindow: { ...window, kind: word('sum', 'max', 'min') },
  windowArg: { ...window, kind: word('max', 'min') },
  windowTake: window,
  windowPut: { ...window, spatial: counts },
  call: { callee: func },
  custom: { callee: func, jvp: funcOrNull, vjp: funcOrNull },
  after: {},
  scan: {
    body: func,
    length: integer,
    reverse: flag,
    consts: integer,
    carries: integer,
    residuals: word('keep', 'recompute'),
  },
  while: { condition: func, body: func, consts: integer, limit: integerOrNull },
  cond: { then: func, otherwise: func, residuals: word('keep', 'recompute') },
};

/** What is wrong with the attributes of an operation, in words; null where nothing is. */
export function attrsProblem(op: OpName, attrs: Readonly<Record<string, unknown>>): string | null {
  const kinds: Readonly<Record<string, AttrKind>> = op in attrKinds ? attrKinds[op as keyof typeof attrKinds] : {};
  for (const [name, { expected, accepts }] of Object.entries(kinds)) {
    if (!Object.hasOwn(attrs, name)) return `${op} needs the attribute ${name}: ${expected}`;
    if (!accepts(attrs[name])) return `attribute ${name} of ${op} must be ${expected}`;
  }
  const extra = Object.keys(attrs).find((name) => !Object.hasOwn(kinds, name));
  if (extra === undefined) return null;
  const known = Object.keys(kinds);
  return `${op} has no attribute ${extra}; it has ${known.length === 0 ? 'none' : known.join(', ')}`;
}
