// WGSL has no 64-bit integers. Most of those in a model are indices, positions or shapes, which fit into 32 bits: where the bounds of
// every i64 value prove that, all of them become i32. Inputs are taken to hold 32 bits; the runtime checks that at each call. It has no
// 64-bit floats either, whose precision is given up on request only.

import { LimitationError } from '../../ir/errors.ts';
import { type Func, makeFunc, type Node, nestedFuncs, type Parameter, Value, withNestedFuncs } from '../../ir/graph.ts';
import type { OpName } from '../../ir/opattrs.ts';
import { builder } from '../../ir/ops/index.ts';
import { type DType, formatType, sizeOf } from '../../ir/types.ts';
import { foldConstants } from '../fold.ts';
import { inlineCalls } from '../inline.ts';
import { simplify } from '../simplify.ts';

/** The least and the greatest value that elements may have. */
interface Bounds {
  readonly low: number;
  readonly high: number;
}

const i32: Bounds = { low: -(2 ** 31), high: 2 ** 31 - 1 };
const unknown: Bounds = { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };
const boundsOfType: Readonly<Partial<Record<DType, Bounds>>> = {
  i32,
  u32: { low: 0, high: 2 ** 32 - 1 },
  i8: { low: -128, high: 127 },
  u8: { low: 0, high: 255 },
  bool: { low: 0, high: 1 },
};

/**
 * The function with i32 in place of i64. Inputs and outputs of i64 are i32 too. Throws LimitationError, with the operation and its
 * place, for a value that may leave 32 bits, and for states.
 */
export function narrowIntegers(func: Func): Func {
  if (!has(func, 'i64')) return func;
  const folded = simplify.run(foldConstants.run(inlineCalls.run(func)));
  boundsOfFunc(
    folded,
    folded.parameters.map(({ value }) => (value.type.dtype === 'i64' ? i32 : boundsOfDType(value))),
  );
  return retyped(folded, 'i64', 'i32');
}

/**
 * The function with f32 in place of f64, inputs and outputs too: a loss of precision, which callers ask for. Throws LimitationError
 * for states.
 */
export function narrowDoubles(func: Func): Func {
  return has(func, 'f64') ? retyped(inlineCalls.run(func), 'f64', 'f32') : func;
}

function has({ parameters, nodes }: Func, dtype: DType): boolean {
  const isMeant = ({ type }: Value): boolean => type.dtype === dtype;
  return (
    parameters.some(({ value }) => isMeant(value)) ||
    nodes.some((node) => node.results.some(isMeant) || nestedFuncs(node).some((nested) => has(nested, dtype)))
  );
}

/** The same operations on another dtype, wherever one stands. */
function retyped({ name, parameters, nodes, results }: Func, from: DType, to: DType): Func {
  const again = new Map<Value, Value>();
  const made = parameters.map((parameter): Parameter => {
    const { value } = parameter;
    if (value.type.dtype !== from) return parameter;
    if (parameter.role === 'state')
      throw new LimitationError(
        `target webgpu has no ${from}: state ${JSON.stringify(parameter.name)}; declare it as ${to}`,
      );
    const other = new Value({ dtype: to, shape: value.type.shape }, null, 0, value.name);
    again.set(value, other);
    return { ...parameter, value: other };
  });
  for (const node of nodes) {
    const operands = node.operands.map((operand) => again.get(operand) ?? operand);
    const isNamed = (node.attrs as { dtype?: DType }).dtype === from;
    const nested = withNestedFuncs(node.attrs, (inner) => (has(inner, from) ? retyped(inner, from, to) : inner));
    const isSame = nested === node.attrs && operands.every((operand, i) => operand === node.operands[i]);
    if (!isNamed && isSame) continue;
    const attrs = isNamed ? { ...node.attrs, dtype: to } : nested;
    const remade = builder.at(node.source).emit(node.op, operands, attrs as never, node.results[0]!.name);
    node.results.forEach((value, i) => {
      again.set(value, remade.results[i]!);
    });
  }
  return makeFunc(
    name,
    made,
    results.map((result) => ({ ...result, value: again.get(result.value) ?? result.value })),
  );
}

function refuse(node: Node, value: Value): never {
  throw new LimitationError(
    `target webgpu has no i64, and ${node.op} gives ${formatType(value.type)}, whose elements may need more than 32 bits; ` +
      'cast to i32, or compile for c or js',
    node.source,
  );
}

