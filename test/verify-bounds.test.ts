// How far from the reference `ashlar verify` lets a target be: near enough that errors are found, far enough for any rounding.

import { type AnyTensor, func, input, nn } from 'ashlar';
import { describe, expect, it } from 'vitest';
import { judge } from '../src/cli/verify/bounds.ts';
import { compare, emptyReport } from '../src/cli/verify/compare.ts';
import { ndarray } from '../src/ir/ndarray.ts';
import { seeded } from './helpers/samples.ts';

const x = input('x', [4, 6] as number[]);
const random = seeded(3);
const elements = Float64Array.from({ length: 24 }, () => Math.fround(4 * random() - 2));

/** The result y of a function of x, judged on elements, and how much of the bound f32 results take that `change` disturbs. */
function ofBound(y: AnyTensor, given: Float64Array, change: (value: number, i: number) => number = (value) => value) {
  const { func: graph, variables } = func({ inputs: [x], outputs: { y } });
  const initial = new Map(variables.map((variable) => [variable.name, variable.initial()]));
  const values = graph.parameters.map(({ name, value: { type } }) =>
    ndarray(type.dtype, type.shape, initial.get(name) ?? given),
  );
  const [judged] = judge(graph, values, 1);
  const found = Float32Array.from(judged!.exact.data, change);
  const report = emptyReport('y', 'f32');
  compare(report, judged!, found as never, 'test');
  return report;
}

const ulps = (count: number) => (value: number) => value * (1 + count * 2 ** -23);

describe('bounds', () => {
  it('let results be off by roundings, and by no more', () => {
    nn.setSeed(1);
    const network = nn.sequential(nn.dense(6, 8), nn.tanh, nn.dense(8, 3), nn.softmax);
    for (const y of [x.exp(), x.mul(3).add(1).square(), x.matmul(x.transpose()), network(x) as AnyTensor]) {
      expect(ofBound(y, elements).ofBound).toBeLessThan(0.5);
      expect(ofBound(y, elements, ulps(2)).ofBound).toBeLessThanOrEqual(1);
      expect(ofBound(y, elements, ulps(2000)).ofBound).toBeGreaterThan(1);
    }
  });

  it('widen where the function magnifies rounding, not where it does not', () => {
    const cancelling = x.add(1000).sub(1000);
    expect(ofBound(cancelling, elements, (value) => value + 5e-5).ofBound).toBeLessThan(1);
    expect(ofBound(x.add(0.5), elements, (value) => value + 5e-5).ofBound).toBeGreaterThan(1);
  });

  it('are zero for what only moves and chooses elements', () => {
    for (const y of [x.transpose(), x.relu(), x.max(1), x.neg().abs()]) {
      expect(ofBound(y, elements).ofBound).toBe(0);
      expect(ofBound(y, elements, (value, i) => (i === 2 ? value + 1e-5 : value)).ofBound).toBeGreaterThan(1);
    }
  });

  it('want NaN for NaN and the same infinity, and say nothing beyond the numbers of f32', () => {
    const odd = elements.slice();
    odd.set([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 100]);
    const y = x.exp();
    // exp(100) is a number of f64 and none of f32.
    expect(ofBound(y, odd)).toMatchObject({ compared: 23, undecided: 1 });
    expect(ofBound(y, odd, (value) => (Number.isNaN(value) ? 1 : value)).ofBound).toBe(Number.POSITIVE_INFINITY);
    expect(
      ofBound(y, odd, (value) => (value === Number.POSITIVE_INFINITY ? Number.NaN : value)).ofBound,
    ).toBeGreaterThan(1);
    expect(
      ofBound(x.neg(), odd, (value) => (Math.abs(value) === Number.POSITIVE_INFINITY ? -value : value)).ofBound,
    ).toBeGreaterThan(1);
  });

  it('leave out what rounding decides, and no other integer', () => {
    const near = elements.slice();
    near[0] = 0.1;
    // 0.1 · 3 · 5 and 1.5 differ by roundings alone.
    const y = x.mul(3).mul(5).ge(1.5000000223517418).cast('f32').argmax(1).cast('f32');
    const report = ofBound(y, near);
    expect(report.undecided).toBeLessThanOrEqual(1);
    expect(
      ofBound(x.argmax(1).cast('f32'), elements, (value, i) => (i === 0 ? value + 1 : value)).ofBound,
    ).toBeGreaterThan(1);
  });
});
