// What decides about loops as one kernel of a device (loop-choice.ts), beside schedule.ts.

/** What decides whether a loop is one kernel or a sequence of dispatches; times in nanoseconds. */
export interface LoopCosts {
  /** From a dispatch to the next one that waits for it. */
  readonly dispatch: number;
  /** A barrier, and what is read behind it from memory of the workgroup. */
  readonly phase: number;
  /** The first answer of the device's memory in a phase. */
  readonly storage: number;
  /** An operation of an invocation, one after another. */
  readonly operation: number;
  /** Bytes of the device's memory that one workgroup reads in a nanosecond. */
  readonly bytes: number;
  /** Workgroups that run at the same time, and rows of an invocation each. */
  readonly workgroups: number;
  readonly rows: number;
  /** Bytes that an invocation keeps by itself, and invocations of a workgroup where each has a row. */
  readonly invocationBytes: number;
  readonly invocations: number;
}

/**
 * Of a card, by its kind of numbers: at 1.5 GHz 100 ns are 150 cycles, a barrier and two reads of shared memory; a read that misses the
 * first cache takes 500; a multiply-add with its loads six where some are under way together; a processor reads 32 bytes a cycle.
 * A dispatch that waits takes 3 to 10 µs. 128 processors hold four workgroups of 256. 32 words of an invocation are registers.
 */
export const cardLoops: LoopCosts = {
  dispatch: 4000,
  phase: 100,
  storage: 300,
  operation: 4,
  bytes: 48,
  workgroups: 512,
  rows: 16_384,
  invocationBytes: 128,
  invocations: 64,
};

/**
 * Of SwiftShader on two cores: 100 dispatches in turn took 3.8 ms, and an operation on arrays of an invocation 9 to 16 ns, as these are
 * no registers. There are no barriers, so each invocation has a row. 50 steps of an LSTM of 16 units and 8 sequences then took
 * 4.1 ms in place of 9.1; of 32 units 15 in place of 8; an RNN of the adding problem, 32 sequences, 105 in place of 27.
 */
export const softwareLoops: LoopCosts = {
  ...cardLoops,
  dispatch: 38_000,
  storage: 0,
  operation: 10,
  rows: 8,
  invocationBytes: 4096,
  invocations: 4,
};

/** A loop is one kernel where an estimate promises this much: dispatches cost what they cost, a workgroup's time is a guess. */
export const leastLoopGain = 1.5;

/** Nanoseconds of a kernel with a loop at most: systems take a device for dead after two seconds. */
export const longestLoop = 250e6;

/** Phases of a kernel at most: what drivers compile in reasonable time. */
export const mostLoopPhases = 128;

/** Parts of memory that any device binds one by one; more share bindings, which span what lies between. */
export const mostBoundApart = { count: 8, bytes: 2 ** 24 } as const;

/** Partial results of a phase's long sums: with fewer results than a workgroup has invocations, most would have nothing to do. */
export function phaseChunks(results: number, length: number): number {
  return length < longestPhaseSum || results >= phaseInvocations ? 1 : Math.ceil(Math.sqrt(length));
}

/** Invocations of a workgroup at most. */
const phaseInvocations = 256;

/** A sum of fewer elements is not worth another phase: half a microsecond. */
const longestPhaseSum = 128;
