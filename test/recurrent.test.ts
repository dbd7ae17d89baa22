// Recurrent layers: each cell against its equations, written out over numbers; scans of them, with lengths and backwards; and training
// steps on every target against the reference.

import { type AnyTensor, func, grad, input, interpret, nn, type WebGpuDevice } from 'ashlar';
import { compile } from 'ashlar/node';
import { beforeEach, describe, expect, it } from 'vitest';
import { expectClose } from './helpers/close.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

const [time, batch, inputs, hidden] = [5, 2, 3, 4];
const x = input('x', [time, batch, inputs]);
const values = Float64Array.from({ length: time * batch * inputs }, (_, i) => Math.sin(1 + 1.7 * i));
const kinds = { rnn: nn.rnn, lstm: nn.lstm, gru: nn.gru };
type Kind = keyof typeof kinds;

beforeEach(() => {
  nn.resetNames();
  nn.setSeed(3);
});

const sigmoid = (value: number) => 1 / (1 + Math.exp(-value));

/** One step of one row over numbers. */
type Step = (x: readonly number[], h: readonly number[], c: readonly number[]) => { h: number[]; c: number[] };

function byHand(kind: Kind, layer: nn.Recurrent): Step {
  const [weight, recurrent, bias] = layer.variables.map((variable) => Array.from(variable.initial()));
  const width = bias!.length;
  const dot = (row: readonly number[], matrix: readonly number[], column: number) =>
    row.reduce((sum, value, i) => sum + value * matrix[i * width + column]!, 0);
  const units = Array.from({ length: hidden }, (_, unit) => unit);
  const given = (x: readonly number[], h: readonly number[], unit: number, gate: number) => {
    const column = gate * hidden + unit;
    return dot(x, weight!, column) + dot(h, recurrent!, column) + bias![column]!;
  };
  if (kind === 'rnn') return (x, h) => ({ h: units.map((unit) => Math.tanh(given(x, h, unit, 0))), c: [] });
  if (kind === 'lstm')
    return (x, h, c) => {
      const next = units.map(
        (unit) =>
          sigmoid(given(x, h, unit, 0)) * c[unit]! + sigmoid(given(x, h, unit, 1)) * Math.tanh(given(x, h, unit, 3)),
      );
      return { h: units.map((unit) => sigmoid(given(x, h, unit, 2)) * Math.tanh(next[unit]!)), c: next };
    };
  return (x, h) => {
    const reset = units.map((unit) => sigmoid(given(x, h, unit, 1)) * h[unit]!);
    const step = (unit: number) => {
      const update = sigmoid(given(x, h, unit, 0));
      return (1 - update) * h[unit]! + update * Math.tanh(given(x, reset, unit, 2));
    };
    return { h: units.map(step), c: [] };
  };
}

/** Outputs `[time, batch, hidden]` of all steps in an order. */
function unrolledByHand(
  kind: Kind,
  layer: nn.Recurrent,
  order: readonly number[],
  lengths?: readonly number[],
): number[] {
  const step = byHand(kind, layer);
  const outputs = new Array<number>(time * batch * hidden).fill(0);
  for (let row = 0; row < batch; row++) {
    let state = { h: new Array<number>(hidden).fill(0), c: new Array<number>(hidden).fill(0) };
    for (const t of order) {
      if (lengths !== undefined && t >= lengths[row]!) continue;
      const start = (t * batch + row) * inputs;
      state = step(Array.from(values.subarray(start, start + inputs)), state.h, state.c);
      state.h.forEach((value, unit) => {
        outputs[(t * batch + row) * hidden + unit] = value;
      });
    }
  }
  return outputs;
}

const device = await testDevice();

const forwards = [0, 1, 2, 3, 4];

