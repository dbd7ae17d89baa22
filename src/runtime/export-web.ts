// Export for pages: functions as an ES module with its typings and weights, which need nothing of Ashlar.

import { join } from 'node:path';
import { writeAside } from '../io/write-aside.ts';
import { UserError } from '../ir/errors.ts';
import type { Definition } from './definition.ts';
import type { StateStore } from './state.ts';
import { webModule } from './webgpu/module.ts';

export interface ExportWebOptions {
  /** The files are NAME.js, NAME.d.ts and NAME.bin. */
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
  const { code, typings, weights } = await webModule(name, functions, (known) =>
    state?.has(known) === true ? state.get(known) : undefined,
  );
  const files = {
    module: join(directory, `${name}.js`),
    typings: join(directory, `${name}.d.ts`),
    weights: join(directory, `${name}.bin`),
  };
  try {
    writeAside(files.weights, weights);
    writeAside(files.typings, typings);
    writeAside(files.module, code);
  } catch (error) {
    throw new UserError(`the web module cannot be written: ${error instanceof Error ? error.message : error}`);
  }
  return files;
}
