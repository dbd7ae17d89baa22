// Export for pages: functions as an ES module with its typings and weights, which need nothing of Ashlar.

import { UserError } from '../ir/errors.ts';
import { type GpuKind, gpuTargets } from '../passes/gpu/schedule.ts';
import { noteUnused } from '../passes/tuning.ts';
import type { TypedArray } from './arrays.ts';
import { type ExportedModule, writeModule } from './artifact/write-module.ts';
import type { Definition } from './definition.ts';
import type { StateStore } from './state.ts';
import { recordText, type Tuning } from './tuning-file.ts';
import { webModule } from './webgpu/module.ts';
import { tunedFor } from './webgpu/tuned.ts';

export interface ExportWebOptions {
  /** The files are NAME.js, NAME.d.ts, NAME.bin, NAME.json and README.md. */
  readonly name: string;
  /** Where they go, one folder for each artifact; made if it does not exist. */
  readonly directory: string;
  /** The trained state. Default: the first values of the variables. */
  readonly state?: StateStore;
  /**
   * Kernels for cards, or for adapters that compute on the processor's cores (`isFallbackAdapter`), which take ten times as long
   * over those for cards. Either kind runs anywhere. Default 'card'.
   */
  readonly kernels?: GpuKind;
  /**
   * What `tune` measured on a device like those that will run it, or the path of its file; `kernels` are then the record's if
   * they are not given. Default: nothing.
   */
  readonly tuning?: Tuning;
  /** Hears which entries of `tuning` fit nothing of the functions. */
  readonly print?: (stage: string, text: string) => void;
}

export type ExportedWeb = ExportedModule;

/** Blocks of the device are written in words. */
const alignment = 4;

/**
 * Writes functions as one module for WebGPU: `load(device)` of it gives an object with a method for each. States that one of
 * them updates are common to all and stay on the device; the others are constants. The same functions and weights give the
 * same bytes. Throws UserError when a file cannot be written, LimitationError for dtypes that WGSL lacks.
 */
export async function exportWeb(
  functions: Readonly<Record<string, Definition>>,
  { name, directory, state, kernels, tuning, print }: ExportWebOptions,
): Promise<ExportedWeb> {
  if (kernels !== undefined && !Object.hasOwn(gpuTargets, kernels))
    throw new UserError(
      `kernels ${JSON.stringify(kernels)} are not known; there are ${Object.keys(gpuTargets).join(', ')}`,
    );
  const known = (wanted: string): TypedArray | undefined =>
    state?.has(wanted) === true ? state.get(wanted) : undefined;
  const tuned = tuning === undefined ? null : tunedFor(kernels, recordText(tuning));
  const made = tuned === null ? { kernels: kernels ?? 'card' } : { kernels: tuned.kernels, choose: tuned.choose };
  const { code, facade, weights, programs } = await webModule(name, functions, known, made);
  if (tuned !== null) noteUnused(tuned, tuned.name, print);
  const checks = Object.fromEntries(Object.entries(programs).map(([key, program]) => [key, program.checks]));
  return writeModule(directory, facade, { code, weights, alignment, checks, definitions: Object.values(functions) });
}
