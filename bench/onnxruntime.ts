// A session of onnxruntime-node with the options that every comparison uses.

import { exampleInput } from './models/example-input.ts';
import { benchPackage } from './packages.ts';

interface Session {
  run(feeds: object): Promise<{ readonly y: { readonly data: Float32Array } }>;
  endProfiling(): void;
}

/** What is used of onnxruntime-node's interface. */
interface OnnxRuntime {
  readonly InferenceSession: { create(path: string, options: object): Promise<Session> };
  readonly Tensor: new (type: string, data: Float32Array | Int32Array, shape: readonly number[]) => object;
}

/** Opens a model from a file; `run` gives the output for the model's example input. */
export async function openSession(
  file: string,
  threads: number,
  inputShape: readonly number[],
  model: { readonly vocabulary?: number },
  options: object = {},
): Promise<{ readonly session: Session; readonly run: () => Promise<Float32Array> }> {
  const { InferenceSession, Tensor } = benchPackage<OnnxRuntime>('onnxruntime-node');
  const session = await InferenceSession.create(file, {
    executionProviders: ['cpu'],
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    // Without this, its threads go on spinning after a run and take time from whoever runs next.
    extra: { session: { force_spinning_stop: '1' } },
    ...options,
  });
  const data = exampleInput(model, inputShape);
  const feeds = { x: new Tensor(data instanceof Float32Array ? 'float32' : 'int32', data, inputShape) };
  return { session, run: async () => (await session.run(feeds)).y.data };
}
