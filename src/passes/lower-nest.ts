// Operations that write their own loops (scatter, sort, cumulative): the rule's statements are the kernel.

import { InternalError } from '../ir/errors.ts';
import type { Node } from '../ir/graph.ts';
import type { Stmt } from '../ir/kernel.ts';
import type { NestMachine } from '../ir/optable.ts';
import { sizeOf } from '../ir/types.ts';
import type { GroupContext, KernelBody, LoweringContext } from './group.ts';

export function lowerNest(context: GroupContext, anchor: Node): KernelBody[] {
  const body = nestStmts(context, anchor, { lanes: true, tasks: 1 });
  return [{ suffix: '', body, flops: elementsOf(anchor) }];
}

/** The loops of an operation that writes its own. */
export function nestStmts(context: LoweringContext, anchor: Node, machine: NestMachine): readonly Stmt[] {
  const { lowering } = context.table[anchor.op];
  if (lowering.class !== 'nest') throw new InternalError(`${anchor.op} has no nest`);
  const none = new Map();
  return lowering.nest(
    {
      operand: (position, index) => context.at(anchor.operands[position]!, index, none),
      results: anchor.results.map((value) => context.bufferFor(value)),
      machine,
    },
    anchor as never,
  );
}

/** How many elements an operation reads, about. */
export function elementsOf(anchor: Node): number {
  return anchor.operands.reduce((sum, operand) => sum + sizeOf(operand.type.shape), 0);
}
