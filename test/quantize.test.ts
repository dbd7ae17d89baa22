// Post-training quantization: what integers stand for, that every target sums them exactly, and what is refused.

import { afterAll, describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import type { Func } from '../src/ir/graph.ts';
import { builder } from '../src/ir/ops/index.ts';
import { parseFunc } from '../src/ir/text.ts';
import { type DType, sizeOf } from '../src/ir/types.ts';
import { func } from '../src/lang/func.ts';
import { input, variable } from '../src/lang/variable.ts';
import * as nn from '../src/nn/index.ts';
import { bindStates } from '../src/passes/bind-states.ts';
import { cpuMachine } from '../src/passes/cpu.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { activationScale } from '../src/passes/quantize.ts';
import { type CpuName, targets } from '../src/passes/schedule.ts';
import { arrayFrom, type TypedArray } from '../src/runtime/arrays.ts';
import { compile } from '../src/runtime/compile.ts';
import type { Definition } from '../src/runtime/definition.ts';
import { quantize, quantizeWeights } from '../src/runtime/quantize.ts';
import { StateStore } from '../src/runtime/state.ts';
import { compileForWebGpu } from '../src/runtime/webgpu/compile.ts';
import type { WebGpuDevice } from '../src/runtime/webgpu/device.ts';
import { expectClose } from './helpers/close.ts';
import { together } from './helpers/differential.ts';
import { interpretProgram } from './helpers/interpret-program.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

const device = await testDevice();
const gpu = device as WebGpuDevice;
afterAll(() => gpu.destroy?.());
const cpus: readonly CpuName[] = ['x86-64-v4', 'x86-64-v3', 'plain', 'scalar'];

/** Contractions of bytes by constant ones of every kind, with sums as results: exact on any target. */
const weights = (count: number): string => Array.from({ length: count }, (_, i) => ((i * 7919) % 255) - 127).join(',');
const conv = (image: string, kernel: string, attrs: string, dtype = 'u8', zero = 0): string => {
  const shape = kernel.split(',').map(Number);
  const centred = zero === 0 ? '%wide' : '%centred';
  const spread = `%zero = constant() {dtype=i32, shape=[${image}], data=[${zero}]}\n %centred = sub(%wide, %zero)`;
  return `func @f(%x: ${dtype}[${image}]) {
    %w = constant() {dtype=i8, shape=[${kernel}], data=[${weights(sizeOf(shape))}]}
    %wide = cast(%x) {dtype=i32}
    ${zero === 0 ? '' : spread}
    %k = cast(%w) {dtype=i32}
    %y = conv(${centred}, %k) {${attrs}}
    return y = %y
  }`;
};
const plain = 'lhsDilation=[1,1], rhsDilation=[1,1]';
const cases: Readonly<Record<string, string>> = {
  'three by three': conv('1,16,5,5', '32,16,3,3', `strides=[1,1], padding=[[1,1],[1,1]], ${plain}, groups=1`),
  'with a zero point': conv(
    '1,16,5,5',
    '32,16,3,3',
    `strides=[1,1], padding=[[1,1],[1,1]], ${plain}, groups=1`,
    'u8',
    93,
  ),
  'of bytes with sign': conv('1,16,5,5', '24,16,3,3', `strides=[1,1], padding=[[0,1],[1,0]], ${plain}, groups=1`, 'i8'),
  'of three channels with strides': conv(
    '2,3,11,9',
    '17,3,5,4',
    `strides=[2,2], padding=[[2,2],[1,1]], ${plain}, groups=1`,
    'u8',
    7,
  ),
  'in groups': conv('1,12,5,5', '32,6,3,3', `strides=[1,1], padding=[[1,1],[1,1]], ${plain}, groups=2`, 'u8', 128),
  'with gaps between taps': conv(
    '1,8,6,6',
    '16,8,3,3',
    'strides=[1,1], padding=[[2,2],[2,2]], lhsDilation=[1,1], rhsDilation=[2,2], groups=1',
  ),
  'one tap of many channels': conv(
    '1,70,3,2',
    '40,70,1,1',
    `strides=[1,1], padding=[[0,0],[0,0]], ${plain}, groups=1`,
    'u8',
    1,
  ),
  'of a row': conv('1,5,1,30', '16,5,1,7', `strides=[1,1], padding=[[0,0],[3,3]], ${plain}, groups=1`),
  'a matrix': `func @f(%x: u8[5,130]) {
    %w = constant() {dtype=i8, shape=[130,48], data=[${weights(130 * 48)}]}
    %wide = cast(%x) {dtype=i32}
    %k = cast(%w) {dtype=i32}
    %y = dot(%wide, %k) {contract=[[1],[0]], batch=[[],[]]}
    return y = %y
  }`,
};

const bytes = (type: { dtype: DType; shape: readonly number[] }): TypedArray =>
  arrayFrom(
    type,
    Float64Array.from(
      { length: sizeOf(type.shape) },
      (_, i) => ((i * 104_729) % 256) - (type.dtype === 'i8' ? 128 : 0),
    ),
  );

function reference(func: Func, x: TypedArray): number[] {
  const { type } = func.parameters[0]!.value;
  return Array.from(evaluateFunc(func, [{ type, data: Float64Array.from(x as Uint8Array) }])[0]!.data);
}

const graphs = Object.values(cases).map((text) => parseFunc(text));
const inputs = graphs.map((graph) => bytes(graph.parameters[0]!.value.type));
const sums = graphs.map((graph, i) => reference(graph, inputs[i]!));
const all = together(
  graphs.map((graph, i) => {
    const { type } = graph.parameters[0]!.value;
    return { func: graph, inputs: [{ type, data: Float64Array.from(inputs[i] as Uint8Array) }] };
  }),
);
const definition = { func: all.func, variables: [] } as Definition<
  Record<string, TypedArray>,
  Record<string, TypedArray>
>;
const given = Object.fromEntries(inputs.map((x, i) => [`c${i}_x`, x]));

function expectSums(found: Readonly<Record<string, ArrayLike<unknown>>>): void {
  for (const [i, title] of Object.keys(cases).entries()) expect(Array.from(found[`c${i}_y`]!), title).toEqual(sums[i]);
}

describe('contractions of bytes', () => {
  it.each(cpus)('are exact in C for %s', async (cpu) => {
    const run = await compile(definition, { target: 'c', cpu }).catch((error) => {
      if (/does not run on this machine/.test(error.message)) return null;
      throw error;
    });
    if (run === null) return;
    expectSums(run(given));
    expect(
      (run.source.match(/^ASH_KERNEL .*\n(?:.*\n)*?\}/gm) ?? []).filter((text) => /ash_dot4/.test(text)).length,
    ).toBe(cpu === 'scalar' ? 0 : graphs.length);
  });

  it('are exact in kernels as they are interpreted', () => {
    const program = compileToProgram(all.func, { machine: cpuMachine(targets.plain) });
    const memory = new Map(Object.entries(given).map(([name, x]) => [name, Float64Array.from(x as Uint8Array)]));
    expectSums(Object.fromEntries(interpretProgram(program, memory)));
  });

  it('are exact in JavaScript', async () => {
    expectSums((await compile(definition, { target: 'js' }))(given));
  });

  it.skipIf(typeof device === 'string')(titleOf('are exact on a device', device), async () => {
    const run = await compileForWebGpu(definition, { device: gpu });
    expectSums(await run(given));
  });
});

