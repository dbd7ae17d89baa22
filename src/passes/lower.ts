// Lowering: each fused group becomes kernels, and each loop or branch of the graph one of the program (lower-loop.ts), whose
// body is lowered in the same way. The rules of the operation table give scalar expressions at an index;
// this file composes them (an inlined operand is evaluated in place, a stored one is loaded) and hands the result to
// the machine, which chooses the loops.

import type { SourcePosition } from '../ir/errors.ts';
import { type Func, type Node, nestedFuncs, type Value } from '../ir/graph.ts';
import { type Axis, add, type IndexExpr } from '../ir/index-expr.ts';
import { type Buffer, type Expr, type Kernel, load, type Stmt } from '../ir/kernel.ts';
import type { OpTable } from '../ir/optable.ts';
import { type DType, sizeOf } from '../ir/types.ts';
import { dispatchesOf } from './dispatches.ts';
import { walkExpr } from './expr-rewrite.ts';
import type { Fused, Group } from './fuse.ts';
import { elementOf, type KernelBody, type Known, type LoweringContext, nodesOf } from './group.ts';
import { isConstantBuffer } from './inlining.ts';
import { chooseLayouts, type Layouts, offsetIn } from './layout.ts';
import { type LoopScope, lowerLoop, type NestedScope, type Surroundings } from './lower-loop.ts';
import { copyStep, type KernelStep, kernelOf, type Lowered, type LoweredStep } from './lowered.ts';
import type { Machine } from './machine.ts';

export function lower(fused: Fused, table: OpTable, machine: Machine): Lowered {
  const memory = new LoweredMemory();
  for (const { value } of fused.func.parameters) memory.bufferFor(value, memory.bufferOf);
  const constants = new Set(constantBuffers(fused.func));
  const isConstant = (buffer: Buffer): boolean => {
    const value = memory.buffers.get(buffer) ?? null;
    return value !== null && constants.has(value);
  };
  const scope = new FuncScope(fused, { table, machine, memory, isConstant }, outermost, memory.bufferOf);
  return { steps: scope.steps(), buffers: memory.buffers, bufferOf: memory.bufferOf, isConstant };
}

/** Global buffers with names of their own. */
class LoweredMemory {
  readonly buffers = new Map<Buffer, Value | null>();
  /** Of the outermost function's values and all constants. */
  readonly bufferOf = new Map<Value, Buffer>();
  readonly #names = new Map<string, number>();

  make(base: string, dtype: DType, size: number, value: Value | null): Buffer {
    const count = this.#names.get(base) ?? 0;
    this.#names.set(base, count + 1);
    const buffer: Buffer = { name: count === 0 ? base : `${base}_${count}`, dtype, size, space: 'global' };
    this.buffers.set(buffer, value);
    return buffer;
  }

  bufferFor(value: Value, own: Map<Value, Buffer>): Buffer {
    const known = value.producer?.op === 'constant' ? this.bufferOf : own;
    const found = known.get(value);
    if (found !== undefined) return found;
    const base = value.name ?? value.producer?.op ?? 'value';
    const buffer = this.make(base, value.type.dtype, sizeOf(value.type.shape), value);
    known.set(value, buffer);
    return buffer;
  }
}

/** What all functions of a program are lowered with. */
interface Workshop {
  readonly table: OpTable;
  readonly machine: Machine;
  readonly memory: LoweredMemory;
  isConstant(buffer: Buffer): boolean;
}

const outermost: Surroundings = { given: new Map(), places: new Map(), iterations: [], isSettled: () => false };

const none: Known = new Map();

/** A function on its way to steps: its values in memory, and its groups one after another. */
class FuncScope implements LoopScope {
  readonly fused: Fused;
  readonly machine: Machine;
  readonly surroundings: Surroundings;
  readonly #workshop: Workshop;
  readonly #layouts: Layouts;
  readonly #bufferOf: Map<Value, Buffer>;

  constructor(fused: Fused, workshop: Workshop, surroundings: Surroundings, bufferOf: Map<Value, Buffer>) {
    this.fused = fused;
    this.surroundings = surroundings;
    this.#bufferOf = bufferOf;
    this.machine = workshop.machine;
    this.#workshop = workshop;
    this.#layouts = chooseLayouts(fused.func, workshop.table);
  }

