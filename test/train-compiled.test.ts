// The training loop over compiled C: checkpoints on disk, resume bit for bit on one thread, damaged checkpoints.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Dataset, type FitOptions, type FitResult, fit, func, input, nn } from 'ashlar';
import { checkpointFile, compile, StateStore } from 'ashlar/node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readSafetensors, writeSafetensors } from '../src/io/safetensors.ts';
import { bitsOf } from './train-model.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ashlar-checkpoint-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const batchSize = 16;

/** Three arms of a spiral in the plane, one class each. */
function spiral(examples: number): Dataset {
  const x = new Float32Array(examples * 2);
  const y = new Int32Array(examples);
  for (let i = 0; i < examples; i++) {
    const radius = (i + 1) / examples;
    const angle = 4 * radius + (2 * Math.PI * (i % 3)) / 3;
    x.set([radius * Math.cos(angle), radius * Math.sin(angle)], 2 * i);
    y[i] = i % 3;
  }
  return { x: { shape: [examples, 2], data: x }, y: { shape: [examples], data: y } };
}

/** A network with batch statistics, Adam and a schedule: every kind of state that a step can have. */
async function compiled() {
  nn.setSeed(7);
  const x = input('x', [batchSize, 2]);
  const y = input('y', [batchSize], 'i32');
  const model = nn.sequential(
    nn.dense(2, 32, { name: 'hidden' }),
    nn.batchNorm(32, { name: 'norm' }),
    nn.tanh,
    nn.dense(32, 3, { name: 'logits' }),
  );
  const loss = nn.crossEntropy(model(x), y).mean();
  const updates = [...nn.adam(loss, undefined, { lr: 0.02 }), ...model.updates()];
  const state = new StateStore();
  const step = await compile(func({ name: 'spiral', inputs: [x, y], outputs: { loss }, updates }), {
    threads: 1,
    state,
  });
  const logits = model(x, 'infer');
  const outputs = { loss: nn.crossEntropy(logits, y), accuracy: nn.accuracy(logits, y) };
  const evaluate = await compile(func({ name: 'spiral_score', inputs: [x, y], outputs }), { threads: 1, state });
  return { step, evaluate };
}

type Change = Partial<FitOptions>;

async function train(change: Change = {}): Promise<{ result: FitResult; bits: Record<string, string> }> {
  const { step, evaluate } = await compiled();
  const earlyStopping = { metric: 'loss', mode: 'min', patience: 50 } as const;
  const base = { data: spiral(120), batchSize, epochs: 30, seed: 2, validation: 0.2, classes: { y: 3 }, earlyStopping };
  const result = await fit({ step, evaluate, ...base, ...change });
  return { result, bits: bitsOf(step.state) };
}

/** Stops the run as a crash would, after the given number of epochs. */
function crashAfter(epochs: number): Change {
  return {
    onEpoch: ({ epoch }) => {
      if (epoch === epochs) throw new Error('power cut');
    },
  };
}

describe('training in compiled C', () => {
  it('learns the spiral', async () => {
    const { result } = await train({ epochs: 60 });
    expect(result.history.at(-1)!.validation!.accuracy!).toBeGreaterThan(0.9);
  });

  it('resumes from its checkpoint bit for bit, in the middle of an epoch too', async () => {
    const whole = await train();
    // 96 examples are six steps an epoch: checkpoints after every fourth step fall inside epochs.
    for (const checkpointSteps of [undefined, 4]) {
      const checkpoint = checkpointFile(join(folder, `after-${checkpointSteps}.safetensors`));
      const { step, evaluate } = await compiled();
      let steps = 0;
      const failing = Object.assign(
        (inputs: Parameters<typeof step>[0]) => {
          if (steps++ === 77) throw new Error('power cut');
          return step(inputs);
        },
        { state: step.state },
      );
      const options = { checkpoint, ...(checkpointSteps === undefined ? {} : { checkpointSteps }) };
      await expect(train({ ...options, step: failing, evaluate })).rejects.toThrow('power cut');
      const resumed = await train({ ...options, resume: true });
      expect(resumed.result.resumedAtStep).toBe(checkpointSteps === undefined ? 72 : 76);
      expect(resumed.bits).toEqual(whole.bits);
      const timeless = ({ history }: FitResult): unknown => history.map((record) => ({ ...record, seconds: 0 }));
      expect(timeless(resumed.result)).toEqual(timeless(whole.result));
    }
    expect(Object.keys(whole.bits)).toContain('hidden.weight.adam.m');
    expect(Object.keys(whole.bits)).toContain('norm.mean');
  });
});

describe('a checkpoint', () => {
  const path = (): string => join(folder, 'run.safetensors');
  const interrupted = (): Promise<unknown> =>
    expect(train({ checkpoint: checkpointFile(path()), ...crashAfter(2) })).rejects.toThrow('power cut');
  const resuming = (): Promise<unknown> => train({ checkpoint: checkpointFile(path()), resume: true });

  it('is a safetensors file with the weights under their own names, and nothing is left beside it', async () => {
    await interrupted();
    expect(readdirSync(folder)).toEqual(['run.safetensors']);
    const { tensors } = readSafetensors(readFileSync(path()));
    expect(tensors.get('hidden.weight')!.shape).toEqual([2, 32]);
    expect(tensors.get('optimizer.step')!.data[0]).toBe(12);
    expect(tensors.get('best/hidden.weight')!.shape).toEqual([2, 32]);
  });

  it('cut short is refused with its name', async () => {
    await interrupted();
    const bytes = readFileSync(path());
    for (const kept of [0, 5, 100, bytes.length - 1]) {
      writeFileSync(path(), bytes.subarray(0, kept));
      await expect(resuming()).rejects.toThrow(/^the checkpoint .*run\.safetensors.*/);
    }
  });

  it('with one changed bit is refused', async () => {
    await interrupted();
    const bytes = readFileSync(path());
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(path(), bytes);
    await expect(resuming()).rejects.toThrow(/the checkpoint .* is damaged: its checksum is not that of its content/);
  });

  it('that is only weights is refused', async () => {
    writeFileSync(path(), writeSafetensors([['w', { dtype: 'f32', shape: [1], data: Float32Array.of(1) }]]));
    await expect(resuming()).rejects.toThrow(/holds tensors but no training position; was it written by fit\?/);
  });

  it('that cannot be written stops training and says so', async () => {
    writeFileSync(join(folder, 'file'), '');
    const checkpoint = checkpointFile(join(folder, 'file', 'run.safetensors'));
    await expect(train({ checkpoint })).rejects.toThrow(/the checkpoint .* cannot be (written|read)/);
  });
});
