// What WGSL lacks is removed before a kernel is printed: 8-bit integers are computed in 32 bits and wrapped, booleans and
// bytes in memory are words (those that nobody writes may stay packed, four to a word), f16 are bits in a word or, where nobody writes
// them, in half a word, and operations on literals alone,
// which WGSL would evaluate itself and refuse where they overflow, are evaluated here.
//
// Afterwards buffers hold f32, i32 or u32, and expressions are of these types, bool, or f16 as its bits.

import { InternalError, LimitationError, type SourcePosition } from '../../ir/errors.ts';
import { type Func, nestedFuncs } from '../../ir/graph.ts';
import { floorDiv, type IndexExpr, modulo, multiply, substitute } from '../../ir/index-expr.ts';
import {
  apply,
  type Buffer,
  castTo,
  choose,
  type Expr,
  indexValue,
  type Kernel,
  type LoadExpr,
  type Local,
  literal,
  load,
  type ScalarOp,
  type Stmt,
} from '../../ir/kernel.ts';
import { wrapToDType } from '../../ir/ndarray.ts';
import { operationOf } from '../../ir/ops/monoid.ts';
import { evaluateScalar } from '../../ir/ops/scalar.ts';
import { bytesPerElement, type DType, formatType } from '../../ir/types.ts';

const missing: ReadonlySet<DType> = new Set(['f64', 'i64']);

/** Throws LimitationError for a value of a dtype that WGSL does not have, with the operation and the user's line. */
export function expectWgslTypes(func: Func): void {
  const refuse = (what: string, dtype: DType, source: SourcePosition | null): never => {
    const instead = dtype === 'i64' ? 'i32' : 'f32';
    throw new LimitationError(
      `target webgpu has no ${dtype}: ${what}; cast to ${instead}, or compile for c or js`,
      source,
    );
  };
  for (const { name, role, value } of func.parameters)
    if (missing.has(value.type.dtype))
      refuse(`${role} ${JSON.stringify(name)} is ${formatType(value.type)}`, value.type.dtype, null);
  for (const node of func.nodes) {
    const value = node.results.find(({ type }) => missing.has(type.dtype));
    if (value !== undefined) refuse(`${node.op} gives ${formatType(value.type)}`, value.type.dtype, node.source);
    for (const nested of nestedFuncs(node)) expectWgslTypes(nested);
  }
}

/** True for elements that take less than a word in the arrays of callers. */
export function isNarrow(dtype: DType): boolean {
  return dtype === 'bool' || dtype === 'i8' || dtype === 'u8' || dtype === 'f16';
}

/** How many elements of the arrays of callers a word holds. */
export function packedInWord(dtype: DType): number {
  return 4 / bytesPerElement[dtype];
}

/** The type in which a dtype is computed. */
function computed(dtype: DType): DType {
  return dtype === 'i8' ? 'i32' : dtype === 'u8' ? 'u32' : dtype;
}

/** The type of a word in memory. */
function stored(dtype: DType): DType {
  return dtype === 'bool' || dtype === 'f16' ? 'u32' : computed(dtype);
}

/** The kernel with legal types. `packed`: buffers whose bytes lie four to a word; nothing may write them. */
export function legalize(kernel: Kernel, packed: ReadonlySet<Buffer>): Kernel {
  const legal = new Legalizer(packed);
  return {
    ...kernel,
    parameters: kernel.parameters.map((parameter) => ({ ...parameter, buffer: legal.buffer(parameter.buffer) })),
    body: legal.block(kernel.body),
  };
}

class Legalizer {
  readonly #packed: ReadonlySet<Buffer>;
  readonly #buffers = new Map<Buffer, Buffer>();
  readonly #locals = new Map<Local, Local>();
  readonly #values = new Map<Expr, Expr>();
  constructor(packed: ReadonlySet<Buffer>) {
    this.#packed = packed;
  }

