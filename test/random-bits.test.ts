// Random bits: the known answers of the generator, bit for bit on every target, processor and form of loop, and what the
// loops cost, as far as it can be counted.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import type { Func } from '../src/ir/graph.ts';
import { ndarray } from '../src/ir/ndarray.ts';
import { philox4x32, type Words2, type Words4 } from '../src/ir/philox.ts';
import { parseFunc } from '../src/ir/text.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { type CpuName, targets } from '../src/passes/schedule.ts';
import { findCompiler } from '../src/runtime/c/compiler.ts';
import { type CompileTargetOptions, compile } from '../src/runtime/compile.ts';
import { exportC } from '../src/runtime/export-c.ts';
import { bodyOf } from './helpers/assembly.ts';
import { interpretProgram } from './helpers/interpret-program.ts';
import { hasTool } from './helpers/tools.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

const device = await testDevice();
const clang = ['clang-19', 'clang'].find((command) => hasTool(command));

interface Answer {
  readonly counter: Words4;
  readonly key: Words2;
  readonly words: Words4;
}

/** J. K. Salmon et al., Random123, tests/kat_vectors, lines "philox4x32 10". */
const answers: readonly Answer[] = [
  '00000000 00000000 00000000 00000000 00000000 00000000 6627e8d5 e169c58d bc57ac4c 9b00dbd8',
  'ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 408f276d 41c83b0e a20bc7c6 6d5451fd',
  '243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 d16cfe09 94fdcceb 5001e420 24126ea1',
].map(answerOf);

function answerOf(line: string): Answer {
  const words = line.split(/\s+/).map((word) => Number.parseInt(word, 16));
  return {
    counter: words.slice(0, 4) as unknown as Words4,
    key: words.slice(4, 6) as unknown as Words2,
    words: words.slice(6) as unknown as Words4,
  };
}

/** One element, four words, an odd number of rows, neighbours that share a block, and more than a block of threads. */
const shapes = [[], [4], [7, 3], [1023, 5], [64, 40], [5000, 4]];
/** The key and the third word of the counter are given when it runs. */
const bits = (shape: readonly number[], { counter: [c0, c1, c2, c3] }: Answer): Func =>
  parseFunc(
    `func @bits(%k: u32[2], %d: u32[]) {
  %0 = randomBits(%k, %d) {shape=[${shape}], counter=[${c0},${c1},${(c2 - 5) >>> 0},${c3}]}
  return y = %0
}`,
  );

type Arrays = Record<string, Uint32Array>;
const given = ({ key }: Answer): Arrays => ({ k: Uint32Array.from(key), d: Uint32Array.of(5) });
const reference = (func: Func, { key }: Answer): ArrayLike<number> =>
  evaluateFunc(func, [ndarray('u32', [2], key), ndarray('u32', [], [5])])[0]!.data;

const runsHere = (cpu: CpuName): boolean => {
  try {
    return findCompiler('gcc', cpu).cpu === cpu;
  } catch {
    return false;
  }
};
const here = (Object.keys(targets) as CpuName[]).filter((cpu) => cpu !== 'scalar' && runsHere(cpu));
const compiled: readonly (readonly [string, CompileTargetOptions])[] = [
  ...here.map((cpu) => [`C for ${cpu}`, { target: 'c', cpu, compiler: 'gcc' }] as const),
  ...(clang === undefined ? [] : [['C by clang', { target: 'c', compiler: clang }] as const]),
  ['JavaScript', { target: 'js' }],
  ...(typeof device === 'string' ? [] : [['WGSL', { target: 'wgsl' }] as const]),
];

describe('Philox 4x32-10', () => {
  it.runIf(existsSync('/work/shared/data/random123/kat_vectors'))('has the known answers that are written here', () => {
    const lines = readFileSync('/work/shared/data/random123/kat_vectors', 'utf8').split('\n');
    const found = lines.filter((line) => line.startsWith('philox4x32 10 '));
    expect(found.map((line) => answerOf(line.slice('philox4x32 10 '.length)))).toEqual(answers);
  });

  it('gives the known answers, and the next block from the next counter', () => {
    for (const answer of answers) {
      expect(philox4x32(answer.counter, answer.key)).toEqual(answer.words);
      const [first, ...others] = answer.counter;
      const next = philox4x32([(first + 1) >>> 0, ...others] as Words4, answer.key);
      expect(Array.from(reference(bits([2, 4], answer), answer))).toEqual([...answer.words, ...next]);
    }
  });

  it('is the same in kernels as they are interpreted', () => {
    for (const shape of shapes.slice(0, 5)) {
      const func = bits(shape, answers[2]!);
      const memory = new Map([
        ['k', Float64Array.from(answers[2]!.key)],
        ['d', Float64Array.of(5)],
      ]);
      expect(Array.from(interpretProgram(compileToProgram(func), memory).get('y')!)).toEqual(
        Array.from(reference(func, answers[2]!)),
      );
    }
  });

  it.each(compiled)(titleOf('is the same in %s, with the known answers', device), async (_name, options) => {
    for (const shape of shapes.slice(1)) {
      const answer = answers[shape.length]!;
      const func = bits(shape, answer);
      const run = await compile<Arrays, Arrays>({ func, variables: [] }, options);
      expect(Array.from((await run(given(answer))).y!)).toEqual(Array.from(reference(func, answer)));
    }
    for (const answer of answers) {
      const run = await compile<Arrays, Arrays>({ func: bits([4], answer), variables: [] }, options);
      expect(Array.from((await run(given(answer))).y!)).toEqual(answer.words);
    }
  });

  it('has keys and counters of a batch', async () => {
    const func = parseFunc(
      'func @batch(%k: u32[3,2], %d: u32[3]) {\n  %0 = randomBits(%k, %d) {shape=[5,2], counter=[0,1,2,3]}\n  return y = %0\n}',
    );
    const k = Uint32Array.from(answers.flatMap(({ key }) => key));
    const d = Uint32Array.from([0, 5, 2 ** 32 - 1]);
    const expected = answers.flatMap(({ key }, i) =>
      Array.from({ length: 10 }, (_, p) => philox4x32([Math.floor(p / 4), 1, (2 + d[i]!) >>> 0, 3], key)[p % 4]!),
    );
    for (const [, options] of compiled) {
      const run = await compile<Arrays, Arrays>({ func, variables: [] }, options);
      expect(Array.from((await run({ k, d })).y!)).toEqual(expected);
    }
  });
});

