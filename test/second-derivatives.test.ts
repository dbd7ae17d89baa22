// Second derivatives through scans, convolutions and normalisations by the float64 reference: by each pair of modes, and of a penalty on
// a gradient, against central differences of the first derivative, and that against differences of the value.

import { describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import type { Func } from '../src/ir/graph.ts';
import type { NdArray } from '../src/ir/ndarray.ts';
import { type AnyTensor, grad, jvp } from '../src/lang/index.ts';
import {
  centralDifference,
  directions,
  distance,
  drawn,
  elementsOf,
  extrapolated,
  funcOf,
  givenOf,
  hessianProducts,
  inner,
  ofGradient,
  unit,
} from './helpers/derivatives.ts';
import { composites, convolutions, film, normalisations, scans } from './helpers/smooth-programs.ts';

const seeds = [1, 2, 3];
/** Of a difference whose steps are 2⁻⁸ and 2⁻⁹: the fourth power of the step, and rounding. */
const bound = 3e-9;

/** Holds a derivative along a direction against differences of `of`: it is their limit, and their error falls with h². */
function expectLimit(
  what: string,
  found: readonly number[],
  of: Func,
  at: readonly NdArray[],
  along: readonly NdArray[],
  rest: readonly NdArray[],
): void {
  const scale = Math.hypot(...found);
  const limit = extrapolated(of, at, along, 2 ** -10, rest);
  expect(distance(found, limit) / scale, `${what}: distance from the limit`).toBeLessThan(bound);
  const [coarse, fine] = [2 ** -8, 2 ** -9].map((h) => distance(found, centralDifference(of, at, along, h, rest)));
  expect(coarse! / fine!, `${what}: how the error falls where the step is halved`).toBeGreaterThan(3.6);
  expect(coarse! / fine!, what).toBeLessThan(4.4);
}

const programs = { scans, convolutions, normalisations, composites };

describe.each(Object.entries(programs))('%s', (_family, make) => {
  it.each(make().map((program) => [program.what, program] as const))(
    '%s: gradients and Hessian-vector products',
    (_what, program) => {
      const { by, loss } = program;
      const { tensors, values } = givenOf(program);
      const along = directions(by);
      const gradient = grad(loss, by) as AnyTensor[];
      const [itself, first] = [[loss], gradient].map((results) => funcOf([...by, ...tensors], results)) as [Func, Func];
      const slope = funcOf([...by, ...along, ...tensors], [inner(gradient, along)]);
      const second = Object.entries(hessianProducts(loss, by, along)).map(
        ([modes, products]) => [modes, funcOf([...by, ...along, ...tensors], products)] as const,
      );
      for (const seed of seeds) {
        const at = drawn(by, 10 + seed, [-1, 1]);
        const v = unit(drawn(along, 20 + seed, [-1, 1]));
        expectLimit('gradient', elementsOf(evaluateFunc(slope, [...at, ...v, ...values])), itself, at, v, values);
        for (const [modes, products] of second) {
          expectLimit(modes, elementsOf(evaluateFunc(products, [...at, ...v, ...values])), first, at, v, values);
        }
      }
    },
  );

  it.each(make().map((program) => [program.what, program] as const))(
    '%s: a penalty on the gradient',
    (_what, program) => {
      const { by } = program;
      const { tensors, values } = givenOf(program);
      const along = directions(by);
      const penalty = ofGradient(program);
      const first = funcOf([...by, ...tensors], [penalty]);
      const second = funcOf([...by, ...along, ...tensors], [inner(grad(penalty, by) as AnyTensor[], along)]);
      for (const seed of seeds) {
        const at = drawn(by, 30 + seed, [-1, 1]);
        const v = unit(drawn(along, 40 + seed, [-1, 1]));
        expectLimit('gradient', elementsOf(evaluateFunc(second, [...at, ...v, ...values])), first, at, v, values);
      }
    },
  );
});

it('third derivatives through conv, norm and scan', () => {
  const { by, loss } = film();
  const [along, across] = [directions(by), directions(by, 'across')];
  const parameters = [...by, ...along, ...across];
  const at = [by, along, across].flatMap((part, i) =>
    i === 0 ? drawn(part, 5, [-1, 1]) : unit(drawn(part, 5 + i, [-1, 1])),
  );
  const products = hessianProducts(loss, by, along);
  const second = funcOf([...by, ...along], products['forward over reverse']!);
  for (const [modes, product] of Object.entries(products)) {
    const thirds = { reverse: grad(inner(product, across), by) as AnyTensor[], forward: jvp(product, by, across) };
    for (const [mode, third] of Object.entries(thirds)) {
      const found = elementsOf(evaluateFunc(funcOf(parameters, third), at));
      const [x, v, u] = [0, 1, 2].map((part) => at.slice(part * by.length, (part + 1) * by.length)) as [
        NdArray[],
        NdArray[],
        NdArray[],
      ];
      expectLimit(`${mode} over ${modes}`, found, second, x, u, v);
    }
  }
});
