// Axes split so that no index divides: what the kernels look like, and that they compute the same.

import { describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import { printKernelText } from '../src/ir/kernel-text.ts';
import { leavesOf } from '../src/ir/steps.ts';
import { parseFunc } from '../src/ir/text.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { interpretProgram } from './helpers/interpret-program.ts';
import { sampleInputs } from './helpers/samples.ts';

/** The one kernel's body as text, after comparing what it computes with the reference. */
function kernelOf(text: string): string {
  const func = parseFunc(text);
  const inputs = sampleInputs(func, 5);
  const program = compileToProgram(func);
  const found = interpretProgram(program, new Map(func.parameters.map((p, i) => [p.name, inputs[i]!.data])));
  evaluateFunc(func, inputs).forEach((result, i) => {
    expect([...found.get(func.results[i]!.name)!]).toEqual([...result.data]);
  });
  expect(program.steps.length).toBe(1);
  return printKernelText(leavesOf(program.steps)[0]!.kernel);
}

const tiles = 'window=[2,2], strides=[2,2], padding=[[0,0],[0,0]], dilation=[1,1]';

describe('axes that are divided', () => {
  it('are written out for the cells of a pooling window', () => {
    const text = kernelOf(`func @f(%c: f32[3,12,12], %i: i32[3,12,12]) {
      %0 = windowPut(%c, %i) {${tiles}, spatial=[24,24]}
      return y = %0
    }`);
    expect(text).not.toMatch(/[/%]/);
    expect(text).toContain('vector i2 < 12 {');
    // The window's cotangent and tap are read once for its four cells, and not on a condition.
    expect(text.match(/= c\[12\*i1 \+ i2\]/g)).toHaveLength(1);
    expect(text).toContain('windowPut[48*i1 + 2*i2 + 25] = sum');
  });

  it('let the gradient of relu and pooling be written over relu', () => {
    const program = compileToProgram(
      parseFunc(`func @f(%x: f32[3,24,24], %c: f32[3,12,12]) {
        %y = exp(%x)
        %i = windowArg(%y) {kind=max, ${tiles}}
        %0 = windowPut(%c, %i) {${tiles}, spatial=[24,24]}
        %zero = constant() {dtype=f32, shape=[3,24,24], data=[0]}
        %m = gt(%y, %zero)
        %g = select(%m, %0, %zero)
        %r = reverse(%g) {axes=[0]}
        %h = exp(%r)
        %s = reduce(%g) {kind=sum, axes=[2]}
        return h = %h, s = %s
      }`),
    );
    const [, , put] = leavesOf(program.steps);
    expect(put!.kernel.parameters.map(({ access }) => access)).toEqual(['read', 'read', 'readwrite']);
  });

  it('stay where windows do not divide the operand', () => {
    expect(
      kernelOf(`func @f(%c: f32[9,6,6], %i: i32[9,6,6]) {
        %0 = windowPut(%c, %i) {${tiles}, spatial=[13,12]}
        return y = %0
      }`),
    ).toMatch(/\(i1 \/ 2\)/);
  });

  it('become an innermost loop where the inner part is long', () => {
    expect(
      kernelOf(`func @f(%x: f32[5,240]) {
        %0 = transpose(%x) {permutation=[1,0]}
        %1 = reshape(%0) {shape=[1200]}
        %2 = reverse(%1) {axes=[0]}
        %3 = reshape(%x) {shape=[1200]}
        %4 = sub(%2, %3)
        return y = %4
      }`),
    ).not.toMatch(/[/%]/);
    const text = kernelOf(`func @f(%x: f32[24,64]) {
      %0 = transpose(%x) {permutation=[1,0]}
      %1 = reshape(%0) {shape=[1536]}
      %2 = neg(%1)
      return y = %2
    }`);
    // Not in lanes: what it reads is 64 elements apart.
    expect(text).toContain('serial i0 < 24 {');
    expect(text).not.toMatch(/[/%]/);
  });

  it('are written out without the branches that a copy never takes', () => {
    const text = kernelOf(`func @f(%x: f32[512,2]) {
      %0 = pad(%x) {low=[0,1], high=[0,0], interior=[0,0], value=0}
      %1 = reshape(%0) {shape=[1536]}
      %2 = exp(%1)
      return y = %2
    }`);
    expect(text.match(/exp\[/g)).toHaveLength(3);
    expect(text).not.toMatch(/[/%?]|select|>=/);
  });
});

describe('short loops', () => {
  it('keep their divisions and conditions: copies would be more code than they save', () => {
    const text = kernelOf(`func @f(%x: f32[8,8], %y: f32[3]) {
      %0 = transpose(%x) {permutation=[1,0]}
      %1 = reshape(%0) {shape=[64]}
      %2 = neg(%1)
      return y = %2
    }`);
    expect(text).toContain('% 8');
  });
});

describe('conditions on axes', () => {
  it('are gone from the ranges of a concatenation', () => {
    const text = kernelOf(`func @f(%x: f32[20,20], %y: f32[20,40], %z: f32[20,16]) {
      %0 = concat(%x, %y, %z) {axis=1}
      %1 = neg(%0)
      return c = %1
    }`);
    expect(text).not.toMatch(/[?%]/);
    expect(text.match(/vector i1 < \d+/g)).toEqual(['vector i1 < 20', 'vector i1 < 40', 'vector i1 < 16']);
  });

  it('are gone from the sum of padded slices, and divisions with them', () => {
    const text = kernelOf(`func @f(%a: f32[12,2,32], %b: f32[12,64]) {
      %0 = reshape(%a) {shape=[12,64]}
      %1 = pad(%0) {low=[0,64], high=[0,0], interior=[0,0], value=0}
      %2 = pad(%b) {low=[0,0], high=[0,64], interior=[0,0], value=0}
      %3 = add(%1, %2)
      return y = %3
    }`);
    expect(text).not.toMatch(/[?%]/);
  });

  it('are gone from what is stacked along an outer axis', () => {
    const text = kernelOf(`func @f(%x: f32[1,640], %y: f32[1,640], %z: f32[2,640]) {
      %0 = concat(%x, %y, %z) {axis=0}
      %1 = neg(%0)
      return c = %1
    }`);
    expect(text).not.toMatch(/[?%]/);
    expect(text.match(/vector i\d < \d+/g)).toEqual(['vector i1 < 640', 'vector i1 < 640', 'vector i1 < 1280']);
  });

  it('stay where ranges would be short', () => {
    expect(
      kernelOf(`func @f(%x: f32[40,30]) {
        %0 = pad(%x) {low=[0,1], high=[0,1], interior=[0,0], value=0}
        return y = %0
      }`),
    ).toMatch(/ge\(i1 \+ -1, 0\)/);
  });
});
