// One framework running one model on WebGPU, in a process of its own: what it asks of the device in a run, and its output.
// Usage: side.ts (ashlar | tfjs | jax-js) MODEL [software]. Answers its parent with a SideReport.

import { exampleInput } from '../models/example-input.ts';
import { ashlarModel, models } from '../models/index.ts';
import { Net } from '../models/net.ts';
import type { SideReport } from '../webgpu-report.ts';
import { provideWebGpu } from './dawn.ts';

type Run = () => Promise<Float32Array>;

const [side, name, adapter] = process.argv.slice(2) as [string, string, string | undefined];
const model = models[name]!;
const meter = provideWebGpu(adapter === 'software');

/** The model's input as its own builder asks for it. */
function inputShape(): readonly number[] {
  return ashlarModel(model, name).definition.func.parameters.find((parameter) => parameter.name === 'x')!.value.type
    .shape;
}

/** An image that a framework keeps channels last, as the model has it. */
function channelsFirst(image: Float32Array, pixels: number, channels: number): Float32Array {
  return image.map((_, i) => image[(i % pixels) * channels + Math.floor(i / pixels)]!);
}

async function loadTfjs(): Promise<Run> {
  const tf = await import('@tensorflow/tfjs-core');
  await import('@tensorflow/tfjs-backend-webgpu');
  const { TfjsBackend } = await import('./tfjs-net.ts');
  await tf.setBackend('webgpu');
  await tf.ready();
  const weights = new Map();
  let given: import('@tensorflow/tfjs-core').Tensor | null = null;
  const forward = () =>
    tf.tidy(() => {
      const backend = new TfjsBackend(weights, (shape) => (given ??= tf.keep(tf.tidy(() => inputTensor(shape)))));
      return model.build(new Net(backend)).tensor;
    });
  const inputTensor = (shape: readonly number[]) => {
    const values = exampleInput(model, shape);
    const plain = tf.tensor(values, [...shape], values instanceof Int32Array ? 'int32' : 'float32');
    return shape.length === 4 ? tf.transpose(plain, [0, 2, 3, 1]) : plain;
  };
  return async () => {
    const y = forward();
    const output = (await y.data()) as Float32Array;
    const [, height, width, channels] = y.shape;
    y.dispose();
    return channels === undefined ? output : channelsFirst(output, height! * width!, channels);
  };
}

async function loadJax(): Promise<Run> {
  const { init, defaultDevice, jit, numpy: np } = await import('@jax-js/jax');
  const { JaxBackend } = await import('./jax-net.ts');
  const available = await init('webgpu');
  if (!available.includes('webgpu')) throw new Error('jax-js found no WebGPU device');
  defaultDevice('webgpu');
  const weights = new Map<string, import('@jax-js/jax').Array>();
  const shape = inputShape();
  const values = exampleInput(model, shape);
  const given = np.array(values, { shape: [...shape], dtype: values instanceof Int32Array ? np.int32 : np.float32 });
  const forward = jit((x: import('@jax-js/jax').Array) => model.build(new Net(new JaxBackend(weights, x))).array);
  return async () => (await forward(given.ref).data()) as Float32Array;
}

async function loadAshlar(): Promise<Run> {
  const { compileForWebGpu, openDevice } = await import('ashlar');
  const device = await openDevice((globalThis as unknown as { navigator: { gpu: GPU } }).navigator.gpu);
  const { definition } = ashlarModel(model, name);
  const compiled = await compileForWebGpu(definition, { device, freeze: true });
  const x = exampleInput(model, inputShape());
  return async () => (await compiled({ x })).y as Float32Array;
}

const loaders: Readonly<Record<string, () => Promise<Run>>> = {
  ashlar: loadAshlar,
  tfjs: loadTfjs,
  'jax-js': loadJax,
};
const started = performance.now();
const run = await loaders[side]!();
let output = await run();
const firstSeconds = (performance.now() - started) / 1000;
let bestSeconds = Number.POSITIVE_INFINITY;
for (let i = 0; i < 3; i++) {
  meter.reset();
  const began = performance.now();
  output = await run();
  bestSeconds = Math.min(bestSeconds, (performance.now() - began) / 1000);
}
const report: SideReport = { reading: meter.read(), output: Array.from(output), firstSeconds, bestSeconds };
if (process.send === undefined) console.log(side, name, { ...report, output: report.output.slice(0, 4) });
else process.send(report);
process.disconnect?.();
process.exit(0);
