// What leaves a loop ahead of it. What depends on constants alone and is costly is computed once. Contractions that depend on
// sequences alone (a recurrence's x W) become one over all steps, with more rows than any single step has. Only those are stacked:
// whatever else a step makes of its slices would cost more memory than the step it saves.

import { batchValues } from '../../ir/batch.ts';
import type { Builder } from '../../ir/builder.ts';
import { closeOver } from '../../ir/closure.ts';
import { type Func, makeFunc, type Node, type Value } from '../../ir/graph.ts';
import { inlineFunc } from '../../ir/inline.ts';
import { opTable } from '../../ir/ops/index.ts';
import { fresh } from '../../ir/ops/loops/nested.ts';
import { isCostly } from '../../ir/ops/loops/residuals.ts';

/** What a value of a step depends on at most, in this order; `fixed` is nothing at all. */
const kinds = ['fixed', 'constants', 'sequences', 'carries'] as const;
type Kind = (typeof kinds)[number];

/** True for operations that batches of are one like themselves. */
export function isBatched({ op }: Node): boolean {
  const { lowering } = opTable[op];
  return lowering.class === 'element' || lowering.class === 'reduction' || lowering.class === 'contraction';
}

export const isContraction = ({ op }: Node): boolean => opTable[op].lowering.class === 'contraction';

/** True where a value of this kind differs from step to step. */
export const isVarying = (kind: Kind | undefined): boolean => kind === 'sequences' || kind === 'carries';

/** The kind of every value; what depends on sequences through operations that have no batches counts as carried. */
export function kindsOf(body: Func, consts: number, carries: number): Map<Value, Kind> {
  const found = new Map<Value, Kind>();
  for (const [i, { value }] of body.parameters.entries())
    found.set(value, i < consts ? 'constants' : i < consts + carries ? 'carries' : 'sequences');
  for (const node of body.nodes) {
    const most = Math.max(0, ...node.operands.map((operand) => kinds.indexOf(found.get(operand)!)));
    const kind = kinds[most]!;
    for (const value of node.results) found.set(value, kind === 'sequences' && !isBatched(node) ? 'carries' : kind);
  }
  return found;
}

/** The loop with what leaves it as further operands; null where nothing does. */
export function hoistedAhead(b: Builder, node: Node<'scan'>): readonly Value[] | null {
  const { body, consts, carries, length, residuals } = node.attrs;
  const found = kindsOf(body, consts, carries);
  const leaves = (value: Value): boolean => {
    const { producer } = value;
    if (producer === null) return false;
    if (found.get(value) === 'constants') return isCostly(opTable, producer);
    // A scan that recomputes is to need little memory.
    return found.get(value) === 'sequences' && isContraction(producer) && residuals === 'keep';
  };
  const { func, captured } = closeOver(body.name, body.parameters, body.results, leaves);
  if (captured.length === 0) return null;
  const isOnce = captured.map((value) => found.get(value) === 'constants');
  const outside = outsideOf(body, captured, node, length);
  const inside = func.parameters.slice(0, captured.length);
  const own = func.parameters.slice(captured.length);
  const once = <T>(list: readonly T[]): T[] => list.filter((_, i) => isOnce[i]);
  const sliced = <T>(list: readonly T[]): T[] => list.filter((_, i) => !isOnce[i]);
  const parameters = [...once(inside), ...own, ...sliced(inside)];
  return b.scan(...once(outside), ...node.operands, ...sliced(outside), {
    ...node.attrs,
    body: makeFunc(body.name, parameters, func.results),
    consts: consts + once(inside).length,
  });
}

/** The values for all steps, made of the loop's operands. */
function outsideOf(body: Func, captured: readonly Value[], { operands, attrs }: Node<'scan'>, length: number): Value[] {
  const first = attrs.consts + attrs.carries;
  const slices = body.parameters.map(({ value }) => fresh(value.name ?? 'slice', value.type));
  const alone = makeFunc(
    body.name,
    body.parameters,
    captured.map((value, i) => ({ name: `ahead_${i}`, role: 'output', value })),
  );
  const made = inlineFunc(
    alone,
    slices.map((slice, i) => (i < attrs.consts ? operands[i]! : slice)),
  );
  const sequences = new Map(operands.slice(first).map((operand, i) => [slices[first + i]!, operand]));
  return batchValues(made, sequences, length).map(({ value }) => value);
}

/** What a condition or a step of a while computes of constants alone, ahead of it. */
export function hoistedAheadOfWhile(b: Builder, node: Node<'while'>): readonly Value[] | null {
  const { condition, body, consts } = node.attrs;
  const shared = node.operands.slice(0, consts);
  const moved = [condition, body].map((func) => {
    const found = kindsOf(func, consts, func.parameters.length - consts);
    const closure = closeOver(func.name, func.parameters, func.results, (value) => {
      const { producer } = value;
      return producer !== null && found.get(value) === 'constants' && isCostly(opTable, producer);
    });
    return { ...closure, original: func };
  });
  if (moved.every(({ captured }) => captured.length === 0)) return null;
  const outside = moved.map(({ original, captured }) => {
    const alone = makeFunc(
      'ahead',
      original.parameters,
      captured.map((value, i) => ({ name: `ahead_${i}`, role: 'output', value })),
    );
    const rest = original.parameters.slice(consts).map(({ value }) => fresh('carry', value.type));
    return inlineFunc(alone, [...shared, ...rest]);
  });
  const types = outside.flat().map(({ type }) => type);
  const [tested, stepped] = moved.map(({ func, captured }, m) => {
    const before = m === 0 ? 0 : outside[0]!.length;
    const own = func.parameters.slice(0, captured.length);
    const all = types.map((type, i) => {
      const at = i - before;
      const value = own[at]?.value ?? fresh('unread', type);
      return { name: `ahead_${i}`, role: 'input' as const, value };
    });
    return makeFunc(func.name, [...all, ...func.parameters.slice(captured.length)], func.results);
  });
  return b.while(...outside.flat(), ...node.operands, {
    ...node.attrs,
    condition: tested!,
    body: stepped!,
    consts: consts + types.length,
  });
}
