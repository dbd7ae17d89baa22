// Operators on matrices, the last two axes of a tensor: determinants, triangles, the identity.

import { sizeOf } from '../../ir/types.ts';
import { narrow, takeAlong } from '../../lang/functions.ts';
import type { AnyTensor } from '../../lang/tensor.ts';
import { iota } from '../../lang/variable.ts';
import { carrierOf } from '../element-types.ts';
import { like, type Operator, shapeOf } from '../node-context.ts';
import { targetType } from './elementwise.ts';
import { choose, expectFloat } from './values.ts';

/** Elimination is written out row by row: a determinant of n rows is some 10 n operations. */
const mostRows = 32;

/** Gaussian elimination with the greatest pivot of each column: the product of the pivots, its sign turned by every exchange. */
const determinant: Operator = (node) => {
  const x = expectFloat(node, node.input(0));
  const shape = shapeOf(x);
  const [rows, columns] = shape.slice(-2) as [number, number];
  if (shape.length < 2 || rows !== columns) return node.invalid(`square matrices expected, [${shape}] given`);
  if (rows > mostRows) return node.unsupported(`matrices of ${rows} rows: at most ${mostRows}`);
  const batch = shape.slice(0, -2);
  if (rows === 0 || sizeOf(batch) === 0) return node.fill(x.type, batch, 1);
  const count = sizeOf(batch);
  let rest: AnyTensor = x.tensor.reshape([count, rows, rows]);
  let product: AnyTensor | null = null;
  for (let left = rows; left > 0; left--) {
    const step = eliminated(rest, left);
    product = product === null ? step.pivot : product.mul(step.pivot);
    rest = step.rest;
  }
  return like(x, product!.reshape(batch));
};

/** One column of [B, n, n]: its pivot [B] with the sign of the exchange, and the matrices [B, n − 1, n − 1] that are left. */
function eliminated(matrices: AnyTensor, n: number): { pivot: AnyTensor; rest: AnyTensor } {
  const count = matrices.shape[0] as number;
  const column: AnyTensor = narrow(matrices, 2, 0, 1).reshape([count, n]);
  if (n === 1) return { pivot: column.reshape([count]), rest: matrices };
  const at: AnyTensor = column.abs().argmax(1).reshape([count, 1, 1]);
  const row = takeAlong(matrices, at.broadcastTo([count, 1, n]), 1) as AnyTensor;
  const pivot: AnyTensor = narrow(row, 2, 0, 1);
  // The first row takes the pivot's place; a column of zeros leaves the rest as it is, since the product is 0 already.
  const isPivot: AnyTensor = iota([count, n, 1], 1, 'i32').eq(at);
  const exchanged = choose(isPivot, narrow(matrices, 1, 0, 1) as AnyTensor, matrices);
  const below: AnyTensor = narrow(exchanged, 1, 1, n - 1);
  const factors: AnyTensor = narrow(below, 2, 0, 1).div(choose(pivot.eq(0), 1, pivot));
  const rest: AnyTensor = narrow(below, 2, 1, n - 1).sub(factors.mul(narrow(row, 2, 1, n - 1)));
  const signed = choose(at.eq(0), pivot, pivot.neg());
  return { pivot: signed.reshape([count]), rest };
}

/** Elements on one side of a diagonal, and on it; the others are 0. */
const triangle: Operator = (node) => {
  const x = node.input(0);
  const shape = shapeOf(x);
  if (shape.length < 2) return node.invalid(`matrices expected, [${shape}] given`);
  const given = node.optional(1);
  const diagonal: AnyTensor | number = given === null ? 0 : given.tensor.cast('i32').reshape([]);
  const matrix = shape.slice(-2);
  const offset: AnyTensor = iota(matrix, 1, 'i32').sub(iota(matrix, 0, 'i32'));
  const isKept: AnyTensor = node.int('upper', 1) !== 0 ? offset.ge(diagonal) : offset.le(diagonal);
  return like(x, choose(isKept, x.tensor, 0));
};

/** 1 on a diagonal, of the size of the operand and of its type or the one that is named. */
const eyeLike: Operator = (node) => {
  const x = node.input(0);
  const shape = shapeOf(x);
  if (shape.length !== 2) return node.invalid(`a matrix expected, [${shape}] given`);
  const type = node.has('dtype') ? targetType(node, node.int('dtype')) : x.type;
  const isOn: AnyTensor = iota(shape, 1, 'i32')
    .sub(iota(shape, 0, 'i32'))
    .eq(node.int('k', 0));
  return { type, tensor: isOn.cast(carrierOf[type]) };
};

export const matrixOperators: Readonly<Record<string, Operator>> = {
  Det: determinant,
  Trilu: triangle,
  EyeLike: eyeLike,
};
