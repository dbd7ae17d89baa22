// Merging scans that walk the same things: they become one with the carries and outputs of all. A derivative runs a scan again to
// keep more of it; merged with the first it costs what is kept. Carries that begin equal and remain so, if they are taken to be
// equal, are one.

import { type Func, makeFunc, type Node, type Value } from '../../ir/graph.ts';
import { inlineFunc, withOperands } from '../../ir/inline.ts';
import { builder } from '../../ir/ops/index.ts';
import { fresh, nestedFunc } from '../../ir/ops/loops/nested.ts';
import { boundedScan } from '../../ir/ops/loops/reverse.ts';
import { equalValues } from '../cse.ts';
import type { Pass } from '../pass.ts';
import { mapNodes, nests } from '../rewrite.ts';

export const mergeScans: Pass = {
  name: 'merge-scans',
  guarantees: 'scans over the same sequence or from the same carries, of which none reads another, are one',
  needs: 'calls inlined',
  run: (given) => {
    if (!nests(given)) return given;
    const func = boundedAsScans(given);
    const levels = levelsOf(func, 'scan');
    const groups = groupsOf(func, levels);
    if (groups.size === 0) return func;
    const map = new Map<Value, Value>();
    const mapped = (value: Value): Value => map.get(value) ?? value;
    // By level, operands of all scans of a group come before the first of them.
    const ordered = [...func.nodes].sort((a, b) => levels.get(a)! - levels.get(b)!);
    for (const node of ordered) {
      if (map.has(node.results[0]!)) continue;
      const group = groups.get(node);
      const operands = (of: Node): Value[] => of.operands.map(mapped);
      if (group !== undefined) {
        const merged = mergedScan(group.map((member) => withOperands(member, operands(member)) as Node<'scan'>));
        for (const [i, member] of group.entries())
          for (const [j, value] of member.results.entries()) map.set(value, merged[i]![j]!);
      } else if (node.operands.some((operand) => map.has(operand))) {
        const { results } = withOperands(node, operands(node));
        for (const [i, value] of node.results.entries()) map.set(value, results[i]!);
      }
    }
    const results = func.results.map((result) => ({ ...result, value: mapped(result.value) }));
    return makeFunc(func.name, func.parameters, results);
  },
};

/** A bounded while beside a scan that its derivative made of it becomes that scan too: its steps are then taken once. */
function boundedAsScans(func: Func): Func {
  const scans = func.nodes.filter(({ op }) => op === 'scan') as Node<'scan'>[];
  const isOf = (loop: Node<'while'>, { operands, attrs }: Node<'scan'>): boolean =>
    attrs.length === loop.attrs.limit &&
    attrs.consts === loop.attrs.consts &&
    operands.length === loop.operands.length &&
    operands.every((operand, i) => operand === loop.operands[i]) &&
    attrs.body.results[0]!.value.producer?.op === 'cond';
  return mapNodes(func, (node) => {
    if (node.op !== 'while') return node.results;
    const loop = node as Node<'while'>;
    const { limit } = loop.attrs;
    if (limit === null || !scans.some((scan) => isOf(loop, scan))) return node.results;
    return boundedScan(builder.at(node.source), loop, limit);
  });
}

/** How many nodes of an operation lie on the longest way to each node: those of one level do not read each other. */
export function levelsOf(func: Func, op: 'scan' | 'cond'): Map<Node, number> {
  const levels = new Map<Node, number>();
  for (const node of func.nodes) {
    const before = node.operands.map(({ producer }) => (producer === null ? 0 : levels.get(producer)!));
    const below = before.reduce((most, level) => Math.max(most, level), 0);
    levels.set(node, below + (node.op === op ? 1 : 0));
  }
  return levels;
}

/** Scans of one level, length and direction that share what they walk, by each of them; none alone. */
function groupsOf(func: Func, levels: ReadonlyMap<Node, number>): Map<Node, Node<'scan'>[]> {
  const groups: Node<'scan'>[][] = [];
  for (const node of func.nodes) {
    if (node.op !== 'scan') continue;
    const scan = node as Node<'scan'>;
    const alike = groups.find(
      ([first]) =>
        first!.attrs.length === scan.attrs.length &&
        first!.attrs.reverse === scan.attrs.reverse &&
        levels.get(first!) === levels.get(scan) &&
        shareWalk(first!, scan),
    );
    if (alike === undefined) groups.push([scan]);
    else alike.push(scan);
  }
  const several = groups.filter(({ length }) => length > 1);
  return new Map(several.flatMap((group) => group.map((node) => [node, group] as const)));
}

