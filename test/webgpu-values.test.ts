// The ends of the range in WGSL: NaN, infinities, the largest and smallest numbers, wrapping integers, division by zero,
// shifts beyond the width, casts that saturate. WGSL promises little of this by itself.

import { afterAll, describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import { binaryRecords } from '../src/ir/ops/binary.ts';
import { unaryRecords } from '../src/ir/ops/unary.ts';
import { parseFunc } from '../src/ir/text.ts';
import type { DType } from '../src/ir/types.ts';
import { arrayFrom, type TypedArray } from '../src/runtime/arrays.ts';
import { compileForWebGpu } from '../src/runtime/webgpu/compile.ts';
import type { WebGpuDevice } from '../src/runtime/webgpu/device.ts';
import { seeded } from './helpers/samples.ts';
import { expectWithin, integers, numbers } from './helpers/values.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

const largest = 3.4028234663852886e38;
const device = await testDevice();
const gpu = device as WebGpuDevice;

/** Runs a function of text on the device and on the reference. */
async function both(text: string, data: Readonly<Record<string, readonly number[]>>): Promise<[number[], number[]]> {
  const func = parseFunc(text);
  const arrays = func.parameters.map(({ name, value }) => arrayFrom(value.type, data[name]!));
  const inputs = func.parameters.map(({ value }, i) => ({
    type: value.type,
    data: Float64Array.from(arrays[i]!, Number),
  }));
  const run = await compileForWebGpu<Record<string, TypedArray>, Record<string, TypedArray>>(
    { func, variables: [] },
    { device: gpu },
  );
  const found = await run(Object.fromEntries(func.parameters.map(({ name }, i) => [name, arrays[i]!])));
  run.destroy();
  return [Array.from(found.y!, Number), Array.from(evaluateFunc(func, inputs)[0]!.data)];
}

/** Bounds in units in the last place, from docs/numerics.md; what is not listed is exact or correctly rounded. */
const bounds: Readonly<Record<string, number>> = {
  exp: 2,
  expm1: 3,
  log: 2,
  log1p: 3,
  sin: 3,
  cos: 3,
  tan: 5,
  asin: 4,
  acos: 3,
  atan: 3,
  sinh: 4,
  cosh: 4,
  tanh: 4,
  asinh: 4,
  acosh: 4,
  atanh: 4,
  erf: 4,
  pow: 3,
  atan2: 4,
  sigmoid: 4,
  softplus: 4,
  sqrt: 2,
  rsqrt: 4,
  div: 3,
};

describe.skipIf(typeof device === 'string')(titleOf('values in WGSL', device), () => {
  afterAll(() => gpu.destroy());

  const unary = Object.entries(unaryRecords).filter(([, { dtypes }]) => ['float', 'number', 'any'].includes(dtypes));
  it.each(unary.map(([name, record]) => [name, record] as const))('%s of floats', async (name, record) => {
    const random = seeded(5);
    const many = Array.from({ length: 4000 }, () => {
      const bits = new Uint32Array([Math.floor(random() * 2 ** 32)]);
      return new Float32Array(bits.buffer)[0]!;
    });
    const near = Array.from({ length: 2000 }, () => Math.fround((random() - 0.5) * 20));
    const x = [...numbers, ...many.filter((value) => Math.abs(value) >= 2 ** -126), ...near];
    const [found, wanted] = await both(`func @f(%x: f32[${x.length}]) {\n  %0 = ${name}(%x)\n  return y = %0\n}`, {
      x,
    });
    expect(record.doc).toBeTruthy();
    expectWithin(bounds[name] ?? 0.5, found, wanted, (at) => `${name}(${x[at]})`);
  });

  const binary = Object.entries(binaryRecords).filter(([, { dtypes }]) => ['float', 'number', 'any'].includes(dtypes));
  it.each(binary.map(([name]) => name))('%s of floats', async (name) => {
    const random = seeded(7);
    const pairs = numbers.flatMap((a) => numbers.map((b) => [a, b] as const));
    const more = Array.from(
      { length: 3000 },
      () => [Math.fround(random() * 20), Math.fround((random() - 0.5) * 30)] as const,
    );
    const x = [...pairs, ...more].map(([a]) => a);
    const z = [...pairs, ...more].map(([, b]) => b);
    const type = `f32[${x.length}]`;
    const [found, wanted] = await both(
      `func @f(%x: ${type}, %z: ${type}) {\n  %0 = ${name}(%x, %z)\n  return y = %0\n}`,
      { x, z },
    );
    expectWithin(bounds[name] ?? 0.5, found, wanted, (at) => `${name}(${x[at]}, ${z[at]})`);
  });

  it.each(Object.keys(integers) as (keyof typeof integers)[])('every operation on %s', async (dtype) => {
    const values: readonly number[] = integers[dtype];
    const pairs = values.flatMap((a) => values.map((b) => [a, b] as const));
    const [x, z] = [pairs.map(([a]) => a), pairs.map(([, b]) => b)];
    const type = `${dtype}[${x.length}]`;
    for (const [name, { dtypes }] of Object.entries(binaryRecords)) {
      if (dtypes === 'float') continue;
      const [found, wanted] = await both(
        `func @f(%x: ${type}, %z: ${type}) {\n  %0 = ${name}(%x, %z)\n  return y = %0\n}`,
        { x, z },
      );
      found.forEach((value, at) => {
        if (value !== wanted[at])
          expect.fail(`${name}(${x[at]}, ${z[at]}) of ${dtype}: ${wanted[at]} expected, ${value} computed`);
      });
    }
    for (const [name, { dtypes }] of Object.entries(unaryRecords)) {
      if (dtypes === 'float') continue;
      const [found, wanted] = await both(
        `func @f(%x: ${dtype}[${values.length}]) {\n  %0 = ${name}(%x)\n  return y = %0\n}`,
        { x: values },
      );
      expect(found, `${name} of ${dtype}`).toEqual(wanted);
    }
    for (const kind of ['sum', 'prod', 'max', 'min']) {
      const [found, wanted] = await both(
        `func @f(%x: ${type}) {\n  %0 = reduce(%x) {kind=${kind}, axes=[0]}\n  return y = %0\n}`,
        { x },
      );
      expect(found, `${kind} of ${dtype}`).toEqual(wanted);
    }
  });

  const dtypes: readonly DType[] = ['f32', 'i32', 'u32', 'i8', 'u8', 'bool'];
  it.each(dtypes.flatMap((from) => dtypes.map((to) => [from, to] as const)))('cast from %s to %s', async (from, to) => {
    const x = from === 'f32' ? numbers : from === 'bool' ? [0, 1] : [...integers[from as 'i32']];
    const [found, wanted] = await both(
      `func @f(%x: ${from}[${x.length}]) {\n  %0 = cast(%x) {dtype=${to}}\n  return y = %0\n}`,
      { x },
    );
    expectWithin(0.5, found, wanted, (at) => `cast of ${x[at]} from ${from} to ${to}`);
  });

  it('infinities and NaN as constants', async () => {
    const [found] = await both(
      `func @f(%x: f32[3]) {
        %0 = constant() {dtype=f32, shape=[3], data=[inf,-inf,nan]}
        %1 = constant() {dtype=f32, shape=[3], data=[-inf]}
        %2 = max(%x, %1)
        %3 = add(%0, %2)
        return y = %3
      }`,
      { x: [1, 2, 3] },
    );
    expect(found).toEqual([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]);
  });

  it.each([1, 4])(
    'zero times a number, and zero divided by one, which drivers take for zero: %i lanes',
    async (length) => {
      const x = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 0, -0, 3, -3, largest].flatMap(
        (value) => Array(length).fill(value),
      );
      for (const zero of ['0', '-0'])
        for (const [op, operands] of [
          ['mul', '%x, %0'],
          ['mul', '%0, %x'],
          ['div', '%0, %x'],
        ]) {
          const [found, wanted] = await both(
            `func @f(%x: f32[${x.length}]) {
            %0 = constant() {dtype=f32, shape=[${x.length}], data=[${zero}]}
            %1 = ${op}(${operands})
            return y = %1
          }`,
            { x },
          );
          expect(found, `${op}(${operands}) of ${zero}`).toEqual(wanted);
        }
    },
  );

  it('the largest and smallest numbers as constants', async () => {
    const ends = [largest, -largest, 2 ** -126, -(2 ** -126), 1 - 2 ** -24, 16_777_217];
    for (const end of ends) {
      const [found] = await both(
        `func @f(%x: f32[2]) {
          %0 = constant() {dtype=f32, shape=[2], data=[${end}]}
          %1 = constant() {dtype=f32, shape=[2], data=[0]}
          %2 = gt(%x, %1)
          %3 = select(%2, %0, %x)
          return y = %3
        }`,
        { x: [1, -1] },
      );
      expect(found).toEqual([Math.fround(end), -1]);
    }
  });
});
