// Every operation of the table in compiled C against the float64 reference: gcc and clang, one thread and two. All
// examples of a family are one function, so that fusion, the arena and in-place reuse are part of the test.

import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import type { TypedArray } from '../src/runtime/arrays.ts';
import { compile } from '../src/runtime/compile.ts';
import { arraysOf, type Case, casesOf, expectReference, families, together } from './helpers/differential.ts';

const installed = (command: string): boolean => spawnSync(command, ['--version']).status === 0;
const clang = ['clang-19', 'clang'].find(installed);
const compilers = ['gcc', ...(clang === undefined ? [] : [clang])];

async function expectAgreement(given: Case, compiler: string, threads: number): Promise<void> {
  const run = await compile<Record<string, TypedArray>, Record<string, TypedArray>>(
    { func: given.func, variables: [] },
    { compiler, threads },
  );
  expectReference(given, run(arraysOf(given)));
}

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
