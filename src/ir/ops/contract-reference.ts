// The float64 reference of contractions. Offsets are sums of one part for each group of axes, so every part is listed once: the sums
// over them are the definitions, in the order in which these stand, at a few nanoseconds a product.

import { type NdArray, wrapToDType } from '../ndarray.ts';
import type { OpAttrs } from '../opattrs.ts';
import { type Shape, sizeOf, stridesOf, type TensorType } from '../types.ts';
import { forEachIndex, offsetOf } from './rules.ts';

/** Offsets in an array of all indices over some of its axes, the last of these the fastest. */
function offsetsOver(shape: Shape, axes: readonly number[]): number[] {
  const strides = stridesOf(shape);
  const offsets: number[] = [];
  forEachIndex(
    axes.map((axis) => shape[axis]!),
    (index) => offsets.push(index.reduce((sum, i, k) => sum + i * strides[axes[k]!]!, 0)),
  );
  return offsets;
}

/** Σ lhs · rhs over the contracted axes, at every batch, row and column. */
export function evaluateDot(x: NdArray, y: NdArray, { contract, batch }: OpAttrs['dot'], type: TensorType): NdArray {
  const freeOf = (shape: Shape, side: 0 | 1): number[] =>
    shape.map((_, axis) => axis).filter((axis) => !contract[side].includes(axis) && !batch[side].includes(axis));
  const [batches, rows, inner] = [batch[0], freeOf(x.type.shape, 0), contract[0]].map((axes) =>
    offsetsOver(x.type.shape, axes),
  ) as [number[], number[], number[]];
  const [batchesOfRhs, columns, innerOfRhs] = [batch[1], freeOf(y.type.shape, 1), contract[1]].map((axes) =>
    offsetsOver(y.type.shape, axes),
  ) as [number[], number[], number[]];
  const data = new Float64Array(sizeOf(type.shape));
  let at = 0;
  for (const [b, lhsBatch] of batches.entries())
    for (const row of rows)
      for (const column of columns) {
        const lhs = lhsBatch + row;
        const rhs = batchesOfRhs[b]! + column;
        let sum = 0;
        for (let k = 0; k < inner.length; k++) sum += x.data[lhs + inner[k]!]! * y.data[rhs + innerOfRhs[k]!]!;
        data[at++] = wrapToDType(type.dtype, sum);
      }
  return { type, data };
}

/** Σ image · kernel over the channels of a group and the taps that meet an element. */
export function evaluateConv(x: NdArray, w: NdArray, attrs: OpAttrs['conv'], type: TensorType): NdArray {
  const { groups, strides, padding, lhsDilation, rhsDilation } = attrs;
  const [out, inPerGroup, ...kernel] = w.type.shape as readonly [number, number, ...number[]];
  const [images, , ...spatial] = x.type.shape as readonly [number, number, ...number[]];
  const results = type.shape.slice(2);
  const [cells, taps, places] = [spatial, kernel, results].map(sizeOf) as [number, number, number];
  const data = new Float64Array(sizeOf(type.shape));
  forEachIndex(results, (place, at) => {
    const [fromImage, fromKernel] = tapsAt(place);
    for (let image = 0; image < images; image++)
      for (let feature = 0; feature < out; feature++) {
        const group = Math.floor(feature / (out / groups));
        let sum = 0;
        for (let channel = 0; channel < inPerGroup; channel++) {
          const lhs = (image * groups * inPerGroup + group * inPerGroup + channel) * cells;
          const rhs = (feature * inPerGroup + channel) * taps;
          for (let k = 0; k < fromImage.length; k++)
            sum += x.data[lhs + fromImage[k]!]! * w.data[rhs + fromKernel[k]!]!;
        }
        data[(image * out + feature) * places + at] = wrapToDType(type.dtype, sum);
      }
  });
  return { type, data };

  /** The cells that a result reads and the taps that meet them, as offsets within a channel. */
  function tapsAt(place: readonly number[]): [number[], number[]] {
    const found: [number[], number[]] = [[], []];
    forEachIndex(kernel, (tap, offset) => {
      const cell = tap.map(
        (k, d) => (place[d]! * strides[d]! + k * rhsDilation[d]! - padding[d]![0]) / lhsDilation[d]!,
      );
      if (!cell.every((c, d) => Number.isInteger(c) && c >= 0 && c < spatial[d]!)) return;
      found[0].push(offsetOf(cell, spatial));
      found[1].push(offset);
    });
    return found;
  }
}
