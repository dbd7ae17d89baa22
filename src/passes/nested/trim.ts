// Trimming: what a loop or branch takes, carries and gives without need is removed. A carry that never changes is a constant of
// all steps, as is a sequence whose slices are all the same; small constants move into the nested function, where other passes
// see them; what is given twice is passed once.

import type { Builder } from '../../ir/builder.ts';
import type { Func, Node, Value } from '../../ir/graph.ts';
import { inlineFunc } from '../../ir/inline.ts';
import { builder } from '../../ir/ops/index.ts';
import { fresh, nestedFunc, open } from '../../ir/ops/loops/nested.ts';
import type { Pass } from '../pass.ts';
import { isSplat, madeBy, splatOf } from '../patterns.ts';
import { mapNodes, nests } from '../rewrite.ts';
import { leavesOf, liveCarries } from './reads.ts';

/** Constants of up to this many elements move into nested functions: those that folding looks into. */
const mostMoved = 4096;

export const trimLoops: Pass = {
  name: 'trim-loops',
  guarantees: 'loops and branches take, carry and give only what is used, and nothing twice',
  needs: 'calls inlined',
  run: (func) => {
    if (!nests(func)) return func;
    for (let current = func; ; ) {
      const next = trimOnce(current);
      if (next === current) return current;
      current = next;
    }
  },
};

/** What one loop no longer reads may leave another with something to trim. */
function trimOnce(func: Func): Func {
  const used = new Set(func.results.map(({ value }) => value));
  for (const { operands } of func.nodes) for (const operand of operands) used.add(operand);
  let index = 0;
  return mapNodes(func, (node) => {
    const flags = func.nodes[index++]!.results.map((value) => used.has(value));
    const b = builder.at(node.source);
    if (node.op === 'scan') return trimScan(b, node as Node<'scan'>, flags);
    if (node.op === 'while') return trimWhile(b, node as Node<'while'>, flags);
    if (node.op === 'cond') return trimCond(b, node as Node<'cond'>, flags);
    return node.results;
  });
}

/** Parameters of a nested function with what is passed to each: one for each operand, none for small constants. */
class Inputs {
  readonly operands: Value[] = [];
  readonly values: Value[] = [];
  readonly #b: Builder;
  constructor(b: Builder) {
    this.#b = b;
  }

  /** What stands for an operand inside. */
  shared(operand: Value, name: string | null): Value {
    const { producer } = operand;
    if (producer?.op === 'iota') return this.#b.iota((producer as Node<'iota'>).attrs);
    const constant = madeBy(operand, 'constant');
    if (constant !== null && constant.attrs.data.length <= mostMoved) return this.#b.constant(constant.attrs);
    return this.own(operand, name, operand.type.shape);
  }

  own(operand: Value, name: string | null, shape: readonly number[]): Value {
    const at = this.operands.indexOf(operand);
    if (at >= 0) return this.values[at]!;
    const value = fresh(name ?? 'value', { dtype: operand.type.dtype, shape });
    this.operands.push(operand);
    this.values.push(value);
    return value;
  }

  /** The operand that a value of the nested function is, or null. */
  operandOf(value: Value): Value | null {
    return this.operands[this.values.indexOf(value)] ?? null;
  }

  /** Operands and parameters that something reads. */
  kept(read: ReadonlySet<Value>): { readonly operands: Value[]; readonly values: Value[] } {
    const flags = this.values.map((value) => read.has(value));
    return {
      operands: this.operands.filter((_, i) => flags[i]),
      values: this.values.filter((_, i) => flags[i]),
    };
  }
}

/** What all slices of a sequence are, outside of the loop; null where they differ. */
function everySlice(b: Builder, sequence: Value): Value | null {
  const [, ...shape] = sequence.type.shape;
  const splat = splatOf(sequence);
  if (splat !== null) return b.fill({ dtype: sequence.type.dtype, shape }, splat);
  const spread = madeBy(sequence, 'broadcast');
  if (spread === null || spread.attrs.axes[0] === 0) return null;
  return b.broadcast(spread.operands[0]!, { shape, axes: spread.attrs.axes.map((axis) => axis - 1) });
}

