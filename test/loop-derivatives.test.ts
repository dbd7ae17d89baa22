// Derivatives of loops: those of a scan are those of its steps written out, in both directions and to second order; what
// reverse mode keeps and carries; and how often a body runs.

import { describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import type { Func, Node } from '../src/ir/graph.ts';
import { ndarray } from '../src/ir/ndarray.ts';
import { opTable } from '../src/ir/ops/index.ts';
import type { OpTable } from '../src/ir/optable.ts';
import { verifyFunc } from '../src/ir/verify.ts';
import {
  type AnyTensor,
  cond,
  func,
  grad,
  hvp,
  input,
  interpret,
  jvp,
  type ScanOptions,
  scan,
  slice,
  squeeze,
  stack,
  type Tensor,
  whileLoop,
  zeros,
} from '../src/lang/index.ts';
import { optimize } from '../src/passes/graph-passes.ts';
import { expectClose } from './helpers/close.ts';
import { sampleInputs } from './helpers/samples.ts';

const [time, batch, features, hidden] = [5, 2, 3, 4];
const x = input('x', [5, 2, 3]);
const w = input('w', [3, 16]);
const u = input('u', [4, 16]);
const b = input('b', [16]);
const target = input('target', [5, 2, 4]);
const lengths = input('lengths', [2], 'i32');

const gate = (z: AnyTensor, i: number): AnyTensor => slice(z, [0, hidden * i], [batch, hidden * (i + 1)]) as AnyTensor;

/** A cell of an LSTM: gates i, f, o and candidate g. */
function cell({ h, c }: { h: AnyTensor; c: AnyTensor }, xt: AnyTensor): { h: AnyTensor; c: AnyTensor } {
  const z = xt.matmul(w).add(h.matmul(u)).add(b) as AnyTensor;
  const next = gate(z, 1)
    .sigmoid()
    .mul(c)
    .add(gate(z, 0).sigmoid().mul(gate(z, 3).tanh()));
  return { c: next, h: gate(z, 2).sigmoid().mul(next.tanh()) };
}

const begin = (): { h: AnyTensor; c: AnyTensor } => ({ h: zeros([2, 4]), c: zeros([2, 4]) });

function scanned(options: ScanOptions = {}): AnyTensor {
  const step = (state: { h: AnyTensor; c: AnyTensor }, xt: AnyTensor) => {
    const next = cell(state, xt);
    return [next, next.h] as const;
  };
  const [last, all] = scan(begin(), x as AnyTensor, step as never, options) as unknown as [{ c: AnyTensor }, AnyTensor];
  return all.sub(target).square().sum().add(last.c.sum()) as AnyTensor;
}

/** The same loss, its steps written out. */
function written(): AnyTensor {
  let state = begin();
  const all = Array.from({ length: time }, (_, t) => {
    const xt = squeeze(slice(x, [t, 0, 0], [t + 1, batch, features]) as AnyTensor, 0) as AnyTensor;
    state = cell(state, xt);
    return state.h;
  });
  return stack(all).sub(target).square().sum().add(state.c.sum()) as AnyTensor;
}

const wrt = [x, w, u, b] as AnyTensor[];
const given = (() => {
  const main = func({ inputs: [x, w, u, b, target], outputs: { y: written() } }).func;
  const arrays = sampleInputs(main, 5, [-1, 1]);
  return Object.fromEntries(main.parameters.map(({ name }, i) => [name, arrays[i]!.data]));
})();

function expectSame(
  found: readonly AnyTensor[],
  expected: readonly AnyTensor[],
  inputs: Readonly<Record<string, ArrayLike<number>>> = given,
): void {
  const values = (tensors: readonly AnyTensor[]) =>
    interpret(Object.fromEntries(tensors.map((t, i) => [`r${i}`, t])), inputs);
  const [a, c] = [values(found), values(expected)];
  for (const name of Object.keys(c)) expectClose(a[name]!.data, c[name]!.data, 1e-9);
}

/** Every scan of the function and of those nested in it. */
function scansOf(of: Func): Node<'scan'>[] {
  return of.nodes.flatMap((node) => {
    const nested = Object.values(node.attrs as object).filter((value) => value?.nodes !== undefined) as Func[];
    return [...(node.op === 'scan' ? [node as Node<'scan'>] : []), ...nested.flatMap(scansOf)];
  });
}

describe('a scan has the derivatives of its steps written out', () => {
  for (const residuals of ['keep', 'recompute'] as const) {
    it(`gradients, where it is to ${residuals} residuals`, () => {
      expectSame(grad(scanned({ residuals }), wrt), grad(written(), wrt));
    });

    it(`gradients of gradients, where it is to ${residuals} residuals`, () => {
      const norm = (loss: AnyTensor): AnyTensor =>
        grad(loss, wrt).reduce<AnyTensor>((sum, g) => sum.add((g as AnyTensor).square().sum()) as AnyTensor, zeros([]));
      expectSame(grad(norm(scanned({ residuals })), wrt), grad(norm(written()), wrt));
    });
  }

  it('forward, and forward over reverse', () => {
    const along = [x.sin(), w.cos(), u.mul(2), b.add(1)] as AnyTensor[];
    expectSame(jvp([scanned()], wrt, along), jvp([written()], wrt, along));
    expectSame([hvp(scanned(), u, u.cos()) as AnyTensor], [hvp(written(), u, u.cos()) as AnyTensor]);
  });

  it('with rows of different lengths: what is beyond the end of a row has no gradient', () => {
    const inputs = { ...given, lengths: [5, 2] };
    const [byX] = grad(scanned({ lengths }), [x]) as AnyTensor[];
    const { data } = interpret({ byX: byX! }, inputs).byX;
    const rows = Array.from({ length: time * batch }, (_, i) => data.slice(i * features, (i + 1) * features));
    expect(rows.map((row) => row.some((value) => value !== 0))).toEqual([0, 1, 2, 3, 4].flatMap((t) => [true, t < 2]));
    expectSame(grad(scanned({ lengths }), wrt), grad(written(), wrt), { ...given, lengths: [5, 5] });
  });
});

describe('what reverse mode of a scan keeps', () => {
  const h = input('h', [2, 4]);
  const v = input('v', [4, 4]);
  const rnn = (residuals: 'keep' | 'recompute'): AnyTensor =>
    scan(h, x, (s, xt) => [s.matmul(v).add(xt.sum()).tanh().mul(2), null], { residuals })[0].sum() as AnyTensor;
  const residualsOf = (loss: AnyTensor): string[] => {
    const model = func({ inputs: [x, h, v], outputs: { g: grad(loss, v) as AnyTensor } }).func;
    verifyFunc(model);
    const kept = scansOf(model).find(({ attrs, results }) => !attrs.reverse && results.length > attrs.carries)!;
    return kept.attrs.body.results.slice(kept.attrs.carries).map(({ value }) => value.producer?.op ?? 'parameter');
  };

  it('is what is costly to compute, in its smallest form, and the carry that the constant meets', () => {
    expect(residualsOf(rnn('keep')).sort()).toEqual(['parameter', 'tanh']);
  });

  it('is the carries alone where all else is to be recomputed', () => {
    expect(residualsOf(rnn('recompute'))).toEqual(['parameter']);
  });

  it('has no part in what is not differentiated by', () => {
    const loss = rnn('keep');
    const [only] = scansOf(func({ inputs: [x, h, v], outputs: { g: grad(loss, h) as AnyTensor } }).func).filter(
      ({ attrs }) => attrs.reverse,
    );
    // One cotangent is carried; none of x is stacked, none of v is summed.
    expect(only!.attrs.carries).toBe(1);
    expect(only!.results.length).toBe(1);
  });

  it('is nothing of integers', () => {
    const [last] = scan({ s: h, n: zeros([], 'i32') }, x, ({ s, n }, xt) => [
      { s: s.mul(xt.sum()).add(n.cast('f32')), n: n.add(1) },
      null,
    ]);
    const model = func({ inputs: [x, h], outputs: { g: grad(last.s.sum(), h) as AnyTensor } }).func;
    expect(scansOf(model).find(({ attrs }) => attrs.reverse)!.attrs.carries).toBe(1);
  });
});

describe('branches and bounded loops', () => {
  const p = input('p', [], 'bool');
  const a = input('a', [2]);

  it('a cond has the gradient of what was chosen', () => {
    const y = cond(
      p,
      () => a.square().sum(),
      () => a.mul(3).sum(),
    );
    const g = grad(y as AnyTensor, a) as AnyTensor;
    expect([...interpret({ g }, { p: [1], a: [2, 5] }).g.data]).toEqual([4, 10]);
    expect([...interpret({ g }, { p: [0], a: [2, 5] }).g.data]).toEqual([3, 3]);
  });

  const m = input('m', [8, 8]);
  const v = input('v', [8]);
  /** Two layers of products and exponentials, or one. */
  const layers = (residuals?: 'keep' | 'recompute') =>
    cond(
      p,
      () => m.matmul(m.matmul(v).tanh()).tanh().sum(),
      () => m.T.matmul(v).exp().sum(),
      residuals === undefined ? {} : { residuals },
    ).square() as AnyTensor;
  /** How often an operation is evaluated, of the loss and its gradients, after all passes. */
  const evaluated = (op: 'dot' | 'tanh' | 'exp', loss: AnyTensor, chosen: boolean): number => {
    const [gm, gv] = grad(loss, [m, v]) as AnyTensor[];
    const optimized = optimize(func({ inputs: [p, m, v], outputs: { loss, gm: gm!, gv: gv! } }).func);
    let runs = 0;
    const rule = opTable[op];
    const counting = {
      ...opTable,
      [op]: {
        ...rule,
        evaluate: (...given: never[]) => {
          runs++;
          return (rule.evaluate as (...all: never[]) => unknown)(...given);
        },
      },
    } as unknown as OpTable;
    const [, ...samples] = sampleInputs(optimized, 3);
    evaluateFunc(optimized, [ndarray('bool', [], [Number(chosen)]), ...samples], counting);
    return runs;
  };

  it('a cond keeps what is costly of the branch that ran, and computes nothing of it again', () => {
    // Forward two products and in reverse two, those of m's gradient being outer ones; computing again adds the first two.
    expect(evaluated('dot', layers(), true)).toBe(4);
    expect(evaluated('tanh', layers(), true)).toBe(2);
    expect(evaluated('dot', layers(), false)).toBe(2);
    expect(evaluated('exp', layers(), false)).toBe(1);
    expect(evaluated('dot', layers('recompute'), true)).toBe(6);
    expect(evaluated('tanh', layers('recompute'), true)).toBe(4);
  });

  it('a cond has the same gradients whether it keeps or computes again, to second order', () => {
    const all = (residuals: 'keep' | 'recompute'): Record<string, AnyTensor> => {
      const [gm, gv] = grad(layers(residuals), [m, v]) as AnyTensor[];
      const second = grad(gm!.square().sum().add(gv!.square().sum()) as AnyTensor, [m, v]) as AnyTensor[];
      return { gm: gm!, gv: gv!, hm: second[0]!, hv: second[1]! };
    };
    const data = {
      m: Array.from({ length: 64 }, (_, i) => Math.sin(i)),
      v: Array.from({ length: 8 }, (_, i) => i / 8),
    };
    for (const chosen of [0, 1]) {
      const kept = interpret(all('keep'), { ...data, p: [chosen] });
      const again = interpret(all('recompute'), { ...data, p: [chosen] });
      for (const name of ['gm', 'gv', 'hm', 'hv']) expectClose(kept[name]!.data, again[name]!.data, 1e-12);
    }
  });

  const powers = (limit?: number): Tensor<[2], 'f32'> =>
    whileLoop(
      a,
      (s) => s.sum().lt(100),
      (s) => s.mul(a).exp().log(),
      limit === undefined ? {} : { limit },
    );

  it('a while with a limit has the gradient of the steps that it took', () => {
    // a, a², .. a⁵ until the sum is 100: 2⁵ + 3⁵ = 275, a sum of 97 before.
    const g = grad(powers(50).sum() as AnyTensor, a) as AnyTensor;
    expectClose(interpret({ g }, { a: [2, 3] }).g.data, [5 * 2 ** 4, 5 * 3 ** 4], 1e-9);
  });

  it('a while runs its body as often as its condition holds, forward and in reverse', () => {
    const g = grad(powers(50).sum() as AnyTensor, a) as AnyTensor;
    let runs = 0;
    const counting: OpTable = {
      ...opTable,
      log: {
        ...opTable.log,
        evaluate: (...given) => {
          runs++;
          return opTable.log.evaluate(...given);
        },
      },
    };
    const main = func({ inputs: [a], outputs: { g } }).func;
    evaluateFunc(main, [{ type: { dtype: 'f32', shape: [2] }, data: Float64Array.of(2, 3) }], counting);
    // Four steps of 50; here the primal is not read, and each step is computed again in the derivative of its branch.
    expect(runs).toBeLessThanOrEqual(8);
    expect(runs).toBeGreaterThan(0);
  });

  it('a while without a limit has a forward derivative, and a reverse one is refused with the way out', () => {
    const [tangent] = jvp([powers()], [a], [a.mul(0).add(1)]);
    expectClose(interpret({ tangent: tangent! }, { a: [2, 3] }).tangent.data, [5 * 2 ** 4, 5 * 3 ** 4], 1e-9);
    expect(() => grad(powers().sum() as AnyTensor, a)).toThrow(
      /without a limit of steps has no reverse derivative: give whileLoop a limit.*\n.*loop-derivatives/,
    );
  });
});
