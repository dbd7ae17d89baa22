// `ashlar compile`: writes the artifact of a model for a target.

import { statSync } from 'node:fs';
import type { GpuKind } from '../../passes/gpu/schedule.ts';
import type { CpuName } from '../../passes/schedule.ts';
import type { Cpu } from '../../runtime/c/compiler.ts';
import type { Definition } from '../../runtime/definition.ts';
import { exportC } from '../../runtime/export-c.ts';
import { exportJs } from '../../runtime/export-js.ts';
import { exportWeb } from '../../runtime/export-web.ts';
import { Misuse } from '../failure.ts';
import { loadDefinition, type ModelOptions } from '../model/load.ts';
import { expectForTarget } from '../options.ts';
import type { Context } from '../program.ts';
import type { Target } from '../stages.ts';
import { formatBytes, noteTuning, print, printJson, table } from '../terminal.ts';
import { type Narrowed, type NarrowOptions, narrowed, printNarrowed } from '../weights/narrowed.ts';

interface CompileOptions extends ModelOptions, NarrowOptions {
  readonly target: Target;
  readonly out: string;
  readonly cpu?: readonly Cpu[];
  readonly weights?: 'embed' | 'file';
  readonly kernels?: GpuKind;
  readonly tuning?: string;
  readonly json?: boolean;
}

export async function compileModel(path: string, options: CompileOptions, { own }: Context): Promise<void> {
  const { target, json = false } = options;
  const { cpu, weights, kernels, tuning } = options;
  expectForTarget(target, { cpu, weights, kernels, tuning });
  const loaded = await loadDefinition(path, options, own);
  const narrow: Narrowed | null = await narrowed(loaded, options);
  const definition = narrow?.definition ?? loaded;
  const files = (await written(definition, options)).map((file) => ({ path: file, bytes: statSync(file).size }));
  if (json) {
    printJson({ target, name: definition.func.name, files, ...narrow?.report });
    return;
  }
  if (narrow !== null) printNarrowed(narrow.report);
  print(
    table(
      [{ title: 'file' }, { title: 'size', align: 'right' }],
      files.map((file) => [file.path, formatBytes(file.bytes)]),
    ),
  );
}

/** Writes the artifact and returns the paths of its files. */
async function written(definition: Definition, options: CompileOptions): Promise<readonly string[]> {
  const { target, out: directory, weights, kernels, tuning } = options;
  const { name } = definition.func;
  const tuned = tuning === undefined ? {} : { tuning, print: noteTuning };
  if (target === 'wgsl') {
    const made = { name, directory, ...tuned, ...(kernels === undefined ? {} : { kernels }) };
    return Object.values(await exportWeb({ [name]: definition }, made));
  }
  if (target === 'js') return Object.values(exportJs({ [name]: definition }, { name, directory }));
  const cpu = processors(options.cpu);
  const { files } = await exportC(definition, {
    directory,
    ...(weights === undefined ? {} : { weights }),
    ...(cpu === undefined ? {} : { cpu }),
    ...tuned,
  });
  return files;
}

function processors(cpus: readonly Cpu[] | undefined): Cpu | readonly CpuName[] | undefined {
  if (cpus === undefined || !cpus.includes('native')) return cpus as readonly CpuName[] | undefined;
  if (cpus.length > 1) throw new Misuse('--cpu: native is one processor of its own; give it alone');
  return 'native';
}
