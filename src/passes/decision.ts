// Decisions of lowering that measurement may take: what is done untuned, and everything that could be done instead, ranked by
// estimated cost. The estimates are the cost model; tuning measures what they propose (runtime/tune/), and a record keeps
// what won. What a choice is, each machine says.

import type { Group } from './fuse.ts';

/** A choice and its estimated cost, in cycles of one core or in multiply-adds of a GPU. */
export interface Candidate<Choice> {
  readonly choice: Choice;
  readonly cost: number;
  /** Candidates of one tile differ in how they are blocked and shared out; they are worth measuring where the tile is. */
  readonly tile: string;
}

/** One decision that lowering faces. */
export interface Decision<Choice> {
  readonly group: Group;
  /** The problem as text: the same for problems that take the same loops. */
  key(): string;
  /** What is done untuned. */
  readonly untuned: Choice;
  /** Everything that could be done: the untuned choice, then by estimated cost. */
  candidates(): Candidate<Choice>[];
}

/** Makes a decision. */
export type Choose<Choice> = (decision: Decision<Choice>) => Choice;

export const untuned = <Choice>(decision: Decision<Choice>): Choice => decision.untuned;

/** The untuned choice first, then by estimated cost; one of each. */
export function ranked<Choice>(first: Choice, candidates: readonly Candidate<Choice>[]): Candidate<Choice>[] {
  const wanted = canonical(first);
  const seen = new Set([wanted]);
  const own = candidates.find(({ choice }) => canonical(choice) === wanted);
  const others = candidates.filter(({ choice }) => {
    const text = canonical(choice);
    if (seen.has(text)) return false;
    seen.add(text);
    return true;
  });
  const head = own ?? { choice: first, cost: Math.min(...candidates.map(({ cost }) => cost)), tile: 'untuned' };
  return [head, ...others.sort((a, b) => a.cost - b.cost)];
}

/** A choice as text, its fields in one order. */
export function canonical(choice: unknown): string {
  return JSON.stringify(Object.entries(choice as object).sort(([a], [b]) => (a < b ? -1 : 1)));
}
