// What leaves, elementwise operations, broadcasting, reductions and softmax compute, by the reference evaluator on small
// arrays; the expected values were worked out by hand.

import { describe, expect, it } from 'vitest';
import {
  type AnyTensor,
  arange,
  constant,
  cumsum,
  cumulative,
  elementwise,
  full,
  input,
  interpret,
  iota,
  logSoftmax,
  logSumExp,
  norm,
  ones,
  softmax,
  Tensor,
  Variable,
  variable,
  where,
  zeros,
} from '../src/lang/index.ts';
import { expectClose } from './helpers/close.ts';
import { shown } from './helpers/shown.ts';

const matrix = constant([
  [1, 2, 3],
  [4, 5, 6],
]);
const bools = (data: number[]) => constant(data, { dtype: 'bool' });
const ints = (data: number[]) => constant(data, { dtype: 'i32' });
const close = (tensor: AnyTensor, wanted: readonly number[]) => expectClose(interpret({ tensor }).tensor.data, wanted);

describe('leaves', () => {
  it('constants take nested arrays, numbers with a shape, typed arrays and single numbers', () => {
    expect(
      shown(
        constant([
          [[1], [2]],
          [[3], [4]],
        ]),
      ),
    ).toBe('[[[1], [2]], [[3], [4]]]');
    expect(shown(constant([1, 2, 3, 4], { shape: [2, 2] }))).toBe('[[1, 2], [3, 4]]');
    expect(shown(constant(new Float32Array([0.5, 1.5])))).toBe('[0.5, 1.5]');
    expect(shown(constant(7))).toBe('7');
    expect(shown(constant([]))).toBe('[]');
  });

  it('full, zeros, ones, arange and iota fill a shape', () => {
    expect(shown(full([2], 2.5))).toBe('[2.5, 2.5]');
    expect(shown(zeros([1, 2]))).toBe('[[0, 0]]');
    expect(shown(ones([3], 'i32'))).toBe('[1, 1, 1]');
    expect(shown(arange(4))).toBe('[0, 1, 2, 3]');
    expect(shown(iota([2, 3], 1))).toBe('[[0, 1, 2], [0, 1, 2]]');
    expect([arange(4).dtype, arange(4, 'f32').dtype, iota([2], 0).dtype, ones([3]).dtype]).toEqual([
      'i32',
      'f32',
      'i32',
      'f32',
    ]);
  });

  it('inputs and variables are tensors with a name; inputs are f32 unless said otherwise', () => {
    const x = input('x', [2, 3]);
    expect([x.name, x.shape, x.dtype, x.rank]).toEqual(['x', [2, 3], 'f32', 2]);
    expect(input('y', [], 'u8').dtype).toBe('u8');
    expect(x).toBeInstanceOf(Tensor);
    expect(variable('w', [2])).toBeInstanceOf(Variable);
    expect(String(x)).toBe('Tensor(x: f32[2,3])');
  });

  it('a variable starts with zeros, a number, an array or what an initializer returns', () => {
    const first = (options: Parameters<typeof variable>[2]) => Array.from(variable('w', [2], options).initial());
    expect(first({})).toEqual([0, 0]);
    expect(first({ initial: 3 })).toEqual([3, 3]);
    expect(first({ initial: [1, 2] })).toEqual([1, 2]);
    expect(first({ initial: (shape, dtype) => [shape[0]!, dtype.length] })).toEqual([2, 3]);
    expect(first({ initial: () => 9 })).toEqual([9, 9]);
  });

  it('floats are trainable unless told otherwise', () => {
    expect(variable('w', [1]).trainable).toBe(true);
    expect(variable('w', [1], { trainable: false }).trainable).toBe(false);
    expect(variable('w', [1], { dtype: 'i32' }).trainable).toBe(false);
  });
});

