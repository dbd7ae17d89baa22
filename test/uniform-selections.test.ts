// Conditions that one given value decides: what they hide is neither computed nor read, and a state of which one row is new is written
// in that row alone.

import { type AnyTensor, func, input, iota, variable, where } from 'ashlar';
import { describe, expect, test } from 'vitest';
import type { Kernel, Stmt } from '../src/ir/kernel.ts';
import { printKernelText } from '../src/ir/kernel-text.ts';
import { leavesOf } from '../src/ir/steps.ts';
import { walkStmts } from '../src/passes/expr-rewrite.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { compile } from '../src/runtime/compile.ts';
import { expectClose } from './helpers/close.ts';

const [rows, width] = [64, 32];

/** A table whose row `place` is replaced, and the sums of what a query makes of the rows up to it. */
function reading() {
  const place = input('place', [], 'i32');
  const row = input('row', [width]);
  const table = variable('table', [rows, width], { trainable: false });
  const written = where(iota([rows, 1], 0).eq(place as AnyTensor), row as AnyTensor, table) as AnyTensor;
  const seen: AnyTensor = iota([rows], 0).le(place as AnyTensor);
  const scores = where(seen, written.mul(row).sum(1) as AnyTensor, -1) as AnyTensor;
  const filled: AnyTensor = iota([rows, 1], 0).le(place as AnyTensor);
  const mean: AnyTensor = scores.reshape([1, rows]).matmul(where(filled, written, 0) as AnyTensor);
  return func({ inputs: [place, row], outputs: { scores, mean }, updates: [[table, written]] });
}

const kernels = (): Kernel[] => leavesOf(compileToProgram(reading().func).steps).map(({ kernel }) => kernel);

function loopsOver(stmts: readonly Stmt[], extent: number): number {
  let count = 0;
  walkStmts(stmts, (stmt) => {
    if (stmt.kind === 'loop' && stmt.axis.extent === extent) count++;
  });
  return count;
}

describe('a condition that a given place decides', () => {
  test('lets the kernel that replaces a row touch no other one', () => {
    const [write] = kernels().filter(({ parameters }) =>
      parameters.some(({ buffer, access }) => buffer.name === 'table' && access !== 'read'),
    );
    expect(loopsOver(write!.body, rows), printKernelText(write!)).toBe(0);
    expect(printKernelText(write!)).not.toMatch(/= .*table\[/);
  });

  test('stands before the sum that it hides', () => {
    const texts = kernels().map(printKernelText);
    const text = texts.find((kernel) => kernel.includes('= -1'))!;
    expect(text, texts.join('\n\n')).toMatch(/if le\(/);
    expect(text.slice(text.indexOf('} else {'))).not.toMatch(/table/);
  });

  test('doubles code no more often than twice, however many there are', () => {
    const x = input('x', [rows, width]);
    const flags = Array.from({ length: 8 }, (_, i) => input(`flag${i}`, [], 'bool'));
    const sums = flags.map((flag, i) => where(flag as never, x.mul(i + 1), x.add(i)) as AnyTensor);
    const total = sums.reduce((all, next) => all.add(next) as AnyTensor);
    const { steps } = compileToProgram(func({ inputs: [x, ...flags], outputs: { y: total.sum(0) as AnyTensor } }).func);
    const texts = leavesOf(steps).map(({ kernel }) => printKernelText(kernel));
    expect(texts.join('\n').length).toBeLessThan(20_000);
  });

  for (const target of ['c', 'js'] as const)
    test(`gives the same numbers on ${target}, beyond the ends and with what is hidden not a number`, async () => {
      const run = await compile(reading(), { target });
      const row = Float32Array.from({ length: width }, (_, i) => 1 + (i % 3));
      const table = Float32Array.from({ length: rows * width }, (_, i) => ((i * 7) % 11) / 11);
      for (const place of [-1, 0, 17, rows - 1, rows, 2 ** 31 - 1, -(2 ** 31)]) {
        const before = table.map((value, i) => (Math.floor(i / width) > place ? Number.NaN : value));
        run.state.set('table', before);
        const results = run({ place: Int32Array.of(place), row });
        const wanted = before.map((value, i) => (Math.floor(i / width) === place ? row[i % width]! : value));
        expect(run.state.get('table')).toEqual(wanted);
        const scores = Float32Array.from({ length: rows }, (_, r) =>
          r > place ? -1 : row.reduce((sum, value, i) => sum + value * wanted[r * width + i]!, 0),
        );
        const mean = Float32Array.from({ length: width }, (_, i) =>
          scores.reduce((all, score, r) => all + (r > place ? 0 : score * wanted[r * width + i]!), 0),
        );
        expectClose(results.scores, scores, 1e-5);
        expectClose(results.mean, mean, 1e-5);
      }
    });
});
