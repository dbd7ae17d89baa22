// Loops and branches whose course is known when they are compiled: no step, one step, a predicate that is a constant.

import type { Node, Value } from '../../ir/graph.ts';
import { inlineFunc } from '../../ir/inline.ts';
import { builder } from '../../ir/ops/index.ts';
import type { Pass } from '../pass.ts';
import { madeBy, splatOf } from '../patterns.ts';
import { mapNodes } from '../rewrite.ts';

export const knownLoops: Pass = {
  name: 'known-loops',
  guarantees: 'scans have two steps or more, conditions and predicates are no constants and no negations',
  needs: 'calls inlined',
  run: (func) =>
    mapNodes(func, (node) => {
      if (node.op === 'scan') return scanOf(node as Node<'scan'>);
      if (node.op === 'while') return whileOf(node as Node<'while'>);
      return node.op === 'cond' ? condOf(node as Node<'cond'>) : node.results;
    }),
};

function scanOf(node: Node<'scan'>): readonly Value[] {
  const { body, length, consts, carries } = node.attrs;
  const b = builder.at(node.source);
  if (length > 1) return node.results;
  const first = node.operands.slice(consts, consts + carries);
  if (length === 0) return node.results.map(({ type }, i) => first[i] ?? b.fill(type, 0));
  const slices = node.operands
    .slice(consts + carries)
    .map((sequence) => b.reshape(sequence, { shape: sequence.type.shape.slice(1) }));
  const results = inlineFunc(body, [...node.operands.slice(0, consts), ...first, ...slices]);
  return results.map((value, i) => (i < carries ? value : b.reshape(value, { shape: [1, ...value.type.shape] })));
}

function whileOf(node: Node<'while'>): readonly Value[] {
  const { condition, consts, limit } = node.attrs;
  const never = limit === 0 || splatOf(condition.results[0]!.value) === 0;
  return never ? node.operands.slice(consts) : node.results;
}

function condOf(node: Node<'cond'>): readonly Value[] {
  const [predicate, ...given] = node.operands as [Value, ...Value[]];
  const { then, otherwise } = node.attrs;
  const known = splatOf(predicate);
  if (known !== null) return inlineFunc(known === 0 ? otherwise : then, given);
  const negated = madeBy(predicate, 'not');
  if (negated === null) return node.results;
  return builder
    .at(node.source)
    .cond(negated.operands[0]!, ...given, { ...node.attrs, then: otherwise, otherwise: then });
}
