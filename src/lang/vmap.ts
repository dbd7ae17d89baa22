// vmap: a function of tensors along a new axis of its arguments. The function is traced once, on tensors that stand for one
// slice of each argument; what it makes of them is then batched by the operations' rules.

import { batchValues } from '../ir/batch.ts';
import { parameter, type Value } from '../ir/graph.ts';
import { repeated, toFront } from '../ir/ops/batching.ts';
import { axisOf, describe, fail, refuse } from './checks.ts';
import type { DimOf, HasAxes, IsOpen, Reduced, SameDim, Shape, ShapeError, Show } from './shape-types.ts';
import { leavesOf } from './structure.ts';
import { type AnyTensor, expectTensor, here, type ShapeOf, Tensor } from './tensor.ts';
import { standIn } from './trace.ts';

/** What a function may return: a tensor, or several in a list or by names. */
export type Tensors = AnyTensor | readonly AnyTensor[] | Readonly<Record<string, AnyTensor>>;

export interface VmapOptions<Axes extends readonly (number | null)[]> {
  /** The axis of each argument that is walked, counted from either end; null: every index sees the whole argument. Default: 0 of each. */
  readonly axes?: Axes;
  /** How many indices there are, where no argument tells. */
  readonly size?: number;
  /**
   * Tensors that the function reads without taking them, each with what stands for it: one axis more, in front. So a model
   * is evaluated with many sets of its variables.
   */
  readonly replacing?: Iterable<readonly [AnyTensor, AnyTensor]>;
}

type AxisAt<Axes, I> = I extends keyof Axes ? Axes[I] : 0;

/** The type of one argument's slice. */
type SliceOf<X, Axis> =
  X extends Tensor<infer S, infer D> ? (Axis extends number ? Tensor<Reduced<S, Axis, false>, D> : X) : never;

/** How many indices the first walked argument has. */
type SizeOf<X extends readonly unknown[], Axes, Seen extends readonly unknown[] = []> = X extends readonly [
  infer First,
  ...infer Rest,
]
  ? AxisAt<Axes, `${Seen['length']}`> extends infer Axis extends number
    ? IsOpen<ShapeOf<First>> extends true
      ? number
      : DimOf<ShapeOf<First>, Axis>
    : SizeOf<Rest, Axes, [...Seen, First]>
  : number;

/** `unknown` where a slice of the argument is what the function takes. */
type FitsSlice<Taken, X, Axis, N extends number> = Axis extends number
  ? IsOpen<ShapeOf<X>> extends true
    ? unknown
    : HasAxes<ShapeOf<X>, Axis> extends ShapeError<string>
      ? HasAxes<ShapeOf<X>, Axis>
      : SameDim<DimOf<ShapeOf<X>, Axis>, N> extends true
        ? SliceOf<X, Axis> extends Taken
          ? unknown
          : ShapeError<`vmap: a slice ${Show<Reduced<ShapeOf<X>, Axis, false>>} of ${Show<ShapeOf<X>>} is not what the function takes`>
        : ShapeError<`vmap: ${DimOf<ShapeOf<X>, Axis>} elements along axis ${Axis} of ${Show<ShapeOf<X>>}, another argument has ${N}`>
  : X extends Taken
    ? unknown
    : ShapeError<`vmap: ${Show<ShapeOf<X>>} is not what the function takes`>;

type IsAny<T> = 0 extends 1 & T ? true : false;
type InFront<N extends number, S extends Shape> =
  IsAny<S> extends true ? S : IsOpen<S> extends true ? readonly number[] : [N, ...S];

/** What a function gives for all indices: each tensor with an axis of N in front. */
export type Stacked<R, N extends number> =
  R extends Tensor<infer S, infer D>
    ? Tensor<InFront<N, S>, D>
    : { -readonly [K in keyof R]: R[K] extends AnyTensor ? Stacked<R[K], N> : never };

/**
 * The function for every index along an axis of its arguments: `vmap(f)(x, y)` is what a loop over `f(x[i], y[i])` gives,
 * each result stacked along a new first axis, but computed by operations with one axis more: for a batch of vectors one
 * product of matrices. It can be nested, and the function may take derivatives: `vmap((x, y) => grad(loss(x, y), weights))` has
 * the gradient of every example.
 *
 * Throws UserError where an argument has no such axis, sizes differ, nothing tells the size, or the function returns something else
 * than tensors.
 */