  buffer(buffer: Buffer): Buffer {
    if (!isNarrow(buffer.dtype)) return buffer;
    const made: Buffer = this.#buffers.get(buffer) ?? {
      ...buffer,
      ...(this.#packed.has(buffer)
        ? { dtype: 'u32', size: Math.ceil(buffer.size / packedInWord(buffer.dtype)) }
        : { dtype: stored(buffer.dtype) }),
    };
    this.#buffers.set(buffer, made);
    return made;
  }

  local(local: Local): Local {
    if (computed(local.dtype) === local.dtype) return local;
    const made = this.#locals.get(local) ?? { ...local, dtype: computed(local.dtype) };
    this.#locals.set(local, made);
    return made;
  }

  index(index: IndexExpr): IndexExpr {
    return substitute(
      index,
      () => null,
      (expr) => this.value(expr),
    );
  }

  value(expr: Expr): Expr {
    const known = this.#values.get(expr);
    if (known !== undefined) return known;
    const made = this.#legal(expr);
    this.#values.set(expr, made);
    return made;
  }

  #legal(expr: Expr): Expr {
    switch (expr.kind) {
      case 'literal':
        return { ...expr, dtype: computed(expr.dtype) };
      case 'index':
        return indexValue(this.index(expr.value));
      case 'load':
        return this.#load(expr);
      case 'local':
        return { kind: 'local', dtype: computed(expr.dtype), local: this.local(expr.local) };
      case 'apply':
        return legalApply(
          expr.op,
          expr.args.map((arg) => this.value(arg)),
          expr.dtype,
        );
      case 'cast':
        return legalCast(this.value(expr.value), expr.dtype);
      case 'select':
        return choose(this.value(expr.condition), this.value(expr.then), this.value(expr.otherwise));
      case 'splat':
      case 'component':
        return { ...expr, dtype: computed(expr.dtype), value: this.value(expr.value) };
      case 'vector':
        return { ...expr, dtype: computed(expr.dtype), elements: expr.elements.map((element) => this.value(element)) };
    }
  }

  #load(expr: LoadExpr): Expr {
    const buffer = this.buffer(expr.buffer);
    const offset = this.index(expr.offset);
    if (!isNarrow(expr.dtype)) return { ...expr, buffer, offset };
    if (expr.lanes > 1) throw new InternalError(`a vector of ${expr.dtype} in a kernel for a GPU`);
    const isHalf = expr.dtype === 'f16';
    if (!this.#packed.has(expr.buffer))
      return isHalf ? { ...expr, buffer, offset } : legalCast(load(buffer, offset), expr.dtype, 'fits');
    const count = packedInWord(expr.dtype);
    const bits = 32 / count;
    const shift = castTo('u32', indexValue(multiply(modulo(offset, count), bits)));
    const args = [apply('shr', load(buffer, floorDiv(offset, count)), shift), literal('u32', 2 ** bits - 1)];
    return isHalf ? { kind: 'apply', op: 'and', dtype: 'f16', args } : legalCast(apply('and', ...args), expr.dtype);
  }

  block(body: readonly Stmt[]): Stmt[] {
    return body.map((stmt) => this.#stmt(stmt));
  }

  #stmt(stmt: Stmt): Stmt {
    switch (stmt.kind) {
      case 'loop':
        return { ...stmt, body: this.block(stmt.body) };
      case 'let':
      case 'assign':
      case 'subgroup':
        return { ...stmt, local: this.local(stmt.local), value: this.value(stmt.value) };
      case 'accumulator':
        return { ...stmt, local: this.local(stmt.local), initial: this.value(stmt.initial) };
      case 'accumulate':
        return this.#accumulate(stmt);
      case 'store':
        return { ...stmt, ...this.#target(stmt), value: asWord(this.value(stmt.value)) };
      case 'update':
        return this.#update(stmt);
      case 'allocate':
        return { ...stmt, buffer: this.buffer(stmt.buffer) };
      case 'if':
        return {
          ...stmt,
          condition: this.value(stmt.condition),
          then: this.block(stmt.then),
          otherwise: this.block(stmt.otherwise),
        };
      case 'barrier':
        return stmt;
      case 'uniform':
        return { ...stmt, ...this.#target(stmt), local: this.local(stmt.local) };
      case 'leave':
        return { ...stmt, condition: this.value(stmt.condition) };
      case 'part':
        return { ...stmt, body: this.block(stmt.body) };
      case 'tasks':
        throw new InternalError('tasks of threads in a kernel for a GPU');
    }
  }

  #target({ buffer, offset }: { readonly buffer: Buffer; readonly offset: IndexExpr }): {
    buffer: Buffer;
    offset: IndexExpr;
  } {
    if (this.#packed.has(buffer)) throw new InternalError(`buffer ${buffer.name} is packed and written`);
    return { buffer: this.buffer(buffer), offset: this.index(offset) };
  }

  #accumulate(stmt: Extract<Stmt, { kind: 'accumulate' }>): Stmt {
    const local = this.local(stmt.local);
    const value = this.value(stmt.value);
    const { dtype } = stmt.local;
    if (computed(dtype) === dtype) return { ...stmt, local, value };
    const before: Expr = { kind: 'local', dtype: local.dtype, local };
    return { kind: 'assign', local, value: legalApply(operationOf[stmt.monoid], [before, value], dtype) };
  }

  #update(stmt: Extract<Stmt, { kind: 'update' }>): Stmt {
    const target = this.#target(stmt);
    const value = asWord(this.value(stmt.value));
    const { dtype } = stmt.buffer;
    if (computed(dtype) === dtype) return { ...stmt, ...target, value };
    const before = load(target.buffer, target.offset);
    return { kind: 'store', ...target, value: legalApply(operationOf[stmt.monoid], [before, value], dtype) };
  }
}

