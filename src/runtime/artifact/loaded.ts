// What loaded artifacts of all targets are.

import type { ManifestTensor } from '../../codegen/bindings/manifest.ts';
import type { RangeCheck } from '../../ir/program.ts';
import type { TensorType } from '../../ir/types.ts';
import type { TypedArray } from '../arrays.ts';

export type NamedArrays = Readonly<Record<string, TypedArray>>;

export interface Boundary {
  readonly name: string;
  readonly type: TensorType;
}

/** A function of an artifact. In C and JavaScript it answers at once, on a device later. */
export interface LoadedFunction {
  /** Throws UserError for a missing or unknown input, another array type or length, or an index out of its range. */
  (inputs: NamedArrays): NamedArrays | Promise<NamedArrays>;
  readonly inputs: readonly Boundary[];
  readonly outputs: readonly Boundary[];
  /** Ranges of inputs that are indices. */
  readonly checks: readonly RangeCheck[];
}

export interface LoadedArtifact {
  readonly name: string;
  readonly target: 'c' | 'wgsl' | 'js';
  readonly functions: Readonly<Record<string, LoadedFunction>>;
  /** What functions keep from call to call. */
  readonly state: {
    names(): string[];
    get(name: string): TypedArray | Promise<TypedArray>;
    set(name: string, elements: TypedArray): void;
  };
  /** Gives back the device; functions cannot be called any more. */
  close(): void;
}

export interface LoadOptions {
  /** C only: threads that a call may use. Default: $OMP_NUM_THREADS, else 1. */
  readonly threads?: number;
  /** C only: the compiler's command. Default: $ASHLAR_CC, else gcc, clang or cc. */
  readonly compiler?: string;
}

export const boundaryOf = ({ name, dtype, shape }: ManifestTensor): Boundary => ({ name, type: { dtype, shape } });

/** The checks of a function's inputs that are indices. */
export const checksOf = (inputs: readonly ManifestTensor[]): RangeCheck[] =>
  inputs.flatMap(({ name, range }) =>
    range === undefined ? [] : [{ input: name, lower: range[0], upper: range[1], reason: 'the artifact' }],
  );
