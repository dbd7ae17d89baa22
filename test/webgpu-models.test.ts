// Whole models on a WebGPU device against compiled C: training steps with their states, networks with every form of
// convolution, what callers may do wrong, and what a device may refuse.

import { afterAll, describe, expect, it } from 'vitest';
import { ashlarModel, models } from '../bench/models/index.ts';
import { defaultLimits, printWgsl } from '../src/codegen/wgsl/program.ts';
import { makeFunc, parameter } from '../src/ir/graph.ts';
import { builder } from '../src/ir/ops/index.ts';
import { leavesOf } from '../src/ir/steps.ts';
import { parseFunc } from '../src/ir/text.ts';
import { sizeOf } from '../src/ir/types.ts';
import type { FunctionDefinition } from '../src/lang/func.ts';
import { func } from '../src/lang/func.ts';
import { input } from '../src/lang/variable.ts';
import * as nn from '../src/nn/index.ts';
import { gpuMachine } from '../src/passes/gpu/machine.ts';
import { defaultGpu } from '../src/passes/gpu/schedule.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import type { TypedArray } from '../src/runtime/arrays.ts';
import { compile } from '../src/runtime/compile.ts';
import { compileForWebGpu } from '../src/runtime/webgpu/compile.ts';
import { openDevice, type WebGpuDevice } from '../src/runtime/webgpu/device.ts';
import { nodeGpu } from '../src/runtime/webgpu/node-gpu.ts';
import { expectClose } from './helpers/close.ts';
import { arraysOf, expectReference } from './helpers/differential.ts';
import { trainingStep } from './helpers/models.ts';
import { sampleInputs, seeded } from './helpers/samples.ts';
import { everyForm } from './helpers/variants.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

const device = await testDevice();
const gpu = device as WebGpuDevice;

type Named = Record<string, TypedArray>;

function numbers(count: number, seed: number): Float32Array {
  const random = seeded(seed);
  return Float32Array.from({ length: count }, () => random() * 2 - 1);
}

/** Some steps on both targets from the same states; losses and states stay together. */
async function expectSameTraining<Inputs, Outputs>(
  make: () => FunctionDefinition<Inputs, Outputs>,
  inputs: (step: number) => Inputs,
  tolerance: number,
): Promise<void> {
  const inC = await compile(make(), { target: 'c' });
  const onGpu = await compileForWebGpu(make(), { device: gpu });
  for (let step = 0; step < 3; step++) {
    const wanted = inC(inputs(step) as never) as unknown as Named;
    const found = (await onGpu(inputs(step) as never)) as unknown as Named;
    for (const [name, values] of Object.entries(wanted))
      expectClose(found[name] as Float32Array, values as Float32Array, tolerance);
  }
  // A bias before a batch norm has a gradient of zero, whose rounding Adam turns into steps of full size.
  for (const name of inC.state.names().filter((state) => !/^conv2d1.bias|^batchNorm1.mean/.test(state)))
    expectClose((await onGpu.state.get(name)) as Float32Array, inC.state.get(name) as Float32Array, tolerance);
  onGpu.destroy();
}

