// What is in a loop that becomes one kernel (loop-kernel.ts), as phases: parallel loops around what one element takes, without a
// choice of who computes which. An element is always computed by one invocation; where few results have long sums, parts of
// these are a phase of their own.

import type { Node } from '../../ir/graph.ts';
import { add, axis, boundsOf, flatten, multiply, of, unflatten } from '../../ir/index-expr.ts';
import { choose, type Expr, literal, load, type Stmt } from '../../ir/kernel.ts';
import { identityOf } from '../../ir/ops/monoid.ts';
import { sizeOf } from '../../ir/types.ts';
import { indicesOf, substituteAxes } from '../expr-rewrite.ts';
import { type KernelBody, type LoweringContext, memberStmts } from '../group.ts';
import { extentOf, loop, mergeAxes, nest } from '../loops.ts';
import { problemOf, sumOfProducts } from '../lower-contraction.ts';
import { workOf } from '../lower-element.ts';
import { elementsOf, nestStmts } from '../lower-nest.ts';
import { type Reduction, reductionOf, running } from '../lower-reduction.ts';
import type { Machine, MemoryRules } from '../machine.ts';
import { isLess } from './grid.ts';
import { separated } from './lower-nest.ts';
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
  const [first, second] = inChunks(context, whole, chunks);
  return [
    { suffix: '_partial', body: alone(first), flops },
    { suffix: '', body: alone(second), flops: chunks * results },
  ];
}

function alone(reduction: Reduction): Stmt[] {
  const { merged, map } = mergeAxes(reduction.reduced, indicesOf(reduction.element));
  const state = running(reduction);
  const position = flatten(
    merged.map(of),
    merged.map(({ extent }) => extent),
  );
  const take = state.take(substituteAxes(reduction.element, map), position);
  const loops = merged.reduceRight<Stmt[]>((inner, next) => [loop(next, 'serial', inner)], take);
  return nest(reduction.domain, 'parallel', [...state.begin(), ...loops, ...reduction.finish(state.result)]);
}

/** Sums of chunks `[domain, chunks]`, and their sums. */
function inChunks(context: LoweringContext, whole: Reduction, chunks: number): [Reduction, Reduction] {
  const { domain, element } = whole;
  const { merged, map } = mergeAxes(whole.reduced, indicesOf(element));
  const length = extentOf(merged);
  const chunk = axis('chunk', chunks);
  const inChunk = axis('r', Math.ceil(length / chunks));
  const at = add(multiply(of(chunk), inChunk.extent), of(inChunk));
  const indices = unflatten(
    at,
    merged.map(({ extent }) => extent),
  );
  const value = substituteAxes(substituteAxes(element, map), new Map(merged.map((next, i) => [next, indices[i]!])));
  const none = literal(element.dtype, identityOf(whole.monoid, element.dtype));
  const partial = context.scratch('partial', element.dtype, chunks * extentOf(domain));
  const axes = [...domain, chunk];
  const offset = flatten(
    axes.map(of),
    axes.map(({ extent }) => extent),
  );
  const first: Reduction = {
    ...whole,
    domain: axes,
    reduced: [inChunk],
    element: boundsOf(at).upper < length ? value : choose(isLess(at, length), value, none),
    finish: (result: Expr) => [{ kind: 'store', buffer: partial, offset, value: result }],
  };
  return [first, { ...whole, reduced: [chunk], element: load(partial, offset) }];
}

/** Loops that follow one another are phases of their own, as others may compute what they read. */
function ownLoops(context: LoweringContext, anchor: Node, invocations: number): KernelBody[] {
  const parts = separated(nestStmts(context, anchor, { lanes: false, tasks: invocations }));
  return parts.map((body, position) => {
    const suffix = position === parts.length - 1 ? '' : `_${position}`;
    return { suffix, body, flops: elementsOf(anchor) };
  });
}