const walkedBy = ({ operands, attrs }: Node<'scan'>): readonly Value[] => operands.slice(attrs.consts);
const isKnown = ({ producer }: Value): boolean => producer !== null && producer.operands.length === 0;

function shareWalk(a: Node<'scan'>, b: Node<'scan'>): boolean {
  const ofB = walkedBy(b);
  return walkedBy(a).some((operand) => !isKnown(operand) && ofB.includes(operand));
}

/** One operand for each that differs, with the parameter that stands for it. */
export class Shared {
  readonly operands: Value[] = [];
  readonly values: Value[] = [];
  pass(operand: Value, like: Value): Value {
    const at = this.operands.indexOf(operand);
    if (at >= 0) return this.values[at]!;
    const value = fresh(like.name ?? 'value', like.type);
    this.operands.push(operand);
    this.values.push(value);
    return value;
  }
}

interface Carry {
  readonly first: Value;
  readonly value: Value;
  readonly next: Value;
}

/** The results of each scan as those of one. */
function mergedScan(scans: readonly Node<'scan'>[]): Value[][] {
  const [constants, sequences] = [new Shared(), new Shared()];
  const parts = scans.map(({ operands, attrs: { body, consts, carries } }) => {
    const values = body.parameters.map(({ value }, i) => {
      if (i < consts) return constants.pass(operands[i]!, value);
      return i < consts + carries ? fresh(value.name ?? 'carry', value.type) : sequences.pass(operands[i]!, value);
    });
    const results = inlineFunc(body, values);
    const carried = Array.from({ length: carries }, (_, i): Carry => {
      return { first: operands[consts + i]!, value: values[consts + i]!, next: results[i]! };
    });
    return { carried, outputs: results.slice(carries) };
  });
  const all = parts.flatMap(({ carried }) => carried);
  const same = equalCarries(all);
  const kept = all.filter((carry) => same.get(carry) === carry);
  const outputs = parts.flatMap((part) => part.outputs);
  const apart = nestedFunc(
    'merged',
    [...constants.values, ...all.map(({ value }) => value), ...sequences.values],
    [...kept.map(({ next }) => next), ...outputs],
  );
  const carriers = new Map(kept.map((carry) => [carry, fresh(carry.value.name ?? 'carry', carry.value.type)]));
  const renewed = (values: readonly Value[]): Value[] =>
    values.map((value) => fresh(value.name ?? 'value', value.type));
  const [ofConstants, ofSequences] = [renewed(constants.values), renewed(sequences.values)];
  const results = inlineFunc(apart, [
    ...ofConstants,
    ...all.map((carry) => carriers.get(same.get(carry)!)!),
    ...ofSequences,
  ]);
  const { source, attrs } = scans[0]!;
  const operands = [...constants.operands, ...kept.map(({ first }) => first), ...sequences.operands];
  const made = builder.at(source).scan(...operands, {
    ...attrs,
    body: nestedFunc(attrs.body.name, [...ofConstants, ...carriers.values(), ...ofSequences], results),
    consts: constants.operands.length,
    carries: kept.length,
  });
  const stacked = made.slice(kept.length);
  return parts.map(({ carried, outputs: own }) => [
    ...carried.map((carry) => made[kept.indexOf(same.get(carry)!)]!),
    ...stacked.splice(0, own.length),
  ]);
}

/** For each carry the first of those that it always equals: classes of those that begin equal, split where steps differ. */
function equalCarries(carries: readonly Carry[]): Map<Carry, Carry> {
  let classes = classesBy(carries, ({ first }) => first);
  for (;;) {
    const leaves = new Map(carries.map((carry) => [carry.value, classes.get(carry)!.value]));
    const equal = equalValues(
      carries.map(({ next }) => next),
      leaves,
    );
    const split = new Map<Carry, Carry>();
    for (const same of new Set(classes.values())) {
      const members = carries.filter((carry) => classes.get(carry) === same);
      for (const [carry, first] of classesBy(members, ({ next }) => equal.get(next) ?? next)) split.set(carry, first);
    }
    if (carries.every((carry) => split.get(carry) === classes.get(carry))) return classes;
    classes = split;
  }
}

/** For each carry the first of the same key. */
function classesBy(carries: readonly Carry[], keyOf: (carry: Carry) => Value): Map<Carry, Carry> {
  const firsts = new Map<Value, Carry>();
  return new Map(
    carries.map((carry) => {
      const key = keyOf(carry);
      const first = firsts.get(key) ?? carry;
      firsts.set(key, first);
      return [carry, first];
    }),
  );
}
