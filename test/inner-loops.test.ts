// The inner loops of contractions, as the compiler writes them: fused multiply-adds on whole registers and what feeds them,
// nothing spilled. It is counted in instructions, so that a slower loop shows without a clock.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { cpusInC } from '../src/codegen/c/cpus.ts';
import { printProgram } from '../src/codegen/c/program.ts';
import { parseFunc } from '../src/ir/text.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { type CpuName, targets } from '../src/passes/schedule.ts';
import { gccFlags, portableFlags } from '../src/runtime/c/compiler.ts';
import { hasTool } from './helpers/tools.ts';

const folder = mkdtempSync(join(tmpdir(), 'ashlar-loops-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** As the runtime compiles for gcc. */
const flags = [...portableFlags, ...gccFlags, '-fopenmp'];

/** How a processor's assembly shows what is counted. */
interface Assembly {
  readonly cpu: CpuName;
  readonly compiler: string;
  readonly multiplyAdd: RegExp;
  /** A scalar from memory for all lanes. */
  readonly scalar: RegExp;
  readonly spill: RegExp;
  readonly jump: RegExp;
}

const x86 = (cpu: CpuName, register: string): Assembly => ({
  cpu,
  compiler: 'gcc',
  multiplyAdd: new RegExp(`\\n\\tvfn?m(?:add|sub)\\d+ps\\t.*${register}`, 'g'),
  scalar: new RegExp(`\\n\\tvbroadcastss\\t-?\\d*\\(%r(?!ip|sp)\\w+.*${register}`, 'g'),
  spill: new RegExp(`\\n\\tvmov\\w+\\t%${register}\\d+, .*\\(%r[sb]p`, 'g'),
  jump: /\n\tj(?:ne|e|b|l|a|g)\t/,
});
const avx512 = x86('x86-64-v4', 'zmm');
const avx2 = x86('x86-64-v3', 'ymm');
const neon: Assembly = {
  cpu: 'armv8',
  compiler: 'aarch64-linux-gnu-gcc',
  multiplyAdd: /\n\tfml[as]\tv/g,
  scalar: /\n\t(?:ld1r\t\{v|ldr\ts)/g,
  spill: /\n\tst[rp]\tq\d+,.*\[sp/g,
  jump: /\n\tb(?:\.|ne|eq|lt|gt)/,
};

interface Loop {
  readonly multiplyAdds: number;
  readonly scalars: number;
  readonly instructions: number;
  readonly spills: number;
}

/** The block of a program's assembly with the most scalars for all lanes that are multiplied: the register tile. */
function busiest(text: string, { cpu, compiler, ...patterns }: Assembly): Loop {
  const { name, code, header } = printProgram(compileToProgram(parseFunc(text), { schedule: targets[cpu] }));
  writeFileSync(join(folder, `${name}.h`), header);
  writeFileSync(join(folder, `${name}.c`), code);
  const assembly = execFileSync(
    compiler,
    [...flags, ...cpusInC[cpu].flags, '-S', '-o', '-', join(folder, `${name}.c`)],
    { encoding: 'utf8', maxBuffer: 1 << 28 },
  );
  const loops = assembly.split(/\n\.L\w+:/).map((block): Loop => {
    // What follows the jump back is no longer the loop.
    const body = block.split(patterns.jump)[0]!;
    const count = (pattern: RegExp): number => body.match(pattern)?.length ?? 0;
    return {
      multiplyAdds: count(patterns.multiplyAdd),
      scalars: count(patterns.scalar),
      instructions: count(/\n\t[a-z]/g),
      spills: count(patterns.spill),
    };
  });
  const rank = ({ scalars, multiplyAdds }: Loop): number => Math.min(scalars, multiplyAdds);
  return loops.reduce((most, loop) => (rank(loop) > rank(most) ? loop : most));
}

const conv = (x: string, w: string, attrs: string): string =>
  `func @f(%x: f32[${x}], %w: f32[${w}]) {\n%0 = conv(%x, %w) {${attrs}}\n%1 = relu(%0)\nreturn y = %1\n}`;
const plain = 'padding=[[1,1],[1,1]], lhsDilation=[1,1], rhsDilation=[1,1]';

/** A contraction, and the fewest multiply-adds of its tile with AVX-512, AVX2 and NEON. */
const cases: readonly (readonly [what: string, text: string, multiplyAdds: readonly [number, number, number]])[] = [
  [
    'a matrix product',
    'func @f(%x: f32[384,300], %y: f32[300,512]) {\n%0 = dot(%x, %y) {contract=[[1],[0]], batch=[[],[]]}\nreturn z = %0\n}',
    [24, 12, 20],
  ],
  [
    'a product with constant weights whose rows fill no tile',
    'func @f(%x: f32[512,512], weight %w: f32[512,512]) {\n%0 = dot(%x, %w) {contract=[[1],[0]], batch=[[],[]]}\nreturn z = %0\n}',
    [24, 12, 20],
  ],
  ['a convolution with few channels', conv('1,3,56,56', '64,3,7,7', `strides=[2,2], ${plain}, groups=1`), [26, 12, 20]],
  ['a strided convolution', conv('1,64,28,28', '128,64,3,3', `strides=[2,2], ${plain}, groups=1`), [28, 12, 20]],
  [
    'the products of Winograd’s form',
    conv('1,64,56,56', '64,64,3,3', `strides=[1,1], ${plain}, groups=1`),
    [28, 12, 20],
  ],
];

describe.runIf(process.arch === 'x64')('inner loops with gcc', () => {
  [avx512, avx2, neon].forEach((assembly, position) => {
    // A cross compiler for NEON is there in CI; elsewhere its loops may go unseen.
    const runs = assembly !== neon || hasTool(neon.compiler);
    it.runIf(runs).each(cases)(`for ${assembly.cpu}: %s`, (_what, text, multiplyAdds) => {
      const loop = busiest(text, assembly);
      expect(loop.multiplyAdds).toBeGreaterThanOrEqual(multiplyAdds[position]!);
      // A scalar for every two multiply-adds or more, loads, and a handful of pointers that did not fit in registers.
      expect(loop.instructions).toBeLessThanOrEqual(2 * loop.multiplyAdds);
      expect(loop.spills).toBe(0);
    });
  });
});
