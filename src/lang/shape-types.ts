// Shapes at the type level. Everything here recurses over axes, of which there are few, and never over elements; a
// dimension that is only `number` stays `number`, and a shape of unknown rank stays `readonly number[]`.

import type { AddDims, Elements, Size, SubtractDims } from './shape-arithmetic.ts';

export type Shape = readonly number[];

/** A shape as people write it: without the readonly that literals bring. */
export type Plain<S extends Shape> = { -readonly [I in keyof S]: S[I] };

/** A type that no argument has: the compiler shows its text where an argument does not fit. */
export interface ShapeError<Message extends string> {
  readonly 'shape error': Message;
}

type Join<S extends Shape> = S extends readonly []
  ? ''
  : S extends readonly [infer A extends number]
    ? `${A}`
    : S extends readonly [infer A extends number, ...infer R extends Shape]
      ? `${A},${Join<R>}`
      : '..';

/** `[2,3]` as text, for messages. */
export type Show<S extends Shape> = `[${Join<S>}]`;

/** True for a shape of unknown rank, also for `never`, which an error left: what follows from it is no error of its own. */
export type IsOpen<S extends Shape> = [S] extends [never] ? true : number extends S['length'] ? true : false;

type BroadcastDim<A extends number, B extends number> = A extends 1
  ? number extends A
    ? 1 extends B
      ? number
      : B
    : B
  : B extends 1
    ? number extends B
      ? A
      : A
    : number extends A
      ? B
      : number extends B
        ? A
        : A extends B
          ? A
          : never;

type BroadcastTuple<A extends Shape, B extends Shape, R extends Shape> = A extends readonly [
  ...infer AR extends Shape,
  infer AX extends number,
]
  ? B extends readonly [...infer BR extends Shape, infer BX extends number]
    ? [BroadcastDim<AX, BX>] extends [never]
      ? never
      : BroadcastTuple<AR, BR, [BroadcastDim<AX, BX>, ...R]>
    : [...A, ...R]
  : [...B, ...R];

/** NumPy's broadcasting of two shapes; never where they do not fit. */
export type Broadcast<A extends Shape, B extends Shape> =
  IsOpen<A> extends true ? readonly number[] : IsOpen<B> extends true ? readonly number[] : BroadcastTuple<A, B, []>;

/** `unknown` where B can be broadcast with A, else an error that names both. */
export type Broadcastable<A extends Shape, B extends Shape> = [Broadcast<A, B>] extends [never]
  ? ShapeError<`cannot broadcast ${Show<A>} with ${Show<B>}`>
  : unknown;

/** True where two dimensions may be equal. */
export type SameDim<A extends number, B extends number> = number extends A
  ? true
  : number extends B
    ? true
    : A extends B
      ? true
      : false;

/** [.., M, K] · [.., K, N] → [.., M, N], a vector on either side losing its axis; never where K differs. */
export type MatMul<A extends Shape, B extends Shape> =
  IsOpen<A> extends true
    ? readonly number[]
    : IsOpen<B> extends true
      ? readonly number[]
      : A extends readonly [infer K extends number]
        ? B extends readonly [infer K2 extends number]
          ? SameDim<K, K2> extends true
            ? []
            : never
          : B extends readonly [...infer R extends Shape, infer K2 extends number, infer N extends number]
            ? SameDim<K, K2> extends true
              ? [...R, N]
              : never
            : never
        : A extends readonly [...infer P extends Shape, infer M extends number, infer K extends number]
          ? B extends readonly [infer K2 extends number]
            ? SameDim<K, K2> extends true
              ? [...P, M]
              : never
            : B extends readonly [...infer Q extends Shape, infer K2 extends number, infer N extends number]
              ? SameDim<K, K2> extends true
                ? [Broadcast<P, Q>] extends [never]
                  ? never
                  : [...Broadcast<P, Q>, M, N]
                : never
              : never
          : never;

export type MatMulable<A extends Shape, B extends Shape> = [MatMul<A, B>] extends [never]
  ? ShapeError<`cannot multiply ${Show<A>} by ${Show<B>}: the last axis of the first must equal the last but one of the second`>
  : unknown;

/** Whether one of the axis numbers, counted from either end, means position `At` with `FromEnd` axes left. */
type Names<Axes extends number, At extends number, FromEnd extends number> = [
  Extract<`${At}` | `-${FromEnd}`, `${Axes}`>,
] extends [never]
  ? false
  : true;

