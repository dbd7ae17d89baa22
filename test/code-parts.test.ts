// A program's C in several files: every kernel in one of them, and together what the one file is.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { partsOf } from '../src/codegen/c/parts.ts';
import { printProgram } from '../src/codegen/c/program.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { allocate } from '../src/runtime/arrays.ts';
import { compileLibrary, findCompiler } from '../src/runtime/c/compiler.ts';
import { bindLibrary, openLibrary } from '../src/runtime/c/library.ts';
import { compilers } from './helpers/artifact.ts';
import { trainingStep } from './helpers/models.ts';

const scratch = mkdtempSync(join(tmpdir(), 'ashlar-parts-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const program = compileToProgram(trainingStep().func);
const source = printProgram(program);
const { kernels } = source.pieces;

describe('the parts of a program', () => {
  it('are one, its code, where there is little, one processor, or another code than a program’s', () => {
    expect(partsOf(source, 8, 1e6)).toEqual([source.code]);
    expect(partsOf(source, 1, 1)).toEqual([source.code]);
    const { name, code, header } = source;
    expect(partsOf({ name, code, header }, 8, 1)).toEqual([code]);
  });

  it('hold each kernel once, and the calls of all in the first', () => {
    const parts = partsOf(source, 3, 1000);
    expect(parts).toHaveLength(3);
    for (const { text, declaration } of kernels) {
      expect(parts.filter((part) => part.includes(text))).toHaveLength(1);
      expect(parts[0]).toContain(declaration);
    }
    expect(parts.map((part) => part.includes('int step_run('))).toEqual([true, false, false]);
  });

  it('are about as long as each other', () => {
    const lengths = partsOf(source, 3, 1000).map((part) =>
      kernels.reduce((sum, { text }) => sum + (part.includes(text) ? text.length : 0), 0),
    );
    expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(
      Math.max(...kernels.map(({ text }) => text.length)),
    );
  });

  it('are no more than there are kernels', () => {
    expect(partsOf(source, 1000, 1)).toHaveLength(kernels.length);
  });
});

describe.each(compilers)('with %s', (command) => {
  it('parts compiled at once and linked compute the same bits as the one file', async () => {
    const results = [];
    for (const most of [1, 3]) {
      const files = partsOf(source, most, 1000).map((code, i) => {
        const file = join(scratch, `${command}-${most}-${i}.c`);
        writeFileSync(file, code);
        return file;
      });
      writeFileSync(join(scratch, `${source.name}.h`), source.header);
      const output = join(scratch, `${command}-${most}.so`);
      await compileLibrary(findCompiler(command), files, output);
      results.push(afterOneStep(output));
    }
    expect(results[1]).toEqual(results[0]);
  });

  it('what is wrong in one of them is said of it', async () => {
    const files = ['int first(void) { return 1; }', 'int second(void) { return nothing; }'].map((code, i) => {
      const file = join(scratch, `${command}-wrong-${i}.c`);
      writeFileSync(file, code);
      return file;
    });
    await expect(compileLibrary(findCompiler(command), files, join(scratch, 'wrong.so'))).rejects.toThrow(
      /could not compile .*wrong-1\.c:[\s\S]*nothing/,
    );
  });
});

/** Loss and states of one step, all from the same arbitrary numbers. */
function afterOneStep(library: string) {
  const filled = ({ type }: { readonly type: (typeof program.inputs)[0]['type'] }) => {
    const array = allocate(type);
    for (let i = 0; i < array.length; i++) array[i] = type.dtype === 'f32' ? ((i * 37) % 100) / 100 + 0.01 : i % 10;
    return array;
  };
  const [states, inputs, outputs] = [program.states, program.inputs, program.outputs].map((list) => list.map(filled));
  bindLibrary(openLibrary(library), source, program, null)(states!, inputs!, outputs!, 2);
  return { states, outputs };
}
