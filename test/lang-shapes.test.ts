// What the functions on shapes, indices and windows compute, by the reference evaluator on small arrays; the expected
// values were worked out by hand.

import { describe, expect, it } from 'vitest';
import {
  avgPool,
  concat,
  constant,
  conv,
  expandDims,
  gather,
  iota,
  maxPool,
  narrow,
  oneHot,
  ones,
  pad,
  reverse,
  scatterAdd,
  slice,
  sort,
  split,
  squeeze,
  stack,
  sumPool,
  takeAlong,
  topk,
  zeros,
} from '../src/lang/index.ts';
import { shown } from './helpers/shown.ts';

const matrix = constant([
  [1, 2, 3],
  [4, 5, 6],
]);
const ints = (data: number[]) => constant(data, { dtype: 'i32' });

describe('shapes', () => {
  it('reshape keeps the order of elements; one dimension may be −1', () => {
    expect(shown(matrix.reshape([3, 2]))).toBe('[[1, 2], [3, 4], [5, 6]]');
    expect(matrix.reshape([-1]).shape).toEqual([6]);
    expect(matrix.reshape([3, -1, 1]).shape).toEqual([3, 2, 1]);
    expect(constant(4).reshape([1, 1]).shape).toEqual([1, 1]);
  });

  it('flatten joins axes from one on', () => {
    expect(zeros([2, 3, 4]).flatten().shape).toEqual([24]);
    expect(zeros([2, 3, 4]).flatten(1).shape).toEqual([2, 12]);
    expect(zeros([2, 3, 4]).flatten(-1).shape).toEqual([2, 3, 4]);
    expect(zeros([2]).flatten(1).shape).toEqual([2, 1]);
  });

  it('transpose reverses the axes or permutes them', () => {
    expect(shown(matrix.transpose())).toBe('[[1, 4], [2, 5], [3, 6]]');
    expect(shown(matrix.T)).toBe('[[1, 4], [2, 5], [3, 6]]');
    expect(shown(matrix.transpose([1, 0]))).toBe('[[1, 4], [2, 5], [3, 6]]');
    expect(shown(constant([[[1, 2]], [[3, 4]]]).transpose([1, -1, 0]))).toBe('[[[1, 3], [2, 4]]]');
  });

  it('expandDims and squeeze add and drop axes of one element', () => {
    expect(expandDims(matrix, 0).shape).toEqual([1, 2, 3]);
    expect(expandDims(matrix, -1).shape).toEqual([2, 3, 1]);
    expect(expandDims(matrix, -3).shape).toEqual([1, 2, 3]);
    expect(squeeze(zeros([1, 2, 1])).shape).toEqual([2]);
    expect(squeeze(zeros([1, 2, 1]), -1).shape).toEqual([1, 2]);
    expect(squeeze(zeros([1, 2, 1]), [0, 2]).shape).toEqual([2]);
  });
});

describe('cutting and joining', () => {
  it('narrow, slice with strides, and reverse', () => {
    expect(shown(narrow(matrix, 1, 1, 2))).toBe('[[2, 3], [5, 6]]');
    expect(shown(narrow(matrix, -2, 1, 1))).toBe('[[4, 5, 6]]');
    expect(shown(slice(matrix, [0, 1], [2, 2]))).toBe('[[2], [5]]');
    expect(shown(slice(constant([0, 1, 2, 3, 4]), [1], [5], [2]))).toBe('[1, 3]');
    expect(shown(reverse(matrix, 1))).toBe('[[3, 2, 1], [6, 5, 4]]');
    expect(shown(reverse(matrix))).toBe('[[6, 5, 4], [3, 2, 1]]');
  });

  it('concat joins along an axis, stack along a new one, split undoes concat', () => {
    expect(shown(concat([matrix, constant([[7, 8, 9]])], 0))).toBe('[[1, 2, 3], [4, 5, 6], [7, 8, 9]]');
    expect(
      shown(
        concat(
          [
            constant([[1], [2]]),
            constant(
              [
                [3, 4],
                [5, 6],
              ].flat(),
              { shape: [2, 2] },
            ),
          ],
          -1,
        ),
      ),
    ).toBe('[[1, 3, 4], [2, 5, 6]]');
    expect(shown(stack([constant([1, 2]), constant([3, 4])]))).toBe('[[1, 2], [3, 4]]');
    expect(shown(stack([constant([1, 2]), constant([3, 4])], -1))).toBe('[[1, 3], [2, 4]]');
    expect(split(matrix, 3, 1).map((part) => shown(part))).toEqual(['[[1], [4]]', '[[2], [5]]', '[[3], [6]]']);
  });

  it('pad puts cells before and after each axis', () => {
    expect(
      shown(
        pad(matrix, [
          [0, 1],
          [1, 0],
        ]),
      ),
    ).toBe('[[0, 1, 2, 3], [0, 4, 5, 6], [0, 0, 0, 0]]');
    expect(shown(pad(constant([1]), [[1, 2]], -1))).toBe('[-1, 1, -1, -1]');
  });
});

