// An exported C file for several processors: each variant is right, made of its own instructions alone, and chosen where it runs.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import { sizeOf } from '../src/ir/types.ts';
import { type CpuName, targets } from '../src/passes/schedule.ts';
import { findCompiler } from '../src/runtime/c/compiler.ts';
import { exportC } from '../src/runtime/export-c.ts';
import { expectClose } from './helpers/close.ts';
import { hasTool } from './helpers/tools.ts';
import { everyForm } from './helpers/variants.ts';

const folder = mkdtempSync(join(tmpdir(), 'ashlar-variants-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const code = join(folder, 'every_form.c');
const main = join(folder, 'main.c');
const func = everyForm(1, 13);
const element = (i: number): number => Math.fround(((i * 7919) % 13) / 16 - 0.375);
const shape = func.parameters[0]!.value.type.shape;
const count = sizeOf(shape);
let expected: ArrayLike<number> = [];

beforeAll(async () => {
  await exportC({ func, variables: [] }, { directory: folder });
  const results = sizeOf(func.results[0]!.value.type.shape);
  writeFileSync(
    main,
    `#include "every_form.h"
#include <stdio.h>
#include <stdlib.h>
int main(void) {
  static float x[${count}], y[${results}];
  for (int i = 0; i < ${count}; i++) x[i] = (float)((i * 7919) % 13) / 16 - 0.375f;
  const size_t bytes = every_form_workspace_size();
  const every_form_inputs inputs = {x};
  const every_form_outputs outputs = {y};
  const int status = every_form_run(&inputs, &outputs, aligned_alloc(64, (bytes + 63) / 64 * 64), bytes, 2);
  for (int i = 0; i < ${results}; i++) printf("%.9g\\n", y[i]);
  return status;
}
`,
  );
  const x = { type: func.parameters[0]!.value.type, data: Float64Array.from({ length: count }, (_, i) => element(i)) };
  expected = evaluateFunc(func, [x])[0]!.data as Float64Array;
});

const macroOf = (cpu: CpuName): string => `-DASH_CPU_${cpu.replaceAll('-', '_').toUpperCase()}`;
const strict = ['-std=c11', '-O2', '-Wall', '-Wextra', '-Werror'];

function build(compiler: string, flags: readonly string[], name: string): string {
  const binary = join(folder, name);
  execFileSync(compiler, [...strict, ...flags, '-o', binary, main, code, '-lm']);
  return binary;
}

function expectResults(command: string, args: readonly string[] = []): void {
  const run = spawnSync(command, args, { encoding: 'utf8' });
  expect(run.stderr).toBe('');
  expect(run.status).toBe(0);
  expectClose(run.stdout.trim().split('\n').map(Number), expected, 1e-4);
}

const runsHere = (cpu: CpuName): boolean => {
  try {
    return findCompiler('gcc', cpu).cpu === cpu;
  } catch {
    return false;
  }
};
const clang = ['clang-19', 'clang'].find((command) => spawnSync(command, ['--version']).status === 0);
const compilers = ['gcc', ...(clang === undefined ? [] : [clang])];

describe.runIf(process.arch === 'x64').each(compilers)('an exported file, compiled by %s', (compiler) => {
  const x64 = (Object.keys(targets) as CpuName[]).filter((cpu) => cpu !== 'armv8' && cpu !== 'scalar');

  it('needs no flags, and is right with those of this machine', () => {
    expectResults(build(compiler, [], `any-${compiler}`));
    expectResults(build(compiler, ['-march=native', '-fopenmp'], `native-${compiler}`));
  });

  it.each(x64.filter(runsHere))('is right with %s alone', (cpu) => {
    expectResults(build(compiler, [macroOf(cpu), '-fopenmp'], `only-${compiler}-${cpu}`));
  });

  it.each(x64)('has for %s the registers of that processor and none beyond', (cpu) => {
    const object = join(folder, `${compiler}-${cpu}.o`);
    execFileSync(compiler, [...strict, '-O3', '-fopenmp', macroOf(cpu), '-c', '-o', object, code]);
    const assembly = execFileSync('objdump', ['-d', '--no-show-raw-insn', object], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    const used = (pattern: RegExp): boolean => pattern.test(assembly);
    const wide = {
      zmm: used(/%zmm/),
      mask: used(/%k[0-7]/),
      high: used(/%[xy]mm(?:1[6-9]|2\d|3[01])/),
      ymm: used(/%ymm/),
    };
    // A C compiler may not fuse by itself where it is asked for ISO C.
    expect(used(/vfmadd/)).toBe(cpu.startsWith('x86-64'));
    if (cpu === 'x86-64-v4') expect(wide).toMatchObject({ zmm: true });
    if (cpu === 'x86-64-v3') expect(wide).toEqual({ zmm: false, mask: false, high: false, ymm: true });
    if (cpu === 'plain') expect(wide).toEqual({ zmm: false, mask: false, high: false, ymm: false });
  });
});

describe('an exported file', () => {
  it.runIf(process.arch === 'x64' && hasTool('aarch64-linux-gnu-gcc') && hasTool('qemu-aarch64'))(
    'is right on ARM, with NEON',
    () => {
      const binary = build('aarch64-linux-gnu-gcc', ['-static', '-fopenmp'], 'arm');
      expectResults('qemu-aarch64', [binary]);
      expectResults('qemu-aarch64', [build('aarch64-linux-gnu-gcc', ['-static', macroOf('plain')], 'arm-plain')]);
    },
  );

  it('holds its weights once, whatever number of processors it is for', async () => {
    const text = readFileSync(code, 'utf8');
    await exportC({ func, variables: [] }, { directory: join(folder, 'one'), cpu: 'x86-64-v3' });
    const one = readFileSync(join(folder, 'one', 'every_form.c'), 'utf8');
    const constants = (source: string): number => source.match(/^static const /gm)!.length;
    expect(constants(text)).toBe(constants(one));
    expect(text.length).toBeLessThan(one.length * 1.5);
  });

  it('is refused for processors that are not known', async () => {
    const exported = (cpu: CpuName[] | 'native') => exportC({ func, variables: [] }, { directory: folder, cpu });
    await expect(exported([])).rejects.toThrow('at least one processor');
    await expect(exported('z80' as never)).rejects.toThrow('is not known');
    await expect(exported(['plain', 'scalar'])).rejects.toThrow('scalar stands alone');
  });
});
