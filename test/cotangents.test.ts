// What reverse mode makes of a value's uses: parts that were cut from it are joined, all else is added.

import { describe, expect, it } from 'vitest';
import { nodesOf } from '../src/ir/graph.ts';
import {
  type AnyTensor,
  constant,
  grad,
  input,
  interpret,
  logSoftmax,
  logSumExp,
  narrow,
  slice,
  softmax,
  split,
  stopGradient,
  variable,
} from '../src/lang/index.ts';

const opsOf = (tensor: AnyTensor): string[] => nodesOf([tensor.value]).map(({ op }) => op);
const numbers = (tensor: AnyTensor): number[] => [...interpret({ tensor }).tensor.data];
const x = variable('x', [2, 6], { initial: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] });
/** Each part times its own factor, so that the cotangent shows which part an element lay in. */
const weighed = (parts: readonly AnyTensor[]): AnyTensor =>
  parts.map((part, i): AnyTensor => part.mul(10 ** i).sum()).reduce((sum, part): AnyTensor => sum.add(part));

describe('the cotangents of parts', () => {
  it('are one concatenation where the parts are all there is', () => {
    const gradient = grad(weighed(split(x, 3, 1)), x);
    expect(numbers(gradient)).toEqual([1, 1, 10, 10, 100, 100, 1, 1, 10, 10, 100, 100]);
    const ops = opsOf(gradient);
    expect(ops.filter((op) => op === 'concat')).toHaveLength(1);
    expect(ops).not.toContain('add');
  });

  it('have zeros where no part was taken, before, between and after', () => {
    const gradient = grad(weighed([narrow(x, 1, 4, 1), narrow(x, 1, 1, 2)]), x);
    expect(numbers(gradient)).toEqual([0, 10, 10, 0, 1, 0, 0, 10, 10, 0, 1, 0]);
    expect(opsOf(gradient)).not.toContain('add');
  });

  it('are added where parts overlap', () => {
    expect(numbers(grad(weighed([narrow(x, 1, 0, 4), narrow(x, 1, 2, 4)]), x))).toEqual([
      1, 1, 11, 11, 10, 10, 1, 1, 11, 11, 10, 10,
    ]);
  });

  it('are added where they were cut along different axes, with steps, or where the whole is used as well', () => {
    const mixed = [narrow(x, 0, 0, 1), narrow(x, 1, 0, 3), narrow(x, 1, 3, 3), slice(x, [0, 1], [2, 6], [1, 2]), x];
    const expected = [0, 1].flatMap((row) =>
      [0, 1, 2, 3, 4, 5].map(
        (column) => (row === 0 ? 1 : 0) + (column < 3 ? 10 : 100) + (column % 2 === 1 ? 1000 : 0) + 10000,
      ),
    );
    expect(numbers(grad(weighed(mixed), x))).toEqual(expected);
  });

  it('have derivatives themselves', () => {
    const [first, second] = split(x, 2, 1) as [AnyTensor, AnyTensor];
    const gradient: AnyTensor = grad(first.mul(first).mul(second).sum(), x);
    expect(numbers(gradient)).toEqual([8, 20, 36, 1, 4, 9, 140, 176, 216, 49, 64, 81]);
    expect(numbers(grad(gradient.sum(), x))).toEqual([10, 14, 18, 2, 4, 6, 34, 38, 42, 14, 16, 18]);
  });
});

describe('stopGradient', () => {
  it('is the value, taken as a constant by derivatives', () => {
    const y = constant([2, 3]);
    expect(numbers(stopGradient(y))).toEqual([2, 3]);
    expect(numbers(grad((y.mul(stopGradient(y)) as AnyTensor).sum(), y))).toEqual([2, 3]);
  });

  it('keeps the search for the maximum out of the gradients of softmax, logSoftmax and logSumExp', () => {
    const logits = input('logits', [4, 5]);
    for (const apply of [softmax, logSoftmax, (of: AnyTensor) => logSumExp(of, 1)] as ((of: AnyTensor) => AnyTensor)[])
      expect(opsOf(grad(apply(logits).square().sum(), logits))).not.toContain('eq');
  });

  it('leaves those gradients what they are, also where two elements are the greatest', () => {
    const logits = variable('logits', [1, 3], { initial: [Math.log(2), Math.log(2), 0] });
    const weights = constant([[1, 2, 3]]);
    const close = (gradient: AnyTensor, expected: readonly number[]): void =>
      numbers(gradient).forEach((value, i) => {
        expect(value).toBeCloseTo(expected[i]!, 12);
      });
    // p = (2, 2, 1)/5, Σ w p = 9/5.
    close(grad((softmax(logits).mul(weights) as AnyTensor).sum(), logits), [-8 / 25, 2 / 25, 6 / 25]);
    close(grad((logSoftmax(logits).mul(weights) as AnyTensor).sum(), logits), [1 - 12 / 5, 2 - 12 / 5, 3 - 6 / 5]);
    close(grad(logSumExp(logits), logits), [2 / 5, 2 / 5, 1 / 5]);
  });
});

describe('the cotangents of two uses on the way to one value', () => {
  const weight = input('weight', [2, 6]);
  const topOf = (tensor: AnyTensor): string | undefined => tensor.value.producer?.op;

  it('are one product: their factors are added first', () => {
    const gradient = grad((x.mul(x.tanh()) as AnyTensor).mul(weight).sum(), x);
    expect(topOf(gradient)).toBe('mul');
    const weights = numbers(x).map((value) => value / 3 - 2);
    const found = [...interpret({ gradient }, { weight: weights }).gradient.data];
    numbers(x).forEach((value, i) => {
      const expected = weights[i]! * (Math.tanh(value) + value * (1 - Math.tanh(value) ** 2));
      expect(found[i]).toBeCloseTo(expected, 6);
    });
  });

  it('are added where they are multiples of different values', () => {
    const squares = (axis: number, of: AnyTensor): AnyTensor => of.sum(axis).square().sum();
    expect(topOf(grad(squares(0, x.tanh()).add(squares(1, x.exp())), x))).toBe('add');
  });
});
