// Kernels by rows: softmax, normalisations and their derivatives are one kernel each, and compute what the reference does;
// long reductions over outer axes.

import { describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import { printKernelText } from '../src/ir/kernel-text.ts';
import type { Program } from '../src/ir/program.ts';
import { leavesOf } from '../src/ir/steps.ts';
import { parseFunc } from '../src/ir/text.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { arrayFrom, type TypedArray } from '../src/runtime/arrays.ts';
import { compile } from '../src/runtime/compile.ts';
import { interpretProgram } from './helpers/interpret-program.ts';
import { sampleInputs } from './helpers/samples.ts';

/** Compiles, and compares what the kernels compute with the reference. */
function checked(text: string): Program {
  const func = parseFunc(text);
  const inputs = sampleInputs(func, 11);
  const program = compileToProgram(func);
  const found = interpretProgram(program, new Map(func.parameters.map((p, i) => [p.name, inputs[i]!.data])));
  evaluateFunc(func, inputs).forEach((result, i) => {
    const name = func.results[i]!.name;
    result.data.forEach((wanted, at) => {
      const value = found.get(name)![at]!;
      if (Math.abs(value - wanted) > 1e-9 * (1 + Math.abs(wanted)))
        expect.fail(`${name}[${at}]: ${wanted} expected, ${value} computed`);
    });
  });
  return program;
}

const kernels = (text: string): string[] => leavesOf(checked(text).steps).map(({ kernel }) => kernel.summary);

const softmax = (rows: number, length: number): string => `
  %m = reduce(%x) {kind=max, axes=[1]}
  %0 = broadcast(%m) {shape=[${rows},${length}], axes=[0]}
  %1 = sub(%x, %0)
  %e = exp(%1)
  %s = reduce(%e) {kind=sum, axes=[1]}
  %2 = broadcast(%s) {shape=[${rows},${length}], axes=[0]}
  %y = div(%e, %2)`;

describe('kernels by rows', () => {
  it.each([
    [5, 48],
    [3, 100],
    [2, 131],
    [1, 64],
  ])('softmax of %d rows of %d is one kernel', (rows, length) => {
    const text = `func @f(%x: f32[${rows},${length}]) {${softmax(rows, length)}\n  return y = %y\n}`;
    expect(kernels(text)).toEqual(['reduce, sub, exp, reduce, div']);
  });

  it('keep what is expensive in a row, and compute again what is cheap', () => {
    const program = checked(`func @f(%x: f32[4,64]) {
      %s = reduce(%x) {kind=sum, axes=[1]}
      %0 = broadcast(%s) {shape=[4,64], axes=[0]}
      %c = sub(%x, %0)
      %e = exp(%c)
      %t = reduce(%e) {kind=sum, axes=[1]}
      %1 = broadcast(%t) {shape=[4,64], axes=[0]}
      %2 = sub(%e, %1)
      %y = mul(%2, %c)
      return y = %y
    }`);
    const text = printKernelText(leavesOf(program.steps)[0]!.kernel);
    expect(text).toContain('stack e_row: f32[64]');
    expect(text.slice(text.indexOf('t = '))).toBe(
      [
        't = sum_lanes[0]',
        '    vector j < 64 {',
        '      c = sub(x[64*i0 + j], s)',
        '      sub = sub(e_row[j], t)',
        '      y = mul(sub, c)',
        '      y[64*i0 + j] = y',
        '    }',
        '  }',
        '}',
      ].join('\n'),
    );
  });

  it('are not made of rows too short to fill lanes', () => {
    expect(kernels(`func @f(%x: f32[40,5]) {${softmax(40, 5)}\n  return y = %y\n}`).length).toBe(4);
  });

  it('leave a value that is read elsewhere in memory', () => {
    const text = `func @f(%x: f32[6,60], %w: f32[60,3]) {${softmax(6, 60)}
      %d = dot(%y, %w) {contract=[[1],[0]], batch=[[],[]]}
      %l = log(%s)
      return d = %d, l = %l, e = %e
    }`;
    expect(kernels(text)[0]).toBe('reduce, sub, exp, reduce, log, div');
  });

  it('normalise with scale and shift, statistics on a kept axis', () => {
    const text = `func @f(%x: f32[6,60], %scale: f32[60], %shift: f32[60]) {
      %s = reduce(%x) {kind=sum, axes=[1]}
      %0 = reshape(%s) {shape=[6,1]}
      %n = constant() {dtype=f32, shape=[6,1], data=[60]}
      %mean = div(%0, %n)
      %1 = reshape(%mean) {shape=[6]}
      %2 = broadcast(%1) {shape=[6,60], axes=[0]}
      %c = sub(%x, %2)
      %q = mul(%c, %c)
      %v = reduce(%q) {kind=sum, axes=[1]}
      %3 = reshape(%v) {shape=[6,1]}
      %4 = div(%3, %n)
      %r = rsqrt(%4)
      %5 = reshape(%r) {shape=[6]}
      %6 = broadcast(%5) {shape=[6,60], axes=[0]}
      %7 = mul(%c, %6)
      %8 = broadcast(%scale) {shape=[6,60], axes=[1]}
      %9 = mul(%7, %8)
      %10 = broadcast(%shift) {shape=[6,60], axes=[1]}
      %y = add(%9, %10)
      return y = %y
    }`;
    expect(kernels(text)).toEqual(['reduce, div, sub, reduce, div, rsqrt, mul, mul, add']);
  });

  it('take in a reduction of what an element kernel computes', () => {
    const text = `func @f(%x: f32[3,2,70], %c: f32[3,2,70]) {
      %p = exp(%x)
      %0 = mul(%p, %c)
      %s = reduce(%0) {kind=sum, axes=[2]}
      %1 = broadcast(%s) {shape=[3,2,70], axes=[0,1]}
      %2 = sub(%c, %1)
      %g = mul(%2, %p)
      return p = %p, g = %g
    }`;
    expect(kernels(text)).toEqual(['exp, reduce, sub, mul']);
  });

  it('gather what begins in several places and meets later', () => {
    const text = `func @f(%x: f32[4,60], %c: f32[4,60], %scale: f32[60]) {
      %s = reduce(%x) {kind=sum, axes=[1]}
      %0 = broadcast(%scale) {shape=[4,60], axes=[1]}
      %d = mul(%c, %0)
      %t = reduce(%d) {kind=sum, axes=[1]}
      %1 = broadcast(%s) {shape=[4,60], axes=[0]}
      %2 = broadcast(%t) {shape=[4,60], axes=[0]}
      %3 = mul(%x, %1)
      %4 = mul(%d, %2)
      %g = add(%3, %4)
      return g = %g
    }`;
    expect(kernels(text)).toEqual(['reduce, mul, reduce, mul, mul, add']);
  });

  it('run over no rows at all', () => {
    checked(`func @f(%x: f32[0,100], %c: f32[100,0]) {
      %s = reduce(%x) {kind=sum, axes=[1]}
      %0 = broadcast(%s) {shape=[0,100], axes=[0]}
      %y = sub(%x, %0)
      %t = reduce(%x) {kind=max, axes=[1]}
      %u = reduce(%c) {kind=sum, axes=[0]}
      return y = %y, t = %t, u = %u
    }`);
  });

  it('do not read another row', () => {
    const text = `func @f(%x: f32[50,50]) {
      %m = reduce(%x) {kind=max, axes=[1]}
      %0 = broadcast(%m) {shape=[50,50], axes=[1]}
      %y = sub(%x, %0)
      return y = %y
    }`;
    expect(kernels(text)).toEqual(['reduce', 'sub']);
  });

  it('reduce integers and bools', () => {
    const text = `func @f(%x: i32[4,53], %b: bool[4,53]) {
      %s = reduce(%x) {kind=sum, axes=[1]}
      %0 = broadcast(%s) {shape=[4,53], axes=[0]}
      %1 = lt(%x, %0)
      %2 = and(%1, %b)
      %a = reduce(%2) {kind=or, axes=[1]}
      return a = %a
    }`;
    expect(kernels(text)).toEqual(['reduce, reduce']);
  });

  it.each([1, 2])('run on %d threads as compiled C', async (threads) => {
    const func = parseFunc(`func @f(%x: f32[300,131], %c: f32[300,131]) {${softmax(300, 131)}
      %p = mul(%y, %c)
      %t = reduce(%p) {kind=sum, axes=[1]}
      %3 = broadcast(%t) {shape=[300,131], axes=[0]}
      %4 = sub(%c, %3)
      %g = mul(%4, %y)
      return y = %y, g = %g
    }`);
    const inputs = sampleInputs(func, 11);
    const run = await compile<Record<string, TypedArray>, Record<string, TypedArray>>(
      { func, variables: [] },
      { target: 'c', threads },
    );
    expect(leavesOf(run.program.steps).map(({ kernel }) => kernel.summary)).toEqual([
      'reduce, sub, exp, reduce, div, reduce, sub, mul',
    ]);
    const results = run({
      x: arrayFrom(inputs[0]!.type, inputs[0]!.data),
      c: arrayFrom(inputs[1]!.type, inputs[1]!.data),
    });
    evaluateFunc(func, inputs).forEach((result, i) => {
      const found = results[func.results[i]!.name]!;
      result.data.forEach((wanted, at) => {
        if (Math.abs(Number(found[at]) - wanted) > 2e-6)
          expect.fail(`element ${at}: ${wanted} expected, ${found[at]} computed`);
      });
    });
  });
});

describe('long reductions over an outer axis', () => {
  it.each([80, 300])('are split into partial results for threads to share: %d columns', async (columns) => {
    const func = parseFunc(`func @f(%x: f32[4096,${columns}]) {
      %0 = reduce(%x) {kind=sum, axes=[0]}
      return y = %0
    }`);
    const inputs = sampleInputs(func, 11);
    const program = compileToProgram(func);
    expect(leavesOf(program.steps).map(({ kernel }) => kernel.name)).toEqual(['reduce_partial', 'reduce']);
    const run = await compile<Record<string, TypedArray>, Record<string, TypedArray>>(
      { func, variables: [] },
      { target: 'c', threads: 2 },
    );
    const { y } = run({ x: arrayFrom(inputs[0]!.type, inputs[0]!.data) });
    evaluateFunc(func, inputs)[0]!.data.forEach((wanted, at) => {
      expect(Math.abs(Number(y![at]) - wanted)).toBeLessThan(1e-3);
    });
  });

  it('are not split where a chunk would be a row', () => {
    const program = compileToProgram(
      parseFunc(`func @f(%x: f32[64,1024]) {
      %0 = reduce(%x) {kind=sum, axes=[0]}
      return y = %0
    }`),
    );
    expect(program.steps.length).toBe(1);
  });
});
