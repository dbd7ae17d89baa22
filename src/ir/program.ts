// The Program: the whole computation as kernels in order with their arguments, one arena with the offset of every
// intermediate, persistent state and constants. It is what a runtime executes and an artifact serialises.

import type { Kernel } from './kernel.ts';
import type { TensorType } from './types.ts';

/** Where a buffer's memory comes from: the caller (input, output), the state store, the artifact, or the arena. */
export type Storage = 'input' | 'output' | 'state' | 'constant' | 'arena';

export interface ProgramBuffer {
  /** The user's name for inputs, outputs and states; a unique name for the others. */
  readonly name: string;
  readonly storage: Storage;
  readonly type: TensorType;
  /** Position among the buffers of this storage; arena buffers are told apart by their offset. */
  readonly index: number;
  /** Arena only: byte offset, a multiple of 64. */
  readonly offset: number;
  /** Constant only: row-major elements. */
  readonly data: ArrayLike<number> | null;
}

/** One kernel applied to buffers, in the order of the kernel's parameters. */
export interface Launch {
  readonly kind: 'launch';
  readonly kernel: Kernel;
  readonly args: readonly ProgramBuffer[];
}

/** A check on an input before the first kernel: integer elements must lie in [lower, upper]. */
export interface RangeCheck {
  readonly input: string;
  readonly lower: number;
  readonly upper: number;
  /** The operation that would read out of range, for the message. */
  readonly reason: string;
}

export interface Program {
  readonly name: string;
  readonly steps: readonly Launch[];
  readonly inputs: readonly ProgramBuffer[];
  readonly outputs: readonly ProgramBuffer[];
  readonly states: readonly ProgramBuffer[];
  readonly constants: readonly ProgramBuffer[];
  /** Bytes of working memory that every call needs, 64-byte aligned. */
  readonly arenaBytes: number;
  readonly checks: readonly RangeCheck[];
}
