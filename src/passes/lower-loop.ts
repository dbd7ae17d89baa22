// Loops and branches of the graph as steps of the program. A nested function is lowered like any other; what differs is what
// its parameters and results are. A constant of a loop is its operand, at the same index; a slice is the operand with the
// iteration's number in front of the index, so that nothing is sliced or gathered. A carry lives in the buffer of the loop's
// result: it is filled before the loop, and the next value takes its place at the end of each iteration, by a copy that the
// plan leaves out where the new value can be written there at once (merge-copies.ts). Outputs are written where their slice lies.

import { InternalError } from '../ir/errors.ts';
import type { Func, Node, Value } from '../ir/graph.ts';
import { type Axis, axis, fixed, flatten, type IndexExpr, multiply, of, subtract } from '../ir/index-expr.ts';
import { type Buffer, type Expr, load, type Stmt } from '../ir/kernel.ts';
import { type DType, sizeOf, type TensorType } from '../ir/types.ts';
import { axesIn } from './expr-rewrite.ts';
import { copyStep, type KernelStep, type LoweredStep } from './lowered.ts';
import type { Machine } from './machine.ts';
import { fewestRepeated } from './schedule-loops.ts';

/** How a function stands in the program: what its parameters are, where its results go, and which loops are around it. */
export interface Surroundings {
  /** A parameter of a nested function at an index. */
  readonly given: ReadonlyMap<Value, (index: readonly IndexExpr[]) => Expr>;
  /** Values that lie in another's memory, from an offset in elements. */
  readonly places: ReadonlyMap<Value, { readonly buffer: Buffer; readonly from: IndexExpr }>;
  /** The numbers of the loops around, outermost first. */
  readonly iterations: readonly Axis[];
  /** True for an element that is the same in all iterations of the innermost loop. */
  isSettled(buffer: Buffer, offset: IndexExpr): boolean;
}

/** The function in which a loop or branch stands. */
export interface LoopScope {
  readonly machine: Machine;
  readonly surroundings: Surroundings;
  bufferFor(value: Value): Buffer;
  valueAt(value: Value, index: readonly IndexExpr[]): Expr;
  /** The buffer that holds a value in row-major order and nothing else; null where there is none. */
  wholeBuffer(value: Value): Buffer | null;
  scratch(name: string, dtype: DType, size: number): Buffer;
  /** The same function where loops are lowered to phases of one kernel; null where none is one. */
  inPhases(): LoopScope | null;
  /** Kernels that a loop takes, each as often as it runs. */
  dispatches(node: Node): number;
  /** All buffers so far. */
  known(): ReadonlySet<Buffer>;
  kernel(name: string, body: readonly Stmt[]): KernelStep;
  /** A function nested in a node as it is lowered. */
  func(node: Node, nested: Func): Func;
  nested(node: Node, func: Func, surroundings: Surroundings): NestedScope;
}

export interface NestedScope extends LoopScope {
  steps(): LoweredStep[];
}

type Given = [Value, (index: readonly IndexExpr[]) => Expr];

export function lowerLoop(scope: LoopScope, node: Node): LoweredStep[] {
  for (const value of node.results) scope.bufferFor(value);
  const kernel = inOneKernel(scope, node);
  if (kernel !== null) return [kernel];
  return node.op === 'cond' ? lowerCond(scope, node as Node<'cond'>) : repeated(scope, node, carriesIn(scope, node));
}

/** A carry on its way: the value that a loop gives, and where it lies meanwhile. */
interface Carried {
  readonly value: Value;
  readonly buffer: Buffer;
}

function carriesIn(scope: LoopScope, node: Node): Carried[] {
  return carriedBy(node).map((value) => ({ value, buffer: scope.bufferFor(value) }));
}

/** The results of a loop that are its last carries. */
function carriedBy({ op, results, attrs }: Node): readonly Value[] {
  return op === 'scan' ? results.slice(0, (attrs as Node<'scan'>['attrs']).carries) : results;
}

