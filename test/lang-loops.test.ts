// Loops in the language: what steps compute by the reference, what types the compiler knows of carries, slices and outputs,
// what closures capture, and what is refused with which words.

import { describe, expect, expectTypeOf, it } from 'vitest';
import { printFunc } from '../src/ir/text.ts';
import { verifyFunc } from '../src/ir/verify.ts';
import {
  type AnyTensor,
  arange,
  cond,
  constant,
  full,
  func,
  input,
  interpret,
  scan,
  type Tensor,
  variable,
  whileLoop,
  zeros,
} from '../src/lang/index.ts';
import { expectClose } from './helpers/close.ts';
import { shown } from './helpers/shown.ts';

const ints = (data: number[]) => constant(data, { dtype: 'i32' });

describe('scan', () => {
  it('carries a tensor and stacks outputs', () => {
    const [last, all] = scan(full([], 1), constant([1, 2, 3]), (sum, x) => [sum.add(x), sum.mul(x)]);
    expectTypeOf(last).toEqualTypeOf<Tensor<[], 'f32'>>();
    expect(shown(last)).toBe('7');
    expect(shown(all as AnyTensor)).toBe('[1, 4, 12]');
  });

  it('carries lists and records, whose slices and outputs have names as well', () => {
    const x = { left: input('left', [4, 2]), right: input('right', [4], 'i32') };
    const [last, all] = scan({ h: zeros([2]), n: zeros([], 'i32') }, x, ({ h, n }, { left, right }) => {
      expectTypeOf(h).toEqualTypeOf<Tensor<[2], 'f32'>>();
      expectTypeOf(left).toEqualTypeOf<Tensor<[2], 'f32'>>();
      expectTypeOf(right).toEqualTypeOf<Tensor<[], 'i32'>>();
      return [{ h: h.add(left), n: n.add(right) }, [h, n.gt(3)]];
    });
    expectTypeOf(last).toEqualTypeOf<{ h: Tensor<[2], 'f32'>; n: Tensor<[], 'i32'> }>();
    expectTypeOf(all).toEqualTypeOf<[Tensor<[4, 2], 'f32'>, Tensor<[4], 'bool'>]>();
    const given = { left: [1, 2, 3, 4, 5, 6, 7, 8], right: [1, 2, 3, 4] };
    const found = interpret({ h: last.h, n: last.n, before: all[0], many: all[1] }, given);
    expect([...found.h.data]).toEqual([16, 20]);
    expect([...found.n.data]).toEqual([10]);
    expect([...found.before.data]).toEqual([0, 0, 1, 2, 4, 6, 9, 12]);
    expect([...found.many.data]).toEqual([0, 0, 0, 1]);
  });

  it('needs no carry, or no output', () => {
    const [none, squares] = scan(null, arange(4), (_, i) => [null, i.mul(i)]);
    expect(none).toBe(null);
    expectTypeOf(squares).toEqualTypeOf<Tensor<[4], 'i32'>>();
    expect(shown(squares)).toBe('[0, 1, 4, 9]');
    const [power, nothing] = scan(constant(1), arange(5), (x) => [x.mul(2), null]);
    expectTypeOf(nothing).toEqualTypeOf<null>();
    expect(shown(power)).toBe('32');
  });

  it('walks backwards', () => {
    const [last, all] = scan(constant(0), constant([1, 2, 3]), (sum, x) => [sum.add(x), sum.add(x)], { reverse: true });
    expect(shown(last)).toBe('6');
    expect(shown(all)).toBe('[6, 5, 3]');
  });

  it('captures what it reads of its surroundings, once, and in nested loops', () => {
    const w = variable('w', [2, 2], { initial: [1, 1, 0, 1] });
    const x = input('x', [3, 2]);
    const doubled = x.mul(2);
    const [last] = scan(
      zeros([2]),
      doubled,
      (h, row) => {
        const [sum] = scan(constant(0), row, (s, element) => [s.add(element.mul(w.sum())), null]);
        return [h.matmul(w).add(row.matmul(w)).add(sum), null];
      },
      {},
    );
    const model = func({ inputs: [x], outputs: { last } });
    verifyFunc(model.func);
    const outer = model.func.nodes.find(({ op }) => op === 'scan')!;
    expect((outer.attrs as { consts: number }).consts).toBe(1);
    expect(model.variables.map(({ name }) => name)).toEqual(['w']);
    // [a, b] W = [a, a + b], and the sum of w is 3: [8, 8], [14, 24], [14, 38].
    expectClose(interpret({ last }, { x: [1, 0, 0, 1, 0, 0] }).last.data, [14, 38]);
  });

  it('leaves what was made before outside, and takes in what the step makes', () => {
    const x = input('x', [3]);
    const k = input('k', []);
    const outside = k.exp();
    const [last] = scan(constant(1), x, (s, xt) => [s.mul(outside).add(xt.mul(k.sin())), null]);
    const text = printFunc(func({ inputs: [x, k], outputs: { last } }).func);
    const [body, main] = text.split('\n\n') as [string, string];
    expect(main).toContain('exp(%k)');
    expect(main).not.toContain('sin(');
    expect(body).toContain('sin(%k)');
  });

  it('keeps the lines of a step in its nodes', () => {
    const [last] = scan(constant(1), arange(3), (s) => [s.exp(), null]);
    const { body } = last.value.producer!.attrs as never as { body: { nodes: { op: string; source: unknown }[] } };
    expect(body.nodes.find(({ op }) => op === 'exp')!.source).toMatchObject({ file: 'test/lang-loops.test.ts' });
  });

  it('of rows of different lengths leaves carries of rows that are over, and gives zeros', () => {
    const x = input('x', [4, 3]);
    const lengths = input('lengths', [3], 'i32');
    const data = { x: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], lengths: [2, 4, 0] };
    const step = (sum: Tensor<[3], 'f32'>, row: Tensor<[3], 'f32'>) => [sum.add(row), { sum: sum.add(row) }] as const;
    const [last, { sum }] = scan(constant([100, 100, 100]).reshape([3]), x, step, { lengths });
    const found = interpret({ last, sum }, data);
    expect([...found.last.data]).toEqual([105, 126, 100]);
    expect([...found.sum.data]).toEqual([101, 102, 0, 105, 107, 0, 0, 115, 0, 0, 126, 0]);
    const [back, { sum: sums }] = scan(constant([100, 100, 100]).reshape([3]), x, step, { lengths, reverse: true });
    const reversed = interpret({ back, sums }, data);
    expect([...reversed.back.data]).toEqual([105, 126, 100]);
    expect([...reversed.sums.data]).toEqual([105, 126, 0, 104, 124, 0, 0, 119, 0, 0, 111, 0]);
  });
});

