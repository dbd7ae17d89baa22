// Leaves of expressions: inputs, variables (persistent state) and constants.

import { type SourcePosition, UserError } from '../ir/errors.ts';
import { parameter, type Value } from '../ir/graph.ts';
import { type DType, formatType, isFloat, sizeOf, type TensorType } from '../ir/types.ts';
import { checkNumber, checkType, fail } from './checks.ts';
import type { Plain, Shape } from './shape-types.ts';
import { callerPosition } from './source.ts';
import { here, Tensor } from './tensor.ts';

/** Nested arrays of numbers, or numbers row-major with a shape. */
export type NumberData = number | readonly NumberData[] | ArrayLike<number>;

/** The shape that nested arrays are written in, as far as it is known. */
type DataShape<N> = N extends number
  ? []
  : N extends readonly []
    ? [0]
    : N extends readonly [infer Row, ...unknown[]]
      ? [N['length'] & number, ...DataShape<Row>]
      : N extends readonly number[] | ArrayBufferView
        ? [number]
        : readonly number[];

/** An argument of functions. */
export class Input<Name extends string, S extends Shape, D extends DType> extends Tensor<S, D> {
  readonly name: Name;
  constructor(name: Name, value: Value) {
    super(value);
    this.name = name;
  }
}

/** Declares an input: `input('x', [64, 784])`. Its name is how a compiled function takes it. */
export function input<const Name extends string, const S extends Shape, const D extends DType = 'f32'>(
  name: Name,
  shape: S,
  dtype?: D,
): Input<Name, Plain<S>, NoInfer<D>> {
  checkType(`input ${name}`, dtype ?? 'f32', shape);
  return new Input(name, parameter(name, { dtype: dtype ?? 'f32', shape: [...shape] }).value);
}

/** The first elements of a variable, row-major; a single number fills it. */
export type Initializer = (shape: Shape, dtype: DType) => ArrayLike<number> | number;

export interface VariableOptions<D extends DType> {
  /** Default: zeros. */
  readonly initial?: Initializer | ArrayLike<number> | number;
  readonly dtype?: D;
  /** False for statistics and counters. Default: true for floats. */
  readonly trainable?: boolean;
}

/** Variables by the value that stands for them in expressions. */
const byValue = new WeakMap<Value, AnyVariable>();

/** The variable that a leaf stands for; undefined for an input. */
export function variableOf(leaf: Value): AnyVariable | undefined {
  return byValue.get(leaf);
}

// biome-ignore lint/suspicious/noExplicitAny: any variable, whatever its type arguments
export type AnyVariable = Variable<any, any>;

/** Persistent state by name: a parameter of a model, an optimizer's slot, a counter. */
export class Variable<S extends Shape = Shape, D extends DType = DType> extends Tensor<S, D> {
  readonly name: string;
  readonly type: TensorType;
  readonly trainable: boolean;
  readonly #initial: VariableOptions<D>['initial'];
  readonly #declared: SourcePosition | null;
  constructor(name: string, type: TensorType, options: VariableOptions<D>) {
    super(parameter(name, type, 'state').value);
    this.name = name;
    this.type = type;
    this.trainable = options.trainable ?? isFloat(type.dtype);
    this.#initial = options.initial;
    this.#declared = callerPosition();
    if (typeof options.initial === 'object') this.initial();
    byValue.set(this.value, this);
  }

  /** The first elements, row-major. Throws UserError where the initializer gives another number of them. */
  initial(): ArrayLike<number> {
    const size = sizeOf(this.type.shape);
    const given =
      typeof this.#initial === 'function' ? this.#initial(this.type.shape, this.type.dtype) : (this.#initial ?? 0);
    // Not an Array, which at tens of millions of elements becomes a table of them in V8: seconds and gigabytes.
    if (typeof given === 'number') return new Float64Array(size).fill(given);
    if (given.length !== size)
      throw new UserError(
        `variable ${this.name} is ${formatType(this.type)}: ${size} first elements expected, ${given.length} given`,
        this.#declared,
      );
    return given;
  }
}

