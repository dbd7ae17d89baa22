// Element kernels of large arrays take four elements an invocation. All elementwise operations so, on the adapter there is,
// against the float64 reference; and what may not be read so is not.

import { afterAll, describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import { type Kernel, lanesOf } from '../src/ir/kernel.ts';
import { binaryRecords } from '../src/ir/ops/binary.ts';
import { unaryRecords } from '../src/ir/ops/unary.ts';
import { leavesOf } from '../src/ir/steps.ts';
import { parseFunc } from '../src/ir/text.ts';
import { walkStmts } from '../src/passes/expr-rewrite.ts';
import { gpuMachine } from '../src/passes/gpu/machine.ts';
import { defaultGpu, fewestVectorised } from '../src/passes/gpu/schedule.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import type { TypedArray } from '../src/runtime/arrays.ts';
import { compileForWebGpu } from '../src/runtime/webgpu/compile.ts';
import type { WebGpuDevice } from '../src/runtime/webgpu/device.ts';
import { arraysOf, expectReference } from './helpers/differential.ts';
import { interpretProgram } from './helpers/interpret-program.ts';
import { sampleInputs } from './helpers/samples.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

const device = await testDevice();
const gpu = device as WebGpuDevice;
const shape = '64,1024';

/** The lanes of what a kernel stores. */
function storedLanes({ body }: Kernel): Set<number> {
  const lanes = new Set<number>();
  walkStmts(body, (stmt) => {
    if (stmt.kind === 'store') lanes.add(lanesOf(stmt.value));
  });
  return lanes;
}

const kernelOf = (text: string): Kernel => {
  const { steps } = compileToProgram(parseFunc(text), { machine: gpuMachine(defaultGpu) });
  expect(steps).toHaveLength(1);
  return leavesOf(steps)[0]!.kernel;
};

/** Every elementwise operation of a dtype in one function; comparisons choose between the operands. */
function everyOperation(dtype: 'f32' | 'i32' | 'u32'): string {
  const fits = (dtypes: string): boolean =>
    dtype === 'f32'
      ? ['float', 'number', 'any'].includes(dtypes)
      : ['integer', 'number', 'any', 'bits'].includes(dtypes);
  const lines: string[] = [];
  const results: string[] = [];
  const add = (name: string, operands: string, isTruth: boolean): void => {
    lines.push(`%r_${name} = ${name}(${operands})`);
    if (isTruth) lines.push(`%s_${name} = select(%r_${name}, %x, %y)`);
    results.push(`${name} = %${isTruth ? 's' : 'r'}_${name}`);
  };
  for (const [name, record] of Object.entries(unaryRecords))
    if (fits(record.dtypes) && record.free !== true)
      add(name, record.domain === undefined ? '%x' : '%d', record.result === 'bool');
  for (const [name, record] of Object.entries(binaryRecords))
    if (fits(record.dtypes))
      add(name, ['pow', 'rem', 'shl', 'shr'].includes(name) ? '%d, %d' : '%x, %y', record.result === 'bool');
  return `func @f(%x: ${dtype}[${shape}], %y: ${dtype}[${shape}], %d: ${dtype}[${shape}]) {\n${lines.join('\n')}\nreturn ${results.join(', ')}\n}`;
}

describe('element kernels of large arrays', () => {
  it('take four elements an invocation', () => {
    const kernel = kernelOf(`func @f(%x: f32[${shape}], %b: f32[1024]) {
      %0 = broadcast(%b) {shape=[${shape}], axes=[1]}
      %1 = add(%x, %0)
      %2 = exp(%1)
      return y = %2
    }`);
    expect(storedLanes(kernel)).toEqual(new Set([4]));
  });

  it.each([
    ['rows of odd length', '65,1023', 'neg(%x)'],
    ['too few elements', '64,1000', 'neg(%x)'],
    ['a shift by one element', shape, 'pad(%x) {low=[0,1], high=[0,3], interior=[0,0], value=0}'],
    ['a truth value in words', shape, 'lt(%x, %x)'],
  ])('but not where vectors do not fit: %s', (what, dims, operation) => {
    const [rows, columns] = dims.split(',').map(Number) as [number, number];
    expect(rows * columns < fewestVectorised).toBe(what === 'too few elements');
    const kernel = kernelOf(`func @f(%x: f32[${dims}]) {\n%0 = ${operation}\nreturn y = %0\n}`);
    expect(storedLanes(kernel)).toEqual(new Set([1]));
  });

  it('agree with the reference where a scalar, a row and rows chosen by an index meet', () => {
    const func = parseFunc(`func @f(%x: f32[64,1024], %i: i32[64], %t: f32[5,1024], %s: f32[]) {
      %0 = gather(%t, %i) {axis=0, batch=0}
      %1 = add(%x, %0)
      %2 = broadcast(%s) {shape=[64,1024], axes=[]}
      %3 = lt(%1, %2)
      %4 = select(%3, %1, %2)
      return y = %4
    }`);
    const inputs = sampleInputs(func, 3).map(({ type, data }) => ({
      type,
      data: type.dtype === 'i32' ? data.map((value) => Math.abs(value) % 5) : data,
    }));
    const program = compileToProgram(func, { machine: gpuMachine(defaultGpu) });
    expect(storedLanes(leavesOf(program.steps)[0]!.kernel)).toEqual(new Set([4]));
    const found = interpretProgram(program, new Map(func.parameters.map((p, i) => [p.name, inputs[i]!.data])));
    expect(found.get('y')).toEqual(evaluateFunc(func, inputs)[0]!.data);
  });
});

describe.skipIf(typeof device === 'string')(titleOf('vectors in WGSL', device), () => {
  afterAll(() => gpu.destroy());

  it('running sums and maxima of a long row, in chunks', async () => {
    const func = parseFunc(`func @f(%x: f32[4200], %i: i32[4200]) {
      %0 = cumulative(%x) {kind=sum, axis=0, reverse=false, exclusive=true}
      %1 = cumulative(%i) {kind=max, axis=0, reverse=true, exclusive=false}
      return y = %0, z = %1
    }`);
    const inputs = sampleInputs(func, 3);
    const run = await compileForWebGpu<Record<string, TypedArray>, Record<string, TypedArray>>(
      { func, variables: [] },
      { device: gpu },
    );
    expectReference({ func, inputs }, await run(arraysOf({ func, inputs })));
    run.destroy();
  });

  it.each(['f32', 'i32', 'u32'] as const)('every elementwise operation of %s', async (dtype) => {
    const func = parseFunc(everyOperation(dtype));
    const [x, y] = sampleInputs(func, 7);
    const inputs = [x!, y!, sampleInputs(func, 9, [0.05, 0.95])[2]!];
    const run = await compileForWebGpu<Record<string, TypedArray>, Record<string, TypedArray>>(
      { func, variables: [] },
      { device: gpu },
    );
    expect(run.program.modules.some(({ code }) => code.includes('vec4'))).toBe(true);
    expectReference({ func, inputs }, await run(arraysOf({ func, inputs })));
    run.destroy();
  });
});
