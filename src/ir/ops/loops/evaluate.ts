// Loops by the reference: one evaluation of the nested function for every step.

import { type NdArray, ndarray } from '../../ndarray.ts';
import type { OpAttrs } from '../../opattrs.ts';
import type { ApplyFunc } from '../../optable.ts';
import { sizeOf, type TensorType } from '../../types.ts';

/** Slice `step` along the first axis. */
function sliceAt({ type, data }: NdArray, step: number): NdArray {
  const shape = type.shape.slice(1);
  const size = sizeOf(shape);
  return ndarray(type.dtype, shape, data.subarray(step * size, (step + 1) * size));
}

export function evaluateScan(
  operands: readonly NdArray[],
  { body, length, reverse, consts, carries }: OpAttrs['scan'],
  results: readonly TensorType[],
  apply: ApplyFunc,
): readonly NdArray[] {
  const shared = operands.slice(0, consts);
  const sequences = operands.slice(consts + carries);
  let carried: readonly NdArray[] = operands.slice(consts, consts + carries);
  const outputs = results.slice(carries).map((type) => ({ type, data: new Float64Array(sizeOf(type.shape)) }));
  for (let i = 0; i < length; i++) {
    const step = reverse ? length - 1 - i : i;
    const given = apply(body, [...shared, ...carried, ...sequences.map((sequence) => sliceAt(sequence, step))]);
    carried = given.slice(0, carries);
    for (const [j, { data }] of outputs.entries()) {
      const slice = given[carries + j]!.data;
      data.set(slice, step * slice.length);
    }
  }
  return [...carried, ...outputs];
}

export function evaluateWhile(
  operands: readonly NdArray[],
  { condition, body, consts, limit }: OpAttrs['while'],
  apply: ApplyFunc,
): readonly NdArray[] {
  const shared = operands.slice(0, consts);
  let carried: readonly NdArray[] = operands.slice(consts);
  const goesOn = (): boolean => apply(condition, [...shared, ...carried])[0]!.data[0] !== 0;
  for (let step = 0; step < (limit ?? Number.POSITIVE_INFINITY) && goesOn(); step++)
    carried = apply(body, [...shared, ...carried]);
  return carried;
}