function trimScan(b: Builder, node: Node<'scan'>, used: readonly boolean[]): readonly Value[] {
  const { body, consts, carries, length } = node.attrs;
  const parameters = body.parameters.map(({ value }) => value);
  const [shared, walked] = [new Inputs(b), new Inputs(b)];
  const isFixed = (i: number): boolean => body.results[i]!.value === parameters[consts + i];
  const values = parameters.map((parameter, i) => {
    const operand = node.operands[i]!;
    if (i < consts || (i < consts + carries && isFixed(i - consts))) return shared.shared(operand, parameter.name);
    if (i < consts + carries) return fresh(parameter.name ?? 'carry', parameter.type);
    const same = everySlice(b, operand);
    return same === null
      ? walked.own(operand, parameter.name, parameter.type.shape)
      : shared.shared(same, parameter.name);
  });
  const results = inlineFunc(body, values);
  const stacks = results.slice(carries).map((value, j) => (used[carries + j]! ? stackOf(value) : null));
  const outputs = [...new Set(results.slice(carries).filter((_, j) => used[carries + j]! && stacks[j] === null))];
  const carried = Array.from({ length: carries }, (_, i) => ({
    value: values[consts + i]!,
    next: results[i]!,
    first: node.operands[consts + i]!,
    used: used[i]!,
    fixed: isFixed(i),
  }));
  const changing = carried.filter(({ fixed }) => !fixed);
  const live = liveCarries(changing, outputs);
  const kept = changing.filter((_, i) => live[i]);
  const given = [...kept.map(({ next }) => next), ...outputs];
  const inner = trimmed(body.name, [...shared.values, ...kept.map(({ value }) => value), ...walked.values], given);
  const read = leavesOf(inner.results.map(({ value }) => value));
  const [constants, sequences] = [shared.kept(read), walked.kept(read)];
  const same =
    constants.operands.length === consts &&
    kept.length === carries &&
    outputs.length === node.results.length - carries &&
    sequences.operands.length === node.operands.length - consts - carries;
  if (same) return node.results;
  const taken = new Set([...constants.values, ...kept.map(({ value }) => value), ...sequences.values]);
  const operands = [...constants.operands, ...kept.map(({ first }) => first), ...sequences.operands];
  const made =
    given.length === 0
      ? []
      : b.scan(...operands, {
          ...node.attrs,
          body: taking(inner, taken),
          consts: constants.operands.length,
          carries: kept.length,
        });
  return node.results.map((result, i) => {
    if (i >= carries) {
      const stack = stacks[i - carries];
      if (stack != null) return stack;
      return made[kept.length + outputs.indexOf(results[i]!)] ?? result;
    }
    const entry = carried[i]!;
    return entry.fixed ? entry.first : (made[kept.indexOf(entry)] ?? result);
  });

  /** An output that is known without the loop: a sequence itself, or the same in every step. */
  function stackOf(value: Value): Value | null {
    const sequence = walked.operandOf(value);
    if (sequence !== null) return sequence;
    const shape = [length, ...value.type.shape];
    const splat = splatOf(value);
    if (splat !== null) return b.fill({ dtype: value.type.dtype, shape }, splat);
    const constant = shared.operandOf(value);
    return constant && b.broadcast(constant, { shape, axes: constant.type.shape.map((_, axis) => axis + 1) });
  }
}