describe('elementwise operations', () => {
  const x = constant([-1.5, 0, 2.5]);

  it('arithmetic of two tensors and of a tensor with a number', () => {
    const y = constant([2, 4, -0.5]);
    expect(shown(x.add(y))).toBe('[0.5, 4, 2]');
    expect(shown(x.sub(y))).toBe('[-3.5, -4, 3]');
    expect(shown(x.mul(y))).toBe('[-3, 0, -1.25]');
    expect(shown(x.div(y))).toBe('[-0.75, 0, -5]');
    expect(shown(x.add(1))).toBe('[-0.5, 1, 3.5]');
    expect(shown(x.maximum(y))).toBe('[2, 4, 2.5]');
    expect(shown(x.minimum(0.5))).toBe('[-1.5, 0, 0.5]');
    expect(shown(constant([2, 9]).pow(constant([3, 0.5])))).toBe('[8, 3]');
    expect(shown(constant([7, -7]).rem(4))).toBe('[3, -3]');
  });

  it('maximum and minimum propagate NaN', () => {
    expect(shown(constant([Number.NaN, 1]).maximum(constant([1, Number.NaN])))).toBe('[NaN, NaN]');
    expect(shown(constant([Number.NaN]).minimum(0))).toBe('[NaN]');
  });

  it('integer division truncates, and x / 0 is 0', () => {
    expect(shown(ints([7, -7, 5]).div(ints([2, 2, 0])))).toBe('[3, -3, 0]');
    expect(shown(ints([7, -7, 5]).rem(ints([2, 2, 0])))).toBe('[1, -1, 0]');
    expect(shown(ints([2147483647]).add(1))).toBe('[-2147483648]');
  });

  it('bits', () => {
    expect(shown(ints([12]).and(ints([10])))).toBe('[8]');
    expect(shown(ints([12]).or(10))).toBe('[14]');
    expect(shown(ints([12]).xor(10))).toBe('[6]');
    expect(shown(ints([3]).shl(4))).toBe('[48]');
    expect(shown(ints([-16]).shr(2))).toBe('[-4]');
    expect(shown(ints([0]).not())).toBe('[-1]');
    expect(shown(bools([1, 0]).not())).toBe('[0, 1]');
    expect(shown(bools([1, 1, 0]).and(bools([1, 0, 0])))).toBe('[1, 0, 0]');
    expect(shown(bools([1, 1, 0]).xor(bools([1, 0, 0])))).toBe('[0, 1, 0]');
  });

  it('comparisons are bool, and false with NaN except ne', () => {
    const a = constant([1, 2, Number.NaN]);
    const b = constant([2, 2, Number.NaN]);
    expect(shown(a.eq(b))).toBe('[0, 1, 0]');
    expect(shown(a.ne(b))).toBe('[1, 0, 1]');
    expect(shown(a.lt(b))).toBe('[1, 0, 0]');
    expect(shown(a.le(b))).toBe('[1, 1, 0]');
    expect(shown(a.gt(1))).toBe('[0, 1, 0]');
    expect(shown(a.ge(2))).toBe('[0, 1, 0]');
    expect(shown(a.isNaN())).toBe('[0, 0, 1]');
    expect(a.lt(b).dtype).toBe('bool');
  });

  it('rounding and signs', () => {
    const halves = constant([-1.5, -0.4, 0.5, 1.5, 2.5]);
    expect(shown(halves.round().add(0))).toBe('[-2, 0, 0, 2, 2]');
    expect(shown(halves.floor())).toBe('[-2, -1, 0, 1, 2]');
    expect(shown(halves.ceil().add(0))).toBe('[-1, 0, 1, 2, 3]');
    expect(shown(halves.sign())).toBe('[-1, -1, 1, 1, 1]');
    expect(shown(halves.abs())).toBe('[1.5, 0.4, 0.5, 1.5, 2.5]');
    expect(shown(constant([3, -2]).neg())).toBe('[-3, 2]');
    expect(shown(x.relu())).toBe('[0, 0, 2.5]');
    expect(shown(x.square())).toBe('[2.25, 0, 6.25]');
  });

  it('roots, exponentials and logarithms', () => {
    expect(shown(constant([4, 9]).sqrt())).toBe('[2, 3]');
    expect(shown(constant([4, 16]).rsqrt())).toBe('[0.5, 0.25]');
    close(constant([0, 1]).exp(), [1, Math.E]);
    close(constant([1e-13]).expm1().mul(1e13), [1]);
    close(constant([1, Math.E]).log(), [0, 1]);
    close(constant([1e-15]).log1p().mul(1e15), [1]);
  });

  it('circular and hyperbolic functions, sigmoid, softplus and erf', () => {
    close(constant([0, Math.PI / 2]).sin(), [0, 1]);
    close(constant([0, Math.PI]).cos(), [1, -1]);
    close(constant([Math.PI / 4]).tan(), [1]);
    close(constant([Math.log(3) / 2]).tanh(), [0.5]);
    close(constant([0, Math.log(3)]).sigmoid(), [0.5, 0.75]);
    close(constant([0, 1000]).softplus(), [Math.LN2, 1000]);
    close(constant([0, 0.5]).erf(), [0, 0.520499877813047]);
  });

  it('elementwise takes the operation by its name', () => {
    expect(shown(elementwise('relu', constant([-1, 2])))).toBe('[0, 2]');
    expect(elementwise('isnan', constant([1])).dtype).toBe('bool');
  });

  it('casts saturate from floats, wrap between integers and keep a tensor of the same dtype', () => {
    expect(shown(constant([300.9, -5.5, Number.NaN]).cast('u8'))).toBe('[255, 0, 0]');
    expect(shown(ints([300, -1]).cast('u8'))).toBe('[44, 255]');
    expect(shown(ints([0, 5]).cast('bool'))).toBe('[0, 1]');
    expect(x.cast('f32').value).toBe(x.value);
  });
});

