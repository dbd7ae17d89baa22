// Loops and branches: operations that run nested functions. A nested function reads nothing of its surroundings: what it
// needs is passed to it, as constants that all steps share, as carries that each step gives to the next, or slice by slice.

import { LimitationError } from '../../errors.ts';
import type { Node } from '../../graph.ts';
import type { OpTable } from '../../optable.ts';
import { batchCond, batchScan, batchWhile } from './batch.ts';
import { evaluateScan, evaluateWhile } from './evaluate.ts';
import { condExamples, scanExamples, whileExamples } from './examples.ts';
import { condTypes, scanTypes, whileTypes } from './types.ts';

function notDifferentiated(_: unknown, node: Node): never {
  throw new LimitationError(`${node.op} has no derivative yet: write its steps out`, node.source);
}

export const loopOps: Pick<OpTable, 'scan' | 'while' | 'cond'> = {
  scan: {
    doc: 'Steps through sequences, slice by slice along their first axis: carries go from step to step, outputs are stacked.',
    infer: scanTypes,
    evaluate: evaluateScan,
    jvp: notDifferentiated,
    vjp: notDifferentiated,
    batch: batchScan,
    lowering: { class: 'loop' },
    examples: scanExamples,
  },
  while: {
    doc: 'Repeats a function of the carries while a condition of them is true, at most a given number of times.',
    infer: whileTypes,
    evaluate: (operands, attrs, _results, apply) => evaluateWhile(operands, attrs, apply),
    jvp: notDifferentiated,
    vjp: notDifferentiated,
    batch: batchWhile,
    lowering: { class: 'loop' },
    examples: whileExamples,
  },
  cond: {
    doc: 'One of two functions of the same arguments, chosen by a predicate; only the chosen one runs.',
    infer: condTypes,
    evaluate: ([predicate, ...given], { then, otherwise }, _results, apply) =>
      apply(predicate!.data[0] !== 0 ? then : otherwise, given),
    jvp: notDifferentiated,
    vjp: notDifferentiated,
    batch: batchCond,
    lowering: { class: 'loop' },
    examples: condExamples,
  },
};
