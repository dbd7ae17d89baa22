// What losses and metrics expect of their tensors. Without these checks tensors of other shapes would broadcast.

import { isInteger, sameShape, sameType } from '../ir/types.ts';
import { refuse } from '../lang/checks.ts';
import type { AnyTensor } from '../lang/tensor.ts';

/** Throws UserError unless both tensors have one shape and dtype. */
export function expectSameType(what: string, x: AnyTensor, y: AnyTensor): void {
  if (sameType(x.value.type, y.value.type)) return;
  refuse(what, [x, y], 'tensors of one shape and dtype expected; reshape or cast one of them');
}

/** Throws UserError unless `labels` are integers, one for each row of scores: `[.., classes]`, `[..]`. */
export function expectLabels(what: string, scores: AnyTensor, labels: AnyTensor): void {
  const { dtype, shape } = labels.value.type;
  const rows = scores.value.type.shape.slice(0, -1);
  if (scores.rank === 0 || !sameShape(shape, rows))
    refuse(
      what,
      [scores, labels],
      `scores [.., classes] and labels [..] expected: one label for each row of [${rows}]`,
    );
  if (!isInteger(dtype))
    refuse(what, [scores, labels], `integer labels expected; cast them, for example with .cast('i32')`);
}
