// Known tensors as expressions: constants of the graph.

import { builder } from '../ir/ops/index.ts';
import { type Shape, sizeOf } from '../ir/types.ts';
import { Tensor } from '../lang/tensor.ts';
import { carrierOf, type ElementType } from './element-types.ts';
import type { KnownValues } from './known.ts';
import type { KnownTensor } from './tensors.ts';

/** A tensor as a constant, whose elements later questions find. */
export function constantOf(tensor: KnownTensor, known: KnownValues): { type: ElementType; tensor: Tensor } {
  const { type, shape } = tensor;
  const elements = tensor.elements();
  if (!(elements instanceof BigInt64Array)) {
    return { type, tensor: new Tensor(builder.constant({ dtype: carrierOf[type], shape, data: elements })) };
  }
  const value = elements.every(isExact)
    ? builder.constant({ dtype: 'i64', shape, data: Float64Array.from(elements, Number) })
    : wideConstant(shape, elements);
  known.define(value, { type, shape, elements: () => elements });
  return { type, tensor: new Tensor(value) };
}

function isExact(element: bigint): boolean {
  return Number.isSafeInteger(Number(element));
}

/** Constants hold numbers, which are exact up to 2^53: larger integers are put together from two halves where they are used. */
function wideConstant(shape: Shape, elements: BigInt64Array) {
  const type = { dtype: 'i64', shape } as const;
  const high = builder.constant({ ...type, data: Float64Array.from(elements, (element) => Number(element >> 32n)) });
  const low = builder.constant({
    ...type,
    data: Float64Array.from(elements, (element) => Number(BigInt.asUintN(32, element))),
  });
  return sizeOf(shape) === 0 ? high : builder.or(builder.shl(high, builder.like(high, 32)), low);
}
