// Weights that are stored in fewer bytes than they are computed in: f16, or i8. Their panels stay as narrow as they are, and
// vectors of them are widened where they are loaded, so that an artifact holds, and a kernel reads, no more than there is to know.

import type { Expr } from '../ir/kernel.ts';
import { bytesPerElement } from '../ir/types.ts';
import type { GroupContext } from './group.ts';

/** Constant weights less the cast that widens them; all others as they are. */
export function storedWeights({ target, isConstant }: GroupContext, weights: Expr): Expr {
  if (target.widensPanels || weights.kind !== 'cast' || !isConstant(weights)) return weights;
  const { value } = weights;
  return value.kind === 'load' && bytesPerElement[value.dtype] < bytesPerElement[weights.dtype] ? value : weights;
}

/** True where a panel of the weights is narrower than what is computed of them. */
export const isNarrow = (context: GroupContext, weights: Expr): boolean => storedWeights(context, weights) !== weights;