/** Bounds of a function's results, from those of its parameters. Throws LimitationError for an i64 that may leave 32 bits. */
function boundsOfFunc({ parameters, nodes, results }: Func, given: readonly Bounds[]): Bounds[] {
  const bounds = new Map(parameters.map(({ value }, i): [Value, Bounds] => [value, given[i]!]));
  const of = (value: Value): Bounds => bounds.get(value) ?? unknown;
  for (const node of nodes) {
    const nested = boundsOfNested(node, node.operands.map(of));
    for (const value of node.results) {
      const found = nested?.[value.index] ?? boundsOfResult(node, value, of);
      bounds.set(value, found);
      if (value.type.dtype === 'i64' && !(found.low >= i32.low && found.high <= i32.high)) refuse(node, value);
    }
  }
  return results.map(({ value }) => of(value));
}

/** Bounds of what nested functions give; null for other nodes. */
function boundsOfNested(node: Node, operands: readonly Bounds[]): Bounds[] | null {
  if (node.op === 'call' || node.op === 'custom')
    return boundsOfFunc((node as Node<'call' | 'custom'>).attrs.callee, operands);
  if (node.op === 'cond') {
    const { then, otherwise } = (node as Node<'cond'>).attrs;
    const [first, second] = [then, otherwise].map((func) => boundsOfFunc(func, operands.slice(1)));
    return first!.map((bounds, i) => joined([bounds, second![i]!]));
  }
  if (node.op === 'scan') {
    const { body, consts, carries, length } = (node as Node<'scan'>).attrs;
    return boundsOfLoop(node, operands, { functions: [body], consts, carries, most: length });
  }
  if (node.op !== 'while') return null;
  const { body, condition, consts, limit } = (node as Node<'while'>).attrs;
  return boundsOfLoop(node, operands, {
    functions: [body, condition],
    consts,
    carries: node.results.length,
    most: limit,
  });
}

interface Repeated {
  /** What gives the next carries, then outputs; and what else is walked on the same parameters. */
  readonly functions: readonly [body: Func, ...others: Func[]];
  readonly consts: number;
  readonly carries: number;
  /** Steps at most; null: without bound. */
  readonly most: number | null;
}

/** Steps that bounds are followed through: what still grows then has none. */
const mostFollowed = 256;

/**
 * Bounds of a loop's results: carries' are those of all steps, followed until a step adds nothing to them, or there are no more. Throws
 * LimitationError for a carry that still grows after `mostFollowed` steps.
 */
function boundsOfLoop(
  node: Node,
  operands: readonly Bounds[],
  { functions, consts, carries, most }: Repeated,
): Bounds[] {
  const isCarry = (i: number): boolean => i >= consts && i < consts + carries;
  // Carries of other types keep the bounds of their type.
  let given = operands.map((bounds, i) =>
    isCarry(i) && node.operands[i]!.type.dtype !== 'i64' ? boundsOfDType(node.operands[i]!) : bounds,
  );
  for (let step = 0; ; step++) {
    const [results] = functions.map((func) => boundsOfFunc(func, given));
    const grown = given.map((bounds, i) =>
      isCarry(i) && node.operands[i]!.type.dtype === 'i64' ? joined([bounds, results![i - consts]!]) : bounds,
    );
    const isSettled = grown.every(({ low, high }, i) => low === given[i]!.low && high === given[i]!.high);
    if (isSettled || step === most)
      return node.results.map((_, i) => (i < carries ? given[consts + i]! : results![i]!));
    const growing = grown.findIndex(({ low, high }, i) => low !== given[i]!.low || high !== given[i]!.high);
    if (step === mostFollowed) refuse(node, node.results[growing - consts]!);
    given = grown;
  }
}

const boundsOfDType = ({ type }: Value): Bounds => boundsOfType[type.dtype] ?? unknown;

type BoundsOf = (operand: Value) => Bounds;

