// Random bits: a pure function of a key and of where an element stands, so that they are the same on every target, in
// any order and in any part of a kernel.

import { fixed, flatten, floorDiv, modulo } from '../index-expr.ts';
import { apply, castTo, indexValue } from '../kernel.ts';
import { type OpTable, TypeMismatch } from '../optable.ts';
import { formatType, isCountable, sameShape, sizeOf, type TensorType } from '../types.ts';
import { sameAttributes } from './batching.ts';
import { expectOperands, tabulate } from './rules.ts';
import { evaluateScalar } from './scalar.ts';

/** Words of a block of Philox 4x32. Neighbours share a block: it is one vector of a GPU, and computed once where loops can be split. */
const wordsInBlock = 4;
/** A counter's first word counts blocks. */
const mostElements = wordsInBlock * 2 ** 32;

export const randomOps: Pick<OpTable, 'randomBits'> = {
  randomBits: {
    doc: 'Uniform 32-bit words by the counter-based generator Philox 4x32-10, from a key of two words.',
    infer: (operands, { shape }) => {
      expectOperands(operands, 2);
      const [key, counter] = operands as [TensorType, TensorType];
      if (key.dtype !== 'u32' || key.shape.at(-1) !== 2)
        throw new TypeMismatch(`a key u32[..,2] expected, ${formatType(key)} given`);
      const batch = key.shape.slice(0, -1);
      if (counter.dtype !== 'u32' || !sameShape(counter.shape, [...batch, wordsInBlock]))
        throw new TypeMismatch(`a counter u32[${[...batch, wordsInBlock]}] expected, ${formatType(counter)} given`);
      if (!isCountable(shape) || sizeOf(shape) > mostElements)
        throw new TypeMismatch(`at most 2^34 elements of a key expected, [${shape}] given`);
      return [{ dtype: 'u32', shape: [...batch, ...shape] }];
    },
    evaluate: ([key, counter], { shape }, [type]) => {
      const size = sizeOf(shape);
      return [
        tabulate(type!, (_index, at) => {
          const which = Math.floor(at / size);
          const position = at - which * size;
          const [first, ...others] = counter!.data.subarray(which * wordsInBlock, (which + 1) * wordsInBlock);
          const block = (first! + Math.floor(position / wordsInBlock)) >>> 0;
          const words = key!.data.subarray(2 * which, 2 * which + 2);
          return evaluateScalar('philox', [block, ...others, ...words, position % wordsInBlock], 'u32');
        }),
      ];
    },
    jvp: 'zero',
    vjp: 'zero',
    batch: sameAttributes,
    lowering: {
      class: 'element',
      cost: 'expensive',
      element: (s, index, { attrs: { shape } }) => {
        const batch = index.slice(0, index.length - shape.length);
        const position = flatten(index.slice(batch.length), shape);
        const key = [0, 1].map((at) => s.operand(0, [...batch, fixed(at)]));
        const [first, ...others] = [0, 1, 2, 3].map((at) => s.operand(1, [...batch, fixed(at)]));
        const block = apply('add', first!, castTo('u32', indexValue(floorDiv(position, wordsInBlock))));
        const word = castTo('u32', indexValue(modulo(position, wordsInBlock)));
        return apply('philox', block, ...others, ...key, word);
      },
    },
    examples: [
      { text: 'func @f(%k: u32[2], %c: u32[4]) {\n  %0 = randomBits(%k, %c) {shape=[3,5]}\n  return y = %0\n}' },
      { text: 'func @f(%k: u32[3,2], %c: u32[3,4]) {\n  %0 = randomBits(%k, %c) {shape=[8]}\n  return y = %0\n}' },
      { text: 'func @f(%k: u32[2], %c: u32[4]) {\n  %0 = randomBits(%k, %c) {shape=[]}\n  return y = %0\n}' },
      { text: 'func @f(%k: u32[2], %c: u32[4]) {\n  %0 = randomBits(%k, %c) {shape=[64,32]}\n  return y = %0\n}' },
    ],
  },
};
