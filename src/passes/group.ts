// One fused group on its way to kernels: what its lowering is given, and its members at one index of its domain. Every
// class of lowering builds on this, and lower.ts on them.

import { InternalError } from '../ir/errors.ts';
import type { Node, Value } from '../ir/graph.ts';
import type { IndexExpr } from '../ir/index-expr.ts';
import type { Buffer, Expr, Local, Stmt } from '../ir/kernel.ts';
import type { ElementContext, OpTable } from '../ir/optable.ts';
import type { DType } from '../ir/types.ts';
import type { Choose } from './decision.ts';
import type { Group } from './fuse.ts';
import type { ScheduleTarget } from './schedule.ts';
import type { ContractionChoice } from './schedule-candidates.ts';

/** Values that are in registers: an expression, or one for each index. */
export type Known = ReadonlyMap<Value, Expr | ((index: readonly IndexExpr[]) => Expr)>;

/** What the lowering of one group needs on any machine. */
export interface LoweringContext {
  readonly table: OpTable;
  readonly group: Group;
  /** A value at an index: a load, an inlined expression, or what `locals` says. */
  at(value: Value, index: readonly IndexExpr[], locals: Known): Expr;
  /** The anchor's operands at an index. */
  readonly operandOf: ElementContext;
  /** True where an expression reads constants alone. */
  isConstant(expr: Expr): boolean;
  bufferFor(value: Value): Buffer;
  /** Where an element of a value lies in its buffer. */
  offsetOf(value: Value, index: readonly IndexExpr[]): IndexExpr;
  /** The domain's axes from the slowest to the fastest in memory. */
  readonly order: readonly number[];
  /** A buffer that lives from one kernel of the group to the next. */
  scratch(name: string, dtype: DType, size: number): Buffer;
}

/** What it needs on a CPU. */
export interface GroupContext extends LoweringContext {
  readonly target: ScheduleTarget;
  readonly choose: Choose<ContractionChoice>;
}

/** A kernel's loops before its parameters are collected. */
export interface KernelBody {
  readonly suffix: string;
  readonly body: readonly Stmt[];
  readonly flops: number;
}

/** What a group computes, operands first. */
export function nodesOf({ anchor, members, attention, source, operand }: Group): readonly Node[] {
  const before: Node[] = [
    ...(operand === null ? [] : nodesOf(operand.group)),
    ...(attention === null ? [] : [attention.scores, ...attention.members]),
    ...(source === null ? [] : [source.anchor, ...source.members]),
  ];
  return anchor === null ? [...before, ...members] : [...before, anchor, ...members];
}

/** The element rule of a node, its operands read through `read`. */
export function elementOf(
  table: OpTable,
  node: Node,
  index: readonly IndexExpr[],
  read: (operand: Value, index: readonly IndexExpr[]) => Expr,
): Expr {
  const { lowering } = table[node.op];
  if (lowering.class !== 'element') throw new InternalError(`${node.op} has no element rule`);
  const s: ElementContext = { operand: (position, at) => read(node.operands[position]!, at) };
  return lowering.element(s, index, node as never);
}

/**
 * The members of a group at one index of its domain: each a named value, stored where it must be in memory.
 * `known` holds the anchor's value, if there is one.
 */
export function memberStmts(context: LoweringContext, index: readonly IndexExpr[], known: Known): Stmt[] {
  return membersAt(context, index, known).stmts;
}

/** The same, with the values of the members by name. */
export function membersAt(
  context: LoweringContext,
  index: readonly IndexExpr[],
  known: Known,
): { stmts: Stmt[]; locals: Known } {
  const { group, table } = context;
  const locals = new Map(known);
  const stored = new Set(group.stored);
  const stmts: Stmt[] = [];
  const store = (value: Value, expr: Expr): Stmt => ({
    kind: 'store',
    buffer: context.bufferFor(value),
    offset: context.offsetOf(value, index),
    value: expr,
  });
  for (const [value, expr] of known) {
    if (stored.has(value) && typeof expr !== 'function') stmts.push(store(value, expr));
  }
  group.members.forEach((node, position) => {
    const value = node.results[0]!;
    const expr = elementOf(table, node, index, (operand, at) => context.at(operand, at, locals));
    const local: Local = { name: value.name ?? `v${position}`, dtype: value.type.dtype, lanes: 1 };
    const reference: Expr = { kind: 'local', dtype: local.dtype, local };
    stmts.push({ kind: 'let', local, value: expr });
    locals.set(value, reference);
    if (stored.has(value)) stmts.push(store(value, reference));
  });
  return { stmts, locals };
}