describe('the scale of activations', () => {
  it('covers the range and 0, with 0 an integer', () => {
    expect(activationScale({ min: 0, max: 255 })).toEqual({ scale: 1, zero: 0 });
    expect(activationScale({ min: 3, max: 510 })).toEqual({ scale: 2, zero: 0 });
    expect(activationScale({ min: -1, max: 1 })).toMatchObject({ zero: 127 });
    expect(activationScale({ min: -510, max: -3 })).toEqual({ scale: 2, zero: 255 });
    expect(activationScale({ min: 0, max: 0 })).toEqual({ scale: 1, zero: 0 });
  });

  it('is the same for ranges that differ in their last digits', () => {
    expect(activationScale({ min: 0, max: 6.0000005 })).toEqual(activationScale({ min: 0, max: 6.0000001 }));
  });
});

function model() {
  nn.resetNames();
  nn.setSeed(5);
  const network = nn.sequential(
    nn.conv2d(3, 16, 3, { padding: 'same' }),
    nn.relu,
    nn.conv2d(16, 16, 3, { padding: 'same', groups: 16 }),
    nn.conv2d(16, 32, 1),
    nn.gelu,
    nn.flatten(),
    nn.dense(32 * 36, 10),
  );
  const x = input('x', [2, 3, 6, 6]);
  return func({ name: 'model', inputs: [x], outputs: { y: network(x, 'infer') } });
}

