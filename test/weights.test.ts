// Weights: states that a function only reads, bound to it. Small ones are constants, large ones parameters that are given
// once; the memory plan prepares them in an order that needs little memory.

import { describe, expect, it } from 'vitest';
import { builder } from '../src/ir/ops/index.ts';
import { leavesOf } from '../src/ir/steps.ts';
import { parseFunc, printFunc } from '../src/ir/text.ts';
import { bindStates } from '../src/passes/bind-states.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';

const values = (numbers: Readonly<Record<string, readonly number[]>>) => (name: string) => {
  const found = numbers[name];
  if (found === undefined) throw new Error(`the elements of ${name} were not to be asked for`);
  return found;
};

const ramp = (length: number): Float32Array => Float32Array.from({ length }, (_, i) => i % 7);

describe('binding states', () => {
  const text = `func @f(state %small: f32[2], state %large: f32[3], state %count: f32[2]) {
    %a = add(%small, %count)
    %b = neg(%large)
    return a = %a, b = %b, update count = %a
  }`;

  it('makes constants of those that are only read', () => {
    const bound = bindStates(parseFunc(text), builder, values({ small: [1, 2], large: [3, 4, 5] }));
    expect(bound.parameters.map(({ name, role }) => `${role} ${name}`)).toEqual(['state count']);
    expect(printFunc(bound)).toContain('data=[3,4,5]');
  });

  it('makes weights of large ones, whose elements it does not ask for', () => {
    const bound = bindStates(parseFunc(text), builder, values({ small: [1, 2] }), 2);
    expect(bound.parameters.map(({ name, role }) => `${role} ${name}`)).toEqual(['weight large', 'state count']);
    expect(printFunc(bound)).toContain('data=[1,2]');
  });
});

describe('the preparation', () => {
  it('begins with the largest weights, and packs them as it packs constants', () => {
    const dense = (
      role: string,
    ): string => `func @f(%x: f32[1,256], ${role} %v: f32[256,128], ${role} %w: f32[128,1024]) {
      %h = dot(%x, %v) {contract=[[1],[0]], batch=[[],[]]}
      %y = dot(%h, %w) {contract=[[1],[0]], batch=[[],[]]}
      return y = %y
    }`;
    const { preparation, externals, steps } = compileToProgram(parseFunc(dense('weight')));
    const read = preparation.map(({ args }) => args.filter(({ storage }) => storage === 'external').map((b) => b.name));
    expect(read).toEqual([['w'], ['v']]);
    expect(externals.every(({ data }) => data === null)).toBe(true);
    const constants = bindStates(parseFunc(dense('state')), builder, (name) =>
      ramp(name === 'v' ? 256 * 128 : 128 * 1024),
    );
    const other = compileToProgram(constants);
    expect(leavesOf(steps).map(({ kernel }) => kernel.name)).toEqual(
      leavesOf(other.steps).map(({ kernel }) => kernel.name),
    );
    expect(other.preparation.length).toBe(preparation.length);
  });
});
