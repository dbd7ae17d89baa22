// The Program: the whole computation as kernels in order with their arguments, loops around some of them, one arena with the
// offset of every intermediate, persistent state and constants. It is what a runtime executes and an artifact serialises.

import type { Kernel } from './kernel.ts';
import type { Step } from './steps.ts';
import type { TensorType } from './types.ts';

/**
 * Where a buffer's memory comes from: the caller (input, output), the state store, the artifact (constants in its text,
 * external ones beside it), or one of two blocks by offset: the arena, whose contents last for one call, and what was
 * prepared, which is computed once.
 */
export type Storage = 'input' | 'output' | 'state' | 'constant' | 'external' | 'arena' | 'prepared';

export interface ProgramBuffer {
  /** The user's name for inputs, outputs and states; a unique name for the others. */
  readonly name: string;
  readonly storage: Storage;
  readonly type: TensorType;
  /** Position among the buffers of this storage; those of the two blocks are told apart by their offset. */
  readonly index: number;
  /** Arena and prepared only: byte offset, a multiple of 64. */
  readonly offset: number;
  /** Row-major elements of a constant, in the program's text or external; null for a weight, which the runtime knows by name. */
  readonly data: ArrayLike<number> | null;
}

/** One kernel applied to buffers, in the order of the kernel's parameters. */
export interface Launch {
  readonly kind: 'launch';
  readonly kernel: Kernel;
  readonly args: readonly ProgramBuffer[];
  /**
   * True: every launch before must be over when this one begins. False: it depends on none since the last that waited,
   * or only on those directly before it that the same thread runs.
   */
  readonly waits: boolean;
}

/** A check on an input before the first kernel: integer elements must lie in [lower, upper]. */
export interface RangeCheck {
  readonly input: string;
  readonly lower: number;
  readonly upper: number;
  /** The operation that would read out of range, for the message. */
  readonly reason: string;
}

/** A launch, or a loop or branch with launches inside. */
export type ProgramStep = Step<Launch, ProgramBuffer>;

export interface Program {
  readonly name: string;
  readonly steps: readonly ProgramStep[];
  readonly inputs: readonly ProgramBuffer[];
  readonly outputs: readonly ProgramBuffer[];
  readonly states: readonly ProgramBuffer[];
  readonly constants: readonly ProgramBuffer[];
  /** Weights, and constants too large for the program's text: memory that the runtime holds. */
  readonly externals: readonly ProgramBuffer[];
  /** Kernels that depend on constants alone: run once, before the first call, in this order. */
  readonly preparation: readonly Launch[];
  /** Bytes that the preparation fills. */
  readonly preparedBytes: number;
  /** Bytes of working memory that every call needs, 64-byte aligned. */
  readonly arenaBytes: number;
  readonly checks: readonly RangeCheck[];
}
