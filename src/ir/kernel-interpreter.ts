// An interpreter of kernels: every kind of axis and statement, with every access checked. It judges lowering without a
// compiler. Invocations of a workgroup run as generators in lockstep from barrier to barrier. What threads may run at the
// same time is run in order, and every access is compared with those of the others (races.ts).

import { InternalError } from './errors.ts';
import type { Axis, IndexExpr } from './index-expr.ts';
import {
  type Buffer,
  type Expr,
  isWord,
  type Kernel,
  type Local,
  lanesOf,
  type Monoid,
  type Stmt,
  subgroupPlace,
} from './kernel.ts';
import { wrapToDType } from './ndarray.ts';
import { binaryRecords } from './ops/binary.ts';
import { convert } from './ops/creation.ts';
import { operationOf } from './ops/monoid.ts';
import { evaluateScalar } from './ops/scalar.ts';
import { RaceDetector } from './races.ts';

export type Memory = Map<Buffer, Float64Array>;

/** Where one invocation stands: its loop variables, its registers, and memory. */
interface Frame {
  readonly axes: Map<Axis, number>;
  readonly locals: Map<Local, number[]>;
  readonly memory: Memory;
  readonly races: RaceDetector;
  /** Of the memory that the workgroup shares, where there is one. */
  readonly sharedRaces: RaceDetector | null;
  readonly subgroupSize: number;
}

/** What an invocation waits for: all of its workgroup, or its subgroup, with the value that it brings. */
type Wait = 'barrier' | { readonly stmt: Extract<Stmt, { kind: 'subgroup' }>; readonly value: number };

/**
 * Runs a kernel on buffers that hold float64 whatever their dtype; `iterations`: the numbers of the loops around it. Throws InternalError for an access out of range or of
 * unset memory, and where a task touches what another one writes that may run at the same time.
 */
export function interpretKernel(
  kernel: Kernel,
  buffers: ReadonlyMap<Buffer, Float64Array>,
  subgroupSize = 32,
  iterations: ReadonlyMap<Axis, number> = new Map(),
): void {
  const memory: Memory = new Map();
  for (const { buffer } of kernel.parameters) {
    const data = buffers.get(buffer);
    if (data === undefined || data.length !== buffer.size)
      throw new InternalError(`kernel ${kernel.name}: buffer ${buffer.name} of ${buffer.size} elements expected`);
    memory.set(buffer, data);
  }
  const races = new RaceDetector(kernel.name);
  const frame: Frame = { axes: new Map(iterations), locals: new Map(), memory, races, sharedRaces: null, subgroupSize };
  for (const stmt of kernel.body) {
    if (stmt.kind === 'barrier') races.barrier();
    else finish(runStmt(stmt, frame));
  }
}

/** Gives true where the loop around is left. */
type Steps = Generator<Wait, boolean, void>;

function finish(steps: Steps): void {
  for (const _ of steps) throw new InternalError('a barrier outside a workgroup');
}

function* runBlock(body: readonly Stmt[], frame: Frame): Steps {
  for (const stmt of body) if (yield* runStmt(stmt, frame)) return true;
  return false;
}

