// 64-bit integers on a GPU, which has none: i32 where bounds prove that nothing is lost.

import { describe, expect, it } from 'vitest';
import { parseFunc, printFunc } from '../src/ir/text.ts';
import { foldConstants } from '../src/passes/fold.ts';
import { narrowIntegers } from '../src/passes/gpu/narrow.ts';
import { compile } from '../src/runtime/compile.ts';
import { compileForWebGpu } from '../src/runtime/webgpu/compile.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

const narrowed = (body: string, parameters = '%x: i64[4]'): string =>
  printFunc(narrowIntegers(parseFunc(`func @f(${parameters}) {\n${body}\n  return y = %y\n}`)));

describe('narrowIntegers', () => {
  it('makes i32 of indices, positions and what is clamped', () => {
    const text = narrowed(
      '  %0 = constant() {dtype=i64, shape=[4], data=[9]}\n  %1 = min(%x, %0)\n  %2 = neg(%0)\n  %3 = max(%1, %2)\n  %4 = add(%3, %0)\n' +
        '  %y = gather(%t, %4) {axis=0, batch=0}',
      '%x: i64[4], %t: f32[10,2]',
    );
    expect(text).not.toContain('i64');
    expect(text).toContain('%x: i32[4]');
  });

  it.each([
    [
      'argreduce',
      '  %0 = argreduce(%z) {kind=max, axis=1}\n  %1 = cast(%0) {dtype=i64}\n  %2 = neg(%1)\n  %y = add(%2, %1)',
    ],
    ['sort', '  %0, %1 = sort(%z) {axis=1, descending=false}\n  %2 = cast(%1) {dtype=i64}\n  %y = mul(%2, %2)'],
    ['iota', '  %0 = iota() {dtype=i64, shape=[9], axis=0}\n  %y = mul(%0, %0)'],
  ])('knows the bounds of positions: %s', (_op, body) => {
    expect(narrowed(body, '%z: f32[2,5]')).not.toContain('i64');
  });

  it.each([
    ['add', '%y = add(%x, %x)', /add gives i64\[4\], whose elements may need more than 32 bits/],
    ['sum', '%y = reduce(%x) {kind=sum, axes=[0]}', /reduce gives i64\[\]/],
    ['shl', '%y = shl(%x, %x)', /shl gives/],
  ])('refuses what may leave 32 bits: %s', (_op, body, message) => {
    expect(() => narrowed(`  ${body}`)).toThrow(message);
  });

  const step = (body: string, parameters: string): string => `func @step(${parameters}) {\n${body}\n}\n`;
  const scan = '{body=@step, length=4, reverse=false, consts=1, carries=1, residuals=keep}';

  it('looks into loops and branches', () => {
    const text = printFunc(
      narrowIntegers(
        parseFunc(
          step(
            '  %i = cast(%n) {dtype=i64}\n  %j = add(%i, %i)\n  %k = min(%j, %m)\n  %f = cast(%k) {dtype=f32}\n  %t = add(%s, %f)\n  return s = %t, k = %k',
            '%m: i64[], %s: f32[], %n: i8[]',
          ) +
            `func @f(%m: i64[], %s: f32[], %n: i8[4]) {\n  %t, %k = scan(%m, %s, %n) ${scan}\n  %0 = sign(%k)\n` +
            '  %y = cast(%0) {dtype=f32}\n  return y = %y, t = %t\n}',
        ),
      ),
    );
    expect(text).not.toContain('i64');
  });

  it('follows what goes around in a loop as i64 while it grows', () => {
    const loop = (length: number, next: string): string =>
      `func @step(%m: i64[], %s: i64[], %n: i32[]) {\n  %one = constant() {dtype=i64, shape=[], data=[1]}\n${next}\n  return s = %t, k = %s\n}\n` +
      `func @f(%n: i32[${length}]) {\n  %m = constant() {dtype=i64, shape=[], data=[100]}\n  %s = constant() {dtype=i64, shape=[], data=[0]}\n` +
      `  %t, %k = scan(%m, %s, %n) {body=@step, length=${length}, reverse=false, consts=1, carries=1, residuals=keep}\n  return t = %t, k = %k\n}`;
    const count = '  %t = add(%s, %one)';
    expect(printFunc(narrowIntegers(parseFunc(loop(200, count))))).not.toContain('i64');
    // 2⁶ stays in 32 bits, 2⁴⁰ does not.
    const double = '  %d = add(%s, %s)\n  %t = add(%d, %one)';
    expect(printFunc(narrowIntegers(parseFunc(loop(6, double))))).not.toContain('i64');
    expect(() => narrowIntegers(parseFunc(loop(40, double)))).toThrow(
      /add gives i64\[\], whose elements may need more/,
    );
    // However long, what is bounded settles.
    const bounded = '  %u = add(%s, %one)\n  %t = min(%u, %m)';
    expect(printFunc(narrowIntegers(parseFunc(loop(100_000, bounded))))).not.toContain('i64');
    expect(() => narrowIntegers(parseFunc(loop(100_000, count)))).toThrow(
      /scan gives i64\[\], whose elements may need/,
    );
  });

  it('refuses what goes around in a loop as i64 and may leave 32 bits', () => {
    const text =
      step('  %t = add(%s, %m)\n  return s = %t', '%m: i64[], %s: i64[], %n: i32[]') +
      `func @f(%m: i64[], %s: i64[], %n: i32[4]) {\n  %t = scan(%m, %s, %n) ${scan}\n  return t = %t\n}`;
    expect(() => narrowIntegers(parseFunc(text))).toThrow(/no i64, and add gives i64\[\]/);
  });

  it('returns a function without i64 as it is', () => {
    const func = parseFunc('func @f(%x: f32[2]) {\n  %0 = neg(%x)\n  return y = %0\n}');
    expect(narrowIntegers(func)).toBe(func);
  });
});