describe('indexing', () => {
  it('gather takes slices, and clamps indices', () => {
    expect(shown(gather(matrix, ints([1, 0, 1])))).toBe('[[4, 5, 6], [1, 2, 3], [4, 5, 6]]');
    expect(shown(gather(matrix, constant([[2], [0]], { dtype: 'i32' }), 1))).toBe('[[[3], [1]], [[6], [4]]]');
    expect(shown(gather(constant([10, 20]), ints([-1, 5])))).toBe('[10, 20]');
  });

  it('takeAlong pairs the other axes', () => {
    expect(shown(takeAlong(matrix, constant([[2], [0]], { dtype: 'i32' }), 1))).toBe('[[3], [4]]');
    expect(shown(takeAlong(matrix, constant([[1, 0, 1]], { dtype: 'i32' }), 0))).toBe('[[4, 2, 6]]');
  });

  it('scatterAdd adds up what meets, and drops indices out of range', () => {
    expect(shown(scatterAdd(zeros([3]), ints([1, 1, 2]), constant([1, 2, 4])))).toBe('[0, 3, 4]');
    expect(shown(scatterAdd(ones([2]), ints([5, -1, 0]), constant([1, 2, 4])))).toBe('[5, 1]');
    expect(shown(scatterAdd(zeros([2, 2]), ints([1]), constant([[5], [6]]), 1))).toBe('[[0, 5], [0, 6]]');
  });

  it('oneHot is a row of zeros for an index out of range', () => {
    expect(shown(oneHot(ints([1, 0, 3, -1]), 2))).toBe('[[0, 1], [1, 0], [0, 0], [0, 0]]');
    expect(oneHot(ints([1]), 2).dtype).toBe('f32');
    expect(oneHot(ints([1]), 2, 'i32').dtype).toBe('i32');
  });

  it('sort is stable with NaN greatest, and returns positions', () => {
    const { values, indices } = sort(constant([3, Number.NaN, 1, 3]));
    expect(shown(values)).toBe('[1, 3, 3, NaN]');
    expect(shown(indices)).toBe('[2, 0, 3, 1]');
    expect(shown(sort(matrix, 0, true).values)).toBe('[[4, 5, 6], [1, 2, 3]]');
    expect(shown(sort(constant([1, 1, 2]), 0, true).indices)).toBe('[2, 0, 1]');
  });

  it('topk gives the greatest in descending order with their positions', () => {
    const { values, indices } = topk(
      constant([
        [1, 9, 5],
        [7, 7, 8],
      ]),
      2,
    );
    expect(shown(values)).toBe('[[9, 5], [8, 7]]');
    expect(shown(indices)).toBe('[[1, 2], [2, 0]]');
  });
});

describe('contractions', () => {
  const square = constant([
    [1, 2],
    [3, 4],
  ]);

  it('matmul of matrices and vectors', () => {
    expect(shown(matrix.matmul(matrix.T))).toBe('[[14, 32], [32, 77]]');
    expect(shown(square.matmul(constant([1, 10])))).toBe('[21, 43]');
    expect(shown(constant([1, 10]).matmul(square))).toBe('[31, 42]');
    expect(shown(constant([1, 2]).matmul(constant([3, 4])))).toBe('11');
  });

  it('matmul broadcasts the batch axes of either side', () => {
    const batch = constant([1, 0, 0, 1, 0, 1, 1, 0], { shape: [2, 2, 2] });
    expect(shown(square.matmul(batch))).toBe('[[[1, 2], [3, 4]], [[2, 1], [4, 3]]]');
    expect(shown(batch.matmul(square))).toBe('[[[1, 2], [3, 4]], [[3, 4], [1, 2]]]');
    expect(shown(constant([1, 10]).matmul(batch))).toBe('[[1, 10], [10, 1]]');
    expect(zeros([5, 1, 2, 3]).matmul(zeros([4, 3, 6])).shape).toEqual([5, 4, 2, 6]);
    expect(shown(zeros([2, 0]).matmul(zeros([0, 1])))).toBe('[[0], [0]]');
  });
});

