// The training loop over a model written by hand: order of examples, exact evaluation, early stopping, resume, errors.

import { describe, expect, it } from 'vitest';
import { philox4x32 } from '../src/ir/philox.ts';
import { batches, paddedBatches } from '../src/train/batches.ts';
import { checkValues, exampleCount, splitDataset } from '../src/train/dataset.ts';
import { considerEpoch } from '../src/train/early-stopping.ts';
import { evaluate, predict } from '../src/train/evaluate.ts';
import { type Checkpoint, type CheckpointStore, type FitOptions, fit } from '../src/train/fit.ts';
import type { StepFunction, TensorData } from '../src/train/model.ts';
import { parsePosition, printPosition } from '../src/train/position.ts';
import { permutation } from '../src/train/shuffle.ts';
import { bitsOf, linearModel, plane } from './train-model.ts';

const numbers = (count: number): { shape: number[]; data: Int32Array } => ({
  shape: [count],
  data: Int32Array.from({ length: count }, (_, k) => k),
});

/** A store that keeps the last checkpoint, and counts how many were written. */
function memory(): CheckpointStore & { last: Checkpoint | null; written: number } {
  return {
    name: 'memory',
    last: null,
    written: 0,
    read() {
      return this.last;
    },
    write(checkpoint) {
      this.written++;
      this.last = { ...checkpoint, position: parsePosition(printPosition(checkpoint.position)) };
    },
  };
}

describe('Philox 4x32-10', () => {
  it('gives the known answers published with Random123', () => {
    const hex = (words: readonly number[]): string => words.map((word) => word.toString(16).padStart(8, '0')).join(' ');
    const ones = 0xffffffff;
    expect(hex(philox4x32([0, 0, 0, 0], [0, 0]))).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8');
    expect(hex(philox4x32([ones, ones, ones, ones], [ones, ones]))).toBe('408f276d 41c83b0e a20bc7c6 6d5451fd');
    const pi = philox4x32([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]);
    expect(hex(pi)).toBe('d16cfe09 94fdcceb 5001e420 24126ea1');
  });
});

describe('the order of examples', () => {
  it('is a permutation that seed and epoch decide', () => {
    const order = permutation(1000, 7, 'epoch', 3);
    expect([...order].sort((a, b) => a - b)).toEqual([...numbers(1000).data]);
    expect(permutation(1000, 7, 'epoch', 3)).toEqual(order);
    for (const other of [
      permutation(1000, 8, 'epoch', 3),
      permutation(1000, 7, 'epoch', 4),
      permutation(1000, 7, 'split', 3),
    ]) {
      expect(other).not.toEqual(order);
    }
  });

  it('is the same on every platform: these are its first places for seed 1', () => {
    expect([...permutation(10, 1, 'epoch', 0)]).toEqual([8, 0, 1, 3, 6, 7, 9, 4, 5, 2]);
  });

  it('puts every example in every place about equally often', () => {
    const counts = Array.from({ length: 4 }, () => new Uint32Array(4));
    for (let epoch = 0; epoch < 4000; epoch++) {
      permutation(4, 11, 'epoch', epoch).forEach((example, place) => {
        counts[place]![example]!++;
      });
    }
    // A binomial count of 4000 with chance 1/4 has a deviation of 27; five of them bound all sixteen counts.
    for (const row of counts) for (const count of row) expect(Math.abs(count - 1000)).toBeLessThan(137);
  });
});

describe('batches', () => {
  it('of training are full: what does not fill the last one waits for another epoch', () => {
    const given = [...batches({ y: numbers(10) }, { batchSize: 4, seed: 1 })].length;
    const labels: number[] = [];
    for (const { y } of batches({ y: numbers(10) }, { batchSize: 4, seed: 1 })) labels.push(...y!);
    expect(given).toBe(2);
    expect(labels).toEqual([...permutation(10, 1, 'epoch', 0)].slice(0, 8));
  });

  it('carry whole examples, all arrays in the same order', () => {
    const x = { shape: [4, 2], data: Float32Array.of(0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5) };
    for (const batch of batches({ x, y: numbers(4) }, { batchSize: 4, seed: 5 })) {
      expect([...batch.x!]).toEqual([...batch.y!].flatMap((label) => [label, label + 0.5]));
    }
  });

  it('of evaluation hold every example once, and the last is filled up with its last example', () => {
    const rows: number[][] = [];
    for (const { batch, rows: real } of paddedBatches({ y: numbers(5) }, 3)) rows.push([real, ...batch.y!]);
    expect(rows).toEqual([
      [3, 0, 1, 2],
      [2, 3, 4, 4],
    ]);
  });
});

