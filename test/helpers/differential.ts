// What tests of targets share: every example of the operation table as functions with inputs, and the comparison with the
// float64 reference.

import { expect } from 'vitest';
import { evaluateFunc } from '../../src/ir/evaluate.ts';
import { type Func, makeFunc, type Parameter, type Result } from '../../src/ir/graph.ts';
import { fromHalfBits } from '../../src/ir/half.ts';
import type { NdArray } from '../../src/ir/ndarray.ts';
import type { OpName } from '../../src/ir/opattrs.ts';
import { opTable } from '../../src/ir/ops/index.ts';
import { parseFunc } from '../../src/ir/text.ts';
import { inputChecks } from '../../src/passes/input-checks.ts';
import { arrayFrom, type TypedArray } from '../../src/runtime/arrays.ts';
import { sampleInputs } from './samples.ts';

export interface Case {
  readonly func: Func;
  readonly inputs: readonly NdArray[];
}

/** Every operation but loops, which loop-targets.test.ts walks, dealt into eight hands. */
export const operations = (Object.keys(opTable) as OpName[]).filter((name) => opTable[name].lowering.class !== 'loop');
export const families = Array.from({ length: 8 }, (_, i) => operations.filter((_name, position) => position % 8 === i));

/** The examples of operations, with inputs in their domains and indices in range, which the runtime would check. */
export function casesOf(names: readonly OpName[], retyped = (text: string): string => text): Case[] {
  return names.flatMap((name) =>
    opTable[name].examples.map(({ text, domain }, i) => {
      const func = parseFunc(retyped(text));
      return { func, inputs: inRange(func, sampleInputs(func, 17 + i, domain)) };
    }),
  );
}

function inRange(func: Func, inputs: readonly NdArray[]): NdArray[] {
  const checks = inputChecks(func);
  return inputs.map((input, i) => {
    const check = checks.find((next) => next.input === func.parameters[i]!.name);
    if (check === undefined) return input;
    return { type: input.type, data: input.data.map((value) => Math.abs(value) % (check.upper + 1)) };
  });
}

/** One function of several, parameters and results renamed apart: fusion, the arena and in-place reuse are part of a test. */
export function together(cases: readonly Case[]): Case {
  const parameters = cases.flatMap(({ func }, i) =>
    func.parameters.map((parameter): Parameter => ({ ...parameter, name: `c${i}_${parameter.name}` })),
  );
  const results = cases.flatMap(({ func }, i) =>
    func.results.map((result): Result => ({ ...result, name: `c${i}_${result.name}` })),
  );
  return { func: makeFunc('together', parameters, results), inputs: cases.flatMap(({ inputs }) => inputs) };
}

/** The inputs as a runtime takes them. */
export function arraysOf({ func, inputs }: Case): Record<string, TypedArray> {
  return Object.fromEntries(
    func.parameters.map(({ name, value }, i) => [name, arrayFrom(value.type, inputs[i]!.data)]),
  );
}

/** Relative to the largest element, since sums are rounded at the size of their terms. f16: 2⁻⁹; f32: 2⁻²⁰; f64: 2⁻⁴⁶. */
function bound(result: NdArray): number {
  const finite = result.data.filter(Number.isFinite);
  const largest = finite.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  if (result.type.dtype === 'f16') return largest * 2 ** -9;
  return result.type.dtype === 'f32' ? largest * 2 ** -20 : result.type.dtype === 'f64' ? largest * 2 ** -46 : 0;
}

/** Holds a target's results against the reference; NaN and infinities have to be the same. `slack` widens the bound where rounding adds up. */
export function expectReference(
  { func, inputs }: Case,
  results: Readonly<Record<string, TypedArray>>,
  slack = 1,
): void {
  const expected = evaluateFunc(func, inputs);
  func.results.forEach(({ name, value }, i) => {
    const tolerance = slack * bound(expected[i]!);
    expected[i]!.data.forEach((wanted, at) => {
      const element = Number(results[name]![at]);
      const found = value.type.dtype === 'f16' ? fromHalfBits(element) : element;
      const agrees =
        Object.is(found, wanted) ||
        Math.abs(found - wanted) <= tolerance ||
        (Number.isNaN(found) && Number.isNaN(wanted));
      if (!agrees)
        expect.fail(
          `${name} (${value.producer?.op ?? 'parameter'}) element ${at}: ${wanted} expected, ${found} computed`,
        );
    });
  });
}