describe('broadcasting', () => {
  it('stretches scalars, missing axes and axes of one element, on either side', () => {
    expect(shown(matrix.add(constant(10)))).toBe('[[11, 12, 13], [14, 15, 16]]');
    expect(shown(constant([10, 20, 30]).sub(matrix))).toBe('[[9, 18, 27], [6, 15, 24]]');
    expect(shown(matrix.mul(constant([[1], [10]])))).toBe('[[1, 2, 3], [40, 50, 60]]');
    expect(shown(constant([1, 2]).add(constant([[10], [20], [30]])))).toBe('[[11, 12], [21, 22], [31, 32]]');
    expect(constant([[1], [2]]).add(zeros([4, 1, 3])).shape).toEqual([4, 2, 3]);
    expect(zeros([0, 3]).add(zeros([1, 3])).shape).toEqual([0, 3]);
  });

  it('broadcastTo repeats elements', () => {
    expect(shown(constant([1, 2]).broadcastTo([2, 2]))).toBe('[[1, 2], [1, 2]]');
    expect(shown(constant([[1], [2]]).broadcastTo([2, 2]))).toBe('[[1, 1], [2, 2]]');
    expect(shown(constant(3).broadcastTo([2]))).toBe('[3, 3]');
  });

  it('where chooses, its three operands broadcast together', () => {
    expect(shown(where(bools([1, 0, 1]), matrix, 0))).toBe('[[1, 0, 3], [4, 0, 6]]');
    expect(shown(where(constant([[1], [0]], { dtype: 'bool' }), constant([1, 2]), constant([[8], [9]])))).toBe(
      '[[1, 2], [9, 9]]',
    );
    expect(shown(where(bools([1, 0]), -1, ints([5, 6])))).toBe('[-1, 6]');
  });
});

