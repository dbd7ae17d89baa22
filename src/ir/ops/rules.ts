// What the rules of operations share: walking the indices of a shape, and the checks that type rules make.

import { type NdArray, wrapToDType } from '../ndarray.ts';
import { TypeMismatch } from '../optable.ts';
import { formatType, type Shape, sizeOf, stridesOf, type TensorType } from '../types.ts';

/** Calls `visit` for every index of a shape in row-major order. The array is reused: copy it to keep it. */
export function forEachIndex(shape: Shape, visit: (index: readonly number[], position: number) => void): void {
  const index = new Array<number>(shape.length).fill(0);
  const size = sizeOf(shape);
  for (let position = 0; position < size; position++) {
    visit(index, position);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (++index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
}

/** Row-major offset of an index. */
export function offsetOf(index: readonly number[], shape: Shape): number {
  let offset = 0;
  for (let axis = 0; axis < shape.length; axis++) offset = offset * shape[axis]! + index[axis]!;
  return offset;
}

/** Makes a result element by element. */
export function tabulate(type: TensorType, element: (index: readonly number[], position: number) => number): NdArray {
  const data = new Float64Array(sizeOf(type.shape));
  forEachIndex(type.shape, (index, position) => {
    data[position] = wrapToDType(type.dtype, element(index, position));
  });
  return { type, data };
}

export { stridesOf };

export function expectOperands(operands: readonly TensorType[], count: number): void {
  if (operands.length !== count) throw new TypeMismatch(`${count} operands expected, ${operands.length} given`);
}

/** Refuses an axis outside [0, rank). */
export function expectAxis(axis: number, rank: number, what = 'axis'): void {
  if (!Number.isInteger(axis) || axis < 0 || axis >= rank) {
    throw new TypeMismatch(`${what} ${axis} does not exist: the operand has ${rank} axes`);
  }
}

export function expectDistinctAxes(axes: readonly number[], rank: number): void {
  for (const axis of axes) expectAxis(axis, rank);
  if (new Set(axes).size !== axes.length) throw new TypeMismatch(`axes [${axes}] name one axis twice`);
}

export function expectLength(list: readonly unknown[], rank: number, what: string): void {
  if (list.length !== rank)
    throw new TypeMismatch(`${what} has ${list.length} entries, one for each of ${rank} axes expected`);
}

export function refuse(expected: string, given: TensorType): never {
  throw new TypeMismatch(`${expected} expected, ${formatType(given)} given`);
}