describe('convolution and pooling', () => {
  const signal = constant([[[1, 2, 3, 4, 5]]]);
  const image = iota([1, 1, 4, 4], 3, 'f32').add(iota([1, 1, 4, 4], 2, 'f32').mul(4));

  it('conv correlates: the kernel is not reversed', () => {
    expect(shown(conv(signal, constant([[[1, 10]]])))).toBe('[[[21, 32, 43, 54]]]');
  });

  it('padding, strides, dilation of the kernel and of the image', () => {
    const taps = constant([[[1, 1, 1]]]);
    expect(shown(conv(signal, taps, { padding: 'same' }))).toBe('[[[3, 6, 9, 12, 9]]]');
    expect(shown(conv(signal, taps, { padding: 1, strides: 2 }))).toBe('[[[3, 9, 9]]]');
    expect(shown(conv(signal, taps, { padding: 'same', strides: 2 }))).toBe('[[[3, 9, 9]]]');
    expect(shown(conv(signal, taps, { padding: [[2, 0]] }))).toBe('[[[1, 3, 6, 9, 12]]]');
    expect(shown(conv(signal, taps, { dilation: 2 }))).toBe('[[[9]]]');
    expect(shown(conv(constant([[[1, 2]]]), taps, { lhsDilation: 2, padding: 2 }))).toBe('[[[1, 1, 3, 2, 2]]]');
  });

  it('an even kernel with same padding has the odd cell after', () => {
    expect(shown(conv(signal, constant([[[1, 1]]]), { padding: 'same' }))).toBe('[[[3, 5, 7, 9, 5]]]');
  });

  it('sums over channels, within groups', () => {
    const stereo = constant([
      [
        [1, 2],
        [10, 20],
      ],
    ]);
    expect(shown(conv(stereo, constant([[[1], [2]]])))).toBe('[[[21, 42]]]');
    expect(shown(conv(stereo, constant([[[3]], [[4]]]), { groups: 2 }))).toBe('[[[3, 6], [40, 80]]]');
  });

  it('two spatial axes', () => {
    expect(
      shown(
        conv(
          image,
          constant(
            [
              [
                [
                  [1, 0],
                  [0, 1],
                ].flat(),
              ],
            ].flat(2),
            { shape: [1, 1, 2, 2] },
          ),
        ),
      ),
    ).toBe('[[[[5, 7, 9], [13, 15, 17], [21, 23, 25]]]]');
  });

  it('maxPool, sumPool and avgPool; the window is the default stride', () => {
    expect(shown(maxPool(image, 2))).toBe('[[[[5, 7], [13, 15]]]]');
    expect(shown(sumPool(image, [2, 4]))).toBe('[[[[28], [92]]]]');
    expect(shown(avgPool(image, 2))).toBe('[[[[2.5, 4.5], [10.5, 12.5]]]]');
    expect(shown(maxPool(signal, 2, { strides: 1 }))).toBe('[[[2, 3, 4, 5]]]');
    expect(shown(maxPool(signal, 2, { strides: 1, dilation: 3 }))).toBe('[[[4, 5]]]');
  });

  it('cells of padding are never the maximum and do not count in the mean', () => {
    const negative = constant([[[-1, -2, -3]]]);
    expect(shown(maxPool(negative, 3, { strides: 1, padding: 'same' }))).toBe('[[[-1, -1, -2]]]');
    expect(shown(avgPool(negative, 3, { strides: 1, padding: 'same' }))).toBe('[[[-1.5, -2, -2.5]]]');
  });

  it('pools integers', () => {
    expect(shown(maxPool(signal.cast('i32'), 2))).toBe('[[[2, 4]]]');
  });
});