describe.skipIf(typeof device === 'string')(titleOf('models on WebGPU', device), () => {
  afterAll(() => gpu.destroy());

  it('a convolutional network trains as in C', async () => {
    const labels = Int32Array.from({ length: 8 }, (_, i) => i);
    await expectSameTraining(
      () => trainingStep(8),
      (step) => ({ x: numbers(512, step + 1), y: labels }),
      2e-4,
    );
  });

  it('a perceptron with layer norm and an embedding trains as in C', async () => {
    const make = () => {
      nn.resetNames();
      nn.setSeed(3);
      const words = input('words', [6, 5], 'i32');
      const y = input('y', [6], 'i32');
      const table = nn.embedding(11, 16);
      const network = nn.sequential(nn.flatten(), nn.layerNorm(80), nn.dense(80, 64), nn.gelu, nn.dense(64, 4));
      const loss = nn.crossEntropy(network(table(words)), y).mean();
      const variables = [...table.variables, ...network.variables];
      return func({
        name: 'step',
        inputs: [words, y],
        outputs: { loss },
        updates: nn.adam(loss, variables, { lr: 1e-2 }),
      });
    };
    const random = seeded(9);
    const words = Int32Array.from({ length: 30 }, () => Math.floor(random() * 11));
    await expectSameTraining(make, () => ({ words, y: Int32Array.from([0, 1, 2, 3, 0, 1]) }), 2e-4);
  });

  it('every form of convolution agrees with C', async () => {
    const definition = { func: everyForm(2, 20), variables: [] };
    const inC = await compile<{ x: Float32Array }, { y: Float32Array }>(definition, { target: 'c' });
    const onGpu = await compileForWebGpu<{ x: Float32Array }, { y: Float32Array }>(definition, { device: gpu });
    const x = numbers(2 * 3 * 20 * 20, 4);
    const [wanted, found] = [inC({ x }), await onGpu({ x })];
    expectClose(found.y, wanted.y, 1e-4);
    onGpu.destroy();
  });

  it('a large product, in large tiles with ragged edges', async () => {
    const [m, k, n] = [1500, 43, 1410];
    const text = `func @f(%x: f32[${m},${k}], %y: f32[${k},${n}]) {\n %0 = dot(%x, %y) {contract=[[1],[0]], batch=[[],[]]}\n return z = %0\n}`;
    const run = await compileForWebGpu<Named, Named>({ func: parseFunc(text), variables: [] }, { device: gpu });
    expect(run.program.modules[0]!.code).toContain('array<vec4<f32>, 512>');
    const [x, y] = [numbers(m * k, 1), numbers(k * n, 2)];
    const { z } = await run({ x, y });
    for (let at = 0; at < m * n; at += 997) {
      const [row, column] = [Math.floor(at / n), at % n];
      let [sum, sizes] = [0, 0];
      for (let i = 0; i < k; i++) {
        const product = x[row * k + i]! * y[i * n + column]!;
        sum += product;
        sizes += Math.abs(product);
      }
      // Every addition, in any order, rounds by half a unit of what is summed so far at most.
      expect(Math.abs((z as Float32Array)[at]! - sum)).toBeLessThan(k * 2 ** -24 * sizes);
    }
    run.destroy();
  });

  it('a pool in the large tiles of its convolution agrees with C', async () => {
    const text = `func @f(%x: f32[2,8,90,90], %w: f32[64,8,3,3], %b: f32[64]) {
      %c = conv(%x, %w) {strides=[1,1], padding=[[1,1],[1,1]], lhsDilation=[1,1], rhsDilation=[1,1], groups=1}
      %d = broadcast(%b) {shape=[2,64,90,90], axes=[1]}
      %e = add(%c, %d)
      %r = relu(%e)
      %p = reduceWindow(%r) {kind=max, window=[2,2], strides=[2,2], padding=[[0,0],[0,0]], dilation=[1,1]}
      %y = neg(%p)
      return y = %y
    }`;
    const definition = { func: parseFunc(text), variables: [] };
    const inC = await compile<Named, Named>(definition, { target: 'c' });
    const onGpu = await compileForWebGpu<Named, Named>(definition, { device: gpu });
    expect(onGpu.program.steps).toHaveLength(1);
    expect(onGpu.program.modules[0]!.code).not.toContain('tile_sums');
    const given = { x: numbers(2 * 8 * 90 * 90, 1), w: numbers(64 * 8 * 9, 2), b: numbers(64, 3) };
    expectClose((await onGpu(given)).y as Float32Array, inC(given).y as Float32Array, 1e-5);
    onGpu.destroy();
  });

  it('attention is one dispatch and agrees with the reference', async () => {
    const shape = '[2,13,70]';
    const text = `func @f(%q: f32[2,13,24], %k: f32[2,70,24], %v: f32[2,70,40]) {
      %s = dot(%q, %k) {contract=[[2],[2]], batch=[[0],[0]]}
      %m = reduce(%s) {kind=max, axes=[2]}
      %n = broadcast(%m) {shape=${shape}, axes=[0,1]}
      %e = sub(%s, %n)
      %x = exp(%e)
      %t = reduce(%x) {kind=sum, axes=[2]}
      %u = broadcast(%t) {shape=${shape}, axes=[0,1]}
      %w = div(%x, %u)
      %o = dot(%w, %v) {contract=[[2],[1]], batch=[[0],[0]]}
      return y = %o
    }`;
    const given = { func: parseFunc(text), inputs: sampleInputs(parseFunc(text), 3, [-1, 1]) };
    const run = await compileForWebGpu<Named, Named>({ func: given.func, variables: [] }, { device: gpu });
    expect(run.program.steps).toHaveLength(1);
    expectReference(given, await run(arraysOf(given)));
    run.destroy();
  });

  it.each(Object.keys(models))('every shader of %s is valid', async (name) => {
    const { definition } = ashlarModel(models[name]!, name);
    let offset = 0;
    const { modules } = printWgsl(
      compileToProgram(definition.func, { machine: gpuMachine(defaultGpu) }),
      (_, type) => {
        const place = { block: 'states', offset, bytes: 4 * sizeOf(type.shape) };
        offset += 256 * Math.ceil(place.bytes / 256);
        return place;
      },
      gpu.limits,
    );
    for (const { name: kernel, code } of modules)
      await gpu.guarded(kernel, () => gpu.device.createShaderModule({ label: kernel, code }));
    expect(modules.length).toBeGreaterThan(0);
  });

  it('only what is asked for is read back; nothing asked for is nothing read', async () => {
    const definition = {
      func: parseFunc('func @f(%x: f32[4]) {\n %a = neg(%x)\n %b = abs(%x)\n return a = %a, b = %b\n}'),
      variables: [],
    };
    const run = await compileForWebGpu<{ x: Float32Array }, { a: Float32Array; b: Float32Array }>(definition, {
      device: gpu,
    });
    const x = Float32Array.of(-1, 2, -3, 4);
    expect(Object.keys(await run({ x }, { outputs: ['b'] }))).toEqual(['b']);
    expect(await run({ x }, { outputs: [] })).toEqual({});
    const [first, second] = await Promise.all([run({ x }), run({ x: x.map((value) => 2 * value) })]);
    expect([...first.a]).toEqual([1, -2, 3, -4]);
    expect([...second.b]).toEqual([2, 4, 6, 8]);
    await expect(run({ x }, { outputs: ['c' as 'a'] })).rejects.toThrow(
      /output "c" does not exist; the function has a, b/,
    );
    run.destroy();
    await expect(run({ x })).rejects.toThrow(/was destroyed/);
  });

  it('kernels are timed where the device has timestamps', async () => {
    const definition = {
      func: parseFunc(
        'func @f(%x: f32[4]) {\n %a = cumulative(%x) {kind=sum, axis=0, reverse=false, exclusive=false}\n %b = neg(%a)\n return b = %b\n}',
      ),
      variables: [],
    };
    const run = await compileForWebGpu<Named, Named>(definition, { device: gpu });
    if (!gpu.device.features.has('timestamp-query')) {
      await expect(run.profile()).rejects.toThrow(/timestamp-query/);
      return;
    }
    const times = await run.profile();
    expect(times.map(({ kernel }) => kernel)).toEqual(['cumulative', 'neg']);
    expect(times.every(({ nanoseconds }) => nanoseconds >= 0)).toBe(true);
  });

  it('functions share the states of a store', async () => {
    const make = (text: string) => ({
      func: parseFunc(text),
      variables: [{ name: 's', type: { dtype: 'f32', shape: [2] } as const, initial: () => [1, 2] }],
    });
    const step = await compileForWebGpu<{ x: Float32Array }, object>(
      make('func @step(%x: f32[2], state %s: f32[2]) {\n %0 = add(%x, %s)\n return update s = %0\n}'),
      { device: gpu },
    );
    const read = await compileForWebGpu<object, { y: Float32Array }>(
      make('func @read(state %s: f32[2]) {\n %0 = neg(%s)\n return y = %0\n}'),
      { device: gpu, state: step.state },
    );
    await step({ x: Float32Array.of(10, 20) });
    expect([...(await read({})).y]).toEqual([-11, -22]);
    step.state.set('s', [5, 6]);
    expect([...(await read({})).y]).toEqual([-5, -6]);
    expect([...(await step.state.get('s'))]).toEqual([5, 6]);
    expect(() => step.state.set('s', [1])).toThrow(/2 elements expected, 1 given/);
    await expect(step.state.get('t')).rejects.toThrow(/state "t" does not exist; there are s/);
  });

  it('frozen states are constants with the values of the store', async () => {
    const make = () => ({
      func: parseFunc(
        'func @f(%x: f32[2], state %s: f32[2], state %n: f32[2]) {\n %0 = mul(%x, %s)\n %1 = add(%n, %0)\n return y = %0, update n = %1\n}',
      ),
      variables: ['s', 'n'].map((name) => ({
        name,
        type: { dtype: 'f32', shape: [2] } as const,
        initial: () => [1, 2],
      })),
    });
    const first = await compileForWebGpu<Named, Named>(make(), { device: gpu });
    first.state.set('s', [3, 4]);
    const frozen = await compileForWebGpu<Named, Named>(make(), { device: gpu, state: first.state, freeze: true });
    first.state.set('s', [0, 0]);
    expect([...(await frozen({ x: Float32Array.of(1, 1) })).y!]).toEqual([3, 4]);
    expect([...(await first.state.get('n'))]).toEqual([4, 6]);
    const fresh = await compileForWebGpu<Named, Named>(make(), { device: gpu, freeze: true });
    expect(fresh.state.names()).toEqual(['n']);
    expect([...(await fresh({ x: Float32Array.of(5, 5) })).y!]).toEqual([5, 10]);
  });

  it('wrong inputs are refused before anything runs', async () => {
    const definition = {
      func: parseFunc('func @f(%x: f32[3,2], %i: i32[2]) {\n %0 = gather(%x, %i) {axis=0, batch=0}\n return y = %0\n}'),
      variables: [],
    };
    const run = await compileForWebGpu<Named, Named>(definition, { device: gpu });
    const x = new Float32Array(6);
    await expect(run({ x, i: Int32Array.of(0, 3) })).rejects.toThrow(
      /indices from 0 to 2 expected, 3 given at element 1/,
    );
    await expect(run({ x: new Float32Array(5), i: new Int32Array(2) })).rejects.toThrow(/6 elements expected, 5 given/);
    await expect(run({ x, i: new Float32Array(2) })).rejects.toThrow(/a Int32Array expected, Float32Array given/);
    await expect(run({ x })).rejects.toThrow(/input "i" is missing/);
  });

  it('a lost device says so, and nothing hangs', async () => {
    const own = await openDevice(await nodeGpu());
    const definition = { func: parseFunc('func @f(%x: f32[4]) {\n %a = neg(%x)\n return a = %a\n}'), variables: [] };
    const run = await compileForWebGpu<Named, Named>(definition, { device: own });
    own.destroy();
    await expect(run({ x: new Float32Array(4) })).rejects.toThrow(/the GPU device was destroyed. Open a new device/);
    await expect(compileForWebGpu(definition, { device: own })).rejects.toThrow(/the GPU device was destroyed/);
  });

  it('a grid beyond one dimension of workgroups, and an odd number of them', async () => {
    const count = 65_537 * 256 + 3;
    const definition = {
      func: parseFunc(
        `func @f(%x: i32[]) {\n %0 = iota() {dtype=i32, shape=[${count}], axis=0}\n %1 = broadcast(%x) {shape=[${count}], axes=[]}\n %2 = add(%0, %1)\n return y = %2\n}`,
      ),
      variables: [],
    };
    const run = await compileForWebGpu<Named, Named>(definition, { device: gpu });
    const { y } = await run({ x: Int32Array.of(5) });
    for (const at of [0, 65_535 * 256, count - 1]) expect(y![at]).toBe(at + 5);
    run.destroy();
  });

  it('barriers in a grid of two dimensions', async () => {
    const rows = 65_539;
    const text = `func @f(%x: f32[${rows},48]) {\n %0 = reduce(%x) {kind=max, axes=[1]}\n %1 = broadcast(%0) {shape=[${rows},48], axes=[0]}\n %2 = sub(%x, %1)\n %3 = reduce(%2) {kind=sum, axes=[1]}\n return y = %3\n}`;
    const run = await compileForWebGpu<Named, Named>({ func: parseFunc(text), variables: [] }, { device: gpu });
    expect(leavesOf(run.program.steps)[0]!.workgroups).toEqual([32_770, 2]);
    const x = Float32Array.from({ length: rows * 48 }, (_, i) => i % 48);
    const { y } = await run({ x });
    expect([y![0], y![rows - 1]]).toEqual([-1128, -1128]);
    run.destroy();
  });

  it('more operands than bindings', async () => {
    const names = Array.from({ length: 30 }, (_, i) => `x${i}`);
    const sums = names.slice(1).map((name, i) => `%s${i + 1} = add(%${i === 0 ? 'x0' : `s${i}`}, %${name})`);
    const text = `func @f(${names.map((name) => `%${name}: f32[3]`).join(', ')}, %n: i32[3]) {\n${sums.join('\n')}\n%c = cast(%n) {dtype=f32}\n%y = mul(%s29, %c)\nreturn y = %y\n}`;
    const run = await compileForWebGpu<Named, Named>({ func: parseFunc(text), variables: [] }, { device: gpu });
    expect(run.program.steps).toHaveLength(1);
    const inputs: Named = { n: Int32Array.of(1, 2, 3) };
    names.forEach((name, i) => {
      inputs[name] = Float32Array.of(i, 1, 2);
    });
    expect([...(await run(inputs)).y!]).toEqual([435, 60, 180]);
  });
});