/** Every number, as text, that names an axis of a shape of so many axes; by rank alone, so that dimensions may be generic. */
interface AxesByRank {
  0: never;
  1: '0' | '-1';
  2: AxesByRank[1] | '1' | '-2';
  3: AxesByRank[2] | '2' | '-3';
  4: AxesByRank[3] | '3' | '-4';
  5: AxesByRank[4] | '4' | '-5';
  6: AxesByRank[5] | '5' | '-6';
  7: AxesByRank[6] | '6' | '-7';
  8: AxesByRank[7] | '7' | '-8';
}
type AxisNames<S extends Shape> = S['length'] extends keyof AxesByRank ? AxesByRank[S['length']] : string;

type AxisList<A> = A extends number ? A : A extends readonly number[] ? A[number] : never;
type Missing<Axes extends number, S extends Shape> = Exclude<`${Axes}`, AxisNames<S>>;

/** `unknown` where every axis exists, else an error that names the shape and the axes that do not. */
export type HasAxes<S extends Shape, A> =
  IsOpen<S> extends true
    ? unknown
    : number extends AxisList<A>
      ? unknown
      : [Missing<AxisList<A>, S>] extends [never]
        ? unknown
        : ShapeError<`axis ${Missing<AxisList<A>, S>} of ${Show<S>} does not exist`>;

type ReduceTuple<
  S extends Shape,
  Axes extends number,
  Keep extends boolean,
  Before extends Shape,
  R extends Shape,
> = S extends readonly [infer D extends number, ...infer Rest extends Shape]
  ? Names<Axes, Before['length'], S['length']> extends false
    ? ReduceTuple<Rest, Axes, Keep, [...Before, D], [...R, D]>
    : ReduceTuple<Rest, Axes, Keep, [...Before, D], Keep extends true ? [...R, 1] : R>
  : R;

type Ones<S extends Shape> = { [I in keyof S]: 1 };

/** The shape after reducing `Axes` (undefined: all). */
export type Reduced<S extends Shape, Axes extends number | readonly number[] | undefined, Keep extends boolean> =
  IsOpen<S> extends true
    ? readonly number[]
    : Axes extends undefined
      ? Keep extends true
        ? Ones<S>
        : []
      : Axes extends number
        ? number extends Axes
          ? readonly number[]
          : ReduceTuple<S, Axes, Keep, [], []>
        : Axes extends readonly number[]
          ? number extends Axes[number]
            ? readonly number[]
            : ReduceTuple<S, Axes[number], Keep, [], []>
          : readonly number[];

/** The dimension of an axis counted from either end. */
export type DimOf<S extends Shape, Axis extends number, Before extends Shape = []> = S extends readonly [
  infer D extends number,
  ...infer Rest extends Shape,
]
  ? Names<Axis, Before['length'], S['length']> extends true
    ? D
    : DimOf<Rest, Axis, [...Before, D]>
  : never;

/** Result axis i is operand axis P[i]. */
export type Permuted<S extends Shape, P extends readonly number[]> =
  IsOpen<S> extends true
    ? readonly number[]
    : number extends P['length']
      ? readonly number[]
      : { -readonly [I in keyof P]: number extends P[I] ? number : DimOf<S, P[I]> };

type Repeats<P extends readonly number[]> = P extends readonly [infer A extends number, ...infer R extends Shape]
  ? number extends A
    ? false
    : A extends R[number]
      ? true
      : Repeats<R>
  : false;

/** `unknown` where P names every axis of S once, else an error that shows both. */
export type Permutable<S extends Shape, P extends readonly number[]> =
  IsOpen<S> extends true
    ? unknown
    : number extends P['length']
      ? unknown
      : P['length'] extends S['length']
        ? Repeats<P> extends true
          ? ShapeError<`the permutation ${Show<P>} of ${Show<S>} names an axis twice`>
          : HasAxes<S, P>
        : ShapeError<`the permutation ${Show<P>} of ${Show<S>} must name every axis once`>;

export type Reversed<S extends Shape> =
  IsOpen<S> extends true
    ? readonly number[]
    : S extends readonly [infer A extends number, ...infer R extends Shape]
      ? [...Reversed<R>, A]
      : [];

