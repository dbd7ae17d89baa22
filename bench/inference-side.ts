// One side of a comparison in a process of its own: loads a model, then times runs when it is asked to. Threads that wait
// for work, memory and caches of one side are thus no matter of the other's.

import { performance } from 'node:perf_hooks';
import { StateStore } from 'ashlar/node';
import { printProgram } from '../src/codegen/c/program.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { compileModel } from './compile-model.ts';
import { ashlarModel, exampleInput, models } from './models/index.ts';
import { benchPackage } from './packages.ts';

/** What a side is told on its command line, as JSON. */
export interface SideOrder {
  readonly side: 'ashlar' | 'onnxruntime';
  readonly model: string;
  readonly threads: number;
  /** The file that onnxruntime reads. */
  readonly onnx: string;
  readonly inputShape: readonly number[];
}

export interface CompileFigures {
  readonly graphToCSeconds: number;
  readonly compilerSeconds: number;
  readonly sourceBytes: number;
  readonly kernels: number;
  readonly arenaBytes: number;
}

export type SideAnswer =
  | {
      readonly kind: 'ready';
      readonly output: Float32Array;
      readonly loadSeconds: number;
      readonly compiled: CompileFigures | null;
    }
  | { readonly kind: 'timed'; readonly milliseconds: readonly number[] }
  | { readonly kind: 'memory'; readonly peakBytes: number; readonly residentBytes: number };

export type SideRequest = { readonly kind: 'time'; readonly runs: number } | { readonly kind: 'memory' };

interface Loaded {
  readonly run: () => Promise<Float32Array> | Float32Array;
  readonly compiled: CompileFigures | null;
}

async function loadAshlar({ model, threads, inputShape }: SideOrder): Promise<Loaded> {
  const { definition } = ashlarModel(models[model]!, model);
  const state = new StateStore();
  for (const variable of definition.variables) state.declare(variable.name, variable.type, () => variable.initial());
  const seconds = async (work: () => unknown): Promise<number> => {
    const start = performance.now();
    await work();
    return (performance.now() - start) / 1000;
  };
  const graphToCSeconds = await seconds(() => printProgram(compileToProgram(definition.func)));
  const first = await seconds(() => compileModel(definition, { threads, state }));
  // The second time the library is in the cache: the difference is the C compiler's.
  const start = performance.now();
  const compiled = await compileModel(definition, { threads, state });
  const again = (performance.now() - start) / 1000;
  const inputs = {
    x: exampleInput(
      models[model]!,
      inputShape.reduce((all, dim) => all * dim, 1),
    ),
  };
  return {
    run: () => compiled(inputs).y as Float32Array,
    compiled: {
      graphToCSeconds,
      compilerSeconds: Math.max(0, first - again),
      sourceBytes: Buffer.byteLength(compiled.source),
      kernels: compiled.program.steps.length,
      arenaBytes: compiled.program.arenaBytes,
    },
  };
}

/** What is used of onnxruntime-node's interface. */
interface OnnxRuntime {
  readonly InferenceSession: {
    create(
      path: string,
      options: object,
    ): Promise<{ run(feeds: object): Promise<{ readonly y: { readonly data: Float32Array } }> }>;
  };
  readonly Tensor: new (type: string, data: Float32Array | Int32Array, shape: readonly number[]) => object;
}

async function loadOnnxRuntime({ model, threads, onnx, inputShape }: SideOrder): Promise<Loaded> {
  const { InferenceSession, Tensor } = benchPackage<OnnxRuntime>('onnxruntime-node');
  const session = await InferenceSession.create(onnx, {
    executionProviders: ['cpu'],
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    // Without this, its threads go on spinning after a run and take time from whoever runs next.
    extra: { session: { force_spinning_stop: '1' } },
  });
  const data = exampleInput(
    models[model]!,
    inputShape.reduce((all, dim) => all * dim, 1),
  );
  const feeds = { x: new Tensor(data instanceof Float32Array ? 'float32' : 'int32', data, inputShape) };
  return { run: async () => (await session.run(feeds)).y.data, compiled: null };
}

/** Milliseconds of each run; one before them, which meets caches left by the other side, does not count. */
async function time(run: Loaded['run'], runs: number): Promise<number[]> {
  const milliseconds: number[] = [];
  for (let i = -1; i < runs; i++) {
    const start = performance.now();
    await run();
    if (i >= 0) milliseconds.push(performance.now() - start);
  }
  return milliseconds;
}

const order = JSON.parse(process.argv[2]!) as SideOrder;
const answer = (message: SideAnswer): void => void process.send!(message);
const began = performance.now();
const { run, compiled } = await (order.side === 'ashlar' ? loadAshlar(order) : loadOnnxRuntime(order));
const loadSeconds = (performance.now() - began) / 1000;
answer({ kind: 'ready', output: Float32Array.from(await run()), loadSeconds, compiled });
process.on('message', async (request: SideRequest) => {
  if (request.kind === 'time') answer({ kind: 'timed', milliseconds: await time(run, request.runs) });
  else {
    const peakBytes = process.resourceUsage().maxRSS * 1024;
    answer({ kind: 'memory', peakBytes, residentBytes: process.memoryUsage.rss() });
  }
});
