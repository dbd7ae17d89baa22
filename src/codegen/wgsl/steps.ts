// The steps of a program as a device runs them: dispatches, and loops of them. Branches are gone, as their dispatches run or not
// by gates (gates.ts); so do those of a loop whose end a value decides. A runtime may leave such a loop where its gate is closed,
// but need not look.

import type { Axis } from '../../ir/index-expr.ts';
import type { Launch, ProgramBuffer, ProgramStep } from '../../ir/program.ts';
import { isBranch, isLoop, type Step } from '../../ir/steps.ts';
import { bindingAlignment } from '../../passes/gpu/schedule.ts';
import type { Place } from './bindings.ts';
import { type GateShape, gateEntry, gateHead, printGate } from './gates.ts';
import type { Dispatch, WgslModule } from './program.ts';

/** A dispatch or a loop; the predicate of a loop is the word of its gate. */
export type WgslStep = Step<Dispatch, Place>;

/** What launches and gates become part of. */
export interface StepWriter {
  /** A launch's dispatch; null where it has nothing to do. */
  dispatch(launch: Launch): Omit<Dispatch, 'kind' | 'numbers' | 'gate'> | null;
  /** The number of a module. */
  module(module: WgslModule): number;
  predicate(buffer: ProgramBuffer): { readonly place: Place; readonly packed: boolean };
}

export interface WgslSteps {
  readonly steps: readonly WgslStep[];
  /** Bytes of all gates. */
  readonly gateBytes: number;
  /** Iterations of the longest loop whose number kernels read. */
  readonly numbers: number;
}

export const gateBlock = 'gates';

export function wgslSteps(steps: readonly ProgramStep[], writer: StepWriter): WgslSteps {
  const walk = new Walk(writer);
  const made = walk.list(steps, [], null);
  return { steps: made, gateBytes: walk.gateBytes, numbers: walk.numbers };
}

/** A gate and the dispatches behind it so far. */
interface Gate {
  readonly offset: number;
  readonly workgroups: (readonly [number, number])[];
}

class Walk {
  gateBytes = 0;
  numbers = 0;
  readonly #writer: StepWriter;

  constructor(writer: StepWriter) {
    this.#writer = writer;
  }

  list(steps: readonly ProgramStep[], loops: readonly Axis[], gate: Gate | null): WgslStep[] {
    return steps.flatMap((step): WgslStep[] => {
      if (isBranch(step)) return this.#branch(step, loops, gate);
      if (isLoop(step)) return this.#loop(step, loops, gate);
      const made = this.#writer.dispatch(step);
      if (made === null) return [];
      const numbers = step.kernel.iterations.map((axis) => loops.indexOf(axis));
      for (const { extent } of step.kernel.iterations) this.numbers = Math.max(this.numbers, extent);
      const place = gate === null ? null : gate.offset + gateHead + gateEntry * gate.workgroups.length;
      gate?.workgroups.push(made.workgroups);
      return [{ ...made, kind: 'dispatch', numbers, gate: place }];
    });
  }

  #loop(step: Extract<ProgramStep, { kind: 'loop' }>, loops: readonly Axis[], gate: Gate | null): WgslStep[] {
    const { axis, condition, steps } = step;
    const inside = axis === null ? loops : [...loops, axis];
    if (condition === null) {
      const list = this.list(steps, inside, gate);
      return list.length === 0 ? [] : [{ ...step, condition, steps: list }];
    }
    const own = this.#gate([...condition.steps, ...steps]);
    const test = this.list(condition.steps, inside, own);
    const body = this.list(steps, inside, own);
    const predicate = { buffer: condition.predicate, inverted: false };
    const enter = this.#gateDispatch(own, gate, null);
    const decide = this.#gateDispatch(own, own, predicate);
    const word = { block: gateBlock, offset: own.offset, bytes: gateHead };
    return [enter, { ...step, condition: { steps: [...test, decide], predicate: word }, steps: body }];
  }

  /** Both gates are set before either list runs, which may write where the predicate was. */
  #branch(step: Extract<ProgramStep, { kind: 'branch' }>, loops: readonly Axis[], gate: Gate | null): WgslStep[] {
    const lists = ([step.then, step.otherwise] as const).flatMap((steps, i) => {
      if (steps.length === 0) return [];
      const own = this.#gate(steps);
      const made = this.list(steps, loops, own);
      return [{ made, set: this.#gateDispatch(own, gate, { buffer: step.predicate, inverted: i === 1 }) }];
    });
    return [...lists.map(({ set }) => set), ...lists.flatMap(({ made }) => made)];
  }

  /** Memory for a gate with all dispatches of some steps behind it. */
  #gate(steps: readonly ProgramStep[]): Gate {
    const offset = this.gateBytes;
    const bytes = gateHead + gateEntry * behindGate(steps);
    this.gateBytes += Math.ceil(bytes / bindingAlignment) * bindingAlignment;
    return { offset, workgroups: [] };
  }

  #gateDispatch(
    own: Gate,
    around: Gate | null,
    predicate: { readonly buffer: ProgramBuffer; readonly inverted: boolean } | null,
  ): Dispatch {
    const read = predicate === null ? null : this.#writer.predicate(predicate.buffer);
    const shape: GateShape = {
      workgroups: own.workgroups,
      around: around === null ? 'none' : around === own ? 'itself' : 'other',
      predicate: predicate === null ? null : { packed: read!.packed, inverted: predicate.inverted },
    };
    const placeOf = ({ offset, workgroups }: Gate): Place => ({
      block: gateBlock,
      offset,
      bytes: gateHead + gateEntry * workgroups.length,
    });
    return {
      kind: 'dispatch',
      kernel: 'gate',
      source: null,
      module: this.#writer.module(printGate(shape)),
      bindings: [
        placeOf(own),
        ...(around === null || around === own ? [] : [placeOf(around)]),
        ...(read === null ? [] : [read.place]),
      ],
      workgroups: [1, 1],
      numbers: [],
      gate: null,
    };
  }
}

/** Launches that a gate decides about: those behind a further gate of their own are that one's. */
function behindGate(steps: readonly ProgramStep[]): number {
  return steps.reduce((count, step) => {
    if (isBranch(step) || (isLoop(step) && step.condition !== null)) return count;
    return count + (isLoop(step) ? behindGate(step.steps) : 1);
  }, 0);
}
