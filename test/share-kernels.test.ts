// What lowering makes twice is kept once: packed and padded operands that several kernels read.

import { conv, func, input, reverse, variable } from 'ashlar';
import { expect, test } from 'vitest';
import { leavesOf } from '../src/ir/steps.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';

const kernelNames = (definition: { readonly func: Parameters<typeof compileToProgram>[0] }): string[] =>
  leavesOf(compileToProgram(definition.func).steps).map(({ kernel }) => kernel.name);
const suffixed = (names: readonly string[], suffix: string): number =>
  names.filter((name) => name.endsWith(suffix)).length;

test('a weight that two products read is packed once', () => {
  const [x, y] = [input('x', [64, 96]), input('y', [64, 96])];
  const w = variable('w', [96, 48]);
  const outputs = { a: w.transpose().matmul(x.transpose()), b: w.transpose().matmul(y.transpose()).add(1) };
  const names = kernelNames(func({ inputs: [x, y], outputs }));
  expect(suffixed(names, '_pack'), names.join(' ')).toBe(1);
});

test('columns that two products read are packed once', () => {
  const [x, y] = [input('x', [64, 96]), input('y', [64, 96])];
  const w = variable('w', [96, 64]);
  const names = kernelNames(func({ inputs: [x, y], outputs: { a: x.matmul(w), b: y.matmul(w).add(1) } }));
  expect(suffixed(names, '_columns'), names.join(' ')).toBe(1);
});

test('weights of their own are packed each', () => {
  const x = input('x', [64, 96]);
  const [v, w] = [variable('v', [96, 48]), variable('w', [96, 48])];
  const outputs = { a: v.transpose().matmul(x.transpose()), b: w.transpose().matmul(x.transpose()).add(1) };
  const names = kernelNames(func({ inputs: [x], outputs }));
  expect(suffixed(names, '_pack'), names.join(' ')).toBe(2);
});

test('one weight read in two ways is packed in two ways', () => {
  const x = input('x', [64, 64]);
  const w = variable('w', [64, 64]);
  const outputs = { a: w.transpose().matmul(x), b: reverse(w.transpose(), 0).matmul(x).add(1) };
  const names = kernelNames(func({ inputs: [x], outputs }));
  expect(suffixed(names, '_pack'), names.join(' ')).toBe(2);
});

test('images that two convolutions read are padded once', () => {
  const x = input('x', [1, 16, 14, 14]);
  const [v, w] = [variable('v', [32, 16, 3, 3]), variable('w', [32, 16, 3, 3])];
  const options = { padding: 1, strides: 2 } as const;
  const names = kernelNames(func({ inputs: [x], outputs: { a: conv(x, v, options), b: conv(x, w, options).relu() } }));
  expect(suffixed(names, '_pad'), names.join(' ')).toBe(1);
});

test('a state that is written is packed again by what reads its new value', () => {
  const x = input('x', [64, 64]);
  const w = variable('w', [64, 64]);
  const renewed = w.mul(0.5);
  const names = kernelNames(
    func({
      inputs: [x],
      outputs: { a: w.transpose().matmul(x), b: renewed.transpose().matmul(x) },
      updates: [[w, renewed]],
    }),
  );
  expect(suffixed(names, '_pack'), names.join(' ')).toBe(2);
});
