// What functions of the language check before they make nodes, so that a refusal names the function that the user
// called, its operands with their types, what was expected and the user's line.

import { UserError } from '../ir/errors.ts';
import type { Value } from '../ir/graph.ts';
import { wrapToDType } from '../ir/ndarray.ts';
import { type DType, dtypes, formatType, isFloat, isInteger } from '../ir/types.ts';
import type { Shape } from './shape-types.ts';
import { callerPosition } from './source.ts';

interface Typed {
  readonly value: Value;
}

export type AxesArgument = number | readonly number[] | undefined;

export function describe({ value }: Typed): string {
  const type = formatType(value.type);
  return value.name === null ? type : `${value.name}: ${type}`;
}

/** Throws a UserError at the user's line. */
export function fail(message: string): never {
  throw new UserError(message, callerPosition());
}

/** Throws the error of operands that do not fit, with both types, names and the user's line. */
export function refuse(callee: string, operands: readonly Typed[], why: string): never {
  fail(`${callee}(${operands.map(describe).join(', ')}): ${why}`);
}

const isWhole = (n: number): boolean => Number.isSafeInteger(n) && n >= 0;

/** Refuses an unknown dtype and dimensions that are no whole numbers: what only callers without types can pass. */
export function checkType(what: string, dtype: DType, shape: Shape): void {
  if (!dtypes.includes(dtype)) fail(`${what}: a dtype expected (${dtypes.join(', ')}), ${dtype} given`);
  if (!shape.every(isWhole)) fail(`${what}: dimensions of whole numbers expected, [${shape}] given`);
}

/** Refuses a number that an integer dtype would round or wrap: `i32 · 0.5` is a mistake, not a product with 0. */
export function checkNumber(what: string, dtype: DType, number: number): void {
  if (isFloat(dtype) || wrapToDType(dtype, number) === number) return;
  fail(`${what}: a number that ${dtype} can hold expected, ${number} given; cast the tensor to a float dtype first`);
}

export function checkFloat(callee: string, x: Typed): void {
  if (!isFloat(x.value.type.dtype)) refuse(callee, [x], 'floats expected; cast first');
}

export function checkIndices(callee: string, operands: readonly Typed[], indices: Typed): void {
  if (isInteger(indices.value.type.dtype)) return;
  refuse(callee, operands, `integer indices expected, ${describe(indices)} given; cast them, for example to i32`);
}

/** The shape two shapes broadcast to, or null. */
export function broadcastShapes(a: Shape, b: Shape): number[] | null {
  const rank = Math.max(a.length, b.length);
  const shape: number[] = [];
  for (let i = 0; i < rank; i++) {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) return null;
    shape.push(x === 1 ? y : x);
  }
  return shape;
}

/** An axis counted from either end as one counted from the first, of `rank` axes (default: those of x). Throws UserError. */
export function axisOf(callee: string, x: Typed, axis: number, rank = x.value.type.shape.length): number {
  const resolved = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= rank) {
    const existing = rank === 0 ? 'there is none' : `−${rank} to ${rank - 1} expected`;
    refuse(callee, [x], `axis ${axis} does not exist: ${existing}`);
  }
  return resolved;
}

/** Axes counted from either end, in increasing order; all of them for undefined. */
export function axesOf(callee: string, x: Typed, axes: AxesArgument): number[] {
  if (axes === undefined) return x.value.type.shape.map((_, axis) => axis);
  const list = (typeof axes === 'number' ? [axes] : [...axes]).map((axis) => axisOf(callee, x, axis));
  if (new Set(list).size !== list.length) refuse(callee, [x], `axes [${axes}] name one axis twice`);
  return list.sort((p, q) => p - q);
}

/** The shape that `reshape` makes: one −1 stands for what is left. */
export function resolveShape(x: Typed, shape: Shape): number[] {
  const size = x.value.type.shape.reduce((product, dim) => product * dim, 1);
  if (!shape.every((dim) => dim === -1 || isWhole(dim)))
    refuse('reshape', [x], `dimensions of whole numbers (or one −1) expected, [${shape}] given`);
  const known = shape.reduce((product, dim) => (dim === -1 ? product : product * dim), 1);
  const open = shape.filter((dim) => dim === -1).length;
  if (open > 1) refuse('reshape', [x], `at most one −1 expected, [${shape}] given`);
  const fits = open === 0 ? known === size : known !== 0 && size % known === 0;
  if (!fits) refuse('reshape', [x], `${size} elements do not fit [${shape}]`);
  return shape.map((dim) => (dim === -1 ? size / known : dim));
}
