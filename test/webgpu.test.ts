// Every operation of the table as WGSL, on whatever adapter there is, against the float64 reference. All examples of a
// family are one function, so that fusion, the arena and bindings are part of the test; Dawn validates every shader.

import { afterAll, describe, expect, it } from 'vitest';
import type { TypedArray } from '../src/runtime/arrays.ts';
import { compileForWebGpu } from '../src/runtime/webgpu/compile.ts';
import type { WebGpuDevice } from '../src/runtime/webgpu/device.ts';
import { arraysOf, type Case, casesOf, expectReference, families, together } from './helpers/differential.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

const device = await testDevice();
const gpu = device as WebGpuDevice;

async function expectAgreement(given: Case): Promise<void> {
  const run = await compileForWebGpu<Record<string, TypedArray>, Record<string, TypedArray>>(
    { func: given.func, variables: [] },
    { device: gpu },
  );
  expectReference(given, await run(arraysOf(given)));
  run.destroy();
}

/** WGSL has no f64 and no i64. */
const isPossible = ({ func }: Case): boolean =>
  [...func.parameters.map(({ value }) => value), ...func.nodes.flatMap(({ results }) => results)].every(
    ({ type }) => !['f64', 'i64'].includes(type.dtype),
  );

describe.skipIf(typeof device === 'string')(titleOf('WGSL', device), () => {
  afterAll(() => gpu.destroy());

  it.each(families.map((family) => [family.join(' '), family] as const))('%s', async (_title, family) => {
    const cases = casesOf(family).filter(isPossible);
    if (cases.length > 0) await expectAgreement(together(cases));
    expect(cases.length).toBeGreaterThan(0);
  });
});
