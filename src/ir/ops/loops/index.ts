// Loops and branches: operations that run nested functions. A nested function reads nothing of its surroundings: what it
// needs is passed to it, as constants that all steps share, as carries that each step gives to the next, or slice by slice.

import type { OpTable } from '../../optable.ts';
import { batchCond, batchScan, batchWhile } from './batch.ts';
import { evaluateScan, evaluateWhile } from './evaluate.ts';
import { condExamples, scanExamples, whileExamples } from './examples.ts';
import { condJvp, scanJvp, whileJvp } from './forward.ts';
import { scanVjp, whileVjp } from './reverse.ts';
import { condVjp } from './reverse-cond.ts';
import { condTypes, scanTypes, whileTypes } from './types.ts';

export const loopOps: Pick<OpTable, 'scan' | 'while' | 'cond'> = {
  scan: {
    doc: 'Steps through sequences, slice by slice along their first axis: carries go from step to step, outputs are stacked.',
    infer: scanTypes,
    evaluate: evaluateScan,
    jvp: scanJvp,
    vjp: scanVjp,
    batch: batchScan,
    lowering: { class: 'loop' },
    examples: scanExamples,
  },
  while: {
    doc: 'Repeats a function of the carries while a condition of them is true, at most a given number of times.',
    infer: whileTypes,
    evaluate: (operands, attrs, _results, apply) => evaluateWhile(operands, attrs, apply),
    jvp: whileJvp,
    vjp: whileVjp,
    batch: batchWhile,
    lowering: { class: 'loop' },
    examples: whileExamples,
  },
  cond: {
    doc: 'One of two functions of the same arguments, chosen by a predicate; only the chosen one runs.',
    infer: condTypes,
    evaluate: ([predicate, ...given], { then, otherwise }, _results, apply) =>
      apply(predicate!.data[0] !== 0 ? then : otherwise, given),
    jvp: condJvp,
    vjp: condVjp,
    batch: batchCond,
    lowering: { class: 'loop' },
    examples: condExamples,
  },
};
