// Arithmetic of dimensions at the type level: sums and differences by tuples, products digit by digit, so that the cost
// follows the digits of a dimension and not its size.

import type { Shape } from './shape-types.ts';

/** A digit as a tuple of that length. */
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

/** A tuple one to nine times over. */
interface Times<U extends 0[]> {
  0: [];
  1: U;
  2: [...U, ...U];
  3: [...U, ...U, ...U];
  4: [...U, ...U, ...U, ...U];
  5: [...U, ...U, ...U, ...U, ...U];
  6: [...U, ...U, ...U, ...U, ...U, ...U];
  7: [...U, ...U, ...U, ...U, ...U, ...U, ...U];
  8: [...U, ...U, ...U, ...U, ...U, ...U, ...U, ...U];
  9: [...U, ...U, ...U, ...U, ...U, ...U, ...U, ...U, ...U];
}
type DigitOf<D extends string> = D extends `${infer N extends keyof Digits & number}` ? N : never;
type Unary<D extends string> = Digits[DigitOf<D>];

/** The length of a tuple, below 100, as [tens, ones]. */
type Carry<T extends 0[]> = `${T['length'] & number}` extends `${infer A}${infer B}`
  ? B extends ''
    ? ['0', A]
    : [A, B]
  : never;

type Backwards<N extends string> = N extends `${infer D}${infer Rest}` ? `${Backwards<Rest>}${D}` : '';

/** N · M + C for digits M and C; all numbers here are decimal text with the ones first. */
type TimesDigit<N extends string, M extends string, C extends string = '0'> = N extends `${infer D}${infer Rest}`
  ? Carry<[...Times<Unary<D>>[DigitOf<M>], ...Unary<C>]> extends [infer Tens extends string, infer Ones extends string]
    ? `${Ones}${TimesDigit<Rest, M, Tens>}`
    : never
  : C extends '0'
    ? ''
    : C;

type Plus<A extends string, B extends string, C extends string = '0'> = A extends `${infer D}${infer AR}`
  ? B extends `${infer E}${infer BR}`
    ? Carry<[...Unary<D>, ...Unary<E>, ...Unary<C>]> extends [infer Tens extends string, infer Ones extends string]
      ? `${Ones}${Plus<AR, BR, Tens>}`
      : never
    : C extends '0'
      ? A
      : Plus<A, C>
  : C extends '0'
    ? B
    : B extends ''
      ? C
      : Plus<C, B>;

type TimesNumber<A extends string, B extends string> = B extends `${infer M}${infer Rest}`
  ? Rest extends ''
    ? TimesDigit<A, M>
    : Plus<TimesDigit<A, M>, `0${TimesNumber<A, Rest>}`>
  : '';

type Product<S extends Shape, R extends string> = S extends readonly [
  infer D extends number,
  ...infer Rest extends Shape,
]
  ? Product<Rest, TimesNumber<R, Backwards<`${D}`>>>
  : Backwards<R>;

/** The number of elements of a shape as decimal text: exact for any literal dimensions, `string` where one is not literal. */
export type Size<S extends Shape> = number extends S[number] ? string : 0 extends S[number] ? '0' : Product<S, '1'>;

/** The number of elements of a shape; `number` where a dimension is. */
export type Elements<S extends Shape> = Size<S> extends `${infer N extends number}` ? N : number;
