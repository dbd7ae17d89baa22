// Second derivatives through scans, convolutions and normalisations as programs, on every target against the float64 reference.
// second-derivatives.test.ts holds the reference itself against differences.

import { describe, it } from 'vitest';
import { type AnyTensor, grad } from '../src/lang/index.ts';
import type { TypedArray } from '../src/runtime/arrays.ts';
import { compile } from '../src/runtime/compile.ts';
import { compileForWebGpu } from '../src/runtime/webgpu/compile.ts';
import type { WebGpuDevice } from '../src/runtime/webgpu/device.ts';
import {
  directions,
  drawn,
  funcOf,
  givenOf,
  hessianProducts,
  ofGradient,
  type SmoothProgram,
} from './helpers/derivatives.ts';
import { arraysOf, type Case, expectReference, together } from './helpers/differential.ts';
import { composites, convolutions, normalisations, scans } from './helpers/smooth-programs.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

type Arrays = Record<string, TypedArray>;

const device = await testDevice();

/** Hessian-vector products by each pair of modes, and the gradient of the penalty. */
function caseOf(program: SmoothProgram): Case {
  const { by, loss } = program;
  const { tensors, values } = givenOf(program);
  const along = directions(by);
  const products = Object.values(hessianProducts(loss, by, along)).flat();
  const ofPenalty = grad(ofGradient(program), by) as AnyTensor[];
  const inputs = [...drawn([...by, ...along], 50, [-1, 1]), ...values];
  return { func: funcOf([...by, ...along, ...tensors], [...products, ...ofPenalty]), inputs };
}

/** 2⁻¹⁵ of the largest element; 2⁻¹⁶·⁴ is the most that was seen: a derivative of a derivative subtracts what is nearly equal. */
const slack = 32;

/** What there is time for; composites go through all of it. */
const families = {
  scans: scans().slice(0, 2),
  convolutions: convolutions().slice(0, 3),
  normalisations: normalisations().slice(0, 3),
  composites: composites().slice(0, 3),
};

describe.each(Object.entries(families))('second derivatives of %s', (_family, programs) => {
  const all = together(programs.map(caseOf));
  const definition = { func: all.func, variables: [] };

  it.each(['c', 'js'] as const)('in %s', async (target) => {
    const run = await compile<Arrays, Arrays>(definition, { target });
    expectReference(all, run(arraysOf(all)), slack);
  });

  it.skipIf(typeof device === 'string')(titleOf('in WGSL', device), async () => {
    const run = await compileForWebGpu<Arrays, Arrays>(definition, { device: device as WebGpuDevice });
    expectReference(all, await run(arraysOf(all)), slack);
    run.destroy();
  });
});
