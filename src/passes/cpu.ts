// The CPU as a machine: threads over outer loops, vector lanes over inner ones.

import { InternalError } from '../ir/errors.ts';
import { bytesPerElement } from '../ir/types.ts';
import { type Choose, untuned } from './decision.ts';
import type { GroupContext, KernelBody } from './group.ts';
import { elementLoops } from './loops.ts';
import { lowerAttention } from './lower-attention.ts';
import { lowerContraction } from './lower-contraction.ts';
import { lowerElement } from './lower-element.ts';
import { lowerNest } from './lower-nest.ts';
import { lowerReduction } from './lower-reduction.ts';
import { lowerRows } from './lower-rows.ts';
import type { Machine } from './machine.ts';
import { attentionPays, rowsPay, type ScheduleTarget } from './schedule.ts';
import type { ContractionChoice } from './schedule-candidates.ts';
import { shareAmongThreads } from './team.ts';
import { selectAround } from './uniform-selections.ts';

/** A cache line, and the widest vector. */
const alignment = 64;

/** `choose` decides between candidates: what is done untuned, or what a tuning record says. */
export function cpuMachine(target: ScheduleTarget, choose: Choose<ContractionChoice> = untuned): Machine {
  return {
    splitsPhases: true,
    rowsPay,
    attentionPays,
    windowPays: () => false,
    operandPays: () => false,
    lowerGroup: (context) => lowerGroup({ ...context, target, choose }),
    elementLoops,
    // Of a product of 256 × 256 the copy is 1/128 of the loads; halves of one buffer would hide from a compiler that they differ. On a busy
    // machine 64 steps of an RNN or GRU of 16 to 256 took 0.95 to 1.08 times as long with copies in C, in JavaScript 0.82 to 1.0.
    swapsCarries: false,
    memory: { alignment, bytesPerElement },
    isPhases: false,
    loopKernels: null,
    finish: (program) => shareAmongThreads(selectAround(program)),
  };
}

function lowerGroup(context: GroupContext): KernelBody[] {
  const { anchor, attention } = context.group;
  if (context.group.byRows) return lowerRows(context);
  if (anchor === null) return lowerElement(context);
  if (attention !== null) return lowerAttention(context, anchor, attention);
  const { lowering } = context.table[anchor.op];
  switch (lowering.class) {
    case 'reduction':
      return lowerReduction(context, anchor);
    case 'contraction':
      return lowerContraction(context, anchor);
    case 'nest':
      return lowerNest(context, anchor);
    case 'element':
    case 'loop':
    case 'expanded':
      throw new InternalError(`${anchor.op} cannot anchor a kernel`);
  }
}