describe.each(Object.keys(kinds) as Kind[])('%s', (kind) => {
  const made = () => kinds[kind](inputs, hidden, { recurrentInitializer: nn.initializers.uniform(-1, 1) });

  it('steps by its equations', () => {
    const layer = made();
    expectClose(interpret({ y: layer(x) }, { x: values }).y.data, unrolledByHand(kind, layer, forwards), 1e-12);
  });

  it('runs backwards, and each row for as long as it is', () => {
    const layer = made();
    const back = layer.unroll(x, { reverse: true }).outputs;
    const expected = unrolledByHand(kind, layer, forwards.toReversed());
    expectClose(interpret({ y: back }, { x: values }).y.data, expected, 1e-12);
    const lengths = input('lengths', [batch], 'i32');
    const { outputs, last } = layer.unroll(x, { lengths });
    const found = interpret({ outputs, last: last.h }, { x: values, lengths: [5, 3] });
    const short = unrolledByHand(kind, layer, forwards, [5, 3]);
    expectClose(found.outputs.data, short, 1e-12);
    const lastOf = (row: number, t: number) => short.slice((t * batch + row) * hidden).slice(0, hidden);
    expectClose(found.last.data, [...lastOf(0, 4), ...lastOf(1, 2)], 1e-12);
  });

  it('goes on from the state where another sequence ended, and can be stepped by hand', () => {
    const layer = made();
    const [head, tail] = [input('head', [2, batch, inputs]), input('tail', [1, batch, inputs])];
    const first = layer.unroll(head);
    const second = layer.unroll(tail, { initial: first.last }).outputs;
    const stepped = layer.cell.step(first.last, input('xt', [batch, inputs])).h;
    const rows = batch * inputs;
    const given = {
      head: values.slice(0, 2 * rows),
      tail: values.slice(2 * rows, 3 * rows),
      xt: values.slice(2 * rows, 3 * rows),
    };
    const found = interpret({ second, stepped }, given);
    const expected = unrolledByHand(kind, layer, forwards).slice(2 * batch * hidden, 3 * batch * hidden);
    expectClose(found.second.data, expected, 1e-12);
    expectClose(found.stepped.data, expected, 1e-12);
  });

  it('has gradients that differences confirm', () => {
    const layer = made();
    const loss: AnyTensor = layer(x).square().sum();
    const slopes = interpret(
      Object.fromEntries(grad(loss, [...layer.variables]).map((slope, i) => [String(i), slope])) as Record<
        string,
        AnyTensor
      >,
      { x: values },
    );
    layer.variables.forEach((variable, i) => {
      const at = Float64Array.from(variable.initial());
      for (const element of [0, at.length - 1]) {
        const [above, below] = [1e-5, -1e-5].map((change) => {
          const moved = at.map((value, j) => (j === element ? value + change : value));
          return Number(interpret({ loss }, { x: values, [variable.name]: moved }).loss.data[0]);
        });
        expect(Number(slopes[String(i)]!.data[element])).toBeCloseTo((above! - below!) / 2e-5, 6);
      }
    });
  });

  it.each(['c', 'js'] as const)('trains on %s as the reference does', async (target) => {
    const layer = made();
    const loss = layer(x).square().sum();
    const updates = nn.sgd(loss, layer.variables, { lr: 0.1 });
    const run = await compile(func({ inputs: [x], outputs: { loss }, updates }), { target });
    const expected = interpret({ loss, next: updates[0]![1] }, { x: values });
    expectClose(run({ x: Float32Array.from(values) }).loss, expected.loss.data, 1e-5);
    expectClose(run.state.get(layer.variables[0]!.name) as Float32Array, expected.next.data, 1e-5);
  });

  it.skipIf(typeof device === 'string')(titleOf('trains on WebGPU as the reference does', device), async () => {
    const layer = made();
    const loss = layer(x).square().sum();
    const updates = nn.sgd(loss, layer.variables, { lr: 0.1 });
    const run = await compile(func({ inputs: [x], outputs: { loss }, updates }), { device: device as WebGpuDevice });
    const expected = interpret({ loss, next: updates[0]![1] }, { x: values });
    expectClose((await run({ x: Float32Array.from(values) })).loss, expected.loss.data, 1e-5);
    expectClose((await run.state.get(layer.variables[0]!.name)) as Float32Array, expected.next.data, 1e-5);
  });
});

it('has the sizes, names and first values that its kind has', () => {
  const described = ({ variables }: nn.Layer) => variables.map(({ name, shape }) => [name, shape]);
  expect(described(nn.lstm(3, 4))).toEqual([
    ['lstm1.weight', [3, 16]],
    ['lstm1.recurrent', [4, 16]],
    ['lstm1.bias', [16]],
  ]);
  expect(described(nn.gru(3, 4))[0]).toEqual(['gru1.weight', [3, 12]]);
  expect(described(nn.rnn(3, 4, { name: 'memory' }))[2]).toEqual(['memory.bias', [4]]);
  const [, , bias] = nn.lstm(3, 2).variables;
  expect(Array.from(bias!.initial())).toEqual([1, 1, 0, 0, 0, 0, 0, 0]);
  expect(() => nn.lstm(5, 2)(x)).toThrow('lstm3(x: f32[5,2,3]): sequences [time, batch, 5] expected');
});
