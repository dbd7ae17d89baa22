// One side of a comparison in a process of its own: loads a model, then times runs when it is asked to. Threads that wait
// for work, memory and caches of one side are thus no matter of the other's.

import { performance } from 'node:perf_hooks';
import { StateStore } from 'ashlar/node';
import { compileModel } from './compile-model.ts';
import { definitionOf, type Origin } from './definition.ts';
import { exampleInput } from './models/example-input.ts';
import { modelOf } from './models/index.ts';
import { openSession } from './onnxruntime.ts';
import type { SideAnswer, SideRequest } from './turns.ts';

/** What a side is told on its command line, as JSON. */
export interface SideOrder {
  readonly side: 'ashlar' | 'onnxruntime';
  readonly model: string;
  readonly origin: Origin;
  readonly threads: number;
  /** The file that onnxruntime reads, and Ashlar where that is the origin. */
  readonly onnx: string;
  readonly inputShape: readonly number[];
}

type Run = () => Promise<Float32Array> | Float32Array;

async function loadAshlar({ model, origin, onnx, threads, inputShape }: SideOrder): Promise<Run> {
  const definition = definitionOf(model, origin, onnx);
  const compiled = await compileModel(definition, { threads, state: new StateStore() });
  const inputs = { x: exampleInput(modelOf(model), inputShape) };
  const output = compiled.program.outputs[0]!.name;
  return () => compiled(inputs)[output] as Float32Array;
}

async function loadOnnxRuntime({ model, threads, onnx, inputShape }: SideOrder): Promise<Run> {
  return (await openSession(onnx, threads, inputShape, modelOf(model))).run;
}

/** Milliseconds of each run; one before them, which meets caches left by the other side, does not count. */
async function time(run: Run, runs: number): Promise<number[]> {
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
const run = await (order.side === 'ashlar' ? loadAshlar(order) : loadOnnxRuntime(order));
const loadSeconds = (performance.now() - began) / 1000;
answer({ kind: 'ready', output: Float32Array.from(await run()), loadSeconds });
process.on('message', async ({ runs }: SideRequest) => {
  answer({ kind: 'timed', milliseconds: await time(run, runs) });
});
