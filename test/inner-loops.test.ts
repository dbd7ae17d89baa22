// The inner loops of contractions, as the compiler writes them: fused multiply-adds on whole registers and what feeds them,
// nothing spilled. It is counted in instructions, so that a slower loop shows without a clock.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { printProgram } from '../src/codegen/c/program.ts';
import { parseFunc } from '../src/ir/text.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';

const folder = mkdtempSync(join(tmpdir(), 'ashlar-loops-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const flags = ['-std=gnu11', '-O3', '-march=x86-64-v4', '-fno-math-errno', '-fno-trapping-math', '-ffp-contract=fast'];

interface Loop {
  readonly multiplyAdds: number;
  readonly broadcasts: number;
  readonly instructions: number;
  readonly spills: number;
}

/** The block of a program's assembly with the most broadcasts to 512-bit registers: the register tile. */
function busiest(text: string): Loop {
  const { name, code, header } = printProgram(compileToProgram(parseFunc(text)));
  writeFileSync(join(folder, `${name}.h`), header);
  writeFileSync(join(folder, `${name}.c`), code);
  const assembly = execFileSync('gcc', [...flags, '-S', '-o', '-', join(folder, `${name}.c`)], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  const loops = assembly.split(/\n\.L\w+:/).map((block): Loop => {
    // What follows the jump back is no longer the loop.
    const body = block.split(/\n\tj(?:ne|e|b|l|a|g)\t/)[0]!;
    const count = (pattern: RegExp): number => body.match(pattern)?.length ?? 0;
    return {
      multiplyAdds: count(/\n\tvfn?m(?:add|sub)\d+ps\t.*zmm/g),
      broadcasts: count(/\n\tvbroadcastss\t-?\d*\(%r(?!ip|sp)\w+.*zmm/g),
      instructions: count(/\n\t[a-z]/g),
      spills: count(/\n\tvmov\w+\t%zmm\d+, .*\(%r[sb]p/g),
    };
  });
  return loops.reduce((most, loop) => (loop.broadcasts > most.broadcasts ? loop : most));
}

const conv = (x: string, w: string, attrs: string): string =>
  `func @f(%x: f32[${x}], %w: f32[${w}]) {\n%0 = conv(%x, %w) {${attrs}}\n%1 = relu(%0)\nreturn y = %1\n}`;
const plain = 'padding=[[1,1],[1,1]], lhsDilation=[1,1], rhsDilation=[1,1]';

const cases: readonly (readonly [what: string, text: string, multiplyAdds: number])[] = [
  [
    'a matrix product',
    'func @f(%x: f32[384,300], %y: f32[300,512]) {\n%0 = dot(%x, %y) {contract=[[1],[0]], batch=[[],[]]}\nreturn z = %0\n}',
    24,
  ],
  ['a convolution with few channels', conv('1,3,56,56', '64,3,7,7', `strides=[2,2], ${plain}, groups=1`), 26],
  ['a strided convolution', conv('1,64,28,28', '128,64,3,3', `strides=[2,2], ${plain}, groups=1`), 28],
  ['the products of Winograd’s form', conv('1,64,56,56', '64,64,3,3', `strides=[1,1], ${plain}, groups=1`), 28],
];

describe.runIf(process.arch === 'x64')('inner loops with gcc and AVX-512', () => {
  it.each(cases)('%s', (_what, text, multiplyAdds) => {
    const loop = busiest(text);
    expect(loop.multiplyAdds).toBeGreaterThanOrEqual(multiplyAdds);
    // A broadcast for every two multiply-adds, two loads, and a handful of pointers that did not fit in registers.
    expect(loop.instructions).toBeLessThanOrEqual(2 * loop.multiplyAdds);
    expect(loop.spills).toBe(0);
  });
});