function repeated(scope: LoopScope, node: Node, carried: readonly Carried[]): LoweredStep[] {
  if (node.op === 'scan') return lowerScan(scope, node as Node<'scan'>, carried);
  if (node.op === 'while') return lowerWhile(scope, node as Node<'while'>, carried);
  throw new InternalError(`${node.op} is no loop`);
}

/** The loop as one that becomes a kernel, where the machine finds that better: its carries are memory of the kernel's own. */
function inOneKernel(scope: LoopScope, node: Node): LoweredStep | null {
  const phases = node.op === 'cond' ? null : scope.inPhases();
  if (phases === null) return null;
  const carried = carriedBy(node).map((value): Carried => {
    const { dtype, shape } = value.type;
    return { value, buffer: phases.scratch(value.name ?? 'carry', dtype, sizeOf(shape)) };
  });
  const steps = [
    ...repeated(phases, node, carried),
    ...carried.flatMap(({ value, buffer }) => {
      const at = (index: readonly IndexExpr[]): Expr => load(buffer, flatten(index, value.type.shape));
      return buffer.size === 0 ? [] : [stored(phases, 'last', value.type, at, scope.bufferFor(value))];
    }),
  ];
  const form = scope.machine.loopKernels!.choose({
    name: node.op,
    steps,
    results: new Set(node.results.map((value) => scope.bufferFor(value))),
    rows: new Set(carried.flatMap(({ value }) => value.type.shape.slice(0, 1))),
    dispatches: scope.dispatches(node),
  });
  return form === null ? null : { kind: 'loop', axis: null, count: 1, condition: null, steps, waits: true, form };
}

/** How many first parameters of a loop's functions are the same in so many iterations that packing them pays. */
export function settledConstants(node: Node): number {
  if (node.op === 'scan') {
    const { length, consts } = (node as Node<'scan'>).attrs;
    return length < fewestRepeated ? 0 : consts;
  }
  if (node.op !== 'while') return 0;
  const { limit, consts } = (node as Node<'while'>).attrs;
  return limit !== null && limit < fewestRepeated ? 0 : consts;
}

function lowerScan(scope: LoopScope, node: Node<'scan'>, carried: readonly Carried[]): LoweredStep[] {
  const { operands, results, attrs } = node;
  const { body, length, reverse, consts, carries } = attrs;
  const first = carried.flatMap(({ buffer }, i) => copied(scope, operands[consts + i]!, buffer));
  if (length === 0) return first;
  const step = axis('step', length);
  const slice = reverse ? subtract(fixed(length - 1), of(step)) : of(step);
  const func = scope.func(node, body);
  const parameters = func.parameters.map(({ value }) => value);
  const slices = operands.slice(consts + carries).map((operand, i): Given => {
    const sliceOf = (index: readonly IndexExpr[]): Expr => scope.valueAt(operand, [slice, ...index]);
    return [parameters[consts + carries + i]!, sliceOf];
  });
  const places = func.results.slice(carries).map(({ value }, i) => {
    const from = multiply(slice, sizeOf(value.type.shape));
    return [value, { buffer: scope.bufferFor(results[carries + i]!), from }] as const;
  });
  const inner = scope.nested(node, body, {
    given: new Map([
      ...constants(scope, operands.slice(0, consts), func),
      ...carriesOf(carried, func, consts),
      ...slices,
    ]),
    places: new Map(places),
    iterations: [...scope.surroundings.iterations, step],
    isSettled: settledConstants(node) === 0 ? () => false : settledOutside(scope, carried, step),
  });
  const steps = [...inner.steps(), ...nextCarries(inner, carried, func)];
  return [...first, { kind: 'loop', axis: step, count: length, condition: null, steps, waits: true, form: null }];
}

