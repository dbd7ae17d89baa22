// Functions in C: docs/numerics.md states the error of each, and here every bound is held, for f32 over the whole range of
// arguments, by gcc and clang, for this machine's instructions and for the plainest (no fused multiplication), and by gcc
// with a check for undefined behaviour. The loops around them run in lanes. ASHLAR_MATH_STRIDE=1 walks all 2³² arguments,
// which takes an hour or two; by default it is every 1009th.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { mathHelpers } from '../src/codegen/c/math/index.ts';
import { scalarOps } from '../src/ir/kernel.ts';
import { bodyOf, lanesIn, vectorInstructions } from './helpers/assembly.ts';
import { sample } from './helpers/math-samples.ts';
import { type Build, loopsInC, optimised, type SweptFunction, sweep } from './helpers/math-sweep.ts';

const folder = mkdtempSync(join(tmpdir(), 'ashlar-math-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const installed = (command: string): boolean => spawnSync(command, ['--version']).status === 0;
const clang = ['clang-19', 'clang'].find(installed);
const compilers = ['gcc', ...(clang === undefined ? [] : [clang])];
const builds: readonly Build[] = compilers.flatMap((compiler) => [
  { name: `${compiler}-native`, compiler, flags: ['-march=native'] },
  { name: `${compiler}-plain`, compiler, flags: [] },
]);
const checked: Build = {
  name: 'gcc-checked',
  compiler: 'gcc',
  flags: ['-fsanitize=undefined', '-fno-sanitize-recover=all'],
};

const numerics = readFileSync(new URL('../docs/numerics.md', import.meta.url), 'utf8');

/** Rows `| name | bound | … |` of the table under a heading of docs/numerics.md. */
function statedUnder(heading: string): Map<string, number> {
  const section = numerics.split(/\n##+ /).find((text) => text.startsWith(`${heading}\n`)) ?? '';
  const rows = section.split('\n').map((line) => /^\| `(\w+)` +\| +([\d.]+) \|/.exec(line));
  return new Map(rows.flatMap((row) => (row === null ? [] : [[row[1]!, Number(row[2])] as const])));
}
const stated = statedUnder('Functions of f32');
const statedDouble = statedUnder('Functions of f64');

/** What has another name, or none, in libm. */
const references: Readonly<Record<string, string>> = {
  sigmoid: 'x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x))',
  softplus: 'x < 0 ? log1p(exp(x)) : x + log1p(exp(-x))',
};
const functions: readonly SweptFunction[] = [...stated.keys()].map((name) => {
  const operands = name === 'pow' || name === 'atan2' ? 2 : 1;
  return { name, operands, reference: references[name] ?? `${name}(${operands === 2 ? 'x, y' : 'x'})` };
});

const referencesOfDouble: Readonly<Record<string, string>> = {
  sigmoid: 'x < 0 ? expl(x) / (1 + expl(x)) : 1 / (1 + expl(-x))',
};

it.each([
  ['f32', stated],
  ['f64', statedDouble],
] as const)('states a bound for every function of %s that is ours', (dtype, bounds) => {
  const ours = scalarOps.filter((op) => `ash_${op}_${dtype}` in mathHelpers);
  expect([...bounds.keys()].filter((name) => !(name in references)).sort()).toEqual([...ours].sort());
});

describe('errors', () => {
  const options = { stride: Number(process.env.ASHLAR_MATH_STRIDE ?? 1009), pairs: 200_000 };
  it.each(functions.map((each) => [each.name, each] as const))('%s', { timeout: 1_000_000 }, (_name, each) => {
    for (const { build, ulp, at } of sweep(folder, [each], [...builds, checked], options)) {
      if (process.env.ASHLAR_MATH_STRIDE !== undefined)
        process.stdout.write(`${each.name} ${build} ${ulp.toFixed(3)} at ${at}\n`);
      expect(ulp, `${build} at ${at}`).toBeLessThanOrEqual(stated.get(each.name)!);
    }
  });
});

describe('errors of f64', () => {
  const sampled = [...statedDouble.keys()].map((name) => ({
    name,
    reference: referencesOfDouble[name] ?? `${name}l(x)`,
  }));
  it.each([...builds, checked].map((build) => [build.name, build] as const))('%s', (_name, build) => {
    for (const { name, ulp, at } of sample(folder, sampled, build))
      expect(ulp, `${name} at ${at}`).toBeLessThanOrEqual(statedDouble.get(name)!);
  });
});

describe('lanes', () => {
  it.each(builds.map((build) => [build.name, build] as const))('%s calls nothing in a loop', (_name, build) => {
    const source = join(folder, 'lanes.c');
    writeFileSync(source, loopsInC(functions, 'loop'));
    const assembly = execFileSync(build.compiler, [...optimised, ...build.flags, '-S', '-o', '-', source], {
      encoding: 'utf8',
    });
    for (const { name } of functions) {
      const body = bodyOf(assembly, `loop_${name}`);
      expect(body, name).not.toMatch(/\t(call|bl)\t/);
      expect(body, name).toMatch(/\tv?mulp[sd]\t|\tfmul\tv/);
    }
  });
});

/** Instructions for 16 elements with gcc 12, and a fifth more; what gcc computes twice, once for each side of a choice, shows. */
const budgets = { exp: 31, tanh: 32, sigmoid: 41, erf: 49, log: 46, log1p: 55, sin: 94, atan2: 42 };

describe.runIf(process.arch === 'x64')('cost with gcc and AVX-512', () => {
  it.each(Object.entries(budgets))('%s takes up to %i vector instructions', (name, budget) => {
    const source = join(folder, 'cost.c');
    writeFileSync(source, loopsInC([{ name, operands: name === 'atan2' ? 2 : 1 }], 'loop'));
    const flags = [...optimised, '-march=x86-64-v4', '-mprefer-vector-width=512'];
    const assembly = execFileSync('gcc', [...flags, '-S', '-o', '-', source], { encoding: 'utf8' });
    expect(lanesIn(assembly)).toBe(16);
    expect(vectorInstructions(assembly, `loop_${name}`).all).toBeLessThanOrEqual(budget);
  });
});

it('has clang where CI can install it', () => {
  expect(process.env.CI === undefined || clang !== undefined).toBe(true);
});