/** Declares a variable. Names are how state is read, written, saved and shared, so they must be unique in a function. */
export function variable<const S extends Shape, const D extends DType = 'f32'>(
  name: string,
  shape: S,
  options: VariableOptions<D> = {},
): Variable<Plain<S>, NoInfer<D>> {
  checkType(`variable ${name}`, options.dtype ?? 'f32', shape);
  return new Variable<Plain<S>, D>(name, { dtype: options.dtype ?? 'f32', shape: [...shape] }, options);
}

/** A tensor known when the graph is built: nested arrays, or row-major elements with a shape. */
export function constant<
  const N extends NumberData,
  const S extends Shape = DataShape<N>,
  const D extends DType = 'f32',
>(data: N, options: { readonly shape?: S; readonly dtype?: D } = {}): Tensor<Plain<S>, NoInfer<D>> {
  const dtype = options.dtype ?? 'f32';
  const given = shapeOfData(data);
  const shape = options.shape ?? given;
  checkType('constant', dtype, shape);
  const elements = flattenData(data, given);
  const expected = sizeOf(shape);
  if (elements.length !== expected)
    fail(`constant: ${expected} elements expected for [${shape}], ${elements.length} given`);
  if (!isFloat(dtype)) for (const element of Array.from(elements)) checkNumber('constant', dtype, element);
  return new Tensor(here().constant({ dtype, shape: [...shape], data: elements }));
}

function shapeOfData(data: NumberData): number[] {
  if (typeof data === 'number') return [];
  const first = data[0];
  return [data.length, ...(typeof first === 'object' ? shapeOfData(first) : [])];
}

/** The elements row-major. Refuses rows of different lengths and what is no number. */
function flattenData(data: NumberData, shape: Shape): ArrayLike<number> {
  if (ArrayBuffer.isView(data)) return data as ArrayLike<number>;
  if (shape.length === 0) {
    if (typeof data !== 'number')
      fail(
        `constant: numbers in rows of one length expected, ${typeof data === 'object' ? 'a row' : typeof data} given`,
      );
    return [data];
  }
  const rows = Array.from(data as ArrayLike<NumberData>);
  if (typeof data !== 'object' || rows.length !== shape[0])
    fail(`constant: numbers in rows of one length expected, ${shape[0]} and ${rows.length} elements given`);
  return rows.flatMap((row) => Array.from(flattenData(row, shape.slice(1))));
}

export function full<const S extends Shape, const D extends DType = 'f32'>(
  shape: S,
  value: number,
  dtype?: D,
): Tensor<Plain<S>, NoInfer<D>> {
  checkType('full', dtype ?? 'f32', shape);
  checkNumber('full', dtype ?? 'f32', value);
  return new Tensor(here().fill({ dtype: dtype ?? 'f32', shape: [...shape] }, value));
}
export function zeros<const S extends Shape, const D extends DType = 'f32'>(
  shape: S,
  dtype?: D,
): Tensor<Plain<S>, NoInfer<D>> {
  return full(shape, 0, dtype);
}
export function ones<const S extends Shape, const D extends DType = 'f32'>(
  shape: S,
  dtype?: D,
): Tensor<Plain<S>, NoInfer<D>> {
  return full(shape, 1, dtype);
}

/** `[0, 1, …, count − 1]`. */
export function arange<const N extends number, const D extends DType = 'i32'>(
  count: N,
  dtype?: D,
): Tensor<[N], NoInfer<D>> {
  checkType('arange', dtype ?? 'i32', [count]);
  return new Tensor(here('arange').iota({ dtype: dtype ?? 'i32', shape: [count], axis: 0 }));
}

/** The index along an axis, in every position of a shape. */
export function iota<const S extends Shape, const D extends DType = 'i32'>(
  shape: S,
  axis: number,
  dtype?: D,
): Tensor<Plain<S>, NoInfer<D>> {
  checkType('iota', dtype ?? 'i32', shape);
  return new Tensor(here('iota').iota({ dtype: dtype ?? 'i32', shape: [...shape], axis }));
}
