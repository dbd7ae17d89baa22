// Batching rules, walked over the operation table: every example of every operation along a new axis of every subset of its
// parameters is what the function gives for one index of that axis after another.

import { describe, expect, it } from 'vitest';
import { batchFunc } from '../src/ir/batch.ts';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import type { Func } from '../src/ir/graph.ts';
import type { NdArray } from '../src/ir/ndarray.ts';
import type { OpName } from '../src/ir/opattrs.ts';
import { opTable } from '../src/ir/ops/index.ts';
import { parseFunc, printFunc } from '../src/ir/text.ts';
import { sizeOf } from '../src/ir/types.ts';
import { verifyFunc } from '../src/ir/verify.ts';
import { sampleInputs } from './helpers/samples.ts';

const size = 3;

/** Every choice of some of `count` things, as flags; none at all is left out. */
function subsets(count: number): boolean[][] {
  return Array.from({ length: 2 ** count - 1 }, (_, i) =>
    Array.from({ length: count }, (_, position) => ((i + 1) & (1 << position)) !== 0),
  );
}

function at(array: NdArray, index: number, like: NdArray['type']): NdArray {
  const length = sizeOf(like.shape);
  return { type: like, data: array.data.slice(index * length, (index + 1) * length) };
}

function expectLoop(func: Func, flags: readonly boolean[], domain?: readonly [number, number]): void {
  const { func: together, batched } = batchFunc(func, flags, size);
  verifyFunc(together);
  const inputs = sampleInputs(together, 23, domain);
  const found = evaluateFunc(together, inputs);
  for (let index = 0; index < size; index++) {
    const one = inputs.map((input, i) => (flags[i]! ? at(input, index, func.parameters[i]!.value.type) : input));
    evaluateFunc(func, one).forEach((expected, i) => {
      const given = batched[i]! ? at(found[i]!, index, expected.type) : found[i]!;
      expect(given.type.shape).toEqual(expected.type.shape);
      const wrong = expected.data.findIndex((value, j) => {
        const difference = Math.abs(value - given.data[j]!);
        return !Object.is(value, given.data[j]) && !(difference <= 1e-12 * (1 + Math.abs(value)));
      });
      if (wrong >= 0)
        expect.fail(
          `${expected.data[wrong]} expected, ${given.data[wrong]} given for [${flags}] in\n${printFunc(together)}`,
        );
    });
  }
}

describe('batches of every operation', () => {
  it.each(Object.keys(opTable) as OpName[])('%s along a new axis of any operands is its values one by one', (name) => {
    for (const { text, domain } of opTable[name].examples) {
      const func = parseFunc(text);
      for (const flags of subsets(func.parameters.length)) expectLoop(func, flags, domain);
    }
  });
});
