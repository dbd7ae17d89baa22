// Random bits: a pure function of a key and of where an element stands, so that they are the same on every target, in
// any order and in any part of a kernel.

import { fixed, flatten, floorDiv, modulo } from '../index-expr.ts';
import { apply, castTo, type Expr, indexValue, literal } from '../kernel.ts';
import { type OpExample, type OpTable, TypeMismatch } from '../optable.ts';
import { formatType, isCountable, sameShape, sizeOf, type TensorType } from '../types.ts';
import { sameAttributes } from './batching.ts';
import { expectOperands, tabulate } from './rules.ts';
import { evaluateScalar } from './scalar.ts';

/** Words of a block of Philox 4x32. Neighbours share a block: it is one vector of a GPU, and computed once where loops can be split. */
const wordsInBlock = 4;
/** A counter's first word counts blocks. */
const mostElements = wordsInBlock * 2 ** 32;

const example = (parameters: string, attrs: string): OpExample => ({
  text: `func @f(${parameters}) {\n  %0 = randomBits(%k, %d) ${attrs}\n  return y = %0\n}`,
});

/** Literals are added here, which is no addition of zero in the code. */
function plus(value: Expr, by: Expr): Expr {
  if (by.kind !== 'literal' || value.kind !== 'literal')
    return by.kind === 'literal' && by.value === 0 ? value : apply('add', value, by);
  return literal('u32', (value.value + by.value) >>> 0);
}

export const randomOps: Pick<OpTable, 'randomBits'> = {
  randomBits: {
    doc: 'Uniform 32-bit words by the counter-based generator Philox 4x32-10, from a key of two words.',
    infer: (operands, { shape, counter }) => {
      expectOperands(operands, 2);
      const [key, data] = operands as [TensorType, TensorType];
      if (key.dtype !== 'u32' || key.shape.at(-1) !== 2)
        throw new TypeMismatch(`a key u32[..,2] expected, ${formatType(key)} given`);
      const batch = key.shape.slice(0, -1);
      if (data.dtype !== 'u32' || !sameShape(data.shape, batch))
        throw new TypeMismatch(`data u32[${batch}], a word for each key, expected, ${formatType(data)} given`);
      if (counter.length !== wordsInBlock || counter.some((word) => word >= 2 ** 32))
        throw new TypeMismatch(`a counter of four words below 2^32 expected, [${counter}] given`);
      if (!isCountable(shape) || sizeOf(shape) > mostElements)
        throw new TypeMismatch(`at most 2^34 elements of a key expected, [${shape}] given`);
      return [{ dtype: 'u32', shape: [...batch, ...shape] }];
    },
    evaluate: ([key, data], { shape, counter }, [type]) => {
      const size = sizeOf(shape);
      const [c0, c1, c2, c3] = counter as [number, number, number, number];
      return [
        tabulate(type!, (_index, at) => {
          const which = Math.floor(at / size);
          const position = at - which * size;
          const block = (c0 + Math.floor(position / wordsInBlock)) >>> 0;
          const words = key!.data.subarray(2 * which, 2 * which + 2);
          const args = [block, c1, (c2 + data!.data[which]!) >>> 0, c3, ...words, position % wordsInBlock];
          return evaluateScalar('philox', args, 'u32');
        }),
      ];
    },
    jvp: 'zero',
    vjp: 'zero',
    batch: sameAttributes,
    lowering: {
      class: 'element',
      cost: 'expensive',
      element: (s, index, { attrs: { shape, counter } }) => {
        const batch = index.slice(0, index.length - shape.length);
        const position = flatten(index.slice(batch.length), shape);
        const [c0, c1, c2, c3] = counter.map((word) => literal('u32', word)) as [Expr, Expr, Expr, Expr];
        const block = plus(castTo('u32', indexValue(floorDiv(position, wordsInBlock))), c0);
        const key = [0, 1].map((at) => s.operand(0, [...batch, fixed(at)]));
        const word = castTo('u32', indexValue(modulo(position, wordsInBlock)));
        return apply('philox', block, c1, plus(s.operand(1, batch), c2), c3, ...key, word);
      },
    },
    examples: [
      example('%k: u32[2], %d: u32[]', '{shape=[3,5], counter=[0,0,0,0]}'),
      example('%k: u32[3,2], %d: u32[3]', '{shape=[8], counter=[0,0,0,7]}'),
      example('%k: u32[2], %d: u32[]', '{shape=[], counter=[4294967295,4294967295,4294967295,4294967295]}'),
      example('%k: u32[2], %d: u32[]', '{shape=[64,32], counter=[4294967290,1,2,3]}'),
    ],
  },
};
