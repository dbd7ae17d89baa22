// What is in a loop that becomes one kernel (loop-kernel.ts), as phases: parallel loops around what one element takes, without a
// choice of who computes which. An element is always computed by one invocation; where few results have long sums, parts of
// these are a phase of their own.

import type { Node } from '../../ir/graph.ts';
import { axis, of } from '../../ir/index-expr.ts';
import type { Stmt } from '../../ir/kernel.ts';
import { sizeOf } from '../../ir/types.ts';
import { type KernelBody, type LoweringContext, memberStmts } from '../group.ts';
import { extentOf, nest } from '../loops.ts';
import { problemOf, sumOfProducts } from '../lower-contraction.ts';
import { workOf } from '../lower-element.ts';
import { elementsOf, nestStmts } from '../lower-nest.ts';
import { type Reduction, reductionOf } from '../lower-reduction.ts';
import type { Machine, MemoryRules } from '../machine.ts';
import { separated } from './lower-nest.ts';
import { inChunks, inOrder } from './lower-reduction.ts';
import { phaseChunks } from './schedule-loops.ts';

/** Nothing is shared out among workgroups here, so that groups of several operations have nothing to gain. */
export function phaseMachine(memory: MemoryRules, invocations: number): Machine {
  return {
    splitsPhases: false,
    rowsPay: () => false,
    attentionPays: () => false,
    windowPays: () => false,
    operandPays: () => false,
    lowerGroup: (context) => lowerGroup(context, invocations),
    elementLoops: (axes, body) => nest(axes, 'parallel', [...body]),
    swapsCarries: false,
    memory,
    isPhases: true,
    loopKernels: null,
    finish: (program) => program,
  };
}

function lowerGroup(context: LoweringContext, invocations: number): KernelBody[] {
  const { anchor } = context.group;
  if (anchor === null) return element(context);
  switch (context.table[anchor.op].lowering.class) {
    case 'contraction': {
      const problem = problemOf(context, anchor);
      return reduction(context, { ...sumOfProducts(context, anchor, problem), reduced: problem.inner });
    }
    case 'nest':
      return ownLoops(context, anchor, invocations);
    default:
      return reduction(context, reductionOf(context, anchor));
  }
}

function element(context: LoweringContext): KernelBody[] {
  const { domain } = context.group;
  const axes = domain.map((extent, position) => axis(`i${position}`, extent));
  const body = memberStmts(context, axes.map(of), new Map());
  const ordered = context.order.map((position) => axes[position]!);
  return [{ suffix: '', body: nest(ordered, 'parallel', body), flops: workOf(body) * sizeOf(domain) }];
}

function reduction(context: LoweringContext, whole: Reduction): KernelBody[] {
  const results = extentOf(whole.domain);
  const flops = results * extentOf(whole.reduced) * 2;
  const chunks = whole.position ? 1 : phaseChunks(results, extentOf(whole.reduced));
  if (chunks === 1) return [{ suffix: '', body: alone(whole), flops }];
  const [first, second] = inChunks(context, whole, chunks, (chunk, domain) => [...domain, chunk]);
  return [
    { suffix: '_partial', body: alone(first), flops },
    { suffix: '', body: alone(second), flops: chunks * results },
  ];
}

function alone(reduction: Reduction): Stmt[] {
  return nest(reduction.domain, 'parallel', inOrder(reduction));
}

/** Loops that follow one another are phases of their own, as others may compute what they read. */
function ownLoops(context: LoweringContext, anchor: Node, invocations: number): KernelBody[] {
  const parts = separated(nestStmts(context, anchor, { lanes: false, tasks: invocations }));
  return parts.map((body, position) => {
    const suffix = position === parts.length - 1 ? '' : `_${position}`;
    return { suffix, body, flops: elementsOf(anchor) };
  });
}
