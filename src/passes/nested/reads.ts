// Which leaves values depend on, result by result: of a loop within a loop, a result reads only the operands that lead to it.

import type { Func, Node, Value } from '../../ir/graph.ts';

/** Every leaf that the values need. */
export function leavesOf(values: readonly Value[]): Set<Value> {
  const seen = new Set(values);
  const leaves = new Set<Value>();
  for (const value of seen) {
    if (value.producer === null) leaves.add(value);
    else for (const operand of operandsOf(value, value.producer)) seen.add(operand);
  }
  return leaves;
}

/**
 * Which carries matter: those whose last value is used, and those that what matters reads. `roots` always matter.
 */
export function liveCarries(
  carries: readonly { readonly value: Value; readonly next: Value; readonly used: boolean }[],
  roots: readonly Value[],
): boolean[] {
  let live = carries.map(({ used }) => used);
  for (;;) {
    const read = leavesOf([...roots, ...carries.filter((_, i) => live[i]).map(({ next }) => next)]);
    const grown = carries.map(({ value }, i) => live[i]! || read.has(value));
    if (grown.every((flag, i) => flag === live[i])) return live;
    live = grown;
  }
}

/** What results of loops and branches read: found once, because a loop around them asks for each of its carries. */
const found = new WeakMap<Value, readonly Value[]>();

/** The operands of a node that one of its results depends on. */
function operandsOf(value: Value, node: Node): readonly Value[] {
  if (node.op !== 'scan' && node.op !== 'while' && node.op !== 'cond') return node.operands;
  const operands = found.get(value) ?? operandsRead(value, node);
  found.set(value, operands);
  return operands;
}

function operandsRead(value: Value, node: Node): readonly Value[] {
  if (node.op === 'scan') return scanOperands(node as Node<'scan'>, value.index);
  if (node.op === 'while') return whileOperands(node as Node<'while'>, value.index);
  const { then, otherwise } = (node as Node<'cond'>).attrs;
  const [predicate, ...given] = node.operands as [Value, ...Value[]];
  return [predicate, ...read([then, otherwise], given, (func) => [func.results[value.index]!.value])];
}

/** The operands whose parameters these results of the functions read. */
function read(funcs: readonly Func[], operands: readonly Value[], results: (func: Func) => readonly Value[]): Value[] {
  const leaves = funcs.map((func) => leavesOf(results(func)));
  return operands.filter((_, i) => funcs.some((func, f) => leaves[f]!.has(func.parameters[i]!.value)));
}

function carriesOf(body: Func, consts: number, carries: number, used: number) {
  return Array.from({ length: carries }, (_, i) => {
    return { value: body.parameters[consts + i]!.value, next: body.results[i]!.value, used: i === used };
  });
}

function scanOperands({ operands, attrs }: Node<'scan'>, index: number): Value[] {
  const { body, consts, carries } = attrs;
  const outputs = index < carries ? [] : [body.results[index]!.value];
  const all = carriesOf(body, consts, carries, index);
  const live = liveCarries(all, outputs);
  return read([body], operands, () => [...outputs, ...all.filter((_, i) => live[i]).map(({ next }) => next)]).concat(
    live.flatMap((lives, i) => (lives ? [operands[consts + i]!] : [])),
  );
}

function whileOperands({ operands, attrs }: Node<'while'>, index: number): Value[] {
  const { body, condition, consts } = attrs;
  const all = carriesOf(body, consts, body.results.length, index);
  const tested = condition.parameters.slice(consts).map(({ value }) => value);
  const ofCondition = leavesOf([condition.results[0]!.value]);
  const carried = all.map((carry, i) => ({ ...carry, used: carry.used || ofCondition.has(tested[i]!) }));
  const live = liveCarries(carried, []);
  const nexts = carried.filter((_, i) => live[i]).map(({ next }) => next);
  const results = (func: Func): readonly Value[] => (func === body ? nexts : [condition.results[0]!.value]);
  return read([body, condition], operands, results).concat(
    live.flatMap((lives, i) => (lives ? [operands[consts + i]!] : [])),
  );
}