describe('whileLoop', () => {
  it('repeats until its condition fails', () => {
    const a = input('a', []);
    const [root] = whileLoop(
      [a, a.mul(0)],
      ([x, before]) => x.sub(before).abs().gt(1e-6),
      ([x]) => [x.add(a.div(x)).mul(0.5), x],
      { limit: 50 },
    );
    expectTypeOf(root).toEqualTypeOf<Tensor<[], 'f32'>>();
    expectClose(interpret({ root }, { a: 2 }).root.data, [Math.SQRT2]);
  });

  it('ends at its limit', () => {
    const steps = (limit: number) =>
      whileLoop(
        { n: constant(0) },
        ({ n }) => n.lt(10),
        ({ n }) => ({ n: n.add(1) }),
        { limit },
      ).n;
    expect(shown(steps(3))).toBe('3');
    expect(shown(steps(30))).toBe('10');
  });

  it('captures for condition and step alike', () => {
    const top = input('top', []);
    const factor = input('factor', []);
    const y = whileLoop(
      constant(1),
      (x) => x.lt(top),
      (x) => x.mul(factor),
    );
    expect([...interpret({ y }, { top: 50, factor: 3 }).y.data]).toEqual([81]);
    verifyFunc(func({ inputs: [top, factor], outputs: { y } }).func);
  });
});

describe('cond', () => {
  it('gives what the chosen function makes, and computes it in the branch', () => {
    const x = input('x', [2]);
    const chosen = cond(
      x.sum().gt(0),
      () => ({ y: x.exp(), z: full([], 1) }),
      () => ({ y: x, z: x.sum() }),
    );
    expectTypeOf(chosen).toEqualTypeOf<{ y: Tensor<[2], 'f32'>; z: Tensor<[], 'f32'> }>();
    expect([...interpret(chosen, { x: [-1, -2] }).y.data]).toEqual([-1, -2]);
    expectClose(interpret(chosen, { x: [1, 0] }).y.data, [Math.E, 1]);
    expect([...interpret(chosen, { x: [1, 0] }).z.data]).toEqual([1]);
    const main = printFunc(func({ inputs: [x], outputs: chosen }).func)
      .split('\n\n')
      .at(-1)!;
    expect(main).not.toContain('exp(');
  });
});

