// Which loop over the row computes what, for a group that is computed by rows. A loop is a phase: it ends where the
// result of a reduction is needed, and what depends on that result belongs to a later one. A value of one phase that a
// later one reads is kept in a row of memory where it was expensive, and computed again where it was not.

import type { Node, Value } from '../ir/graph.ts';
import { axis, of } from '../ir/index-expr.ts';
import { type Expr, literal } from '../ir/kernel.ts';
import { bytesPerElement, sameShape } from '../ir/types.ts';
import type { LoweringContext } from './group.ts';
import { isRowReduction, rowElement } from './row-groups.ts';

export interface RowPlan {
  readonly phases: readonly RowPhase[];
  /** Values that later phases read from a row on the stack. */
  readonly onStack: ReadonlySet<Value>;
}

export interface RowPhase {
  /** Operations on one value per row, before the loop. */
  readonly before: readonly Node[];
  /** What the loop computes of each element, operands first; those that first appear here are stored here. */
  readonly elements: readonly { readonly node: Node; readonly first: boolean }[];
  /** Values of earlier phases that are read from memory. */
  readonly kept: readonly Value[];
  readonly reductions: readonly Node[];
}

/** An element that takes fewer operations than this to compute again is not worth a load and a store. */
const fewestKept = 5;
const expensive = 10;

/** An element operation on its way to a phase. */
interface Element {
  readonly node: Node;
  readonly phase: number;
  readonly reads: readonly Element[];
  readonly cost: number;
  /** The phases that need it. */
  readonly needed: Set<number>;
  /** In memory after its first phase. */
  isKept: boolean;
}

/**
 * The phases of a group's rows. Rows that are kept between them take up to `rowBytes` bytes. `given` stands for values that
 * the group begins with, which are no members.
 */
export function planRows(
  context: LoweringContext,
  rowBytes: number,
  given: ReadonlyMap<Value, Expr> = new Map(),
): RowPlan {
  const { group } = context;
  const members = new Set(group.members.flatMap((member) => member.results));
  const elements = new Map<Value, Element>();
  const levels = new Map<Value, number>();
  const before: Node[][] = [];
  const reductions: Node[][] = [];
  for (const node of group.members) {
    const value = node.results[0]!;
    const read = valuesRead(context, node, members, given);
    const reads = read.flatMap((operand) => elements.get(operand) ?? []);
    const phase = Math.max(0, ...reads.map((next) => next.phase), ...read.map((operand) => levels.get(operand) ?? 0));
    if (isRowReduction(node) && sameShape(node.operands[0]!.type.shape, group.domain)) {
      put(reductions, phase, node);
      levels.set(value, phase + 1);
      for (const next of reads) next.needed.add(phase);
    } else if (sameShape(value.type.shape, group.domain)) {
      const again = reads.reduce((sum, next) => sum + next.cost, 0);
      elements.set(value, {
        node,
        phase,
        reads,
        cost: ownCost(context, node) + again,
        needed: new Set(),
        isKept: false,
      });
    } else {
      put(before, phase, node);
      levels.set(value, phase);
    }
  }
  const onStack = decide(context, [...elements.values()], rowBytes);
  const count = Math.max(before.length, reductions.length, ...[...elements.values()].map(({ phase }) => phase + 1));
  const phases = Array.from({ length: count }, (_, phase): RowPhase => {
    const here = [...elements.values()].filter(({ needed }) => needed.has(phase));
    const isFirst = ({ needed }: Element): boolean => Math.min(...needed) === phase;
    return {
      before: before[phase] ?? [],
      elements: here
        .filter((next) => !next.isKept || isFirst(next))
        .map((next) => ({ node: next.node, first: isFirst(next) })),
      kept: here.filter((next) => next.isKept && !isFirst(next)).map(({ node }) => node.results[0]!),
      reductions: reductions[phase] ?? [],
    };
  });
  return { phases, onStack };
}

/** Readers first: which phases need each element, and which elements are kept between them. Returns those on the stack. */
function decide(context: LoweringContext, elements: readonly Element[], rowBytes: number): Set<Value> {
  const stored = new Set(context.group.stored);
  const length = context.group.domain[context.group.domain.length - 1]!;
  const onStack = new Set<Value>();
  let free = rowBytes;
  for (const element of [...elements].reverse()) {
    const { node, phase, needed } = element;
    const value = node.results[0]!;
    const isStored = stored.has(value);
    if (isStored && needed.size === 0) needed.add(phase);
    const bytes = length * bytesPerElement[value.type.dtype];
    if (needed.size > 1) {
      const worthRow = element.cost >= fewestKept && bytes <= free;
      element.isKept = isStored || worthRow;
      if (element.isKept && !isStored) {
        free -= bytes;
        onStack.add(value);
      }
    }
    const computed = element.isKept ? [Math.min(...needed)] : [...needed];
    for (const operand of element.reads) for (const at of computed) operand.needed.add(at);
  }
  return onStack;
}

function put(lists: Node[][], at: number, node: Node): void {
  for (let i = lists.length; i <= at; i++) lists.push([]);
  lists[at]!.push(node);
}

function ownCost({ table }: LoweringContext, node: Node): number {
  const { lowering } = table[node.op];
  return lowering.class === 'element' && lowering.cost === 'expensive' ? expensive : 1;
}

/** The values of the group that a member reads, through whatever is inlined between. */
function valuesRead(
  { group, table, at }: LoweringContext,
  node: Node,
  members: ReadonlySet<Value>,
  given: ReadonlyMap<Value, Expr>,
): Value[] {
  const seen = new Set<Value>();
  class Recorder extends Map<Value, Expr> {
    override get(value: Value): Expr | undefined {
      if (!members.has(value)) return given.get(value);
      seen.add(value);
      return literal(value.type.dtype, 0);
    }
  }
  const axes = group.domain.map((extent, position) => of(axis(`i${position}`, extent)));
  const recorder = new Recorder();
  rowElement(table, node, group.domain, axes.slice(0, -1), axes[axes.length - 1]!, (operand, index) =>
    at(operand, index, recorder),
  );
  return [...seen];
}
