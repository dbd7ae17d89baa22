// What a workgroup combines: by subgroups where a device has them, of any size, and by a tree where it has none. The same
// kernels run in the interpreter for every size and on the adapter there is.

import { afterAll, describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import { leavesOf } from '../src/ir/steps.ts';
import { parseFunc } from '../src/ir/text.ts';
import { gpuMachine } from '../src/passes/gpu/machine.ts';
import { defaultGpu } from '../src/passes/gpu/schedule.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import type { TypedArray } from '../src/runtime/arrays.ts';
import { compileForWebGpu } from '../src/runtime/webgpu/compile.ts';
import { openDevice, type WebGpuDevice } from '../src/runtime/webgpu/device.ts';
import { nodeGpu } from '../src/runtime/webgpu/node-gpu.ts';
import { arraysOf, expectReference } from './helpers/differential.ts';
import { interpretProgram } from './helpers/interpret-program.ts';
import { sampleInputs } from './helpers/samples.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

const device = await testDevice();
const gpu = device as WebGpuDevice;

const softmax = `func @f(%x: f32[3,1000]) {
  %m = reduce(%x) {kind=max, axes=[1]}
  %n = broadcast(%m) {shape=[3,1000], axes=[0]}
  %c = sub(%x, %n)
  %e = exp(%c)
  %s = reduce(%e) {kind=sum, axes=[1]}
  %t = broadcast(%s) {shape=[3,1000], axes=[0]}
  %y = div(%e, %t)
  return y = %y
}`;
const attention = (
  queries: number,
  keys: number,
): string => `func @f(%x: f32[2,${queries},16], %k: f32[2,${keys},16], %v: f32[2,${keys},24]) {
  %s = dot(%x, %k) {contract=[[2],[2]], batch=[[0],[0]]}
  %m = reduce(%s) {kind=max, axes=[2]}
  %n = broadcast(%m) {shape=[2,${queries},${keys}], axes=[0,1]}
  %e = sub(%s, %n)
  %w = exp(%e)
  %t = reduce(%w) {kind=sum, axes=[2]}
  %u = broadcast(%t) {shape=[2,${queries},${keys}], axes=[0,1]}
  %p = div(%w, %u)
  %y = dot(%p, %v) {contract=[[2],[1]], batch=[[0],[0]]}
  return y = %y
}`;
const reduction = (kind: string, dtype: string): string =>
  `func @f(%x: ${dtype}[2,5000]) {\n%0 = reduce(%x) {kind=${kind}, axes=[1]}\nreturn y = %0\n}`;
const funcs: readonly (readonly [string, string])[] = [
  ['softmax', softmax],
  ['a sum', reduction('sum', 'f32')],
  ['a maximum', reduction('max', 'f32')],
  ['a minimum of integers', reduction('min', 'i32')],
  ['any truth', reduction('or', 'bool')],
  ['all truths', reduction('and', 'bool')],
];
/** Those, and attention, whose keys come in tiles where there are more than 1024. */
const onDevice: typeof funcs = [
  ...funcs,
  ['attention', attention(5, 50)],
  ['attention in tiles of keys', attention(6, 1500)],
  ['attention of one query in tiles of keys', attention(1, 1500)],
];

describe('subgroups in the interpreter', () => {
  it.each([4, 8, 16, 32, 64, 128])('of %i invocations', (size) => {
    for (const [what, text] of funcs) {
      const func = parseFunc(text);
      const inputs = sampleInputs(func, 3);
      const program = compileToProgram(func, { machine: gpuMachine({ ...defaultGpu, subgroups: true }) });
      expect(JSON.stringify(leavesOf(program.steps)[0]!.kernel.body), what).toContain('"subgroup"');
      const found = interpretProgram(program, new Map([['x', inputs[0]!.data]]), size).get('y')!;
      evaluateFunc(func, inputs)[0]!.data.forEach((wanted, at) => {
        expect(found[at], what).toBeCloseTo(wanted, 9);
      });
    }
  });

  it('take a barrier for eight', () => {
    const barriers = (subgroups: boolean): number => {
      const machine = gpuMachine({ ...defaultGpu, subgroups });
      const { kernel } = leavesOf(compileToProgram(parseFunc(softmax), { machine }).steps)[0]!;
      return JSON.stringify(kernel.body).split('"kind":"barrier"').length - 1;
    };
    expect(barriers(true)).toBe(4);
    expect(barriers(false)).toBe(16);
  });
});

describe.skipIf(typeof device === 'string')(titleOf('subgroups on WebGPU', device), () => {
  afterAll(() => gpu.destroy());

  it.each(onDevice)('%s, with subgroups where there are some and without', async (_what, text) => {
    const func = parseFunc(text);
    const inputs = sampleInputs(func, 3, [-1, 1]);
    const plain = await openDevice(await nodeGpu(), { features: 'none', kernels: 'card' });
    expect(plain.features.subgroups).toBe(false);
    for (const one of [gpu, plain]) {
      const run = await compileForWebGpu<Record<string, TypedArray>, Record<string, TypedArray>>(
        { func, variables: [] },
        { device: one },
      );
      expect(run.program.steps).toHaveLength(1);
      expect(run.program.modules.some(({ code }) => code.includes('enable subgroups;'))).toBe(one.features.subgroups);
      expectReference({ func, inputs }, await run(arraysOf({ func, inputs })));
      run.destroy();
    }
    plain.destroy();
  });

  it('NaN comes through, and the result is the same each time', async () => {
    const run = await compileForWebGpu<{ x: Float32Array }, { y: Float32Array }>(
      { func: parseFunc(reduction('max', 'f32')), variables: [] },
      { device: gpu },
    );
    const x = new Float32Array(10_000).map((_, i) => Math.sin(i));
    x[7123] = Number.NaN;
    const { y } = await run({ x });
    expect(y[1]).toBeNaN();
    expect(y[0]).toBeCloseTo(1, 4);
    expect((await run({ x })).y).toEqual(y);
  });
});