function trimWhile(b: Builder, node: Node<'while'>, used: readonly boolean[]): readonly Value[] {
  const { body, condition, consts } = node.attrs;
  const shared = new Inputs(b);
  const isFixed = (i: number): boolean => body.results[i]!.value === body.parameters[consts + i]!.value;
  const values = body.parameters.map(({ value }, i) => {
    const isShared = i < consts || isFixed(i - consts);
    return isShared ? shared.shared(node.operands[i]!, value.name) : fresh(value.name ?? 'carry', value.type);
  });
  const results = inlineFunc(body, values);
  const tested = inlineFunc(condition, values);
  const carried = results.map((next, i) => ({
    value: values[consts + i]!,
    next,
    first: node.operands[consts + i]!,
    used: used[i]!,
    fixed: isFixed(i),
  }));
  const changing = carried.filter(({ fixed }) => !fixed);
  const live = liveCarries(changing, tested);
  // A loop without carries would give nothing; it is gone where nothing reads it.
  const kept = changing.filter((_, i) => live[i]);
  const nexts = kept.map(({ next }) => next);
  const all = [...shared.values, ...kept.map(({ value }) => value)];
  const [inner, test] = [trimmed(body.name, all, nexts), trimmed(condition.name, all, tested)];
  const constants = shared.kept(leavesOf([...inner.results, ...test.results].map(({ value }) => value)));
  if (constants.operands.length === consts && kept.length === results.length) return node.results;
  const taken = new Set([...constants.values, ...kept.map(({ value }) => value)]);
  const made =
    kept.length === 0
      ? []
      : b.while(...constants.operands, ...kept.map(({ first }) => first), {
          ...node.attrs,
          condition: renewed(taking(test, taken)),
          body: taking(inner, taken),
          consts: constants.operands.length,
        });
  return node.results.map((result, i) => {
    const entry = carried[i]!;
    return entry.fixed ? entry.first : (made[kept.indexOf(entry)] ?? result);
  });
}

/** A function of which only these results are needed, in loops within it too. */
function trimmed(name: string, parameters: readonly Value[], results: readonly Value[]): Func {
  return trimLoops.run(nestedFunc(name, parameters, results));
}

/** The function without the parameters that it does not read. */
function taking(func: Func, taken: ReadonlySet<Value>): Func {
  return { ...func, parameters: func.parameters.filter(({ value }) => taken.has(value)) };
}

/** The function on parameters that it shares with no other. */
function renewed(func: Func): Func {
  const { parameters, results } = open(func);
  return nestedFunc(func.name, parameters, results);
}

function trimCond(b: Builder, node: Node<'cond'>, used: readonly boolean[]): readonly Value[] {
  const [predicate, ...given] = node.operands as [Value, ...Value[]];
  const { then, otherwise } = node.attrs;
  const shared = new Inputs(b);
  const values = given.map((operand, i) => shared.shared(operand, then.parameters[i]!.name));
  const [chosen, other] = [inlineFunc(then, values), inlineFunc(otherwise, values)];
  const known = chosen.map((value, i) => {
    const splat = splatOf(value);
    if (splat !== null && isSplat(other[i]!, splat)) return b.fill(value.type, splat);
    return value === other[i] ? shared.operandOf(value) : null;
  });
  const wanted = chosen.map((_, i) => used[i]! && known[i] === null);
  const [first, second] = [chosen, other].map((list) => list.filter((_, i) => wanted[i])) as [Value[], Value[]];
  const branches = [trimmed(then.name, shared.values, first), trimmed(otherwise.name, shared.values, second)] as const;
  const inputs = shared.kept(leavesOf(branches.flatMap(({ results }) => results.map(({ value }) => value))));
  const taken = new Set(inputs.values);
  if (inputs.operands.length === given.length && first.length === node.results.length) return node.results;
  const made =
    first.length === 0
      ? []
      : [
          ...b.cond(predicate, ...inputs.operands, {
            ...node.attrs,
            then: taking(branches[0], taken),
            otherwise: renewed(taking(branches[1], taken)),
          }),
        ];
  return node.results.map((result, i) => known[i] ?? (wanted[i] ? made.shift()! : result));
}
