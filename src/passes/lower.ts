// Lowering: each fused group becomes kernels. The rules of the operation table give scalar expressions at an index;
// this file composes them (an inlined operand is evaluated in place, a stored one is loaded) and hands the result to
// the machine, which chooses the loops.

import type { SourcePosition } from '../ir/errors.ts';
import type { Func, Node, Value } from '../ir/graph.ts';
import type { IndexExpr } from '../ir/index-expr.ts';
import { type Buffer, type Expr, type Kernel, load } from '../ir/kernel.ts';
import type { OpTable } from '../ir/optable.ts';
import { bytesPerElement, type DType, sizeOf } from '../ir/types.ts';
import { accessesOf, walkExpr } from './expr-rewrite.ts';
import type { FusionPlan, Group } from './fuse.ts';
import { elementOf, type KernelBody, type Known, type LoweringContext, nodesOf } from './group.ts';
import { isConstantBuffer } from './inlining.ts';
import { chooseLayouts, type Layouts, offsetIn } from './layout.ts';
import type { Machine } from './machine.ts';

export interface Lowered {
  readonly kernels: readonly Kernel[];
  /** Every global buffer of the kernels: the value it holds, or null for scratch between two kernels of one group. */
  readonly buffers: ReadonlyMap<Buffer, Value | null>;
  readonly bufferOf: ReadonlyMap<Value, Buffer>;
}

export function lower(func: Func, plan: FusionPlan, table: OpTable, machine: Machine): Lowered {
  const buffers = new Map<Buffer, Value | null>();
  const bufferOf = new Map<Value, Buffer>();
  const names = new Map<string, number>();
  const uniqueName = (base: string): string => {
    const count = names.get(base) ?? 0;
    names.set(base, count + 1);
    return count === 0 ? base : `${base}_${count}`;
  };
  const makeBuffer = (base: string, dtype: DType, size: number, value: Value | null): Buffer => {
    const buffer: Buffer = { name: uniqueName(base), dtype, size, space: 'global' };
    buffers.set(buffer, value);
    return buffer;
  };
  const bufferFor = (value: Value): Buffer => {
    const found = bufferOf.get(value);
    if (found !== undefined) return found;
    const base = value.name ?? value.producer?.op ?? 'value';
    const buffer = makeBuffer(base, value.type.dtype, sizeOf(value.type.shape), value);
    bufferOf.set(value, buffer);
    return buffer;
  };
  for (const { value } of func.parameters) bufferFor(value);
  const layouts = chooseLayouts(func, table);
  const offsetOf = (value: Value, index: readonly IndexExpr[]): IndexExpr =>
    offsetIn(layouts.get(value), value.type.shape, index);

  const at = (value: Value, index: readonly IndexExpr[], locals: Known): Expr => {
    const local = locals.get(value);
    if (local !== undefined) return typeof local === 'function' ? local(index) : local;
    const { producer } = value;
    if (producer === null || !plan.inlined.has(producer)) {
      return load(bufferFor(value), offsetOf(value, index));
    }
    return elementOf(table, producer, index, (operand, operandIndex) => at(operand, operandIndex, locals));
  };

  const none: Known = new Map();
  const constants = new Set(constantBuffers(func));
  const kernels: Kernel[] = [];
  for (const group of plan.groups) {
    // Nothing is to be written, and index arithmetic cannot divide by such dimensions.
    if (group.stored.every(({ type }) => sizeOf(type.shape) === 0)) {
      group.stored.forEach(bufferFor);
      continue;
    }
    const context: LoweringContext = {
      table,
      group,
      at,
      operandOf: { operand: (position, index) => at(group.anchor!.operands[position]!, index, none) },
      isConstant: (expr) => readsConstants(expr, buffers, constants),
      bufferFor,
      offsetOf,
      order: orderOf(group, layouts),
      scratch: (name, dtype, size) => makeBuffer(name, dtype, size, null),
    };
    for (const body of machine.lowerGroup(context)) kernels.push(finishKernel(group, body));
  }
  return { kernels, buffers, bufferOf };
}

function readsConstants(
  expr: Expr,
  buffers: ReadonlyMap<Buffer, Value | null>,
  constants: ReadonlySet<Value>,
): boolean {
  let constant = true;
  walkExpr(expr, (inner) => {
    if (inner.kind !== 'load') return;
    const value = buffers.get(inner.buffer) ?? null;
    constant &&= value !== null && constants.has(value);
  });
  return constant;
}

/** Loops follow the first value that the group writes. */
function orderOf(group: Group, layouts: Layouts): readonly number[] {
  const [first] = group.stored;
  return (first && layouts.get(first)) ?? group.domain.map((_, axis) => axis);
}

function finishKernel(group: Group, { suffix, body, flops }: KernelBody): Kernel {
  const { loads, stores } = accessesOf(body);
  const written = new Set(stores.map((access) => access.buffer).filter((buffer) => buffer.space === 'global'));
  const read = new Set(loads.map((access) => access.buffer).filter((buffer) => buffer.space === 'global'));
  const touched = [...new Set([...read, ...written])];
  const nodes = nodesOf(group);
  return {
    name: kernelName(nodes, suffix),
    parameters: touched.map((buffer) => ({
      buffer,
      access: !written.has(buffer) ? 'read' : read.has(buffer) ? 'readwrite' : 'write',
    })),
    body,
    summary: nodes.map((node) => node.op).join(', '),
    sources: sourcesOf(nodes),
    flops,
    bytes: touched.reduce((bytes, buffer) => bytes + buffer.size * bytesPerElement[buffer.dtype], 0),
  };
}

function kernelName(nodes: readonly Node[], suffix: string): string {
  const ops = nodes.map((node) => node.op).filter((op) => op !== 'constant');
  const shown = ops.length <= 4 ? ops : [...ops.slice(0, 3), `and_${ops.length - 3}_more`];
  return `${shown.join('_') || 'fill'}${suffix}`;
}

function sourcesOf(nodes: readonly Node[]): SourcePosition[] {
  const seen = new Map<string, SourcePosition>();
  for (const { source } of nodes) if (source !== null) seen.set(`${source.file}:${source.line}`, source);
  return [...seen.values()];
}

/** Weights, and constants that live in memory. */
export function constantBuffers(func: Func): Value[] {
  const weights = func.parameters.filter(({ role }) => role === 'weight').map(({ value }) => value);
  return [...weights, ...func.nodes.filter(isConstantBuffer).map((node) => node.results[0]!)];
}
