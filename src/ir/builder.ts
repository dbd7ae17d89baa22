// Makes nodes. `builder.add(x, y)`, `builder.reduce(x, { kind: 'sum', axes: [0] })`: one method per operation of the
// table, types checked by the table's rule as each node is made. Rules of operations receive a builder, so that
// operation files never import each other.

import { type SourcePosition, UserError } from './errors.ts';
import { type Node, Value } from './graph.ts';
import type { NoAttrs, OpAttrs, OpName } from './opattrs.ts';
import { type OpTable, TypeMismatch } from './optable.ts';
import { type DType, formatType, isCountable, type Shape, sameShape, type TensorType } from './types.ts';

/** Operations with more than one result; their methods return all of them. */
type ManyResults = 'sort' | 'topk' | 'call' | 'custom' | 'scan' | 'while' | 'cond';

type Emit<K extends OpName> = (
  ...args: NoAttrs extends OpAttrs[K] ? readonly Value[] : readonly [...operands: Value[], attrs: OpAttrs[K]]
) => K extends ManyResults ? readonly Value[] : Value;

export type OpMethods = { readonly [K in OpName]: Emit<K> };

export interface BuilderTools {
  /** Makes a node of any operation. Throws UserError when the type rule refuses the operands. */
  emit<K extends OpName>(op: K, operands: readonly Value[], attrs: OpAttrs[K], name?: string | null): Node<K>;
  /** A builder whose nodes carry this position, and whose refusals name `callee` where it is not the operation itself. */
  at(source: SourcePosition | null, callee?: string): Builder;
  /** One number in every element. */
  fill(type: TensorType, value: number): Value;
  /** A number with the type of `like`. */
  like(like: Value, value: number): Value;
  /** NumPy broadcasting to `shape`: aligns trailing axes and stretches axes of size 1. */
  broadcastTo(x: Value, shape: Shape): Value;
  /** Sums a cotangent back to `shape`: the transpose of broadcastTo. */
  sumTo(x: Value, shape: Shape): Value;
  castTo(x: Value, dtype: DType): Value;
  /** a + b where null is zero. */
  addMaybe(a: Value | null, b: Value | null): Value | null;
}

export type Builder = OpMethods & BuilderTools;

const attrsOf = (args: readonly unknown[]): readonly [Value[], object] => {
  const last = args[args.length - 1];
  const hasAttrs = args.length > 0 && !(last instanceof Value);
  return [(hasAttrs ? args.slice(0, -1) : args) as Value[], hasAttrs ? (last as object) : {}];
};

const manyResults: ReadonlySet<OpName> = new Set<ManyResults>([
  'sort',
  'topk',
  'call',
  'custom',
  'scan',
  'while',
  'cond',
]);

/** A builder over a table. Its methods exist once; `at` makes a builder that differs in its source position alone. */
export function makeBuilder(table: OpTable): Builder {
  const withSource = (source: SourcePosition | null, callee?: string): Builder =>
    Object.assign(Object.create(prototype), { source, callee });
  type Self = Builder & { readonly source: SourcePosition | null; readonly callee?: string };
  const tools: BuilderTools & ThisType<Self> = {
    emit(op, operands, attrs, name = null) {
      return emitNode(table, op, operands, attrs, this.source, name, this.callee);
    },
    at: withSource,
    fill({ dtype, shape }, value) {
      return this.constant({ dtype, shape, data: [value] });
    },
    like(like, value) {
      return this.fill(like.type, value);
    },
    broadcastTo(x, shape) {
      return broadcastTo(this, x, shape);
    },
    sumTo(x, shape) {
      return sumTo(this, x, shape);
    },
    castTo(x, dtype) {
      return x.type.dtype === dtype ? x : this.cast(x, { dtype });
    },
    addMaybe(a, b) {
      return a === null ? b : b === null ? a : this.add(a, b);
    },
  };
  const methods: Record<string, unknown> = {};
  for (const op of Object.keys(table) as OpName[]) {
    methods[op] = function (this: Self, ...args: unknown[]) {
      const [operands, attrs] = attrsOf(args);
      const { results } = emitNode(table, op, operands, attrs as OpAttrs[typeof op], this.source, null, this.callee);
      return manyResults.has(op) ? results : results[0]!;
    };
  }
  const prototype: object = { ...tools, ...methods };
  return withSource(null);
}

function emitNode<K extends OpName>(
  table: OpTable,
  op: K,
  operands: readonly Value[],
  attrs: OpAttrs[K],
  source: SourcePosition | null,
  name: string | null,
  callee?: string,
): Node<K> {
  const types = inferTypes(table, op, operands, attrs, source, callee);
  const results: Value[] = [];
  const node: Node<K> = { op, operands, attrs, results, source };
  types.forEach((type, index) => {
    results.push(new Value(type, node, index, name));
  });
  return node;
}

/** The result types by the table's rule; a refusal becomes a UserError that names operands, their types and the line. */
export function inferTypes<K extends OpName>(
  table: OpTable,
  op: K,
  operands: readonly Value[],
  attrs: OpAttrs[K],
  source: SourcePosition | null,
  callee: string = op,
): readonly TensorType[] {
  try {
    const types = table[op].infer(
      operands.map((operand) => operand.type),
      attrs,
    );
    const huge = types.find(({ shape }) => !isCountable(shape));
    if (huge !== undefined)
      throw new TypeMismatch(`the result ${formatType(huge)} has more elements than can be counted`);
    return types;
  } catch (error) {
    if (!(error instanceof TypeMismatch)) throw error;
    throw new UserError(`${callee}(${operands.map(describe).join(', ')}): ${error.message}`, source);
  }
}

function describe(value: Value): string {
  return value.name === null ? formatType(value.type) : `${value.name}: ${formatType(value.type)}`;
}

function broadcastTo(tools: BuilderTools, x: Value, shape: Shape): Value {
  if (sameShape(x.type.shape, shape)) return x;
  const offset = shape.length - x.type.shape.length;
  const keptAxes = x.type.shape.flatMap((dim, axis) => (dim === 1 && shape[axis + offset] !== 1 ? [] : [axis]));
  const kept = keptAxes.map((axis) => x.type.shape[axis]!);
  const squeezed = kept.length === x.type.shape.length ? x : tools.emit('reshape', [x], { shape: kept }).results[0]!;
  const axes = keptAxes.map((axis) => axis + offset);
  if (sameShape(squeezed.type.shape, shape)) return squeezed;
  return tools.emit('broadcast', [squeezed], { shape, axes }).results[0]!;
}

function sumTo(tools: BuilderTools, x: Value, shape: Shape): Value {
  if (sameShape(x.type.shape, shape)) return x;
  const offset = x.type.shape.length - shape.length;
  const axes = x.type.shape.flatMap((dim, axis) =>
    axis < offset || (shape[axis - offset] === 1 && dim !== 1) ? [axis] : [],
  );
  const summed = axes.length === 0 ? x : tools.emit('reduce', [x], { kind: 'sum', axes }).results[0]!;
  return sameShape(summed.type.shape, shape) ? summed : tools.emit('reshape', [summed], { shape }).results[0]!;
}
