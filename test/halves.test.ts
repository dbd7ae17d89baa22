// f16: storage of two bytes, arithmetic in f32 and one rounding of each result, on every target alike.

import { afterAll, describe, expect, it } from 'vitest';
import { fromHalfBits, halfBits, nearestHalves, roundToHalf, toHalfBits } from '../src/ir/half.ts';
import { parseFunc, printFunc } from '../src/ir/text.ts';
import { widenHalves } from '../src/passes/halves.ts';
import type { TypedArray } from '../src/runtime/arrays.ts';
import { compile } from '../src/runtime/compile.ts';
import { compileForWebGpu } from '../src/runtime/webgpu/compile.ts';
import type { WebGpuDevice } from '../src/runtime/webgpu/device.ts';
import { arraysOf, type Case, casesOf, expectReference, operations, together } from './helpers/differential.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

const device = await testDevice();
const gpu = device as WebGpuDevice;
type Named = Record<string, TypedArray>;

/** The examples of all operations with f16 in place of f32. */
const halves: readonly Case[] = casesOf(operations, (text) => text.replace(/\bf32\b/g, 'f16')).filter(({ func }) =>
  func.parameters.some(({ value }) => value.type.dtype === 'f16'),
);

const everyBits = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);
/** All f16 as f32, and f32 between, at and beside them as f16. */
const conversions = `func @f(%h: f16[65536], %x: f32[262144]) {
  %0 = cast(%h) {dtype=f32}
  %1 = cast(%x) {dtype=f16}
  return wide = %0, narrow = %1
}`;
const between = Float32Array.from({ length: 262_144 }, (_, i) => {
  const [bits, place] = [i >> 2, i & 3];
  const value = fromHalfBits(bits);
  const next = fromHalfBits((bits & 0x8000) | Math.min((bits & 0x7fff) + 1, 0x7c00));
  if (!Number.isFinite(value) || !Number.isFinite(next)) return place === 0 ? value : Math.sign(value) * 65_519.99;
  const middle = (value + next) / 2;
  return [value, middle, middle - (middle - value) * 2 ** -10, middle + (next - middle) * 2 ** -10][place]!;
});

function expectConversions({ wide, narrow }: Named): void {
  everyBits.forEach((bits) => {
    if (!Object.is(Number(wide![bits]), fromHalfBits(bits))) expect(wide![bits]).toBe(fromHalfBits(bits));
  });
  between.forEach((value, i) => {
    if (narrow![i] !== toHalfBits(value)) expect([value, narrow![i]]).toEqual([value, toHalfBits(value)]);
  });
}

describe('numbers of half precision', () => {
  it('are their bits and back', () => {
    for (const bits of everyBits) {
      const value = fromHalfBits(bits);
      if (Number.isNaN(value)) expect(toHalfBits(value)).toBe(0x7e00);
      else expect(toHalfBits(value)).toBe(bits);
    }
  });

  it('are the same from the bits of f32 numbers, which are a hundred times as fast', () => {
    const singles = Uint32Array.from({ length: 2 ** 20 }, (_, i) => (i << 12) + [0, 1, -1, 77][i % 4]!);
    const numbers = new Float32Array(singles.buffer);
    const bits = halfBits(numbers);
    const differing = numbers.findIndex((value, i) => bits[i] !== toHalfBits(value));
    expect(differing, `${numbers[differing]}: ${bits[differing]}`).toBe(-1);
    expect(nearestHalves(numbers)).toEqual(Float32Array.from(bits, fromHalfBits));
  });

  it('are the nearest, ties to even', () => {
    expect([2049, 2051, 65_519, 65_520, 2 ** -25, 3 * 2 ** -25, -(2 ** -26), 0.1].map(roundToHalf)).toEqual([
      2048,
      2052,
      65_504,
      Infinity,
      0,
      2 ** -23,
      -0,
      0.0999755859375,
    ]);
  });
});

