// Tensors as text: their elements by the reference evaluator, in nested brackets that show the shape.

import { type AnyTensor, interpret } from '../../src/lang/index.ts';

/** `'[[1, 2], [3, 4]]'`: shape and elements in one string; −0 reads 0. */
export function shown(tensor: AnyTensor, given: Readonly<Record<string, ArrayLike<number> | number>> = {}): string {
  const { shape, data } = interpret({ tensor }, given).tensor;
  const nest = (axis: number, at: number): string => {
    if (axis === shape.length) return String(data[at]);
    return `[${Array.from({ length: shape[axis]! }, (_, i) => nest(axis + 1, at * shape[axis]! + i)).join(', ')}]`;
  };
  return nest(0, 0);
}
