// A GPU as a machine, by WebGPU's rules: workgroups of invocations that share memory and meet at barriers.

import { InternalError } from '../../ir/errors.ts';
import type { Node } from '../../ir/graph.ts';
import { type Choose, untuned } from '../decision.ts';
import type { KernelBody } from '../group.ts';
import { reductionOf } from '../lower-reduction.ts';
import type { Machine, MemoryRules } from '../machine.ts';
import type { GpuChoice, GpuContext } from './candidates.ts';
import { elementGrid } from './grid.ts';
import { chooseLoopForm } from './loop-choice.ts';
import { loopKernel } from './loop-kernel.ts';
import { lowerAttention } from './lower-attention.ts';
import { lowerContraction } from './lower-contraction.ts';
import { lowerElement } from './lower-element.ts';
import { lowerNest } from './lower-nest.ts';
import { reductionKernels } from './lower-reduction.ts';
import { lowerRows } from './lower-rows.ts';
import { lowerScan } from './lower-scan.ts';
import { lowerWindows } from './lower-windows.ts';
import { phaseMachine } from './phases.ts';
import {
  attentionPays,
  bindingAlignment,
  type GpuTarget,
  gpuBytes,
  operandPays,
  rowsPay,
  windowPays,
} from './schedule.ts';

/** `choose` decides between candidates: what is done untuned, or what a tuning record says. */
export function gpuMachine(target: GpuTarget, choose: Choose<GpuChoice> = untuned): Machine {
  return {
    splitsPhases: false,
    ...(target.barriers ? { rowsPay, attentionPays, windowPays, operandPays } : withoutBarriers),
    lowerGroup: (context) => lowerGroup({ ...context, choose }, target),
    elementLoops: (axes, body) => elementGrid(axes, body),
    // A copy is a dispatch, which costs as much as a small cell.
    swapsCarries: true,
    memory,
    isPhases: false,
    loopKernels: {
      phases: phaseMachine(memory, target.invocations),
      choose: (loop) => chooseLoopForm(loop, target),
      kernel: loopKernel,
    },
    finish: (program) => program,
  };
}

const memory: MemoryRules = { alignment: bindingAlignment, bytesPerElement: gpuBytes };

/** Rows, attention, windows of several results and own operands have invocations wait for each other. */
const withoutBarriers: Pick<Machine, 'rowsPay' | 'attentionPays' | 'windowPays' | 'operandPays'> = {
  rowsPay: () => false,
  attentionPays: () => false,
  windowPays: (window) => window === 1,
  operandPays: () => false,
};

function lowerGroup(context: GpuContext, target: GpuTarget): KernelBody[] {
  const { anchor, attention, source } = context.group;
  if (source !== null) return lowerWindows(context, source, target);
  if (context.group.byRows) return lowerRows(context, target);
  if (anchor === null) return lowerElement(context);
  if (attention !== null) return lowerAttention(context, anchor, attention, target);
  const { lowering } = context.table[anchor.op];
  switch (lowering.class) {
    case 'reduction':
      return reductionKernels(context, reductionOf(context, anchor), target);
    case 'contraction':
      return lowerContraction(context, anchor, target);
    case 'nest': {
      const scan = anchor.op === 'cumulative' ? lowerScan(context, anchor as Node<'cumulative'>, target) : null;
      return scan ?? lowerNest(context, anchor, target);
    }
    case 'element':
    case 'loop':
    case 'expanded':
      throw new InternalError(`${anchor.op} cannot anchor a kernel`);
  }
}
