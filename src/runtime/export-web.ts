// Export for pages: functions as an ES module with its typings and weights, which need nothing of Ashlar.

import { join } from 'node:path';
import { type Manifest, manifestFormat, manifestVersion, printManifest } from '../codegen/bindings/manifest.ts';
import type { WgslProgram } from '../codegen/wgsl/program.ts';
import { writeAllAside } from '../io/write-aside.ts';
import { UserError } from '../ir/errors.ts';
import { describeFile, describeTensor, hashOfFiles } from './artifact/describe.ts';
import type { Definition } from './definition.ts';
import type { StateStore } from './state.ts';
import { webModule } from './webgpu/module.ts';

export interface ExportWebOptions {
  /** The files are NAME.js, NAME.d.ts, NAME.bin and NAME.json. */
  readonly name: string;
  /** Where they go; made if it does not exist. */
  readonly directory: string;
  /** The trained state. Default: the first values of the variables. */
  readonly state?: StateStore;
}

export interface ExportedWeb {
  readonly module: string;
  readonly typings: string;
  readonly weights: string;
  readonly manifest: string;
}

/**
 * Writes functions as one module for WebGPU: `load(device)` of it gives an object with a method for each. States that one of
 * them updates are common to all and stay on the device; the others are constants. The same functions and weights give the
 * same bytes. Throws UserError when a file cannot be written, LimitationError for dtypes that WGSL lacks.
 */
export async function exportWeb(
  functions: Readonly<Record<string, Definition>>,
  { name, directory, state }: ExportWebOptions,
): Promise<ExportedWeb> {
  const { code, typings, weights, programs } = await webModule(name, functions, (known) =>
    state?.has(known) === true ? state.get(known) : undefined,
  );
  const files = {
    weights: join(directory, `${name}.bin`),
    typings: join(directory, `${name}.d.ts`),
    module: join(directory, `${name}.js`),
    manifest: join(directory, `${name}.json`),
  };
  const manifest = printManifest(manifestOf(name, programs, code, weights));
  try {
    writeAllAside([
      [files.weights, weights],
      [files.typings, typings],
      [files.module, code],
      [files.manifest, manifest],
    ]);
  } catch (error) {
    throw new UserError(`the web module cannot be written: ${error instanceof Error ? error.message : error}`);
  }
  return files;
}

function manifestOf(
  name: string,
  programs: Readonly<Record<string, WgslProgram>>,
  code: string,
  weights: Uint8Array,
): Manifest {
  const files = { code: describeFile(`${name}.js`, code), weights: describeFile(`${name}.bin`, weights) };
  const states = new Map(
    Object.values(programs).flatMap((program) => program.states.map((value) => [value.name, value])),
  );
  return {
    format: manifestFormat,
    version: manifestVersion,
    target: 'wgsl',
    name,
    functions: Object.entries(programs).map(([key, { inputs, outputs, checks }]) => ({
      name: key,
      inputs: inputs.map((value) => describeTensor(value, checks)),
      outputs: outputs.map((value) => describeTensor(value)),
    })),
    states: [...states.values()].map((value) => describeTensor(value)),
    files: { ...files, weights: { ...files.weights, alignment: 4 } },
    hash: hashOfFiles([files.code, files.weights]),
  };
}
