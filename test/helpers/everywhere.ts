// One definition compiled for C, JavaScript and, where there is a device, WebGPU.

import type { FunctionDefinition } from 'ashlar';
import { compile } from 'ashlar/node';
import { testDevice } from './webgpu.ts';

type Arrays = Readonly<Record<string, ArrayLike<number>>>;

/** What the function gives on each target. */
export async function everywhere(definition: FunctionDefinition, inputs: Arrays): Promise<Record<string, Arrays>> {
  const device = await testDevice();
  const results: Record<string, Arrays> = {};
  for (const target of ['c', 'js'] as const)
    results[target] = (await compile(definition, { target }))(inputs as never) as Arrays;
  if (typeof device !== 'string') {
    const run = await compile(definition, { target: 'wgsl', device });
    results.wgsl = (await run(inputs as never)) as Arrays;
  }
  return results;
}