describe('evaluation', () => {
  it('is exact over all examples, whatever the batch size', async () => {
    const data = plane(13);
    const expected = [...data.y!.data].reduce((sum, y) => sum + Math.fround(y * y), 0) / 13;
    for (const batchSize of [1, 4, 13, 50]) {
      const { loss } = await evaluate(linearModel(batchSize).evaluate, data, { batchSize });
      expect(loss).toBeCloseTo(expected, 6);
      const rows = await predict(linearModel(batchSize).evaluate, data, { batchSize });
      expect(rows.loss!.length).toBe(13);
    }
  });

  it('refuses an output without one value per example', async () => {
    const run = (): { loss: Float32Array } => ({ loss: Float32Array.of(1) });
    await expect(evaluate(run, plane(8), { batchSize: 4 })).rejects.toThrow(
      /output 'loss' of the evaluation function has 1 values for a batch of 4 examples; give one value per example/,
    );
  });
});

describe('fit', () => {
  const options = (batchSize = 8): Omit<FitOptions, 'step'> => ({ data: plane(50), batchSize, epochs: 12, seed: 3 });

  it('trains: the loss falls, and the weights are those of the plane', async () => {
    const { step } = linearModel(8);
    const { history } = await fit({ ...options(), epochs: 60, step });
    expect(history.length).toBe(60);
    expect(history.at(-1)!.training.loss!).toBeLessThan(1e-5);
    expect(history.at(-1)!.step).toBe(60 * 6);
    expect(step.state.get('weight')[0]!).toBeCloseTo(2, 2);
  });

  it('shuffles every epoch anew, and the same seed gives the same run', async () => {
    const [first, again] = [linearModel(8), linearModel(8)];
    await fit({ ...options(), epochs: 2, step: first.step });
    await fit({ ...options(), epochs: 2, step: again.step });
    expect(first.seen).toEqual(again.seen);
    expect(first.seen.slice(0, 6)).not.toEqual(first.seen.slice(6));
  });

  it('never trains on what a validation fraction sets aside', async () => {
    const { training, validation } = splitDataset(plane(50), 0.2, 3);
    expect([exampleCount(training), exampleCount(validation)]).toEqual([40, 10]);
    const model = linearModel(8);
    const { history } = await fit({ ...options(), step: model.step, evaluate: model.evaluate, validation: 0.2 });
    const seen = new Set(model.seen.flat());
    expect([...validation.y!.data].filter((label) => seen.has(label))).toEqual([]);
    expect(Object.keys(history[0]!.validation!)).toEqual(['loss', 'close']);
  });

  it('stops early and leaves the state of the best epoch', async () => {
    // Too high a rate: the loss swings, so the last epoch is not the best.
    const model = linearModel(8, 0.5);
    const states: Record<string, string>[] = [];
    const result = await fit({
      ...options(),
      epochs: 100,
      step: model.step,
      evaluate: model.evaluate,
      validation: plane(20),
      earlyStopping: { metric: 'loss', mode: 'min', patience: 2 },
      onEpoch: () => states.push(bitsOf(model.step.state)),
    });
    const losses = result.history.map(({ validation }) => validation!.loss!);
    const best = losses.indexOf(Math.min(...losses));
    expect(result.stoppedEarly).toBe(true);
    expect(result.bestEpoch).toBe(best + 1);
    expect(losses.length).toBe(best + 3);
    expect(bitsOf(model.step.state)).toEqual(states[best]);
    expect(states.at(-1)).not.toEqual(states[best]);
  });

  it('over a device, which answers later, is the same run', async () => {
    const [near, far] = [linearModel(8, 0.5), linearModel(8, 0.5)];
    const later = async <T>(answer: () => T): Promise<T> => {
      await new Promise((resolve) => setTimeout(resolve, 0));
      return answer();
    };
    const distant: StepFunction = Object.assign((inputs: never) => later(() => far.step(inputs)), {
      state: {
        names: () => far.step.state.names(),
        type: (name: string) => far.step.state.type(name),
        get: (name: string) => later(() => far.step.state.get(name)),
        set: (name: string, elements: TensorData) => later(() => far.step.state.set(name, elements)),
      },
    });
    const rule = {
      epochs: 40,
      validation: plane(20),
      earlyStopping: { metric: 'loss', mode: 'min', patience: 2 },
    } as const;
    const checkpoint = memory();
    const first = await fit({ ...options(), ...rule, step: near.step, evaluate: near.evaluate });
    const second = await fit({ ...options(), ...rule, checkpoint, step: distant, evaluate: far.evaluate });
    expect(second.history.map(({ training }) => training)).toEqual(first.history.map(({ training }) => training));
    expect(bitsOf(far.step.state)).toEqual(bitsOf(near.step.state));
    expect(checkpoint.last!.state.weight!.data).toHaveLength(3);
  });

  it('an improvement must exceed minDelta, and may be an increase', () => {
    const rule = { metric: 'accuracy', mode: 'max', patience: 3, minDelta: 0.01 } as const;
    const first = considerEpoch(rule, null, 1, { accuracy: 0.9 });
    expect(considerEpoch(rule, first, 2, { accuracy: 0.905 })).toEqual({ epoch: 1, value: 0.9, waited: 1 });
    expect(considerEpoch(rule, first, 2, { accuracy: 0.92 })).toEqual({ epoch: 2, value: 0.92, waited: 0 });
  });

  it('resumed at any step, goes on bit for bit as if it had not been interrupted', async () => {
    const whole = linearModel(8);
    const validated = { validation: 0.2, earlyStopping: { metric: 'loss', mode: 'min', patience: 3 } } as const;
    const common = { ...options(), ...validated };
    const uninterrupted = await fit({ ...common, step: whole.step, evaluate: whole.evaluate });
    const timeless = (history: typeof uninterrupted.history): unknown =>
      history.map((record) => ({ ...record, seconds: 0 }));
    for (const lastStep of [1, 5, 6, 17]) {
      const store = memory();
      const first = linearModel(8);
      const interrupting = Object.assign(
        (inputs: Parameters<typeof first.step>[0]) => {
          if (first.seen.length === lastStep) throw new Error('power cut');
          return first.step(inputs);
        },
        { state: first.step.state },
      );
      const checkpoints = { ...common, checkpoint: store, checkpointSteps: 1 };
      await expect(fit({ ...checkpoints, step: interrupting, evaluate: first.evaluate })).rejects.toThrow('power cut');
      const second = linearModel(8);
      const resumed = await fit({ ...checkpoints, step: second.step, evaluate: second.evaluate, resume: true });
      expect(resumed.resumedAtStep).toBe(lastStep);
      expect(bitsOf(second.step.state)).toEqual(bitsOf(whole.step.state));
      expect(timeless(resumed.history)).toEqual(timeless(uninterrupted.history));
    }
  });

  it('resumed when it was complete, changes nothing', async () => {
    const store = memory();
    const model = linearModel(8);
    await fit({ ...options(), step: model.step, checkpoint: store });
    expect(store.written).toBe(12);
    const again = linearModel(8);
    const { history, resumedAtStep } = await fit({ ...options(), step: again.step, checkpoint: store, resume: true });
    expect([history.length, resumedAtStep, again.seen.length]).toEqual([12, 72, 0]);
    expect(bitsOf(again.step.state)).toEqual(bitsOf(model.step.state));
  });
});

