// The order of a program's work: leaves (kernels, launches, dispatches) in a row, with loops around some of them and
// branches of which one runs. Every level from lowering to the text of a target has the same tree with leaves of its own, and
// these are the only walks over it.

import type { Axis } from './index-expr.ts';
import type { Buffer } from './kernel.ts';

/** What stands in a list of steps; `Place` is what a truth value is read from. */
export type Step<Leaf extends AnyLeaf, Place> = Leaf | Loop<Leaf, Place> | Branch<Leaf, Place>;
export type Steps<Leaf extends AnyLeaf, Place> = readonly Step<Leaf, Place>[];

interface AnyLeaf {
  readonly kind: string;
}

/** Runs its steps again and again. */
export interface Loop<Leaf extends AnyLeaf, Place> {
  readonly kind: 'loop';
  /** The iteration's number, which kernels inside may read; null where none does. */
  readonly axis: Axis | null;
  /** How many iterations, or at most how many where there is a condition; Infinity: without bound. */
  readonly count: number;
  /** Its steps come before each iteration; the loop is over where the predicate is then false. */
  readonly condition: { readonly steps: Steps<Leaf, Place>; readonly predicate: Place } | null;
  readonly steps: Steps<Leaf, Place>;
  /** As a launch's: everything before must be over when it begins. */
  readonly waits: boolean;
  /** How it and all that is in it become one kernel, before memory is planned; null: it stays a loop. */
  readonly form: LoopForm | null;
  /** True: every other iteration takes its tasks from the last to the first, which changes no result. Default: false. */
  readonly alternates?: boolean;
}

/** A loop as one kernel (gpu/loop-kernel.ts). */
export interface LoopForm {
  readonly name: string;
  /** Rows that do not depend on one another, each computed alone. 1: everything is one row. */
  readonly rows: number;
  /** What computes a row. */
  readonly each: 'workgroup' | 'invocation';
  /** Invocations of a workgroup. */
  readonly invocations: number;
  /** Memory that is the loop's own, as arrays of one row. */
  readonly places: ReadonlyMap<Buffer, Buffer>;
}

/** Runs one of two lists of steps. */
export interface Branch<Leaf extends AnyLeaf, Place> {
  readonly kind: 'branch';
  readonly predicate: Place;
  readonly then: Steps<Leaf, Place>;
  readonly otherwise: Steps<Leaf, Place>;
  readonly waits: boolean;
}

export function isLoop<Leaf extends AnyLeaf, Place>(step: Step<Leaf, Place>): step is Loop<Leaf, Place> {
  return step.kind === 'loop';
}

/** True where a loop among the steps alternates. */
export function hasAlternating<Leaf extends AnyLeaf, Place>(steps: Steps<Leaf, Place>): boolean {
  return steps.some((step) => (isLoop(step) && step.alternates === true) || listsOf(step).some(hasAlternating));
}

export function isBranch<Leaf extends AnyLeaf, Place>(step: Step<Leaf, Place>): step is Branch<Leaf, Place> {
  return step.kind === 'branch';
}

/** The lists inside a loop or branch in the order in which they would run first; none in a leaf. */
export function listsOf<Leaf extends AnyLeaf, Place>(step: Step<Leaf, Place>): Steps<Leaf, Place>[] {
  if (isLoop(step)) return [...(step.condition === null ? [] : [step.condition.steps]), step.steps];
  return isBranch(step) ? [step.then, step.otherwise] : [];
}

/** Every leaf once, in order: a loop's as in its first iteration, of a branch first those that run where it is true. */
export function leavesOf<Leaf extends AnyLeaf, Place>(steps: Steps<Leaf, Place>): Leaf[] {
  return steps.flatMap((step): Leaf[] =>
    isLoop(step) || isBranch(step) ? listsOf(step).flatMap((list) => leavesOf(list)) : [step],
  );
}

/** Every predicate, in the order of its loop or branch. */
export function predicatesOf<Leaf extends AnyLeaf, Place>(steps: Steps<Leaf, Place>): Place[] {
  return steps.flatMap((step) => {
    const inner = listsOf(step).flatMap((list) => predicatesOf(list));
    if (isBranch(step)) return [step.predicate, ...inner];
    return isLoop(step) && step.condition !== null ? [step.condition.predicate, ...inner] : inner;
  });
}

/** Every leaf with how often it runs; an endless loop is taken to end after `unbounded` iterations. */
export function countedLeaves<Leaf extends AnyLeaf, Place>(
  steps: Steps<Leaf, Place>,
  unbounded: number,
  times = 1,
): { readonly leaf: Leaf; readonly times: number }[] {
  return steps.flatMap((step) => {
    if (!isLoop(step) && !isBranch(step)) return [{ leaf: step, times }];
    const each = isLoop(step) ? times * (Number.isFinite(step.count) ? step.count : unbounded) : times;
    return listsOf(step).flatMap((list) => countedLeaves(list, unbounded, each));
  });
}

/** The same tree with other leaves and places. */
export function mapSteps<Leaf extends AnyLeaf, Place, NewLeaf extends AnyLeaf, NewPlace>(
  steps: Steps<Leaf, Place>,
  leaf: (leaf: Leaf) => NewLeaf,
  place: (place: Place) => NewPlace,
): Step<NewLeaf, NewPlace>[] {
  return mapLists(
    steps,
    (list, inner) => list.map((step) => (isLoop(step) || isBranch(step) ? inner(step) : leaf(step))),
    place,
  );
}

/**
 * The same tree with every list of steps replaced by what `list` makes of it; `inner` gives the loop or branch with its own
 * lists replaced.
 */
export function mapLists<Leaf extends AnyLeaf, Place, NewLeaf extends AnyLeaf, NewPlace>(
  steps: Steps<Leaf, Place>,
  list: (
    steps: Steps<Leaf, Place>,
    inner: (step: Loop<Leaf, Place> | Branch<Leaf, Place>) => Loop<NewLeaf, NewPlace> | Branch<NewLeaf, NewPlace>,
  ) => Step<NewLeaf, NewPlace>[],
  place: (place: Place) => NewPlace,
): Step<NewLeaf, NewPlace>[] {
  const visit = (inner: Steps<Leaf, Place>): Step<NewLeaf, NewPlace>[] => mapLists(inner, list, place);
  return list(steps, (step) => {
    if (step.kind === 'branch')
      return { ...step, predicate: place(step.predicate), then: visit(step.then), otherwise: visit(step.otherwise) };
    const { condition } = step;
    const mapped = condition === null ? null : { steps: visit(condition.steps), predicate: place(condition.predicate) };
    return { ...step, condition: mapped, steps: visit(step.steps) };
  });
}