function* runStmt(stmt: Stmt, frame: Frame): Steps {
  switch (stmt.kind) {
    case 'loop':
      if (stmt.axisKind === 'invocation') {
        lockstep(stmt.axis, stmt.body, frame);
        return false;
      }
      for (let i = 0; i < stmt.axis.extent; i++) {
        frame.axes.set(stmt.axis, i);
        if (stmt.axisKind === 'parallel') frame.races.beginTask();
        if (yield* runBlock(stmt.body, frame)) break;
      }
      if (stmt.axisKind === 'parallel') frame.races.endTasks();
      return false;
    case 'tasks':
      yield* runTasks(stmt.axes, stmt.body, frame);
      frame.races.endTasks();
      return false;
    case 'let':
      frame.locals.set(stmt.local, valuesOf(stmt.value, stmt.local.lanes, frame));
      return false;
    case 'accumulator':
      frame.locals.set(stmt.local, valuesOf(stmt.initial, stmt.local.lanes, frame));
      return false;
    case 'assign':
      frame.locals.set(stmt.local, valuesOf(stmt.value, stmt.local.lanes, frame));
      return false;
    case 'accumulate': {
      const before = localOf(stmt.local, frame);
      const values = valuesOf(stmt.value, stmt.local.lanes, frame);
      frame.locals.set(
        stmt.local,
        before.map((value, lane) => combine(stmt.monoid, value, values[lane]!, stmt.local.dtype)),
      );
      return false;
    }
    case 'store': {
      const values = valuesOf(stmt.value, lanesOf(stmt.value), frame);
      const start = indexOf(stmt.offset, frame);
      values.forEach((value, lane) => {
        write(stmt.buffer, start + lane, value, frame);
      });
      return false;
    }
    case 'update': {
      const at = indexOf(stmt.offset, frame);
      const [value] = valuesOf(stmt.value, 1, frame);
      write(stmt.buffer, at, combine(stmt.monoid, read(stmt.buffer, at, frame), value!, stmt.buffer.dtype), frame);
      return false;
    }
    case 'allocate':
      frame.memory.set(stmt.buffer, new Float64Array(stmt.buffer.size).fill(Number.NaN));
      return false;
    case 'if':
      return yield* runBlock(valuesOf(stmt.condition, 1, frame)[0] !== 0 ? stmt.then : stmt.otherwise, frame);
    case 'subgroup':
      yield { stmt, value: valuesOf(stmt.value, 1, frame)[0]! };
      return false;
    case 'part':
      return yield* runBlock(stmt.body, frame);
    case 'leave':
      return valuesOf(stmt.condition, 1, frame)[0] === 0;
    case 'uniform':
      yield 'barrier';
      frame.locals.set(stmt.local, [read(stmt.buffer, indexOf(stmt.offset, frame), frame)]);
      yield 'barrier';
      return false;
    case 'barrier':
      yield 'barrier';
      return false;
  }
}

/** Every combination of indices is a task. */
function* runTasks(axes: readonly Axis[], body: readonly Stmt[], frame: Frame): Steps {
  const [outer, ...inner] = axes;
  if (outer === undefined) {
    frame.races.beginTask();
    return yield* runBlock(body, frame);
  }
  for (let i = 0; i < outer.extent; i++) {
    frame.axes.set(outer, i);
    yield* runTasks(inner, body, frame);
  }
  return false;
}

/** Every invocation runs to its next barrier or subgroup operation before any runs on; all must reach the same ones. */
function lockstep(axis: Axis, body: readonly Stmt[], frame: Frame): void {
  const { races, subgroupSize } = frame;
  const sharedRaces = races.ofWorkgroup();
  const tasks = Array.from({ length: axis.extent }, () => ({
    own: races.beginTask(),
    shared: sharedRaces.beginTask(),
  }));
  // What an invocation allocates is its own; what was there before is shared.
  const frames = tasks.map((_, i) => ({
    ...frame,
    sharedRaces,
    axes: new Map(frame.axes).set(axis, i),
    locals: new Map(frame.locals)
      .set(subgroupPlace.id, [Math.floor(i / subgroupSize)])
      .set(subgroupPlace.count, [Math.ceil(axis.extent / subgroupSize)])
      .set(subgroupPlace.lane, [i % subgroupSize])
      .set(subgroupPlace.size, [subgroupSize]),
    memory: new Map(frame.memory),
  }));
  const invocations = frames.map((own) => runBlock(body, own));
  for (;;) {
    const waits = invocations.map((steps, i) => {
      races.resume(tasks[i]!.own);
      sharedRaces.resume(tasks[i]!.shared);
      const next = steps.next();
      return next.done === true ? 'end' : next.value;
    });
    const [first] = waits;
    const all = waits.every((wait) => kindOf(wait) === kindOf(first!));
    if (!all) throw new InternalError('a barrier or subgroup operation that not every invocation reaches');
    if (first === 'end') return;
    if (first === 'barrier') sharedRaces.barrier();
    else combineSubgroups(waits as Exclude<Wait, 'barrier'>[], frames);
  }
}

/** What has to be the same for all that wait together. */
function kindOf(wait: Wait | 'end'): unknown {
  return typeof wait === 'string' ? wait : wait.stmt;
}

function combineSubgroups(waits: readonly Exclude<Wait, 'barrier'>[], frames: readonly Frame[]): void {
  const { subgroupSize } = frames[0]!;
  const { local, monoid } = waits[0]!.stmt;
  for (let start = 0; start < waits.length; start += subgroupSize) {
    const values = waits.slice(start, start + subgroupSize).map(({ value }) => value);
    const result = values.reduce((a, b) => combine(monoid, a, b, local.dtype));
    for (const { locals } of frames.slice(start, start + subgroupSize)) locals.set(local, [result]);
  }
}

function localOf(local: Local, frame: Frame): number[] {
  const values = frame.locals.get(local);
  if (values === undefined) throw new InternalError(`local ${local.name} is read before it is set`);
  return values;
}