describe('what is wrong is said', () => {
  const fitting = (change: Partial<FitOptions>): Promise<unknown> =>
    fit({ step: linearModel(8).step, data: plane(50), batchSize: 8, epochs: 2, ...change });

  it('about datasets', async () => {
    const { x } = plane(6) as { x: { shape: number[]; data: Float32Array } };
    await expect(fitting({ data: { x, y: numbers(5) } })).rejects.toThrow(
      /equally many examples: 'x' has 6, 'y' has 5/,
    );
    await expect(fitting({ data: { x: { ...x, shape: [6, 4] } } })).rejects.toThrow(
      /'x' of shape \[6,4\] should hold 24 elements but holds 18/,
    );
    await expect(fitting({ data: {} })).rejects.toThrow(/no arrays/);
    await expect(fitting({ batchSize: 51 })).rejects.toThrow(/a batch of 51 is larger than the 50 examples/);
    await expect(fitting({ batchSize: 0 })).rejects.toThrow(/a batch size is a whole number of at least 1, not 0/);
  });

  it('about labels, by the example', () => {
    const labels = { shape: [4], data: Int32Array.of(0, 9, 10, 1) };
    expect(() => checkValues({ y: labels }, { classes: { y: 10 } })).toThrow(
      "label 10 in example 2 of 'y' is out of range: with 10 classes, labels are 0 to 9",
    );
    const negative = { shape: [2], data: Int32Array.of(3, -1) };
    expect(() => checkValues({ y: negative }, { classes: { y: 10 } })).toThrow(/label -1 in example 1/);
    const holed = { shape: [2, 2], data: Float32Array.of(0, 1, 2, NaN) };
    expect(() => checkValues({ x: holed }, {})).toThrow("dataset array 'x' holds NaN in example 1");
    expect(() => checkValues({ y: labels }, { classes: { label: 10 } })).toThrow(/classes are given for 'label'/);
  });

  it('about a loss that is not finite, by epoch and batch', async () => {
    const { step } = linearModel(8);
    let calls = 0;
    const diverging = Object.assign(
      async (inputs: Parameters<StepFunction>[0]) => (++calls === 9 ? { loss: Float32Array.of(NaN) } : step(inputs)),
      { state: step.state },
    );
    await expect(fitting({ step: diverging })).rejects.toThrow(
      /the loss is NaN in epoch 2, batch 3 of 6 \(step 9\): training has diverged/,
    );
  });

  it('about options that do not go together', async () => {
    const { evaluate: evaluation } = linearModel(8);
    await expect(fitting({ validation: 0.2 })).rejects.toThrow(/validation needs `evaluate`/);
    await expect(fitting({ evaluate: evaluation, validation: 1 })).rejects.toThrow(
      /a validation fraction of 1 leaves 50 of 50/,
    );
    await expect(fitting({ earlyStopping: { metric: 'loss', mode: 'min', patience: 2 } })).rejects.toThrow(
      /early stopping needs `validation`/,
    );
    await expect(fitting({ resume: true })).rejects.toThrow(/`resume` needs `checkpoint`/);
    await expect(fitting({ epochs: 0 })).rejects.toThrow(/epochs is a whole number of at least 1, not 0/);
    await expect(fitting({ loss: 'error' })).rejects.toThrow(
      /should have the scalar output 'error'; it has 'loss' \(1 values\)/,
    );
    const watch = { metric: 'accuracy', mode: 'max', patience: 2 } as const;
    await expect(fitting({ evaluate: evaluation, validation: 0.2, earlyStopping: watch })).rejects.toThrow(
      /early stopping watches 'accuracy', but the evaluation function gives only loss, close/,
    );
  });

  it('about a checkpoint of another run or another model', async () => {
    const store = memory();
    await fitting({ checkpoint: store });
    await expect(fitting({ checkpoint: store, resume: true, seed: 4 })).rejects.toThrow(
      /memory was written by a run with seed 0, this one has 4; a run is resumed with the same/,
    );
    const { bias, ...others } = store.last!.state;
    store.last = { ...store.last!, state: { ...others, velocity: bias! } };
    await expect(fitting({ checkpoint: store, resume: true })).rejects.toThrow(
      /memory belongs to another model or optimizer: it lacks bias; it has velocity, which the training step does not know/,
    );
    store.last = { ...store.last, state: { ...others, bias: { ...bias!, type: { dtype: 'f32', shape: [1] } } } };
    await expect(fitting({ checkpoint: store, resume: true })).rejects.toThrow(
      /'bias' is f32\[1\] there and f32\[\] in the training step/,
    );
  });
});
