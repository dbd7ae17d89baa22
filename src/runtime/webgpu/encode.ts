// Steps of a program as commands. Loops are written out: a dispatch for each iteration, its number by a dynamic offset. A loop
// whose end a value decides is written out in pieces, as every dispatch in it runs or not by its gate: between two pieces the
// gate is read, unless the loop has no more iterations than the first piece.

import type { Place } from '../../codegen/wgsl/bindings.ts';
import type { Dispatch } from '../../codegen/wgsl/program.ts';
import type { WgslStep } from '../../codegen/wgsl/steps.ts';
import { InternalError } from '../../ir/errors.ts';
import { isBranch, isLoop, mapSteps, type Step } from '../../ir/steps.ts';
import { bindingAlignment } from '../../passes/gpu/schedule.ts';
import { firstPiece, mostInPiece } from '../../passes/schedule-loops.ts';

/** A dispatch with everything that encoding it needs. */
export interface Ready {
  readonly kind: 'ready';
  readonly dispatch: Dispatch;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
}

export type ReadyStep = Step<Ready, Place>;

export const readySteps = (steps: readonly WgslStep[], ready: (dispatch: Dispatch) => Ready): ReadyStep[] =>
  mapSteps(steps, ready, (place) => place);

/** True where a call has to read from the device before it can go on. */
export function readsOnTheWay(steps: readonly ReadyStep[]): boolean {
  return steps.some((step) => {
    if (!isLoop(step)) return false;
    return (step.condition !== null && step.count > firstPiece) || readsOnTheWay(step.steps);
  });
}

/** One dispatch that runs, with the numbers of the loops around it. */
export interface Running {
  readonly ready: Ready;
  readonly numbers: readonly number[];
}

/**
 * Every dispatch in order. Where a loop's end has to be known it gives the place of a word, and is to be resumed with whether that
 * is not zero.
 */
export function* running(
  steps: readonly ReadyStep[],
  numbers: readonly number[] = [],
): Generator<Running | Place, void, boolean> {
  for (const step of steps) {
    if (isBranch(step)) throw new InternalError('a branch among dispatches');
    if (!isLoop(step)) {
      yield { ready: step, numbers };
      continue;
    }
    const { axis, count, condition } = step;
    let piece = firstPiece;
    for (let done = 0, end = piece; done < count; done++) {
      if (condition !== null && done === end) {
        if (!(yield condition.predicate)) break;
        piece = Math.min(2 * piece, mostInPiece);
        end += piece;
      }
      const inside = axis === null ? numbers : [...numbers, done];
      if (condition !== null) yield* running(condition.steps, inside);
      yield* running(step.steps, inside);
    }
  }
}

export function encodeDispatch(
  pass: GPUComputePassEncoder,
  { ready: { pipeline, bindGroup, dispatch }, numbers }: Running,
  gates: GPUBuffer | undefined,
): void {
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    bindGroup,
    dispatch.numbers.map((loop) => numbers[loop]! * bindingAlignment),
  );
  if (dispatch.gate === null) pass.dispatchWorkgroups(...dispatch.workgroups);
  else pass.dispatchWorkgroupsIndirect(gates!, dispatch.gate);
}
