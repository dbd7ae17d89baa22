// The operand that a contraction computes itself: all of it in the memory of each workgroup, before anything else.

import { InternalError } from '../../ir/errors.ts';
import { add, axis, flatten, type IndexExpr, multiply, of } from '../../ir/index-expr.ts';
import { type Buffer, type Expr, load, type Stmt } from '../../ir/kernel.ts';
import { sizeOf } from '../../ir/types.ts';
import { accessesOf } from '../expr-rewrite.ts';
import { type KernelBody, type Known, type LoweringContext, membersAt } from '../group.ts';
import { loop, nest, substituteStmts } from '../loops.ts';
import { running } from '../lower-reduction.ts';
import type { OwnOperand } from '../operands.ts';
import { limited, named, namedIndices, within } from './grid.ts';

/** The operand as a buffer of workgroups, and a context in which the anchor reads it there. */
export function withOwnOperand<Context extends LoweringContext>(
  context: Context,
  { value }: OwnOperand,
): { buffer: Buffer; context: Context } {
  const { shape, dtype } = value.type;
  const buffer: Buffer = { name: 'operand', dtype, size: sizeOf(shape), space: 'shared' };
  const known: Known = new Map([[value, (index) => load(buffer, flatten(index, shape))]]);
  const operandOf = {
    operand: (position: number, index: readonly IndexExpr[]) =>
      context.at(context.group.anchor!.operands[position]!, index, known),
  };
  return { buffer, context: { ...context, operandOf } };
}

/** Kernels whose workgroups compute the operand first, where they read it. */
export function computingOperand(
  context: LoweringContext,
  operand: OwnOperand,
  buffer: Buffer,
  kernels: readonly KernelBody[],
): KernelBody[] {
  return kernels.map((kernel) => {
    if (!accessesOf(kernel.body).loads.some((access) => access.buffer === buffer)) return kernel;
    const [groups, ...others] = kernel.body;
    const inside = groups?.kind === 'loop' ? groups.body : [];
    const lanes = inside[inside.length - 1];
    if (groups?.kind !== 'loop' || others.length > 0 || lanes?.kind !== 'loop')
      throw new InternalError('a kernel of workgroups expected');
    const first = operandStmts(context, operand, buffer, of(lanes.axis), lanes.axis.extent);
    const body = loop(lanes.axis, 'invocation', [...first, ...lanes.body]);
    const allocate: Stmt = { kind: 'allocate', buffer };
    return { ...kernel, body: [loop(groups.axis, 'workgroup', [allocate, ...inside.slice(0, -1), body])] };
  });
}

/** Each invocation computes some elements. */
function operandStmts(
  context: LoweringContext,
  { group, value }: OwnOperand,
  buffer: Buffer,
  lane: IndexExpr,
  invocations: number,
): Stmt[] {
  const axes = group.domain.map((extent, position) => axis(`i${position}`, extent));
  const turn = axis('turn', Math.ceil(buffer.size / invocations));
  const at = named('element', add(multiply(of(turn), invocations), lane));
  const { stmts, map } = namedIndices(axes, limited(at.index, buffer.size - 1));
  const element = elementStmts({ ...context, group: { ...group, stored: [] } }, value, axes.map(of));
  const store: Stmt = { kind: 'store', buffer, offset: flatten(axes.map(of), group.domain), value: element.value };
  const body = within(at.index, buffer.size, [...stmts, ...substituteStmts([...element.stmts, store], map)]);
  return [...nest([turn], 'serial', [...at.stmts, ...body]), { kind: 'barrier' }];
}

/** One element of the group's value, at an index of its domain. */
function elementStmts(
  context: LoweringContext,
  value: OwnOperand['value'],
  index: readonly IndexExpr[],
): { stmts: Stmt[]; value: Expr } {
  const { anchor } = context.group;
  const before: Stmt[] = [];
  const known = new Map<OwnOperand['value'], Expr>();
  if (anchor !== null) {
    const { lowering } = context.table[anchor.op];
    if (lowering.class !== 'reduction') throw new InternalError(`${anchor.op} is no reduction`);
    const reduced = lowering.extents(anchor as never).map((extent, i) => axis(`r${i}`, extent));
    const none: Known = new Map();
    const s = {
      operand: (position: number, at: readonly IndexExpr[]) => context.at(anchor.operands[position]!, at, none),
    };
    const element = lowering.element(s, index, reduced.map(of), anchor as never);
    const state = running({
      domain: [],
      reduced,
      monoid: lowering.monoid(anchor as never),
      position: false,
      element,
      finish: () => [],
    });
    const position = flatten(
      reduced.map(of),
      reduced.map(({ extent }) => extent),
    );
    before.push(...state.begin(), ...nest(reduced, 'serial', state.take(element, position)));
    known.set(anchor.results[0]!, state.result);
  }
  const { stmts, locals } = membersAt(context, index, known);
  return { stmts: [...before, ...stmts], value: locals.get(value) as Expr };
}
