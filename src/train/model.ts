// What the training loop asks of a compiled function: it is called with one batch and answers with outputs; its state
// (parameters, optimizer slots, counters) is read and written by name. Nothing here knows how a function was compiled.

import type { TensorType } from '../ir/types.ts';

/** Row-major elements of a tensor, in the array class of its element type. */
export type TensorData = Float32Array | Float64Array | Int32Array | Uint32Array | Int8Array | Uint8Array;

/** A function's inputs or outputs by name. */
export type Batch = Readonly<Record<string, TensorData>>;

/** Persistent state by name. Functions compiled over one store share it. */
export interface StateAccess {
  names(): readonly string[];
  type(name: string): TensorType;
  /** The elements now, or a view of them; a device answers later. */
  get(name: string): ArrayLike<number | bigint> | Promise<ArrayLike<number | bigint>>;
  set(name: string, elements: TensorData): void | Promise<void>;
}

/**
 * A compiled function without state of interest: evaluation, prediction. A dataset must hold an array for each of its
 * inputs; the function itself checks that they are of the right type and length.
 */
export type BatchFunction = (inputs: never, options?: never) => object | Promise<object>;

/** A compiled training step: forward, loss, gradients and the optimizer's updates, over its own state. */
export interface StepFunction {
  (inputs: never, options?: never): object | Promise<object>;
  readonly state: StateAccess;
  /** What it computes; where it is known, no output but scalars is asked for. */
  readonly program?: { readonly outputs: readonly { readonly name: string; readonly type: TensorType }[] };
}

/**
 * Calls a compiled function, for all its outputs or those named; the one place where its own input and output types are
 * left behind.
 */
export async function callWith(run: BatchFunction, batch: Batch, outputs?: readonly string[]): Promise<Batch> {
  const options = outputs === undefined ? undefined : { outputs };
  return (await run(batch as never, options as never)) as Batch;
}