const call = (seed: number): { x: Float32Array } => ({
  x: Float32Array.from({ length: 216 }, (_, i) => Math.sin(i * seed)),
});
const calibration = [1, 2, 3, 4].map(call);

describe('quantize', () => {
  it('makes integers of layers, says which stay, and is near the original on every target', async () => {
    const original = model();
    const { definition, weights: report } = await quantize(original, { calibration });
    expect(report.map(({ dtype, reason }) => `${dtype} ${reason}`)).toEqual([
      'i8 null',
      'f32 fewer than 256 elements',
      'i8 null',
      'i8 null',
    ]);
    const values = new Map(definition.variables.map((one) => [one.name, one]));
    const bound = bindStates(definition.func, builder, (name) => values.get(name)!.initial());
    const [expected] = evaluateFunc(bound, [
      { type: bound.parameters[0]!.value.type, data: Float64Array.from(call(2).x) },
    ]);
    const exact = (await compile(original, { target: 'js', freeze: true }))(call(2)).y;
    expectClose(expected!.data, exact, 0.05);
    for (const target of ['c', 'js'] as const) {
      const run = await compile(definition, { target, freeze: true });
      // A sum that lies between two integers may be rounded to either.
      expectClose(run(call(2)).y, expected!.data, 5e-3);
    }
  });

  it('gives a channel of zeros, ranges from 0 on and states that are updated their due', async () => {
    const w = variable('w', [32, 16], {
      initial: Array.from({ length: 512 }, (_, i) => (i % 16 === 3 ? 0 : Math.cos(i))),
    });
    const count = variable('count', [], { initial: 0 });
    const x = input('x', [1, 32]);
    const counted = func({ name: 'c', inputs: [x], outputs: { y: x.matmul(w) }, updates: [[count, count.add(1)]] });
    const { definition } = await quantize(counted, { calibration: [{ x: new Float32Array(32).fill(1) }] });
    expect(definition.func.parameters.map(({ name, role }) => `${role} ${name}`)).toEqual([
      'input x',
      'state count',
      'weight w.i8',
    ]);
    const run = await compile(definition, { target: 'js' });
    const { y } = run({ x: new Float32Array(32).fill(1) });
    expect([y[3], run.state.get('count')[0]]).toEqual([0, 1]);
  });

  it('takes trained values of a store', async () => {
    const w = variable('w', [32, 16], { initial: 1 });
    const x = input('x', [1, 32]);
    const sums = func({ name: 's', inputs: [x], outputs: { y: x.matmul(w) } });
    const state = new StateStore();
    state.declare('w', w.value.type, () => new Float32Array(512).fill(2));
    const ones = { x: new Float32Array(32).fill(1) };
    const { definition } = await quantize(sums, { calibration: [ones], state });
    expectClose((await compile(definition, { target: 'js' }))(ones).y, new Float32Array(16).fill(64), 1e-2);
    const { definition: stored } = await quantizeWeights(sums, { state });
    expectClose((await compile(stored, { target: 'js' }))(ones).y, new Float32Array(16).fill(64), 1e-5);
  });

  it('refuses no calibration, and one that leaves the numbers', async () => {
    await expect(quantize(model(), { calibration: [] })).rejects.toThrow(
      /calibration: inputs of at least one call expected/,
    );
    const infinite = [{ x: new Float32Array(216).fill(Number.POSITIVE_INFINITY) }];
    await expect(quantize(model(), { calibration: infinite })).rejects.toThrow(
      /call 1 makes an activation \(x: f32\[2,3,6,6\]\) go from Infinity/,
    );
  });
});

describe('quantizeWeights', () => {
  it('stores bytes, computes in f32, and loses little', async () => {
    const original = model();
    const { definition, weights: report } = await quantizeWeights(original);
    expect(report.map(({ dtype }) => dtype)).toEqual(['i8', 'f32', 'i8', 'i8']);
    const exact = (await compile(original, { target: 'js', freeze: true }))(call(2)).y;
    for (const target of ['c', 'js'] as const)
      expectClose((await compile(definition, { target, freeze: true }))(call(2)).y, exact, 0.02);
  });
});