describe('f16 in a graph', () => {
  it('is computed in f32 between casts, and moved as it is', () => {
    const func = parseFunc(`func @f(%x: f16[2,3], %y: f16[3]) {
      %0 = broadcast(%y) {shape=[2,3], axes=[1]}
      %1 = add(%x, %0)
      %2 = reduce(%1) {kind=sum, axes=[1]}
      return z = %2
    }`);
    expect(printFunc(widenHalves.run(func))).toBe(
      printFunc(
        parseFunc(`func @f(%x: f16[2,3], %y: f16[3]) {
          %0 = broadcast(%y) {shape=[2,3], axes=[1]}
          %1 = cast(%x) {dtype=f32}
          %2 = cast(%0) {dtype=f32}
          %3 = add(%1, %2)
          %4 = cast(%3) {dtype=f16}
          %5 = cast(%4) {dtype=f32}
          %6 = reduce(%5) {kind=sum, axes=[1]}
          %7 = cast(%6) {dtype=f16}
          return z = %7
        }`),
      ),
    );
  });
});

describe.each(['c', 'js'] as const)('f16 with target %s', (target) => {
  it('every operation agrees with the reference', async () => {
    const all = together(halves);
    const run = await compile<Named, Named>({ func: all.func, variables: [] }, { target });
    expectReference(all, run(arraysOf(all)) as Named);
  });

  it('conversions are exact, and to the nearest', async () => {
    const run = await compile<Named, Named>({ func: parseFunc(conversions), variables: [] }, { target });
    expectConversions(run({ h: everyBits, x: between }) as Named);
  });
});

/** A dense layer whose weights are f16 states, and its update. */
const layer = parseFunc(`func @f(%x: f32[8,64], state %w: f16[64,48], state %v: f16[64,48]) {
  %0 = cast(%w) {dtype=f32}
  %1 = dot(%x, %0) {contract=[[1],[0]], batch=[[],[]]}
  %2 = add(%v, %w)
  return y = %1, update v = %2
}`);
const weights = Float32Array.from({ length: 64 * 48 }, (_, i) => roundToHalf(Math.sin(i)));
const variables = ['w', 'v'].map((name) => ({
  name,
  type: { dtype: 'f16', shape: [64, 48] } as const,
  initial: () => weights,
}));
const x = Float32Array.from({ length: 512 }, (_, i) => Math.cos(i));
const products = Array.from({ length: 8 * 48 }, (_, at) => {
  const [row, column] = [Math.floor(at / 48), at % 48];
  return Array.from({ length: 64 }, (_n, k) => x[row * 64 + k]! * weights[k * 48 + column]!).reduce((a, b) => a + b, 0);
});
const twice = Uint16Array.from(weights, (value) => toHalfBits(2 * value));

function expectLayer(y: TypedArray, v: TypedArray): void {
  products.forEach((wanted, i) => {
    expect(Number(y[i])).toBeCloseTo(wanted, 4);
  });
  expect(v).toEqual(twice);
}

describe('weights in f16', () => {
  it.each([
    ['c', false],
    ['c', true],
    ['js', false],
    ['js', true],
  ] as const)('with target %s, frozen: %s', async (target, freeze) => {
    const run = await compile<Named, Named>({ func: layer, variables }, { target, freeze });
    expectLayer((run({ x }) as Named).y!, run.state.get('v') as TypedArray);
  });

  it.skipIf(typeof device === 'string').each([false, true])('on WebGPU, frozen: %s', async (freeze) => {
    const run = await compileForWebGpu<Named, Named>({ func: layer, variables }, { device: gpu, freeze });
    expectLayer((await run({ x })).y!, await run.state.get('v'));
    run.destroy();
  });
});

describe.skipIf(typeof device === 'string')(titleOf('f16 in WGSL', device), () => {
  afterAll(() => gpu.destroy());

  it('every operation agrees with the reference', async () => {
    const possible = halves.filter(({ func }) =>
      func.nodes.every(({ results }) => results.every(({ type }) => type.dtype !== 'f64' && type.dtype !== 'i64')),
    );
    for (let at = 0; at < possible.length; at += 24) {
      const all = together(possible.slice(at, at + 24));
      const run = await compileForWebGpu<Named, Named>({ func: all.func, variables: [] }, { device: gpu });
      expectReference(all, await run(arraysOf(all)));
      run.destroy();
    }
  });

  it('conversions are exact, and to the nearest; inputs take two bytes', async () => {
    const run = await compileForWebGpu<Named, Named>({ func: parseFunc(conversions), variables: [] }, { device: gpu });
    expectConversions(await run({ h: everyBits, x: between }));
    expect(run.program.inputs[0]!.bytes).toBe(131_072);
    run.destroy();
  });
});