export function vmap<
  A extends readonly AnyTensor[],
  R extends Tensors,
  const Axes extends readonly (number | null)[] = readonly [],
>(f: (...slices: A) => R, options: VmapOptions<Axes> = {}) {
  return <const X extends readonly AnyTensor[]>(
    ...given: {
      [I in keyof X]: X[I] & FitsSlice<I extends keyof A ? A[I] : never, X[I], AxisAt<Axes, I>, SizeOf<X, Axes>>;
    }
  ): Stacked<R, SizeOf<X, Axes>> => mapped(f as never, given as readonly AnyTensor[], options) as never;
}

function mapped(
  f: (...slices: readonly AnyTensor[]) => Tensors,
  given: readonly AnyTensor[],
  options: VmapOptions<readonly (number | null)[]>,
): Tensors {
  for (const tensor of given) expectTensor('vmap', tensor);
  const axes = axesFor(given, options.axes ?? []);
  const pairs = [...(options.replacing ?? [])];
  const size = sizeOf(given, axes, pairs, options.size);
  const b = here('vmap');
  const replaced = new Map(pairs.map(([tensor, by]) => [tensor.value, by.value]));
  const slices = given.map((tensor, i) => {
    const axis = axes[i];
    if (axis === null || axis === undefined) return tensor;
    const { dtype, shape } = tensor.value.type;
    const kept = shape.filter((_: number, other: number) => other !== axis);
    const slice = parameter(tensor.value.name ?? `argument ${i + 1}`, { dtype, shape: kept });
    standIn('vmap', [slice]);
    replaced.set(slice.value, toFront(b, tensor.value, axis));
    return new Tensor(slice.value);
  });
  const returned = leavesOf('result', f(...slices), (problem) => fail(`vmap: ${problem}`));
  if (returned.tensors.length === 0) fail('vmap: a function that returns tensors expected, it returned none');
  return returned.join(batchTensors(returned.tensors, replaced, size)) as Tensors;
}

/** The tensors where each key of `replaced` is its value, which has an axis of `size` in front; all get that axis. */
export function batchTensors(
  tensors: readonly AnyTensor[],
  replaced: ReadonlyMap<Value, Value>,
  size: number,
): AnyTensor[] {
  const found = batchValues(
    tensors.map(({ value }) => value),
    replaced,
    size,
  );
  return found.map(({ value, batched }) => new Tensor(batched ? value : repeated(here('vmap'), value, size)));
}

/** The walked axis of each argument, counted from the first. */
function axesFor(given: readonly AnyTensor[], axes: readonly (number | null)[]): (number | null)[] {
  if (axes.length > given.length)
    fail(`vmap: an axis for each of ${given.length} arguments expected, ${axes.length} given`);
  return given.map((tensor, i) => {
    const axis = axes[i];
    return axis === null ? null : axisOf(`vmap: argument ${i + 1}`, tensor, axis ?? 0);
  });
}

function sizeOf(
  given: readonly AnyTensor[],
  axes: readonly (number | null)[],
  pairs: readonly (readonly [AnyTensor, AnyTensor])[],
  stated: number | undefined,
): number {
  let size = stated;
  const agree = (found: number, what: string): void => {
    if (size !== undefined && size !== found) fail(`vmap: ${size} indices expected, ${what} has ${found}`);
    size = found;
  };
  given.forEach((tensor, i) => {
    const axis = axes[i];
    if (axis !== null && axis !== undefined)
      agree(tensor.value.type.shape[axis]!, `argument ${i + 1} (${describe(tensor)}) along axis ${axis}`);
  });
  for (const [tensor, by] of pairs) {
    const [first, ...rest] = by.value.type.shape;
    if (first === undefined || rest.join() !== tensor.value.type.shape.join() || by.dtype !== tensor.dtype)
      refuse('vmap', [tensor, by], 'a replacement with one axis more in front expected');
    agree(first, describe(by));
  }
  return size ?? fail('vmap: at least one argument with an axis to walk expected, or the number of indices as size');
}