describe('adapters in Node', () => {
  it('a named driver that does not exist', async () => {
    process.env.ASHLAR_VULKAN_DRIVER = '/nowhere/icd.json';
    await expect(nodeGpu()).rejects.toThrow(/\$ASHLAR_VULKAN_DRIVER names \/nowhere\/icd.json, which does not exist/);
    delete process.env.ASHLAR_VULKAN_DRIVER;
  });

  it('none at all', async () => {
    const gpuWithout = { requestAdapter: async () => null } as unknown as GPU;
    await expect(openDevice(gpuWithout)).rejects.toThrow(/WebGPU finds no adapter here.*target js or c/);
  });
});

describe('what a device cannot hold', () => {
  const compiled = (text: string) => compileToProgram(parseFunc(text), { machine: gpuMachine(defaultGpu) });
  const none = () => {
    throw new Error('no states');
  };

  it('a binding, a block', () => {
    const large = 'func @f(%x: f32[40000000]) {\n %0 = neg(%x)\n return y = %0\n}';
    expect(() => printWgsl(compiled(large), none)).toThrow(
      /x takes 160000000 bytes; a binding of this device holds 134217728 \(limit maxStorageBufferBindingSize\)/,
    );
    const limits = { ...defaultLimits, maxBufferSize: 1024 };
    const chain =
      'func @f(%x: f32[600]) {\n %0 = sort(%x) {axis=0, descending=false}\n %1, %2 = sort(%0) {axis=0, descending=true}\n return y = %1\n}';
    expect(() => printWgsl(compiled(chain.replace('%0 =', '%0, %3 =')), none, limits)).toThrow(
      /arena of intermediate values takes \d+ bytes; .* \(limit maxBufferSize\)/,
    );
  });

  it('dtypes that WGSL lacks, with the operation', async () => {
    const refused = async (text: string): Promise<unknown> => {
      const never = null as unknown as WebGpuDevice;
      return compileForWebGpu({ func: parseFunc(text), variables: [] }, { device: never }).catch(
        (error) => error.message,
      );
    };
    expect(await refused('func @f(%x: f32[2]) {\n %0 = cast(%x) {dtype=f64}\n return y = %0\n}')).toMatch(
      /target webgpu has no f64: cast gives f64\[2\]; cast to f32, or compile for c or js/,
    );
    expect(await refused('func @f(%x: i64[2]) {\n %0 = neg(%x)\n return y = %0\n}')).toMatch(
      /no i64, and neg gives i64\[2\], whose elements may need more than 32 bits; cast to i32/,
    );
  });

  it('what a user names cannot leave a comment or be anything but a name', () => {
    const x = parameter('x\u0085*/ }', { dtype: 'f32', shape: [2] });
    const made = makeFunc('f', [x], [{ name: 'main', role: 'output', value: builder.neg(x.value) }]);
    const [shader] = printWgsl(compileToProgram(made, { machine: gpuMachine(defaultGpu) }), none).modules;
    expect(shader!.code).toMatch(/^\/\/ neg\n@group\(0\) @binding\(0\) var<storage, read> x_: array<f32>;\n/);
    expect(shader!.code).not.toMatch(/[\u0085\u2028\u2029]/);
  });

  it('the same text from the same function', () => {
    const text = () =>
      printWgsl(compileToProgram(everyForm(1, 12), { machine: gpuMachine(defaultGpu) }), none).modules.map(
        ({ code }) => code,
      );
    expect(text()).toEqual(text());
  });
});
