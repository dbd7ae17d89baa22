// Artifacts that are ES modules: in JavaScript, or shaders for a GPU that Node finds.

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ManifestFunction } from '../../codegen/bindings/manifest.ts';
import { UserError } from '../../ir/errors.ts';
import type { TypedArray } from '../arrays.ts';
import { expectArray, expectKnown, expectRange } from '../call-checks.ts';
import { openDevice } from '../webgpu/device.ts';
import { nodeGpu } from '../webgpu/node-gpu.ts';
import { readListed } from './files.ts';
import { boundaryOf, checksOf, type LoadedArtifact, type LoadedFunction, type NamedArrays } from './loaded.ts';
import type { Found } from './manifest.ts';

/** What `load` of a module gives: its functions by name, and `state`. */
type LoadedModule = Readonly<Record<string, (inputs: NamedArrays) => NamedArrays | Promise<NamedArrays>>> & {
  readonly state: LoadedArtifact['state'];
};

interface ModuleExports {
  load(...given: unknown[]): Promise<LoadedModule>;
}

export async function loadJs(found: Found): Promise<LoadedArtifact> {
  const { load, weights } = await importModule(found);
  return asArtifact(found, await load({ weights }), () => {});
}

export async function loadWeb(found: Found): Promise<LoadedArtifact> {
  const { load, weights } = await importModule(found);
  const device = await openDevice(await nodeGpu());
  return asArtifact(found, await load(device.device, { weights }), () => device.destroy());
}

/** Every file is read and hashed before anything of it runs. */
async function importModule({
  manifest,
  folder,
  path,
}: Found): Promise<ModuleExports & { readonly weights: Uint8Array }> {
  const { code, weights } = manifest.files;
  const memory = (bytes: number): Uint8Array => new Uint8Array(bytes);
  readListed(folder, code, memory);
  if (weights === undefined) throw new UserError(`${path}: files.weights: a file expected, nothing given`);
  const content = readListed(folder, weights, memory);
  // The hash makes another module of a file that was written anew.
  const module = (await import(`${pathToFileURL(join(folder, code.path)).href}?${manifest.hash}`)) as ModuleExports;
  return { load: (...given) => module.load(...given), weights: content };
}

function asArtifact({ manifest, path }: Found, loaded: LoadedModule, close: () => void): LoadedArtifact {
  const functions = manifest.functions.map((described) => {
    const call = loaded[described.name];
    if (typeof call !== 'function') throw new UserError(`${path}: functions: the module has no ${described.name}`);
    return [described.name, checkedFunction(described, call)] as const;
  });
  return {
    name: manifest.name,
    target: manifest.target,
    functions: Object.fromEntries(functions),
    state: loaded.state,
    close,
  };
}

function checkedFunction(
  { inputs, outputs }: ManifestFunction,
  call: (inputs: Record<string, TypedArray>) => NamedArrays | Promise<NamedArrays>,
): LoadedFunction {
  const boundaries = inputs.map(boundaryOf);
  const checks = checksOf(inputs);
  const names = new Set(inputs.map(({ name }) => name));
  const checked = (given: NamedArrays): NamedArrays | Promise<NamedArrays> => {
    expectKnown('input', Object.keys(given), names);
    for (const boundary of boundaries) expectArray('input', boundary, given[boundary.name]);
    for (const check of checks) expectRange(given[check.input]!, check);
    return call(given);
  };
  return Object.assign(checked, { inputs: boundaries, outputs: outputs.map(boundaryOf), checks });
}
