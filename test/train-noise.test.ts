// Dropout and noise as layers: what they do in training and in inference, anew in every step and at every place, the same on
// every target, and after a checkpoint what they would have done.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { fit, func, input, nn, ones, type StepFunction } from '../src/index.ts';
import { checkpointFile } from '../src/node.ts';
import { type CompileTargetOptions, compile } from '../src/runtime/compile.ts';
import { expectClose } from './helpers/close.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

const device = await testDevice();
const folder = mkdtempSync(join(tmpdir(), 'ashlar-noise-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('dropout', () => {
  it('is nothing in inference, and at a rate of 0', async () => {
    const x = input('x', [3, 4]);
    const layer = nn.dropout(0.5);
    expect(layer(x, 'infer')).toBe(x);
    expect([...layer.updates()]).toEqual([]);
    const run = await compile(func({ inputs: [x], outputs: { y: nn.dropout(0)(x) } }), { target: 'js' });
    const elements = Float32Array.from({ length: 12 }, (_, i) => i);
    expect(Array.from(run({ x: elements }).y)).toEqual(Array.from(elements));
  });

  it('drops others in every step, at every place and in every layer, and counts steps in its state', async () => {
    const layers = [nn.dropout(0.5, { seed: 3, name: 'a' }), nn.dropout(0.5, { seed: 4, name: 'b' })] as const;
    const x = ones([200]);
    const outputs = { first: layers[0](x), again: layers[0](x), other: layers[1](x) };
    const updates = layers.flatMap((layer) => [...layer.updates()]);
    const run = await compile(func({ inputs: [], outputs, updates }), { target: 'js' });
    const masks = [run({}), run({})].flatMap((found) => Object.values(found).map((mask) => mask.join()));
    expect(new Set(masks).size).toBe(6);
    expect(run.state.names()).toEqual(['a.step', 'b.step']);
    expect(Number(run.state.get('a.step')[0])).toBe(2);
  });

  it('without updates drops the same in every step', async () => {
    const run = await compile(func({ inputs: [], outputs: { y: nn.dropout(0.5)(ones([200])) } }), { target: 'js' });
    expect(Array.from(run({}).y)).toEqual(Array.from(run({}).y));
  });

  it('refuses a rate that is none', () => {
    expect(() => nn.dropout(1)).toThrow('dropout: a rate of at least 0 and below 1 expected, 1 given');
    expect(() => nn.gaussianNoise(-1)).toThrow('gaussianNoise: a deviation of at least 0 expected, -1 given');
  });
});

describe('gaussianNoise', () => {
  it('has its deviation, in training only', async () => {
    const x = input('x', [10_000]);
    const layer = nn.gaussianNoise(0.1, { seed: 5 });
    expect(layer(x, 'infer')).toBe(x);
    const run = await compile(func({ inputs: [x], outputs: { y: layer(x) } }), { target: 'js' });
    const { y } = run({ x: new Float32Array(10_000).fill(2) });
    const mean = y.reduce((sum, value) => sum + value, 0) / 10_000;
    const variance = y.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 10_000;
    expectClose([mean, Math.sqrt(variance)], [2, 0.1], 3e-3);
  });
});

/** A network with dropout and noise learns a sum; the model is the same however often it is made. */
async function training(options: CompileTargetOptions) {
  nn.resetNames();
  nn.setSeed(21);
  const x = input('x', [16, 8]);
  const y = input('y', [16]);
  const model = nn.sequential(nn.gaussianNoise(0.05), nn.dense(8, 32), nn.relu, nn.dropout(0.3), nn.dense(32, 1));
  const loss = nn.squaredError(model(x).reshape([16]), y).mean();
  const updates = [...nn.adam(loss, undefined, { lr: 0.01 }), ...model.updates()];
  return compile(func({ inputs: [x, y], outputs: { loss }, updates }), options);
}

const examples = 64;
const sums = Float32Array.from({ length: examples * 8 }, (_, i) => ((i * 7919) % 17) / 17 - 0.5);
const data = {
  x: { shape: [examples, 8], data: sums },
  y: {
    shape: [examples],
    data: Float32Array.from({ length: examples }, (_, i) =>
      sums.subarray(8 * i, 8 * i + 8).reduce((sum, value) => sum + value, 0),
    ),
  },
};

describe('training', () => {
  const losses = async (options: CompileTargetOptions): Promise<number[]> => {
    const step = await training(options);
    const { history } = await fit({ step, data, batchSize: 16, epochs: 4, seed: 1 });
    return history.map(({ training: { loss } }) => loss!);
  };

  it(titleOf('has the same losses on every target', device), async () => {
    const expected = await losses({ target: 'js' });
    expectClose(await losses({ target: 'c' }), expected, 1e-5);
    if (typeof device !== 'string') expectClose(await losses({ target: 'wgsl' }), expected, 1e-5);
  });

  it('goes on from a checkpoint bit for bit', async () => {
    const run = async (path: string, epochs: readonly number[]) => {
      for (const until of epochs) {
        const step = await training({ target: 'js' });
        const checkpoint = checkpointFile(join(folder, path));
        await fit({ step, data, batchSize: 16, epochs: until, seed: 1, checkpoint, resume: true });
        const { state } = step as StepFunction;
        if (until === 4)
          return Promise.all(state.names().map(async (name) => [name, Array.from(await state.get(name), Number)]));
      }
      return [];
    };
    expect(await run('two-runs', [2, 4])).toEqual(await run('one-run', [4]));
  });
});
