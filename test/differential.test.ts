// Every operation of the table in compiled C against the float64 reference: gcc and clang, one thread and two. All
// examples of a family are one function, so that fusion, the arena and in-place reuse are part of the test.

import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import { type Func, makeFunc, type Parameter, type Result } from '../src/ir/graph.ts';
import type { NdArray } from '../src/ir/ndarray.ts';
import type { OpName } from '../src/ir/opattrs.ts';
import { opTable } from '../src/ir/ops/index.ts';
import { parseFunc } from '../src/ir/text.ts';
import { inputChecks } from '../src/passes/input-checks.ts';
import { arrayFrom, type TypedArray } from '../src/runtime/arrays.ts';
import { compile } from '../src/runtime/compile.ts';
import { sampleInputs } from './helpers/samples.ts';

interface Case {
  readonly func: Func;
  readonly inputs: readonly NdArray[];
}

const installed = (command: string): boolean => spawnSync(command, ['--version']).status === 0;
const clang = ['clang-19', 'clang'].find(installed);
const compilers = ['gcc', ...(clang === undefined ? [] : [clang])];

/** One function of several, parameters and results renamed apart. */
function together(cases: readonly Case[]): Case {
  const parameters = cases.flatMap(({ func }, i) =>
    func.parameters.map((parameter): Parameter => ({ ...parameter, name: `c${i}_${parameter.name}` })),
  );
  const results = cases.flatMap(({ func }, i) =>
    func.results.map((result): Result => ({ ...result, name: `c${i}_${result.name}` })),
  );
  return { func: makeFunc('together', parameters, results), inputs: cases.flatMap(({ inputs }) => inputs) };
}

/** Relative to the largest element, since sums are rounded at the size of their terms. f32: 2⁻²⁰; f64: 2⁻⁴⁶. */
function bound(result: NdArray): number {
  const finite = result.data.filter(Number.isFinite);
  const largest = finite.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  return result.type.dtype === 'f32' ? largest * 2 ** -20 : result.type.dtype === 'f64' ? largest * 2 ** -46 : 0;
}

async function expectAgreement({ func, inputs }: Case, compiler: string, threads: number): Promise<void> {
  const expected = evaluateFunc(func, inputs);
  const run = await compile<Record<string, TypedArray>, Record<string, TypedArray>>(
    { func, variables: [] },
    { compiler, threads },
  );
  const given = Object.fromEntries(
    func.parameters.map(({ name, value }, i) => [name, arrayFrom(value.type, inputs[i]!.data)]),
  );
  const results = run(given);
  func.results.forEach(({ name, value }, i) => {
    const tolerance = bound(expected[i]!);
    expected[i]!.data.forEach((wanted, at) => {
      const found = Number(results[name]![at]);
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

/** Index inputs brought into range, which the runtime checks before it calls a kernel. */
function inRange(func: Func, inputs: readonly NdArray[]): NdArray[] {
  const checks = inputChecks(func);
  return inputs.map((input, i) => {
    const check = checks.find((next) => next.input === func.parameters[i]!.name);
    if (check === undefined) return input;
    return { type: input.type, data: input.data.map((value) => Math.abs(value) % (check.upper + 1)) };
  });
}

function casesOf(names: readonly OpName[]): Case[] {
  return names.flatMap((name) =>
    opTable[name].examples.map(({ text, domain }, i) => {
      const func = parseFunc(text);
      return { func, inputs: inRange(func, sampleInputs(func, 17 + i, domain)) };
    }),
  );
}

const names = Object.keys(opTable) as OpName[];
const families = Array.from({ length: 8 }, (_, i) => names.filter((_name, position) => position % 8 === i));

it('has clang where CI can install it', () => {
  expect(process.env.CI === undefined || clang !== undefined).toBe(true);
});

describe.each(compilers)('%s', (compiler) => {
  it.each(families.map((family) => [family.join(' '), family] as const))('%s', async (_title, family) => {
    const all = together(casesOf(family));
    await expectAgreement(all, compiler, 1);
    await expectAgreement(all, compiler, 2);
  });
});