function asWord(value: Expr): Expr {
  return value.dtype === 'bool' ? castTo('u32', value) : value;
}

/** A legal value in another dtype. `fits`: an integer that needs no wrapping. */
function legalCast(value: Expr, to: DType, range: 'any' | 'fits' = 'any'): Expr {
  const fits = range === 'fits' || value.dtype === 'bool';
  if (to === 'i8') {
    if (value.dtype === 'f32') return clamped(castTo('i32', value), -128, 127);
    return fits ? castTo('i32', value) : wrapped(castTo('i32', value), 'i8');
  }
  if (to === 'u8') {
    if (value.dtype === 'f32') return castTo('u32', clamped(castTo('i32', value), 0, 255));
    return fits ? castTo('u32', value) : wrapped(castTo('u32', value), 'u8');
  }
  return castTo(to, value);
}

function clamped(value: Expr, low: number, high: number): Expr {
  return apply('min', apply('max', value, literal(value.dtype, low)), literal(value.dtype, high));
}

/** The low eight bits, with their sign for i8. */
function wrapped(value: Expr, dtype: 'i8' | 'u8'): Expr {
  if (dtype === 'u8') return apply('and', value, literal('u32', 0xff));
  return apply('shr', apply('shl', value, literal('i32', 24)), literal('i32', 24));
}

/** Operations whose result may leave the eight bits. */
const leaving: ReadonlySet<ScalarOp> = new Set(['neg', 'abs', 'not', 'add', 'sub', 'mul', 'div']);

/** An operation on legal values, whose result was of the given dtype. */
function legalApply(op: ScalarOp, args: readonly Expr[], dtype: DType): Expr {
  if (args.every((arg) => arg.kind === 'literal')) return evaluated(op, args, dtype);
  if (dtype !== 'i8' && dtype !== 'u8') return apply(op, ...args);
  if (op === 'shl' || op === 'shr') return shifted(op, args[0]!, args[1]!, dtype);
  const value = apply(op, ...args);
  return leaving.has(op) ? wrapped(value, dtype) : value;
}

/** Shifts by eight places or more are those that leave nothing but the sign. */
function shifted(op: 'shl' | 'shr', value: Expr, by: Expr, dtype: 'i8' | 'u8'): Expr {
  const type = value.dtype;
  const far = apply('ge', castTo('u32', by), literal('u32', 8));
  if (op === 'shl') return choose(far, literal(type, 0), wrapped(apply('shl', value, by), dtype));
  if (dtype === 'u8') return choose(far, literal(type, 0), apply('shr', value, by));
  return apply('shr', value, choose(far, literal(type, 7), by));
}

/** WGSL evaluates such an expression before it runs, and refuses one that overflows. */
function evaluated(op: ScalarOp, args: readonly Extract<Expr, { kind: 'literal' }>[], dtype: DType): Expr {
  const values = args.map(({ value }) => value);
  const type = dtype === 'bool' ? args[0]!.dtype : dtype;
  return literal(computed(dtype), wrapToDType(dtype, evaluateScalar(op, values, type)));
}