function bytesOf(buffer: Buffer, at: number, frame: Frame): Float64Array {
  const data = frame.memory.get(buffer);
  if (data === undefined) throw new InternalError(`buffer ${buffer.name} is not allocated here`);
  if (!Number.isInteger(at) || at < 0 || at >= data.length)
    throw new InternalError(`${buffer.name}[${at}] is outside its ${data.length} elements`);
  return data;
}

function read(buffer: Buffer, at: number, frame: Frame): number {
  const value = bytesOf(buffer, at, frame)[at]!;
  if (buffer.space === 'global') frame.races.read(buffer, at);
  if (buffer.space === 'shared') frame.sharedRaces?.read(buffer, at);
  return value;
}

function write(buffer: Buffer, at: number, value: number, frame: Frame): void {
  bytesOf(buffer, at, frame)[at] = wrapToDType(buffer.dtype, value);
  if (buffer.space === 'global') frame.races.write(buffer, at);
  if (buffer.space === 'shared') frame.sharedRaces?.write(buffer, at);
}

function indexOf(index: IndexExpr, frame: Frame): number {
  let sum = index.constant;
  for (const { atom, coefficient } of index.terms) {
    switch (atom.kind) {
      case 'axis': {
        const value = frame.axes.get(atom);
        if (value === undefined) throw new InternalError(`axis ${atom.name} is used outside its loop`);
        sum += coefficient * value;
        break;
      }
      case 'quotient':
        sum += coefficient * Math.floor(indexOf(atom.value, frame) / atom.by);
        break;
      case 'remainder': {
        const value = indexOf(atom.value, frame);
        sum += coefficient * (value - Math.floor(value / atom.by) * atom.by);
        break;
      }
      case 'dynamic':
        sum += coefficient * valuesOf(atom.expr, 1, frame)[0]!;
    }
  }
  return sum;
}

/** The lanes of an expression; a scalar is repeated. */
function valuesOf(expr: Expr, lanes: number, frame: Frame): number[] {
  switch (expr.kind) {
    case 'literal':
      return new Array<number>(lanes).fill(expr.value);
    case 'index':
      return new Array<number>(lanes).fill(indexOf(expr.value, frame));
    case 'local': {
      const values = localOf(expr.local, frame);
      return values.length === lanes ? values : new Array<number>(lanes).fill(values[0]!);
    }
    case 'splat':
      return new Array<number>(lanes).fill(valuesOf(expr.value, 1, frame)[0]!);
    case 'vector':
      return expr.elements.map((element) => valuesOf(element, 1, frame)[0]!);
    case 'component':
      return new Array<number>(lanes).fill(valuesOf(expr.value, lanesOf(expr.value), frame)[expr.lane]!);
    case 'load': {
      const start = indexOf(expr.offset, frame);
      if (isWord(expr)) return new Array<number>(lanes).fill(wordAt(expr.buffer, start, frame));
      return Array.from({ length: lanes }, (_, lane) =>
        read(expr.buffer, start + (expr.lanes === 1 ? 0 : lane), frame),
      );
    }
    case 'cast':
      return valuesOf(expr.value, lanes, frame).map((value) => convert(value, expr.value.dtype, expr.dtype));
    case 'select': {
      const chosen = valuesOf(expr.condition, lanesOf(expr.condition), frame);
      if (chosen.length === 1) return valuesOf(chosen[0] !== 0 ? expr.then : expr.otherwise, lanes, frame);
      const [then, otherwise] = [expr.then, expr.otherwise].map((part) => valuesOf(part, lanes, frame));
      return chosen.map((one, lane) => (one !== 0 ? then! : otherwise!)[lane]!);
    }
    case 'apply': {
      const args = expr.args.map((arg) => valuesOf(arg, lanes, frame));
      const type = expr.args[0]!.dtype;
      return Array.from({ length: lanes }, (_, lane) =>
        wrapToDType(
          expr.dtype,
          evaluateScalar(
            expr.op,
            args.map((arg) => arg[lane]!),
            type,
          ),
        ),
      );
    }
  }
}

/** Four bytes as a word. */
function wordAt(buffer: Buffer, at: number, frame: Frame): number {
  return [3, 2, 1, 0].reduce((word, byte) => (word << 8) | read(buffer, at + byte, frame), 0);
}

function combine(monoid: Monoid, a: number, b: number, dtype: Expr['dtype']): number {
  return wrapToDType(dtype, binaryRecords[operationOf[monoid]].evaluate(a, b, dtype));
}
