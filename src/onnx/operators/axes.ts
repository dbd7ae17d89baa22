// Axes and lists of whole numbers, which older versions of operators take as attributes and newer ones as inputs.

import type { NodeContext } from '../node-context.ts';
import { Unsupported } from '../unsupported.ts';

/** Longer lists are not written out at import: a file of a few bytes could ask for any amount of memory. */
export const longestList = 2 ** 22;

/** 0, 1, …, count − 1. */
export function wholeRange(count: number): number[] {
  if (count > longestList) throw new Unsupported(`a list of ${count} places: at most ${longestList} are written out`);
  return Array.from({ length: count }, (_, i) => i);
}

/** An axis counted from either end of `rank` axes as one counted from the first; it must be below `places`. */
export function axisOf(node: NodeContext, axis: number, rank: number, places = rank): number {
  const resolved = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(resolved) || resolved < 0 || resolved >= places)
    node.invalid(`axis ${axis} of ${rank} axes does not exist`);
  return resolved;
}

/** A list that is an attribute before version `since` and an input, which must be known, from then on; null where it is left out. */
export function attributeOrInput(
  node: NodeContext,
  name: string,
  position: number,
  since: number,
): readonly number[] | null {
  if (node.opset < since) return node.has(name) ? node.ints(name) : null;
  const given = node.optional(position);
  return given === null ? null : node.expectKnown(given, name);
}
