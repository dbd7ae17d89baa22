// Shapes at the type level. Everything here recurses over axes, of which there are few, and never over elements; a
// dimension that is only `number` stays `number`, and a shape of unknown rank stays `readonly number[]`.

export type Shape = readonly number[];

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

type IsOpen<S extends Shape> = number extends S['length'] ? true : false;

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

type SameDim<A extends number, B extends number> = number extends A
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

/** Whether an axis number, counted from either end, means position `At` of a shape of length `Rank`. */
type Names<Axis extends number, At extends number, FromEnd extends number> = `${Axis}` extends `${At}` | `-${FromEnd}`
  ? true
  : false;

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

/** Result axis i is operand axis P[i]. */
export type Permuted<S extends Shape, P extends readonly number[]> =
  IsOpen<S> extends true
    ? readonly number[]
    : number extends P['length']
      ? readonly number[]
      : {
          -readonly [I in keyof P]: P[I] extends keyof S
            ? S[P[I]] extends number
              ? S[P[I]]
              : never
            : `${P[I] & number}` extends keyof S
              ? S[`${P[I] & number}` & keyof S] & number
              : never;
        };

export type Reversed<S extends Shape> =
  IsOpen<S> extends true
    ? readonly number[]
    : S extends readonly [infer A extends number, ...infer R extends Shape]
      ? [...Reversed<R>, A]
      : [];

type Digits = {
  0: [];
  1: [0];
  2: [0, 0];
  3: [0, 0, 0];
  4: [0, 0, 0, 0];
  5: [0, 0, 0, 0, 0];
  6: [0, 0, 0, 0, 0, 0];
  7: [0, 0, 0, 0, 0, 0, 0];
  8: [0, 0, 0, 0, 0, 0, 0, 0];
  9: [0, 0, 0, 0, 0, 0, 0, 0, 0];
};
type Ten<T extends 0[]> = [...T, ...T, ...T, ...T, ...T, ...T, ...T, ...T, ...T, ...T];
type TupleOf<N extends string, R extends 0[] = []> = N extends `${infer D extends keyof Digits & number}${infer Rest}`
  ? TupleOf<Rest, [...Ten<R>, ...Digits[D]]>
  : R;
/** Dimensions of up to three digits are added exactly; larger ones become `number`. */
type IsSmall<N extends number> = number extends N
  ? false
  : `${N}` extends `${string}${string}${string}${infer Rest}`
    ? Rest extends ''
      ? true
      : false
    : true;

export type AddDims<A extends number, B extends number> =
  IsSmall<A> extends true
    ? IsSmall<B> extends true
      ? [...TupleOf<`${A}`>, ...TupleOf<`${B}`>]['length'] & number
      : number
    : number;

/** A − B for A ≥ B. */
export type SubtractDims<A extends number, B extends number> =
  IsSmall<A> extends true
    ? IsSmall<B> extends true
      ? TupleOf<`${A}`> extends [...TupleOf<`${B}`>, ...infer R extends 0[]]
        ? R['length']
        : never
      : number
    : number;

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

/** Spatial dimensions of a convolution of stride 1 without padding: S − K + 1. */
type ValidDims<S extends Shape, K extends Shape> = S extends readonly [
  infer A extends number,
  ...infer SR extends Shape,
]
  ? K extends readonly [infer B extends number, ...infer KR extends Shape]
    ? [number extends A ? number : number extends B ? number : AddDims<SubtractDims<A, B>, 1>, ...ValidDims<SR, KR>]
    : []
  : [];

type OpenDims<S extends Shape> = { [I in keyof S]: number };

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
export type Convolvable<X extends Shape, W extends Shape, Groups> = Groups extends 1
  ? X extends readonly [number, infer C extends number, ...Shape]
    ? W extends readonly [number, infer C2 extends number, ...Shape]
      ? SameDim<C, C2> extends true
        ? unknown
        : ShapeError<`images ${Show<X>} have ${C} channels, kernels ${Show<W>} take ${C2}`>
      : unknown
    : unknown
  : unknown;
