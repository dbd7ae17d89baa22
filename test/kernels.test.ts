// Lowered kernels run by the interpreter, against the reference: no compiler is needed, and every access is checked.

import { describe, expect, it } from 'vitest';
import { InternalError } from '../src/ir/errors.ts';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import { axis, of } from '../src/ir/index-expr.ts';
import { apply, type Buffer, indexValue, type Kernel, literal, load } from '../src/ir/kernel.ts';
import { interpretKernel } from '../src/ir/kernel-interpreter.ts';
import { printKernelText } from '../src/ir/kernel-text.ts';
import type { OpName } from '../src/ir/opattrs.ts';
import { opTable } from '../src/ir/ops/index.ts';
import { leavesOf } from '../src/ir/steps.ts';
import { parseFunc } from '../src/ir/text.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { interpretProgram } from './helpers/interpret-program.ts';
import { sampleInputs } from './helpers/samples.ts';

const names = Object.keys(opTable) as OpName[];

describe('lowered kernels, interpreted', () => {
  it.each(names)('%s', (name) => {
    for (const { text, domain } of opTable[name].examples) {
      const func = parseFunc(text);
      const inputs = sampleInputs(func, 23, domain);
      const expected = evaluateFunc(func, inputs);
      const program = compileToProgram(func);
      const found = interpretProgram(program, new Map(func.parameters.map((p, i) => [p.name, inputs[i]!.data])));
      func.results.forEach((result, i) => {
        expected[i]!.data.forEach((wanted, at) => {
          const value = found.get(result.name)![at]!;
          const near = Math.abs(value - wanted) <= 1e-9 * (1 + Math.abs(wanted));
          if (!near && !(Number.isNaN(value) && Number.isNaN(wanted)))
            expect.fail(`${text}\n${result.name}[${at}]: ${wanted} expected, ${value} computed`);
        });
      });
    }
  });

  it('runs a packed contraction with vectors, blocks and ragged edges', () => {
    const func = parseFunc(`func @f(%x: f32[21,340], %y: f32[340,45]) {
      %0 = dot(%x, %y) {contract=[[1],[0]], batch=[[],[]]}
      %1 = neg(%0)
      return z = %1
    }`);
    const inputs = sampleInputs(func, 3, [-1, 1]);
    const found = interpretProgram(
      compileToProgram(func),
      new Map(func.parameters.map((p, i) => [p.name, inputs[i]!.data])),
    );
    evaluateFunc(func, inputs)[0]!.data.forEach((wanted, at) => {
      expect(found.get('z')![at]!).toBeCloseTo(wanted, 9);
    });
  });
});

describe('the interpreter', () => {
  const global = (name: string, size: number): Buffer => ({ name, dtype: 'f32', size, space: 'global' });
  const kernel = (buffers: readonly Buffer[], body: Kernel['body']): Kernel => ({
    name: 'k',
    parameters: buffers.map((buffer) => ({ buffer, access: 'readwrite' })),
    body,
    summary: '',
    iterations: [],
    sources: [],
    flops: 0,
    bytes: 0,
  });

  it('runs invocations in lockstep between barriers', () => {
    const out = global('out', 4);
    const shared: Buffer = { name: 'shared', dtype: 'f32', size: 4, space: 'shared' };
    const i = axis('i', 4);
    const reversed = { terms: [{ atom: i, coefficient: -1 }], constant: 3 };
    const body: Kernel['body'] = [
      { kind: 'allocate', buffer: shared },
      {
        kind: 'loop',
        axis: i,
        axisKind: 'invocation',
        body: [
          { kind: 'store', buffer: shared, offset: of(i), value: indexValue(of(i)) },
          { kind: 'barrier' },
          { kind: 'store', buffer: out, offset: of(i), value: apply('add', load(shared, reversed), literal('f32', 1)) },
        ],
      },
    ];
    const data = new Float64Array(4);
    interpretKernel(kernel([out], body), new Map([[out, data]]));
    expect([...data]).toEqual([4, 3, 2, 1]);
  });

  it('refuses an access out of range', () => {
    const out = global('out', 4);
    const i = axis('i', 5);
    const body: Kernel['body'] = [
      {
        kind: 'loop',
        axis: i,
        axisKind: 'serial',
        body: [{ kind: 'store', buffer: out, offset: of(i), value: literal('f32', 1) }],
      },
    ];
    expect(() => interpretKernel(kernel([out], body), new Map([[out, new Float64Array(4)]]))).toThrow(InternalError);
    expect(() => interpretKernel(kernel([out], body), new Map([[out, new Float64Array(4)]]))).toThrow(
      /out\[4\] is outside its 4 elements/,
    );
  });

  it('prints kernels for people', () => {
    const program = compileToProgram(parseFunc('func @f(%x: f32[3,4]) {\n %0 = exp(%x)\n return y = %0\n}'));
    expect(printKernelText(leavesOf(program.steps)[0]!.kernel)).toBe(
      [
        'kernel exp(read x: f32[12], write exp: f32[12]) {',
        '  vector i1 < 12 {',
        '    v0 = exp(x[i1])',
        '    exp[i1] = v0',
        '  }',
        '}',
      ].join('\n'),
    );
  });
});