  steps(): LoweredStep[] {
    const { table } = this.#workshop;
    return this.fused.plan.groups.flatMap((group): LoweredStep[] => {
      if (group.anchor !== null && table[group.anchor.op].lowering.class === 'loop')
        return lowerLoop(this, group.anchor);
      // Nothing is to be written, and index arithmetic cannot divide by such dimensions.
      if (group.stored.every(({ type }) => sizeOf(type.shape) === 0)) {
        for (const value of group.stored) this.bufferFor(value);
        return [];
      }
      const copies = this.#copiesOf(group);
      if (copies !== null) return copies;
      const bodies = this.machine.lowerGroup(this.#context(group));
      return bodies.map((body) => this.#step(finishKernel(group, body, this.surroundings.iterations)));
    });
  }

  /** What a loop has computed under another shape is copied, and the plan leaves the copy out; null for other groups. */
  #copiesOf(group: Group): LoweredStep[] | null {
    const { table } = this.#workshop;
    if (group.anchor !== null || group.members.length !== group.stored.length) return null;
    const steps: LoweredStep[] = [];
    for (const value of group.stored) {
      const { producer } = value;
      const from = producer!.op === 'reshape' ? producer!.operands[0]! : null;
      if (from?.producer == null || table[from.producer.op].lowering.class !== 'loop') return null;
      const [source, target] = [this.wholeBuffer(from), this.wholeBuffer(value)];
      if (source === null || target === null) return null;
      steps.push(copyStep(source, target, this.machine, value.type.shape));
    }
    return steps;
  }

  func(node: Node, nested: Func): Func {
    return this.fused.nested.get(node)!.get(nested)!.func;
  }

  nested(node: Node, func: Func, surroundings: Surroundings): NestedScope {
    return new FuncScope(this.fused.nested.get(node)!.get(func)!, this.#workshop, surroundings, new Map());
  }

  inPhases(): LoopScope | null {
    const { loopKernels } = this.machine;
    if (loopKernels === null || this.fused.inPhases.size === 0) return null;
    const workshop = { ...this.#workshop, machine: loopKernels.phases };
    const fused = { ...this.fused, nested: this.fused.inPhases };
    return new FuncScope(fused, workshop, this.surroundings, this.#bufferOf);
  }

  dispatches(node: Node): number {
    return dispatchesOf(this.fused, node);
  }

  bufferFor(value: Value): Buffer {
    return this.surroundings.places.get(value)?.buffer ?? this.#workshop.memory.bufferFor(value, this.#bufferOf);
  }

  scratch(name: string, dtype: DType, size: number): Buffer {
    return this.#workshop.memory.make(name, dtype, size, null);
  }

  known(): ReadonlySet<Buffer> {
    return new Set(this.#workshop.memory.buffers.keys());
  }

  valueAt(value: Value, index: readonly IndexExpr[]): Expr {
    return this.#at(value, index, none);
  }

  wholeBuffer(value: Value): Buffer | null {
    const { producer } = value;
    const isStored = producer === null || !this.fused.plan.inlined.has(producer);
    const { given, places } = this.surroundings;
    return isStored && !given.has(value) && !places.has(value) && !this.#layouts.has(value)
      ? this.bufferFor(value)
      : null;
  }

  kernel(name: string, body: readonly Stmt[]): KernelStep {
    return this.#step(kernelOf(body, this.surroundings.iterations, { name, summary: name, sources: [], flops: 0 }));
  }

  #step(kernel: Kernel): KernelStep {
    return { kind: 'kernel', kernel, copy: null };
  }

  #context(group: Group): LoweringContext {
    const { table } = this.#workshop;
    return {
      table,
      group,
      at: (value, index, locals) => this.#at(value, index, locals),
      operandOf: { operand: (position, index) => this.valueAt(group.anchor!.operands[position]!, index) },
      isConstant: (expr) => this.#isConstant(expr),
      bufferFor: (value) => this.bufferFor(value),
      offsetOf: (value, index) => this.#offsetOf(value, index),
      order: orderOf(group, this.#layouts),
      scratch: (name, dtype, size) => this.scratch(name, dtype, size),
    };
  }

  #offsetOf(value: Value, index: readonly IndexExpr[]): IndexExpr {
    const offset = offsetIn(this.#layouts.get(value), value.type.shape, index);
    const place = this.surroundings.places.get(value);
    return place === undefined ? offset : add(place.from, offset);
  }

  #at(value: Value, index: readonly IndexExpr[], locals: Known): Expr {
    const local = locals.get(value);
    if (local !== undefined) return typeof local === 'function' ? local(index) : local;
    const given = this.surroundings.given.get(value);
    if (given !== undefined) return given(index);
    const { producer } = value;
    if (producer === null || !this.fused.plan.inlined.has(producer))
      return load(this.bufferFor(value), this.#offsetOf(value, index));
    return elementOf(this.#workshop.table, producer, index, (operand, at) => this.#at(operand, at, locals));
  }

  #isConstant(expr: Expr): boolean {
    const { surroundings } = this;
    let constant = true;
    walkExpr(expr, (inner) => {
      if (inner.kind !== 'load') return;
      constant &&= this.#workshop.isConstant(inner.buffer) || surroundings.isSettled(inner.buffer, inner.offset);
    });
    return constant;
  }
}

/** Loops follow the first value that the group writes. */
function orderOf(group: Group, layouts: Layouts): readonly number[] {
  const [first] = group.stored;
  return (first && layouts.get(first)) ?? group.domain.map((_, axis) => axis);
}

function finishKernel(group: Group, { suffix, body, flops }: KernelBody, iterations: readonly Axis[]): Kernel {
  const nodes = nodesOf(group);
  return kernelOf(body, iterations, {
    name: kernelName(nodes, suffix),
    summary: nodes.map((node) => node.op).join(', '),
    sources: sourcesOf(nodes),
    flops,
  });
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

/** Weights, and constants that live in memory, those of nested functions included. */
export function constantBuffers(func: Func): Value[] {
  const weights = func.parameters.filter(({ role }) => role === 'weight').map(({ value }) => value);
  return [...weights, ...constantsIn(func)];
}

function constantsIn({ nodes }: Func): Value[] {
  return nodes.flatMap((node) =>
    isConstantBuffer(node) ? [node.results[0]!] : nestedFuncs(node).flatMap((func) => constantsIn(func)),
  );
}