/** A shape of the same rank with every dimension unknown. */
export type OpenDims<S extends Shape> =
  IsOpen<S> extends true ? readonly number[] : { -readonly [I in keyof S]: number };

type ReplaceTuple<S extends Shape, Axis extends number, N extends number, Done extends Shape> = S extends readonly [
  infer D extends number,
  ...infer Rest extends Shape,
]
  ? Names<Axis, Done['length'], S['length']> extends true
    ? [...Done, N, ...Rest]
    : ReplaceTuple<Rest, Axis, N, [...Done, D]>
  : Done;

/** A shape with another dimension on one axis. */
export type Replaced<S extends Shape, Axis extends number, N extends number> =
  IsOpen<S> extends true ? readonly number[] : number extends Axis ? OpenDims<S> : ReplaceTuple<S, Axis, N, []>;

type InsertTuple<S extends Shape, Axis extends number, New extends Shape, Done extends Shape> =
  Names<Axis, Done['length'], [...S, 0]['length']> extends true
    ? [...Done, ...New, ...S]
    : S extends readonly [infer D extends number, ...infer Rest extends Shape]
      ? InsertTuple<Rest, Axis, New, [...Done, D]>
      : never;

/** A shape with new axes before one, which is counted from either end of the result: what expandDims and stack make. */
export type Inserted<S extends Shape, Axis extends number, New extends Shape> =
  IsOpen<S> extends true ? readonly number[] : number extends Axis ? readonly number[] : InsertTuple<S, Axis, New, []>;

/** `unknown` where a shape can have a new axis there. */
export type HasPlace<S extends Shape, Axis extends number> = HasAxes<[...S, 1], Axis>;

type SpliceTuple<S extends Shape, Axis extends number, New extends Shape, Done extends Shape> = S extends readonly [
  infer D extends number,
  ...infer Rest extends Shape,
]
  ? Names<Axis, Done['length'], S['length']> extends true
    ? [...Done, ...New, ...Rest]
    : SpliceTuple<Rest, Axis, New, [...Done, D]>
  : Done;

/** A shape with an axis replaced by others: what gather makes. */
export type Spliced<S extends Shape, Axis extends number, New extends Shape> =
  IsOpen<S> extends true
    ? readonly number[]
    : IsOpen<New> extends true
      ? readonly number[]
      : number extends Axis
        ? readonly number[]
        : SpliceTuple<S, Axis, New, []>;

type WithoutOnes<S extends Shape> = S extends readonly [infer D extends number, ...infer Rest extends Shape]
  ? D extends 1
    ? WithoutOnes<Rest>
    : [D, ...WithoutOnes<Rest>]
  : [];

/** A shape without the given axes, or without all of one element. */
export type Squeezed<S extends Shape, A extends number | readonly number[] | undefined> = A extends undefined
  ? number extends S[number]
    ? readonly number[]
    : WithoutOnes<S>
  : Reduced<S, A, false>;

type FlattenTuple<S extends Shape, From extends number, Done extends Shape> = S extends readonly [
  infer D extends number,
  ...infer Rest extends Shape,
]
  ? Names<From, Done['length'], S['length']> extends true
    ? [...Done, Elements<S>]
    : FlattenTuple<Rest, From, [...Done, D]>
  : [...Done, 1];

/** Axes from one on as one. */
export type Flattened<S extends Shape, From extends number> =
  IsOpen<S> extends true ? readonly number[] : number extends From ? readonly number[] : FlattenTuple<S, From, []>;

/** Dimensions that only look like ones: −1 has a meaning, other negative or fractional numbers have none. */
type NoDimension<T extends Shape> = Extract<`${Exclude<T[number], -1>}`, `-${string}` | `${string}.${string}`>;

/** `unknown` where T has as many elements as S (or one −1), else an error that shows both. */
export type Reshapable<S extends Shape, T extends Shape> =
  IsOpen<S> extends true
    ? unknown
    : IsOpen<T> extends true
      ? unknown
      : number extends S[number] | T[number]
        ? unknown
        : [NoDimension<T>] extends [never]
          ? -1 extends T[number]
            ? unknown
            : Size<S> extends Size<T>
              ? unknown
              : ShapeError<`cannot reshape ${Show<S>} of ${Size<S>} elements to ${Show<T>} of ${Size<T>}`>
          : ShapeError<`cannot reshape ${Show<S>} to ${Show<T>}: ${NoDimension<T>} is no dimension`>;

