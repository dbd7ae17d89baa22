// Kernels for adapters that compute on the processor's own cores: no invocation waits for another. Every operation, and shapes at
// the edges of blocks, in the interpreter and on the adapter there is, against the float64 reference.

import { afterAll, describe, expect, it } from 'vitest';
import { ashlarModel, models } from '../bench/models/index.ts';
import { gridOf } from '../src/codegen/wgsl/statements.ts';
import { leavesOf } from '../src/ir/steps.ts';
import { parseFunc } from '../src/ir/text.ts';
import { walkStmts } from '../src/passes/expr-rewrite.ts';
import { gpuMachine } from '../src/passes/gpu/machine.ts';
import { softwareGpu } from '../src/passes/gpu/schedule.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import type { TypedArray } from '../src/runtime/arrays.ts';
import { compileForWebGpu } from '../src/runtime/webgpu/compile.ts';
import { openDevice, type WebGpuDevice } from '../src/runtime/webgpu/device.ts';
import { nodeGpu } from '../src/runtime/webgpu/node-gpu.ts';
import {
  arraysOf,
  type Case,
  casesOf,
  expectReference,
  families,
  operations,
  together,
} from './helpers/differential.ts';
import { interpretProgram } from './helpers/interpret-program.ts';
import { sampleInputs } from './helpers/samples.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

const machine = gpuMachine(softwareGpu);
const card = await testDevice();

const product = (x: string, y: string, attrs: string): string => `func @f(%x: f32[${x}], %y: f32[${y}]) {
  %0 = dot(%x, %y) {contract=${attrs}}
  %1 = neg(%0)
  return z = %1
}`;
const softmax = `func @f(%x: f32[3,40,100]) {
  %m = reduce(%x) {kind=max, axes=[2]}
  %n = broadcast(%m) {shape=[3,40,100], axes=[0,1]}
  %c = sub(%x, %n)
  %e = exp(%c)
  %s = reduce(%e) {kind=sum, axes=[2]}
  %t = broadcast(%s) {shape=[3,40,100], axes=[0,1]}
  %y = div(%e, %t)
  return y = %y
}`;
const convolution = `func @f(%x: f32[2,5,9,9], %w: f32[7,5,3,3]) {
  %0 = conv(%x, %w) {strides=[2,1], padding=[[1,1],[0,2]], lhsDilation=[1,1], rhsDilation=[1,1], groups=1}
  %1 = reduceWindow(%0) {kind=max, window=[1,1,2,2], strides=[1,1,2,2], padding=[[0,0],[0,0],[0,0],[0,0]], dilation=[1,1,1,1]}
  return y = %1
}`;
const texts: readonly (readonly [string, string])[] = [
  ['a product with ragged blocks', product('70,37', '37,75', '[[1],[0]], batch=[[],[]]')],
  ['a product with whole blocks', product('64,64', '64,64', '[[1],[0]], batch=[[],[]]')],
  ['a product of few columns', product('30,40', '40,6', '[[1],[0]], batch=[[],[]]')],
  ['both operands transposed', product('40,20', '33,40', '[[0],[1]], batch=[[],[]]')],
  ['batches of products', product('3,20,36', '3,36,24', '[[2],[1]], batch=[[0],[0]]')],
  ['a matrix and a vector', product('300,70', '70,1', '[[1],[0]], batch=[[],[]]')],
  ['rows of a softmax', softmax],
  ['a strided convolution with a pool', convolution],
  ['a long sum', 'func @f(%x: f32[90000]) {\n  %0 = reduce(%x) {kind=sum, axes=[0]}\n  return y = %0\n}'],
  ['the place of a maximum', 'func @f(%x: f32[90000]) {\n  %0 = argreduce(%x) {kind=max, axis=0}\n  return y = %0\n}'],
  [
    'a running sum',
    'func @f(%x: f32[500,2]) {\n  %0 = cumulative(%x) {kind=sum, axis=0, reverse=false, exclusive=false}\n  return y = %0\n}',
  ],
];
const cases: readonly (readonly [string, Case])[] = texts.map(([title, text]) => {
  const func = parseFunc(text);
  // Sums of numbers of one sign: the bound is relative to the result.
  return [title, { func, inputs: sampleInputs(func, 5, [0, 1]) }];
});

describe('kernels for adapters on the processor', () => {
  it.each([...cases, ...operations.map((name) => [name, together(casesOf([name]))] as const)])(
    '%s: no invocation waits or shares memory',
    (_title, { func, inputs }) => {
      const program = compileToProgram(func, { machine });
      for (const { kernel } of leavesOf(program.steps)) {
        const { body, shared } = gridOf(kernel);
        expect(shared).toEqual([]);
        walkStmts(body, ({ kind }) => expect(kind).not.toBe('barrier'));
      }
      const found = interpretProgram(program, new Map(func.parameters.map((p, i) => [p.name, inputs[i]!.data])));
      expectReference({ func, inputs }, Object.fromEntries(found) as unknown as Record<string, TypedArray>);
    },
  );

  it.each(['mlp', 'squeezenet', 'lstm', 'gpt2'])('%s needs no barrier', (name) => {
    const { definition } = ashlarModel(models[name]!, name);
    for (const { kernel } of leavesOf(compileToProgram(definition.func, { machine }).steps))
      walkStmts(kernel.body, ({ kind }) => expect(kind).not.toBe('barrier'));
  });
});

describe.skipIf(typeof card === 'string')(titleOf('WGSL for adapters on the processor', card), async () => {
  const device = typeof card === 'string' ? null : await openDevice(await nodeGpu(), { kernels: 'software' });
  afterAll(() => {
    device?.destroy();
    (card as WebGpuDevice).destroy();
  });

  async function expectAgreement(given: Case): Promise<void> {
    const run = await compileForWebGpu<Record<string, TypedArray>, Record<string, TypedArray>>(
      { func: given.func, variables: [] },
      { device: device! },
    );
    expectReference(given, await run(arraysOf(given)));
    run.destroy();
  }

  it.each(cases)('%s', (_title, given) => expectAgreement(given));

  it.each(families.map((family) => [family.join(' '), family] as const))('%s', async (_title, family) => {
    const possible = casesOf(family).filter(({ func }) =>
      [...func.parameters.map(({ value }) => value), ...func.nodes.flatMap(({ results }) => results)].every(
        ({ type }) => !['f64', 'i64'].includes(type.dtype),
      ),
    );
    await expectAgreement(together(possible));
  });

  it('a process that waits for it leaves a core to the driver', async () => {
    const func = parseFunc(product('700,700', '700,700', '[[1],[0]], batch=[[],[]]'));
    const run = await compileForWebGpu<Record<string, TypedArray>, Record<string, TypedArray>>(
      { func, variables: [] },
      { device: device! },
    );
    const x = new Float32Array(700 * 700);
    let turns = 0;
    let isWaiting = true;
    const count = (): void => {
      turns++;
      if (isWaiting) setImmediate(count);
    };
    count();
    const began = performance.now();
    await run({ x, y: x });
    isWaiting = false;
    // A rest takes half a millisecond; without rests there are dozens of turns in a millisecond.
    expect(turns).toBeLessThan(1000 + (performance.now() - began) / 0.5);
    run.destroy();
  });

  it('is what a device takes that computes on the processor, unless kernels for cards are asked for', async () => {
    const adapter = await (await nodeGpu()).requestAdapter();
    const own = await openDevice(await nodeGpu());
    expect(own.features.kernels).toBe(adapter!.info.isFallbackAdapter ? 'software' : 'card');
    expect((card as WebGpuDevice).features.kernels).toBe('card');
    own.destroy();
  });
});