describe('constants of i64', () => {
  const folded = (body: string): string =>
    printFunc(foldConstants.run(parseFunc(`func @f() {\n${body}\n  return y = %y\n}`)));
  const constant = (name: string, value: number): string =>
    `  ${name} = constant() {dtype=i64, shape=[1], data=[${value}]}\n`;

  it('are folded where float64 is exact', () => {
    expect(folded(`${constant('%a', 3_000_000_000)}${constant('%b', 1_000_000)}  %y = mul(%a, %b)`)).toContain(
      '3000000000000000',
    );
  });
  it('are left to the target beyond 2^53', () => {
    expect(folded(`${constant('%a', 3_000_000_000)}${constant('%b', 4_000_000_000)}  %y = mul(%a, %b)`)).toContain(
      'mul',
    );
  });
});

describe('values without elements', () => {
  it('are computed by no kernel', async () => {
    const func = parseFunc('func @f(%x: f32[0,3]) {\n  %0 = reshape(%x) {shape=[3,0]}\n  return y = %0\n}');
    for (const target of ['c', 'js'] as const) {
      const run = await compile({ func, variables: [] }, { target });
      expect(run.program.steps).toEqual([]);
      expect(run({ x: new Float32Array(0) })).toEqual({ y: new Float32Array(0) });
    }
  });
});

const device = await testDevice();

describe.skipIf(typeof device === 'string')(titleOf('on a device', device), () => {
  const func = parseFunc('func @f(%x: i64[3]) {\n  %0 = reverse(%x) {axes=[0]}\n  return y = %0\n}');

  it('doubles are computed in f32 on request, and refused without', async () => {
    if (typeof device === 'string') return;
    const wide = parseFunc('func @f(%x: f64[2]) {\n  %0 = mul(%x, %x)\n  return y = %0\n}');
    const run = await compileForWebGpu({ func: wide, variables: [] }, { device, doubles: 'f32' });
    expect(await run({ x: Float64Array.of(1.5, -3) })).toEqual({ y: Float64Array.of(2.25, 9) });
    await expect(compileForWebGpu({ func: wide, variables: [] }, { device })).rejects.toThrow(/no f64/);
  });

  it('callers give and take BigInt64Array', async () => {
    if (typeof device === 'string') return;
    const run = await compileForWebGpu({ func, variables: [] }, { device });
    const { y } = (await run({ x: BigInt64Array.of(-7n, 0n, 2n ** 31n - 1n) })) as { y: BigInt64Array };
    expect(y).toEqual(BigInt64Array.of(2n ** 31n - 1n, 0n, -7n));
    await expect(run({ x: BigInt64Array.of(0n, 2n ** 31n, 0n) })).rejects.toThrow(
      /input "x": integers of 32 bits expected on target webgpu, 2147483648 given at element 1/,
    );
  });
});
