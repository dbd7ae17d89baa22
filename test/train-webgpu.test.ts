// The training loop on a WebGPU device: it learns, resumes from its checkpoint bit for bit, and reads nothing back but what
// is asked for.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Dataset, evaluate, type FitOptions, fit, func, input, nn, predict, type WebGpuDevice } from 'ashlar';
import { checkpointFile, compile, StateStore } from 'ashlar/node';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { expectClose } from './helpers/close.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

const device = await testDevice();
const gpu = device as WebGpuDevice;
const batchSize = 16;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ashlar-webgpu-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Points in the plane and the half that they lie in. */
function halves(examples: number): Dataset {
  const x = Float32Array.from({ length: 2 * examples }, (_, i) => Math.sin(1 + i * 12.9898));
  const y = Int32Array.from({ length: examples }, (_, i) => (x[2 * i]! + x[2 * i + 1]! > 0 ? 1 : 0));
  return { x: { shape: [examples, 2], data: x }, y: { shape: [examples], data: y } };
}

function definitions() {
  nn.resetNames();
  nn.setSeed(7);
  const x = input('x', [batchSize, 2]);
  const y = input('y', [batchSize], 'i32');
  const model = nn.sequential(nn.dense(2, 16), nn.batchNorm(16), nn.tanh, nn.dense(16, 2));
  const logits = model(x);
  const loss = nn.crossEntropy(logits, y).mean();
  const updates = [...nn.adam(loss, undefined, { lr: 0.02 }), ...model.updates()];
  const answers = model(x, 'infer');
  return {
    step: func({ name: 'step', inputs: [x, y], outputs: { loss, logits }, updates }),
    score: func({
      name: 'score',
      inputs: [x, y],
      outputs: { loss: nn.crossEntropy(answers, y), accuracy: nn.accuracy(answers, y) },
    }),
    read: func({ name: 'read', inputs: [x], outputs: { p: nn.softmax(answers) } }),
  };
}

async function compiled() {
  const { step: trained, score, read } = definitions();
  const step = await compile(trained, { target: 'wgsl', device: gpu });
  const { state } = step;
  return { step, evaluate: await compile(score, { state }), read: await compile(read, { state }) };
}

const options = {
  data: halves(80),
  batchSize,
  epochs: 4,
  seed: 2,
  validation: 0.2,
  classes: { y: 2 },
  earlyStopping: { metric: 'loss', mode: 'min', patience: 50 },
} as const satisfies Partial<FitOptions>;

async function states(state: StateStore | { names(): string[] }): Promise<Record<string, number[]>> {
  const copy = state instanceof StateStore ? state : await StateStore.copyOf(state as StateStore);
  return Object.fromEntries(copy.names().map((name) => [name, Array.from(copy.get(name), Number)]));
}

describe.skipIf(typeof device === 'string')(titleOf('training on WebGPU', device), () => {
  afterAll(() => gpu.destroy());

  it('learns as in C, and evaluate and predict agree with C on what it learnt', async () => {
    const { step, evaluate: score, read } = await compiled();
    const inC = definitions();
    const stepInC = await compile(inC.step, { target: 'c' });
    const { history } = await fit({ ...options, step, evaluate: score });
    const scoreInC = await compile(inC.score, { state: stepInC.state });
    const wanted = await fit({ ...options, step: stepInC, evaluate: scoreInC });
    expect(history.at(-1)!.training.loss).toBeLessThan(history[0]!.training.loss!);
    expect(history.at(-1)!.training.loss! / wanted.history.at(-1)!.training.loss!).toBeCloseTo(1, 2);
    const state = await StateStore.copyOf(step.state);
    const sameInC = await compile(inC.score, { target: 'c', state });
    const asked = { batchSize, classes: { y: 2 } };
    const [found, known] = [await evaluate(score, halves(40), asked), await evaluate(sameInC, halves(40), asked)];
    expect(found.loss! / known.loss!).toBeCloseTo(1, 4);
    const { p } = await predict(read, { x: halves(40).x! }, { batchSize });
    const readInC = await compile(inC.read, { target: 'c', state });
    expectClose(p!, (await predict(readInC, { x: halves(40).x! }, { batchSize })).p!, 1e-4);
  });

  it('resumes from its checkpoint bit for bit', async () => {
    const whole = await compiled();
    const finished = await fit({ ...options, ...whole });
    const checkpoint = checkpointFile(join(folder, 'run.safetensors'));
    const broken = await compiled();
    let steps = 0;
    const failing = Object.assign(
      (inputs: Parameters<typeof broken.step>[0]) => {
        if (steps++ === 7) throw new Error('power cut');
        return broken.step(inputs);
      },
      { state: broken.step.state },
    );
    const again = { ...options, checkpoint, checkpointSteps: 3 };
    await expect(fit({ ...again, step: failing, evaluate: broken.evaluate })).rejects.toThrow('power cut');
    const resumed = await compiled();
    const { history, resumedAtStep } = await fit({ ...again, ...resumed, resume: true });
    expect(resumedAtStep).toBe(6);
    expect(await states(resumed.step.state)).toEqual(await states(whole.step.state));
    expect(history.map(({ training }) => training)).toEqual(finished.history.map(({ training }) => training));
  });

  it('reads scalars alone from the device, and states for a checkpoint alone', async () => {
    const { step } = await compiled();
    const readback = vi.spyOn(gpu, 'readbackBuffer');
    const { data, seed, epochs } = options;
    await fit({ step, data, seed, epochs, batchSize });
    // One buffer for the loss, used again in each step; the logits stay where they are.
    expect(readback.mock.calls).toEqual([[4]]);
    await fit({ step, data, seed, epochs: 1, batchSize, checkpoint: checkpointFile(join(folder, 'one.safetensors')) });
    expect(readback.mock.calls.length).toBe(1 + step.state.names().length);
    readback.mockRestore();
  });

  it('a loss that is no scalar is refused before the first step', async () => {
    const { step } = await compiled();
    await expect(
      fit({ ...options, validation: undefined, earlyStopping: undefined, step, loss: 'logits' }),
    ).rejects.toThrow(
      "the training step should have the scalar output 'logits'; it has 'loss' (1 values), 'logits' (32 values)",
    );
  });
});