/** `unknown` where S can be stretched to T. */
export type Stretchable<S extends Shape, T extends Shape> =
  IsOpen<S> extends true
    ? unknown
    : IsOpen<T> extends true
      ? unknown
      : [Broadcast<S, T>] extends [never]
        ? ShapeError<`cannot stretch ${Show<S>} to ${Show<T>}`>
        : Broadcast<S, T> extends T
          ? unknown
          : ShapeError<`cannot stretch ${Show<S>} to ${Show<T>}`>;

type ConcatTuple<A extends Shape, B extends Shape, Axis extends number, Done extends Shape> = A extends readonly [
  infer X extends number,
  ...infer AR extends Shape,
]
  ? B extends readonly [infer Y extends number, ...infer BR extends Shape]
    ? Names<Axis, Done['length'], A['length']> extends true
      ? ConcatTuple<AR, BR, Axis, [...Done, AddDims<X, Y>]>
      : SameDim<X, Y> extends true
        ? ConcatTuple<AR, BR, Axis, [...Done, number extends X ? Y : X]>
        : never
    : never
  : B extends readonly []
    ? Done
    : never;

/** Two shapes joined along an axis; never where another axis differs. */
export type Concat<A extends Shape, B extends Shape, Axis extends number> =
  IsOpen<A> extends true
    ? readonly number[]
    : IsOpen<B> extends true
      ? readonly number[]
      : number extends Axis
        ? readonly number[]
        : ConcatTuple<A, B, Axis, []>;

export type ConcatAll<Shapes extends readonly Shape[], Axis extends number> = Shapes extends readonly [
  infer A extends Shape,
  infer B extends Shape,
  ...infer Rest extends readonly Shape[],
]
  ? [Concat<A, B, Axis>] extends [never]
    ? never
    : ConcatAll<[Concat<A, B, Axis>, ...Rest], Axis>
  : Shapes extends readonly [infer A extends Shape]
    ? A
    : readonly number[];

type ShowAll<Shapes extends readonly Shape[]> = Shapes extends readonly [infer A extends Shape]
  ? Show<A>
  : Shapes extends readonly [infer A extends Shape, ...infer Rest extends readonly Shape[]]
    ? `${Show<A>}, ${ShowAll<Rest>}`
    : '..';

/** `unknown` where shapes differ on the joined axis only, else an error that shows them. */
export type Concatenable<Shapes extends readonly Shape[], Axis extends number> = [ConcatAll<Shapes, Axis>] extends [
  never,
]
  ? ShapeError<`cannot concatenate ${ShowAll<Shapes>} along axis ${Axis}: another axis differs`>
  : unknown;

/** Spatial dimensions of a convolution of stride 1 without padding: S − K + 1. */
type ValidDims<S extends Shape, K extends Shape> = S extends readonly [
  infer A extends number,
  ...infer SR extends Shape,
]
  ? K extends readonly [infer B extends number, ...infer KR extends Shape]
    ? [number extends A ? number : number extends B ? number : AddDims<SubtractDims<A, B>, 1>, ...ValidDims<SR, KR>]
    : []
  : [];

/** How a convolution's spatial dimensions follow from its options. */
export type ConvMode = 'same' | 'valid' | 'open';

export type Convolved<X extends Shape, W extends Shape, Mode extends ConvMode> = X extends readonly [
  infer N extends number,
  number,
  ...infer S extends Shape,
]
  ? W extends readonly [infer O extends number, number, ...infer K extends Shape]
    ? Mode extends 'same'
      ? [N, O, ...S]
      : Mode extends 'valid'
        ? [N, O, ...ValidDims<S, K>]
        : [N, O, ...OpenDims<S>]
    : readonly number[]
  : readonly number[];

/** An error where an image's channels differ from what the kernels take. */
export type Convolvable<X extends Shape, W extends Shape, Groups> = true extends IsOpen<X> | IsOpen<W>
  ? unknown
  : Groups extends 1
    ? X extends readonly [number, infer C extends number, ...Shape]
      ? W extends readonly [number, infer C2 extends number, ...Shape]
        ? SameDim<C, C2> extends true
          ? unknown
          : ShapeError<`images ${Show<X>} have ${C} channels, kernels ${Show<W>} take ${C2}`>
        : unknown
      : unknown
    : unknown;