describe('exported', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ashlar-bits-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.runIf(process.arch === 'x64' && hasTool('aarch64-linux-gnu-gcc') && hasTool('qemu-aarch64'))(
    'as C it is the same on ARM, with NEON and without vectors',
    async () => {
      const func = bits([64, 40], answers[2]!);
      await exportC({ func, variables: [] }, { directory: folder });
      await exportC({ func, variables: [] }, { directory: join(folder, 'scalar'), cpu: 'scalar' });
      const hex = (words: readonly number[]): string => words.map((word) => `0x${word.toString(16)}u`).join(', ');
      writeFileSync(
        join(folder, 'main.c'),
        `#include "bits.h"
#include <stdio.h>
int main(void) {
  static uint32_t y[2560];
  static const uint32_t k[] = {${hex(answers[2]!.key)}}, d[] = {5};
  const bits_inputs inputs = {k, d};
  const bits_outputs outputs = {y};
  const int status = bits_run(&inputs, &outputs, NULL, 0, 1);
  for (int i = 0; i < 2560; i++) printf("%u\\n", (unsigned)y[i]);
  return status;
}
`,
      );
      for (const from of [folder, join(folder, 'scalar')]) {
        const binary = join(folder, 'arm');
        const files = ['-o', binary, join(folder, 'main.c'), join(from, 'bits.c')];
        execFileSync('aarch64-linux-gnu-gcc', ['-O2', '-static', `-I${from}`, ...files, '-lm']);
        const run = spawnSync('qemu-aarch64', [binary], { encoding: 'utf8' });
        expect(run.stdout.trim().split('\n').map(Number)).toEqual(Array.from(reference(func, answers[2]!)));
      }
    },
  );
});

describe('four neighbours share a block', () => {
  it.runIf(process.arch === 'x64').each(['gcc', ...(clang === undefined ? [] : [clang])])(
    'in lanes, compiled by %s',
    async (compiler) => {
      const folder = mkdtempSync(join(tmpdir(), 'ashlar-bits-'));
      await exportC({ func: bits([256, 256], answers[0]!), variables: [] }, { directory: folder, cpu: 'x86-64-v4' });
      const output = join(folder, 'bits.s');
      const flags = ['-O3', '-march=x86-64-v4', '-mprefer-vector-width=512', '-S', '-o', output];
      execFileSync(compiler, [...flags, join(folder, 'bits.c')]);
      const assembly = readFileSync(output, 'utf8');
      rmSync(folder, { recursive: true, force: true });
      const blocks = bodyOf(assembly, /^(\S*randomBits\S*):/m.exec(assembly)![1]!).split(/\n\.L\w+:/);
      const widest = (block: string): number => block.match(/\t.*zmm/g)?.length ?? 0;
      const busiest = blocks.reduce((most, block) => (widest(block) > widest(most) ? block : most));
      // Ten rounds of two products for 64 elements: a few hundred instructions, where four blocks would take four times as many.
      expect(widest(busiest)).toBeGreaterThan(100);
      expect(widest(busiest)).toBeLessThan(600);
      expect(busiest).not.toMatch(/\timul[lq]?\t%[re]/);
    },
  );

  it('as one vector in WGSL', async () => {
    if (typeof device === 'string') return;
    const run = await compile<Arrays, Arrays>(
      { func: bits([256, 256], answers[0]!), variables: [] },
      { target: 'wgsl' },
    );
    expect(run.source).toMatch(/randomBits\[\w+\] = ash_philox_block\(|= ash_philox_block\(/);
    expect(run.source).not.toMatch(/ash_philox_u32/);
  });
});
