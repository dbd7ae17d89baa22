// Operations that write their own loops (scatter, sort, cumulative): the rule's statements are the kernel.

import { InternalError } from '../ir/errors.ts';
import type { Node } from '../ir/graph.ts';
import { sizeOf } from '../ir/types.ts';
import type { GroupContext, KernelBody } from './group.ts';

export function lowerNest(context: GroupContext, anchor: Node): KernelBody[] {
  const { lowering } = context.table[anchor.op];
  if (lowering.class !== 'nest') throw new InternalError(`${anchor.op} has no nest`);
  const none = new Map();
  const body = lowering.nest(
    {
      operand: (position, index) => context.at(anchor.operands[position]!, index, none),
      results: anchor.results.map((value) => context.bufferFor(value)),
    },
    anchor as never,
  );
  const elements = anchor.operands.reduce((sum, operand) => sum + sizeOf(operand.type.shape), 0);
  return [{ suffix: '', body, flops: elements }];
}
