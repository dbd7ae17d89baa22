// Walks the operation table: every example of every entry is evaluated, printed and read back, and its derivatives of
// first and second order, forward and reverse, are held against finite differences of the float64 reference.

import { describe, expect, it } from 'vitest';
import { jvpOf } from '../src/autodiff/forward.ts';
import { vjpOf } from '../src/autodiff/reverse.ts';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import { type Func, makeFunc, type Parameter, parameter, type Value } from '../src/ir/graph.ts';
import type { NdArray } from '../src/ir/ndarray.ts';
import type { OpName } from '../src/ir/opattrs.ts';
import { builder, opTable } from '../src/ir/ops/index.ts';
import { parseFunc, printFunc } from '../src/ir/text.ts';
import { isFloat, sameType } from '../src/ir/types.ts';
import { sampleInputs } from './helpers/samples.ts';

const names = Object.keys(opTable) as OpName[];
const floatParameters = (func: Func): Parameter[] => func.parameters.filter(({ value }) => isFloat(value.type.dtype));
const floatResults = (func: Func): Value[] =>
  func.results.map(({ value }) => value).filter(({ type }) => isFloat(type.dtype));

/** The function's parameters with one tangent or weight per given value added, and new results. */
function extend(func: Func, extra: readonly Parameter[], values: readonly Value[]): Func {
  const results = values.map((value, i) => ({ name: `r${i}`, role: 'output' as const, value }));
  return makeFunc('extended', [...func.parameters, ...extra], results);
}

/** Adds parameters v: the results are Σ ∂y/∂x · v. */
function forward(func: Func): Func {
  const wrt = floatParameters(func);
  const tangents = wrt.map(({ value, name }) => parameter(`tangent_${name}`, value.type));
  const outputs = floatResults(func);
  const result = jvpOf(
    builder,
    opTable,
    outputs,
    wrt.map(({ value }) => value),
    tangents.map(({ value }) => value),
  );
  return extend(
    func,
    tangents,
    result.map((value, i) => value ?? builder.like(outputs[i]!, 0)),
  );
}

/** Adds parameters c: the results are Σ c · ∂y/∂x for every float parameter of the original function. */
function reverse(func: Func): Func {
  const wrt = floatParameters(func).map(({ value }) => value);
  const outputs = floatResults(func);
  const weights = outputs.map((value, i) => parameter(`weight_${i}`, value.type));
  const result = vjpOf(
    builder,
    opTable,
    outputs,
    weights.map(({ value }) => value),
    wrt,
  );
  return extend(
    func,
    weights,
    result.map((value, i) => value ?? builder.like(wrt[i]!, 0)),
  );
}

function dot(a: readonly NdArray[], b: readonly NdArray[]): number {
  let sum = 0;
  a.forEach((array, i) => {
    array.data.forEach((value, j) => {
      sum += value * b[i]!.data[j]!;
    });
  });
  return sum;
}

const floats = (func: Func, arrays: readonly NdArray[]): NdArray[] =>
  arrays.filter((_, i) => isFloat(func.results[i]!.value.type.dtype));

/** Central differences of c·f along the direction, and the same by forward and by reverse mode. */
function compare(
  func: Func,
  inputs: readonly NdArray[],
  seed: number,
): { difference: number; forward: number; reverse: number; scale: number } {
  const step = 1e-5;
  const moving = func.parameters.map(({ value }) => isFloat(value.type.dtype));
  const direction = sampleInputs(func, seed, [-1, 1]);
  const shifted = (sign: number): NdArray[] =>
    inputs.map((input, i) =>
      moving[i]
        ? { type: input.type, data: input.data.map((value, j) => value + sign * step * direction[i]!.data[j]!) }
        : input,
    );
  const weighted = reverse(func);
  const weights = sampleInputs(weighted, seed + 1, [-1, 1]).slice(func.parameters.length);
  const value = (at: readonly NdArray[]): number => dot(floats(func, evaluateFunc(func, at)), weights);
  const tangents = direction.filter((_, i) => moving[i]);
  const pushed = evaluateFunc(forward(func), [...inputs, ...tangents]);
  const pulled = evaluateFunc(weighted, [...inputs, ...weights]);
  return {
    difference: (value(shifted(1)) - value(shifted(-1))) / (2 * step),
    forward: dot(pushed, weights),
    reverse: dot(pulled, tangents),
    scale: 1 + Math.sqrt(dot(pulled, pulled)),
  };
}

function expectDerivatives(func: Func, inputs: readonly NdArray[], seed: number): void {
  if (floatParameters(func).length === 0 || floatResults(func).length === 0) return;
  const found = compare(func, inputs, seed);
  expect(Math.abs(found.forward - found.difference) / found.scale, 'forward').toBeLessThan(2e-5);
  expect(Math.abs(found.reverse - found.difference) / found.scale, 'reverse').toBeLessThan(2e-5);
}

describe('every operation', () => {
  it.each(names)('%s has a sentence of documentation and an example', (name) => {
    expect(opTable[name].doc).toMatch(/\.$/);
    expect(opTable[name].examples.length).toBeGreaterThan(0);
    const used = opTable[name].examples.every(({ text }) => text.includes(`= ${name}(`));
    expect(used).toBe(true);
  });

  it.each(names)('%s: print(parse(print)) is exact', (name) => {
    for (const { text } of opTable[name].examples) {
      const printed = printFunc(parseFunc(text));
      expect(printFunc(parseFunc(printed))).toBe(printed);
    }
  });

  it.each(names)('%s evaluates to its inferred types', (name) => {
    for (const { text, domain } of opTable[name].examples) {
      const func = parseFunc(text);
      const results = evaluateFunc(func, sampleInputs(func, 1, domain));
      results.forEach((result, i) => {
        expect(sameType(result.type, func.results[i]!.value.type)).toBe(true);
      });
    }
  });

  it.each(names.filter((name) => name !== 'call'))(
    '%s: derivatives agree with finite differences, to second order',
    (name) => {
      for (const { text, domain, differentiable = true } of opTable[name].examples) {
        if (!differentiable) continue;
        const func = parseFunc(text);
        const inputs = sampleInputs(func, 3, domain);
        expectDerivatives(func, inputs, 5);
        const once = reverse(func);
        const onceInputs = [...inputs, ...sampleInputs(once, 7, [-1, 1]).slice(inputs.length)];
        expectDerivatives(once, onceInputs, 9);
        const pushed = forward(func);
        const pushedInputs = [...inputs, ...sampleInputs(pushed, 11, [-1, 1]).slice(inputs.length)];
        expectDerivatives(pushed, pushedInputs, 13);
      }
    },
  );
});
