// Types of loops: what a step is given, what it must give, and what comes of all steps.

import type { IsOpen, SameDim, Shape, ShapeError, Show } from './shape-types.ts';
import type { Structure } from './structure.ts';
import type { Tensor } from './tensor.ts';

/** The tensors of a structure, whatever else they are (variables, inputs). */
export type Values<T> =
  T extends Tensor<infer S, infer D>
    ? Tensor<S, D>
    : { -readonly [K in keyof T]: T[K] extends Tensor<infer S, infer D> ? Tensor<S, D> : never };

type Rest<S extends Shape> = S extends readonly [number, ...infer R extends Shape] ? R : readonly number[];
type Slice<T> = T extends Tensor<infer S, infer D> ? Tensor<Rest<S>, D> : never;

/** One slice along the first axis of each tensor. */
export type Slices<T> = T extends Tensor<Shape, infer _> ? Slice<T> : { -readonly [K in keyof T]: Slice<T[K]> };

type First<T> = T extends { readonly shape: infer S extends Shape }
  ? S extends readonly [infer N extends number, ...Shape]
    ? N
    : number
  : never;

/** The first dimensions of the tensors of a structure: one number where they agree. */
export type LengthOf<T> = T extends Tensor<Shape, infer _> ? First<T> : { [K in keyof T]: First<T[K]> }[keyof T];

type IsUnion<T, Whole = T> = [T] extends [never]
  ? false
  : T extends Whole
    ? [Whole] extends [T]
      ? false
      : true
    : false;

/** `unknown` where all sequences have one length. */
export type HasOneLength<T extends Structure> =
  IsUnion<LengthOf<T>> extends true
    ? ShapeError<'scan: sequences of one length expected, their first axes differ'>
    : unknown;

/** The tensors of all steps, stacked along a new first axis. */
export type Stacked<T, N extends number> =
  T extends Tensor<infer S, infer D>
    ? Tensor<[N, ...S], D>
    : { -readonly [K in keyof T]: T[K] extends Tensor<infer S, infer D> ? Tensor<[N, ...S], D> : never };

type SameDims<A extends Shape, B extends Shape> = true extends IsOpen<A> | IsOpen<B>
  ? true
  : A['length'] extends B['length']
    ? false extends { [I in keyof A]: I extends keyof B ? SameDim<A[I], B[I] & number> : false }[number]
      ? false
      : true
    : false;

type SameTensor<A, B> =
  B extends Tensor<infer S, infer E>
    ? A extends Tensor<infer R, infer D>
      ? SameDims<R, S> extends true
        ? [E] extends [D]
          ? unknown
          : ShapeError<`${D & string} expected as at the beginning, ${E & string} given`>
        : ShapeError<`${Show<R>} expected as at the beginning, ${Show<S>} given`>
      : ShapeError<'nothing expected here'>
    : ShapeError<'a tensor expected here'>;

/** `unknown` where B holds tensors of the types that A holds, in the same way. */
export type SameStructure<A, B> = A extends null
  ? null
  : A extends Tensor<Shape, infer _>
    ? SameTensor<A, B>
    : { readonly [K in keyof A]: K extends keyof B ? SameTensor<A[K], B[K]> : A[K] };

/** `unknown` for a shape without axes, or one of unknown rank. */
export type IsScalar<S extends Shape> =
  true extends IsOpen<S>
    ? unknown
    : 0 extends S['length']
      ? unknown
      : ShapeError<`bool[] expected, bool${Show<S>} given; all() or any() makes one of many`>;