function lowerWhile(scope: LoopScope, node: Node<'while'>, carried: readonly Carried[]): LoweredStep[] {
  const { operands, attrs } = node;
  const { condition, body, consts, limit } = attrs;
  const first = carried.flatMap(({ buffer }, i) => copied(scope, operands[consts + i]!, buffer));
  if (limit === 0) return first;
  const isSettled = settledConstants(node) === 0 ? () => false : settledOutside(scope, carried, null);
  const inside = (func: Func): NestedScope => {
    const own = scope.func(node, func);
    const given = [...constants(scope, operands.slice(0, consts), own), ...carriesOf(carried, own, consts)];
    const { iterations } = scope.surroundings;
    return scope.nested(node, func, { given: new Map(given), places: new Map(), iterations, isSettled });
  };
  const test = inside(condition);
  const testing = { steps: test.steps(), predicate: test.bufferFor(scope.func(node, condition).results[0]!.value) };
  const inner = inside(body);
  const steps = [...inner.steps(), ...nextCarries(inner, carried, scope.func(node, body))];
  const count = limit ?? Number.POSITIVE_INFINITY;
  return [...first, { kind: 'loop', axis: null, count, condition: testing, steps, waits: true, form: null }];
}

/** The chosen function writes where the results lie. */
function lowerCond(scope: LoopScope, node: Node<'cond'>): LoweredStep[] {
  const { operands, results, attrs } = node;
  const [predicate, ...given] = operands;
  const inside = (func: Func): LoweredStep[] => {
    const own = scope.func(node, func);
    const places = own.results.map(
      ({ value }, i) => [value, { buffer: scope.bufferFor(results[i]!), from: fixed(0) }] as const,
    );
    const { iterations } = scope.surroundings;
    return scope
      .nested(node, func, {
        given: new Map(constants(scope, given, own)),
        places: new Map(places),
        iterations,
        isSettled: () => false,
      })
      .steps();
  };
  const known = scope.wholeBuffer(predicate!);
  const buffer = known ?? scope.scratch('predicate', 'bool', 1);
  const then = inside(attrs.then);
  const otherwise = inside(attrs.otherwise);
  return [
    ...(known === null ? [valueStored(scope, predicate!, buffer)] : []),
    { kind: 'branch', predicate: buffer, then, otherwise, waits: true },
  ];
}

/** The first parameters of a nested function are operands as they are. */
function constants(scope: LoopScope, operands: readonly Value[], { parameters }: Func): Given[] {
  return operands.map((operand, i) => [parameters[i]!.value, (index) => scope.valueAt(operand, index)]);
}

function carriesOf(carried: readonly Carried[], { parameters }: Func, from: number): Given[] {
  return carried.map(({ value, buffer }, i) => [
    parameters[from + i]!.value,
    (index) => load(buffer, flatten(index, value.type.shape)),
  ]);
}

/** What is written before the loop and read at an index in which its number does not occur. */
function settledOutside(scope: LoopScope, carried: readonly Carried[], step: Axis | null): Surroundings['isSettled'] {
  const outside = new Set(scope.known());
  for (const { buffer } of carried) outside.delete(buffer);
  return (buffer, offset) => outside.has(buffer) && (step === null || axesIn([offset], [step]).length === 0);
}

/** Copies of the next carries to the places of the last ones, at the end of an iteration. */
function nextCarries(inner: LoopScope, carried: readonly Carried[], { results }: Func): LoweredStep[] {
  return carried.flatMap(({ value, buffer: to }, i) => {
    const from = inner.bufferFor(results[i]!.value);
    return to.size === 0 ? [] : [copyStep(from, to, inner.machine, value.type.shape)];
  });
}

/** Fills the place of a carry with its first value. */
function copied(scope: LoopScope, value: Value, to: Buffer): LoweredStep[] {
  if (to.size === 0) return [];
  const from = scope.machine.isPhases ? null : scope.wholeBuffer(value);
  return [from === null ? valueStored(scope, value, to) : copyStep(from, to, scope.machine)];
}

function valueStored(scope: LoopScope, value: Value, to: Buffer): KernelStep {
  return stored(scope, 'first', value.type, (index) => scope.valueAt(value, index), to);
}

function stored(
  scope: LoopScope,
  name: string,
  { shape }: TensorType,
  at: (index: readonly IndexExpr[]) => Expr,
  to: Buffer,
): KernelStep {
  const axes = shape.map((extent, position) => axis(`i${position}`, extent));
  const index = axes.map(of);
  const store: Stmt = { kind: 'store', buffer: to, offset: flatten(index, shape), value: at(index) };
  return scope.kernel(name, scope.machine.elementLoops(axes, [store], 1));
}
