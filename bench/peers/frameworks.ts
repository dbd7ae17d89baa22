// The frameworks that run a model on WebGPU, each as a function that makes it ready and gives what runs it.

import { exampleInput } from '../models/example-input.ts';
import { ashlarModel, type Model, models } from '../models/index.ts';
import { Net } from '../models/net.ts';
import type { KernelTime } from '../turns.ts';
import type { Side } from '../webgpu-report.ts';

/** A model that is ready to run on its example input. */
export interface Loaded {
  /** Runs it once; resolves to the output, on the host. */
  run(): Promise<Float32Array>;
  /** Has it run once, without reading the output; everything is with the device when it resolves. */
  submit(): Promise<void>;
  /** The device's own time of each kernel of a run, where the framework tells it. */
  kernels?(): Promise<readonly KernelTime[]>;
}

/** The model's input as its own builder asks for it. */
function inputShape(model: Model, name: string): readonly number[] {
  return ashlarModel(model, name).definition.func.parameters.find((parameter) => parameter.name === 'x')!.value.type
    .shape;
}

/** An image that a framework keeps channels last, as the model has it. */
function channelsFirst(image: Float32Array, pixels: number, channels: number): Float32Array {
  return image.map((_, i) => image[(i % pixels) * channels + Math.floor(i / pixels)]!);
}

async function loadTfjs(model: Model): Promise<Loaded> {
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
  return {
    async run() {
      const y = forward();
      const output = (await y.data()) as Float32Array;
      const [, height, width, channels] = y.shape;
      y.dispose();
      return channels === undefined ? output : channelsFirst(output, height! * width!, channels);
    },
    async submit() {
      forward().dispose();
      // What it does before it reads an output.
      const backend = tf.backend() as import('@tensorflow/tfjs-backend-webgpu').WebGPUBackend;
      backend.ensureCommandEncoderReady();
      backend.endComputePassEncoder();
      backend.submitQueue();
    },
  };
}

async function loadJax(model: Model, name: string): Promise<Loaded> {
  const { init, defaultDevice, jit, numpy: np } = await import('@jax-js/jax');
  const { JaxBackend } = await import('./jax-net.ts');
  const available = await init('webgpu');
  if (!available.includes('webgpu')) throw new Error('jax-js found no WebGPU device');
  defaultDevice('webgpu');
  const weights = new Map<string, import('@jax-js/jax').Array>();
  const shape = inputShape(model, name);
  const values = exampleInput(model, shape);
  const given = np.array(values, { shape: [...shape], dtype: values instanceof Int32Array ? np.int32 : np.float32 });
  const forward = jit((x: import('@jax-js/jax').Array) => model.build(new Net(new JaxBackend(weights, x))).array);
  return {
    run: async () => (await forward(given.ref).data()) as Float32Array,
    submit: async () => (await forward(given.ref).blockUntilReady()).dispose(),
  };
}

async function loadAshlar(model: Model, name: string): Promise<Loaded> {
  const { compileForWebGpu, openDevice } = await import('ashlar');
  const { gpu } = (globalThis as unknown as { navigator: { gpu: GPU } }).navigator;
  const device = await openDevice(gpu, { kernels: 'card' });
  const { definition } = ashlarModel(model, name);
  const compiled = await compileForWebGpu(definition, { device, freeze: true });
  const x = exampleInput(model, inputShape(model, name));
  return {
    run: async () => (await compiled({ x })).y as Float32Array,
    submit: async () => void (await compiled({ x }, { outputs: [] })),
    kernels: () => compiled.profile(),
  };
}

const loaders: Readonly<Record<Side, (model: Model, name: string) => Promise<Loaded>>> = {
  ashlar: loadAshlar,
  tfjs: loadTfjs,
  'jax-js': loadJax,
};

/** The model on one framework; navigator.gpu has to be there (dawn.ts). */
export function load(side: Side, name: string): Promise<Loaded> {
  return loaders[side](models[name]!, name);
}