/** Bounds of a node's result, in as far as its operation has them; they hold for whole numbers. */
function boundsOfResult(node: Node, value: Value, of: BoundsOf): Bounds {
  const [x, y] = node.operands.map(of);
  const count = (from: number): number => sizeOf(node.operands[0]!.type.shape) / Math.max(1, from);
  const rules: Partial<Record<OpName, () => Bounds>> = {
    constant: () => hullOf(Array.from((node as Node<'constant'>).attrs.data, Number)),
    iota: () => below((node as Node<'iota'>).attrs.shape[(node as Node<'iota'>).attrs.axis]!),
    cast: () => x!,
    select: () => joined([y!, of(node.operands[2]!)]),
    concat: () => joined(node.operands.map(of)),
    pad: () => joined([x!, hullOf([(node as Node<'pad'>).attrs.value])]),
    add: () => ({ low: x!.low + y!.low, high: x!.high + y!.high }),
    sub: () => ({ low: x!.low - y!.high, high: x!.high - y!.low }),
    mul: () => products(x!, y!),
    neg: () => ({ low: -x!.high, high: -x!.low }),
    abs: () => ({ low: 0, high: largest(x!) }),
    sign: () => ({ low: -1, high: 1 }),
    relu: () => ({ low: Math.max(0, x!.low), high: Math.max(0, x!.high) }),
    max: () => ({ low: Math.max(x!.low, y!.low), high: Math.max(x!.high, y!.high) }),
    min: () => ({ low: Math.min(x!.low, y!.low), high: Math.min(x!.high, y!.high) }),
    div: () => (y!.low >= 0 ? towardsZero(x!) : between(largest(x!))),
    rem: () => towardsZero(x!),
    not: () => ({ low: -x!.high - 1, high: -x!.low - 1 }),
    and: () =>
      x!.low >= 0 || y!.low >= 0
        ? { low: 0, high: Math.min(...[x!, y!].filter(({ low }) => low >= 0).map(({ high }) => high)) }
        : bits(x!, y!),
    or: () => bits(x!, y!),
    xor: () => bits(x!, y!),
    shr: () => towardsZero(x!),
    argreduce: () =>
      below((node as Node<'argreduce'>).operands[0]!.type.shape[(node as Node<'argreduce'>).attrs.axis]!),
    windowArg: () => below(sizeOf((node as Node<'windowArg'>).attrs.window)),
    sort: () => (value.index === 0 ? x! : below(value.type.shape[(node as Node<'sort'>).attrs.axis]!)),
    topk: () => (value.index === 0 ? x! : below(node.operands[0]!.type.shape.at(-1)!)),
    reduce: () => reduced(node as Node<'reduce'>, x!, count(sizeOf(node.results[0]!.type.shape))),
    cumulative: () => cumulated(node as Node<'cumulative'>, x!),
    reduceWindow: () => {
      const { kind, window } = (node as Node<'reduceWindow'>).attrs;
      return kind === 'sum' ? products(x!, { low: 0, high: sizeOf(window) }) : x!;
    },
  };
  const moving = ['reshape', 'broadcast', 'transpose', 'slice', 'reverse', 'gather'];
  if (moving.includes(node.op)) return x!;
  const found = rules[node.op]?.();
  return found ?? boundsOfDType(value);
}

/** Positions on an axis. */
const below = (length: number): Bounds => ({ low: 0, high: Math.max(0, length - 1) });

function hullOf(numbers: readonly number[]): Bounds {
  return numbers.reduce(({ low, high }, n) => ({ low: Math.min(low, n), high: Math.max(high, n) }), {
    low: 0,
    high: 0,
  });
}

function joined(list: readonly Bounds[]): Bounds {
  return { low: Math.min(...list.map(({ low }) => low)), high: Math.max(...list.map(({ high }) => high)) };
}

function largest({ low, high }: Bounds): number {
  return Math.max(Math.abs(low), Math.abs(high));
}

const between = (most: number): Bounds => ({ low: -most, high: most });

/** Results between the value and 0. */
const towardsZero = ({ low, high }: Bounds): Bounds => ({ low: Math.min(0, low), high: Math.max(0, high) });

/** Bounds of 32 bits if both have them: bitwise operations keep them. */
function bits(x: Bounds, y: Bounds): Bounds {
  const fits = [x, y].every(({ low, high }) => low >= i32.low && high <= i32.high);
  return fits ? i32 : unknown;
}

function products(x: Bounds, y: Bounds): Bounds {
  const corners = [x.low * y.low, x.low * y.high, x.high * y.low, x.high * y.high].map((n) =>
    Number.isNaN(n) ? 0 : n,
  );
  return { low: Math.min(...corners), high: Math.max(...corners) };
}

function reduced({ attrs }: Node<'reduce'>, x: Bounds, count: number): Bounds {
  if (attrs.kind === 'sum') return products(x, { low: 0, high: count });
  if (attrs.kind === 'max' || attrs.kind === 'min') return x;
  return unknown;
}

function cumulated({ attrs, operands }: Node<'cumulative'>, x: Bounds): Bounds {
  if (attrs.kind === 'sum') return products(x, { low: 0, high: operands[0]!.type.shape[attrs.axis]! });
  return attrs.kind === 'prod' ? unknown : x;
}