describe('what loops refuse', () => {
  const x = input('x', [3, 2]);
  const h = input('h', [2]);
  const wrong: readonly [what: string, make: () => unknown, message: RegExp][] = [
    [
      'sequences of different lengths',
      // @ts-expect-error 3 and 4 slices
      () => scan(h, [x, zeros([4])], (c) => [c, null]),
      /scan: sequences of one length expected, sequence\.0 has 3 slices, sequence\.1 has 4\n.*lang-loops/,
    ],
    [
      'no sequence',
      () => scan(h, null, (c) => [c, null]),
      /at least one sequence expected; arange\(n\) counts n steps/,
    ],
    [
      'a sequence without axes',
      () => scan(h, constant(1), (c) => [c, null]),
      /sequence must have an axis to walk, f32\[\] given/,
    ],
    [
      'a carry that changes its shape',
      // @ts-expect-error [2] is carried, [3] is given
      () => scan({ h }, x, () => [{ h: zeros([3]) }, null]),
      /scan: carry\.h is f32\[2\] at first, then f32\[3\]/,
    ],
    [
      'a carry that changes its dtype',
      // @ts-expect-error f32 is carried, i32 is given
      () => scan(h, x, (c) => [c.cast('i32'), null]),
      /scan: carry is f32\[2\] at first, then i32\[2\]/,
    ],
    [
      'a carry with other names',
      // @ts-expect-error h is carried
      () => scan({ h }, x, (c) => [{ g: c.h }, null]),
      /scan: carry\.h expected of every function, carry\.g given/,
    ],
    [
      'a step that returns one tensor',
      // @ts-expect-error a pair is returned
      () => scan(h, x, (c) => c),
      /a step that returns \[carry, output\] expected; null stands for no output/,
    ],
    [
      'an output that is no tensor',
      // @ts-expect-error numbers are no tensors
      () => scan(h, x, (c) => [c, 1]),
      /output must be a tensor, a list or a record of tensors, or null; number given/,
    ],
    ['a step that gives nothing', () => scan(null, x, () => [null, null]), /the step gives neither/],
    [
      'lengths that are no integers',
      () => scan(h, x, (c) => [c, null], { lengths: zeros([2]) }),
      /scan\(f32\[2\]\): integers \[batch\] as lengths expected/,
    ],
    [
      'lengths of another batch',
      () => scan(h, x, (c) => [c, null], { lengths: ints([1, 2, 3]) }),
      /lengths of 3 rows, but carry is f32\[2\]: rows as its first axis expected/,
    ],
    [
      'a condition of many elements',
      () =>
        whileLoop(
          h,
          // @ts-expect-error bool[2] is no condition
          (c) => c.lt(1),
          (c) => c,
        ),
      /whileLoop: condition must be bool\[\], bool\[2\] given; all\(\) or any\(\) makes one of many/,
    ],
    [
      'a fractional limit',
      () =>
        whileLoop(
          h,
          (c) => c.sum().lt(1),
          (c) => c,
          { limit: 1.5 },
        ),
      /a limit of whole steps expected, 1\.5 given/,
    ],
    [
      'branches of different shapes',
      () =>
        cond(
          h.sum().gt(0),
          () => h,
          // @ts-expect-error [2] and [3, 2]
          () => x,
        ),
      /cond: result is f32\[2\] at first, then f32\[3,2\]/,
    ],
    [
      'a value of a step outside of it',
      () => {
        let kept: AnyTensor = h;
        scan(h, x, (c, row) => {
          kept = c.mul(row);
          return [c, null];
        });
        return func({ inputs: [x, h], outputs: { kept } });
      },
      /carry, which the function given to scan was called with, is used outside of that function/,
    ],
  ];
  it.each(wrong)('%s', (_what, make, message) => {
    expect(make).toThrow(message);
  });
});