describe('reductions', () => {
  it('sum over all axes, one from either end, or a list', () => {
    expect(shown(matrix.sum())).toBe('21');
    expect(shown(matrix.sum(0))).toBe('[5, 7, 9]');
    expect(shown(matrix.sum(-1))).toBe('[6, 15]');
    expect(shown(matrix.sum([-1, 0]))).toBe('21');
    expect(shown(matrix.sum([]))).toBe('[[1, 2, 3], [4, 5, 6]]');
  });

  it('keepDims leaves axes of one element', () => {
    expect(shown(matrix.sum(1, { keepDims: true }))).toBe('[[6], [15]]');
    expect(shown(matrix.max(undefined, { keepDims: true }))).toBe('[[6]]');
    expect(shown(matrix.mean(0, { keepDims: true }))).toBe('[[2.5, 3.5, 4.5]]');
  });

  it('prod, max, min, mean and variance', () => {
    expect(shown(matrix.prod(1))).toBe('[6, 120]');
    expect(shown(matrix.max(0))).toBe('[4, 5, 6]');
    expect(shown(matrix.min([0, 1]))).toBe('1');
    expect(shown(matrix.mean())).toBe('3.5');
    expect(shown(matrix.variance(0))).toBe('[2.25, 2.25, 2.25]');
    expect(shown(constant([1, 2, 3, 4]).variance())).toBe('1.25');
    expect(shown(constant([1, 2, 3, 4]).variance(0, { keepDims: true }))).toBe('[1.25]');
  });

  it('all and any of bools', () => {
    const grid = constant(
      [
        [1, 0],
        [1, 1],
        [0, 0],
      ].flat(),
      { shape: [3, 2], dtype: 'bool' },
    );
    expect(shown(grid.all(1))).toBe('[0, 1, 0]');
    expect(shown(grid.any(1))).toBe('[1, 1, 0]');
    expect(shown(grid.any())).toBe('1');
  });

  it('sums of nothing are 0, products of nothing 1', () => {
    expect(shown(zeros([2, 0]).sum(1))).toBe('[0, 0]');
    expect(shown(zeros([0]).prod())).toBe('1');
  });

  it('argmax and argmin give the first position, as i32', () => {
    const x = constant([
      [3, 7, 7],
      [5, 1, 1],
    ]);
    expect(shown(x.argmax(1))).toBe('[1, 0]');
    expect(shown(x.argmin(-1))).toBe('[0, 1]');
    expect(shown(x.argmax(0))).toBe('[1, 0, 0]');
    expect(x.argmax(0).dtype).toBe('i32');
  });

  it('norm is the root of the sum of squares', () => {
    expect(shown(norm(constant([3, 4])))).toBe('5');
    expect(
      shown(
        norm(
          constant([
            [3, 6],
            [4, 8],
          ]),
          0,
        ),
      ),
    ).toBe('[5, 10]');
  });

  it('running results, in either direction, with or without the element itself', () => {
    expect(shown(cumsum(matrix, 1))).toBe('[[1, 3, 6], [4, 9, 15]]');
    expect(shown(cumsum(matrix, 0))).toBe('[[1, 2, 3], [5, 7, 9]]');
    expect(shown(cumulative(constant([1, 2, 3]), 'sum', 0, { exclusive: true }))).toBe('[0, 1, 3]');
    expect(shown(cumulative(constant([1, 2, 3]), 'sum', 0, { reverse: true }))).toBe('[6, 5, 3]');
    expect(shown(cumulative(constant([2, 3, 4]), 'prod', -1))).toBe('[2, 6, 24]');
    expect(shown(cumulative(constant([2, 1, 3]), 'max', 0))).toBe('[2, 2, 3]');
    expect(shown(cumulative(constant([2, 1, 3]), 'min', 0))).toBe('[2, 1, 1]');
  });
});

describe('softmax and its kin', () => {
  const logits = constant([
    [0, Math.log(3)],
    [1000, 1000],
  ]);

  it('softmax does not overflow, over the last axis or another', () => {
    close(softmax(logits), [0.25, 0.75, 0.5, 0.5]);
    close(softmax(constant([[0], [Math.log(4)]]), 0), [0.2, 0.8]);
  });

  it('logSoftmax is its logarithm', () => {
    close(logSoftmax(logits), [Math.log(0.25), Math.log(0.75), -Math.LN2, -Math.LN2]);
  });

  it('logSumExp does not overflow', () => {
    close(logSumExp(logits, 1), [Math.log(4), 1000 + Math.LN2]);
    close(logSumExp(constant([0, Math.log(3)])), [Math.log(4)]);
  });
});
