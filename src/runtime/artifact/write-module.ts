// What exports of ES modules have in common: typings, manifest and page of a module, and the files on the disk.

import { type Manifest, manifestFormat, manifestVersion, printManifest } from '../../codegen/bindings/manifest.ts';
import { type ModuleInterface, moduleFiles } from '../../codegen/bindings/module-interface.ts';
import { moduleReadme } from '../../codegen/bindings/module-readme.ts';
import { printModuleTypings } from '../../codegen/bindings/module-typings.ts';
import type { RangeCheck } from '../../ir/program.ts';
import type { Definition } from '../definition.ts';
import { describeFile, describeTensor, hashOfFiles, weightsByType } from './describe.ts';
import { writeArtifact } from './write.ts';

/** The paths of an exported module's files. */
export interface ExportedModule {
  readonly module: string;
  readonly typings: string;
  readonly weights: string;
  readonly manifest: string;
  readonly readme: string;
}

export interface ModuleContents {
  readonly code: string;
  readonly weights: Uint8Array;
  /** Bytes at multiples of which the arrays of the weights begin. */
  readonly alignment: number;
  /** Inputs of each function that hold indices. */
  readonly checks: Readonly<Record<string, readonly RangeCheck[]>>;
  readonly definitions: readonly Definition[];
}

/** Throws UserError when a file cannot be written; then none is. */
export function writeModule(directory: string, facade: ModuleInterface, contents: ModuleContents): ExportedModule {
  const names = moduleFiles(facade.name, facade.target);
  const [weights, typings, module, readme, manifest] = writeArtifact(directory, [
    [names.weights, contents.weights],
    [names.typings, printModuleTypings(facade)],
    [names.module, contents.code],
    [names.readme, moduleReadme(facade)],
    [names.manifest, printManifest(manifestOf(facade, contents))],
  ]) as [string, string, string, string, string];
  return { module, typings, weights, manifest, readme };
}

function manifestOf(
  { name, target, functions, states }: ModuleInterface,
  { code, weights, alignment, checks, definitions }: ModuleContents,
): Manifest {
  const names = moduleFiles(name, target);
  const files = { code: describeFile(names.module, code), weights: describeFile(names.weights, weights) };
  return {
    format: manifestFormat,
    version: manifestVersion,
    target,
    name,
    functions: Object.entries(functions).map(([key, { inputs, outputs }]) => ({
      name: key,
      inputs: inputs.map((value) => describeTensor(value, checks[key])),
      outputs: outputs.map((value) => describeTensor(value)),
    })),
    states: states.map((value) => describeTensor(value)),
    ...weightsByType(definitions),
    files: { ...files, weights: { ...files.weights, alignment } },
    hash: hashOfFiles([files.code, files.weights]),
  };
}
