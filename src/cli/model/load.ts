// What `<model>` on a command line means: a module, an ONNX file or an artifact's folder.

import { existsSync, statSync } from 'node:fs';
import { basename, extname } from 'node:path';
import type { Func } from '../../ir/graph.ts';
import { formatType } from '../../ir/types.ts';
import type { Definition } from '../../runtime/definition.ts';
import { Failure, Misuse } from '../failure.ts';
import { loadModule, moduleExtensions, type OwnModules } from './module.ts';
import type { ModelDefinition } from './onnx.ts';
import { withState } from './state.ts';

export interface ModelOptions {
  /** Which function of a module. Default: the only one. */
  readonly export?: string;
  /** The function's name in what is made of it. Default: the one that it has, for an ONNX file the file's. */
  readonly name?: string;
  /** A safetensors file with the values of the variables. Default: their first values. */
  readonly state?: string;
  /** Sizes of dimensions that an ONNX file only names. */
  readonly dim?: ReadonlyMap<string, number>;
  /** Shapes of an ONNX file's inputs, and .npy files of those that become constants. */
  readonly shape?: ReadonlyMap<string, readonly number[]>;
  readonly constant?: ReadonlyMap<string, string>;
  /** What an ONNX file's random operators draw by: a number, or the name of an input. */
  readonly randomSeed?: number | string;
}

export const kinds = "a .ts, .mts, .js or .mjs module, an .onnx file, or an artifact's folder";

/** Whether a path is that of an artifact: its folder, or its manifest. */
export const isArtifact = (path: string): boolean =>
  existsSync(path) && (statSync(path).isDirectory() || extname(path) === '.json');

/** The function that a path names. Throws Misuse for a path or name that there is not, Failure for a model that does not load. */
export async function loadDefinition(path: string, options: ModelOptions, own: OwnModules): Promise<ModelDefinition> {
  if (!existsSync(path)) throw new Misuse(`${path} does not exist; a model is ${kinds}`);
  if (isArtifact(path))
    throw new Misuse(`${path}: this command needs the model itself, a module or an .onnx file; artifacts can be run`);
  const found = await definitionOfFile(path, options, own);
  const definition = options.state === undefined ? found : withState(found, options.state);
  return options.name === undefined ? definition : renamed(definition, options.name);
}

async function definitionOfFile(path: string, options: ModelOptions, own: OwnModules): Promise<ModelDefinition> {
  const extension = extname(path).toLowerCase();
  if (extension === '.onnx') {
    if (options.export !== undefined)
      throw new Misuse('--export chooses a function of a module; an .onnx file has one');
    const { loadOnnx } = await import('./onnx.ts');
    return loadOnnx(path, { ...options, name: options.name ?? stem(path) });
  }
  for (const option of ['dim', 'shape', 'constant', 'randomSeed'] as const)
    if (options[option] !== undefined) {
      const flag = option === 'randomSeed' ? 'random-seed' : option;
      throw new Misuse(`--${flag} is for .onnx files; a module says its sizes and constants itself`);
    }
  if (moduleExtensions.includes(extension)) return definitionOf(path, await loadModule(path, own), options.export);
  throw new Misuse(
    `${path}: ${extension === '' ? 'no extension' : extension} is none that models have; a model is ${kinds}`,
  );
}

/** A module's function by the name of its export, or its only one. */
function definitionOf(
  path: string,
  exports: Readonly<Record<string, unknown>>,
  wanted: string | undefined,
): Definition {
  const found = Object.entries(exports).filter((entry): entry is [string, Definition] => isDefinition(entry[1]));
  const listed = found.map(([name, { func }]) => `  ${name.padEnd(longest(found))}  ${signature(func)}`).join('\n');
  if (found.length === 0)
    throw new Failure(
      `${path} exports no function: it has ${names(exports)}; make one with func({ inputs, outputs }) and export it`,
    );
  if (wanted === undefined) {
    if (new Set(found.map(([, definition]) => definition)).size === 1) return found[0]![1];
    throw new Misuse(`${path} exports several functions; choose one with --export NAME:\n${listed}`);
  }
  const chosen = found.find(([name]) => name === wanted);
  if (chosen !== undefined) return chosen[1];
  const why = wanted in exports ? 'is not a function made with func()' : 'is not exported';
  throw new Misuse(`${path}: ${wanted} ${why}; there are:\n${listed}`);
}

const names = (exports: Readonly<Record<string, unknown>>): string => Object.keys(exports).join(', ') || 'no exports';
const longest = (entries: readonly (readonly [string, unknown])[]): number =>
  entries.reduce((most, [name]) => Math.max(most, name.length), 0);

/** `(x: f32[1,64]) → y: f32[1,10]` */
export function signature(func: Func): string {
  const inputs = func.parameters.filter(({ role }) => role === 'input');
  const outputs = func.results.filter(({ role }) => role === 'output');
  const spell = (
    list: readonly { readonly name: string; readonly value: Func['results'][number]['value'] }[],
  ): string => list.map(({ name, value }) => `${name}: ${formatType(value.type)}`).join(', ');
  const updates = func.results.length - outputs.length;
  return `(${spell(inputs)}) → ${[...(outputs.length > 0 ? [spell(outputs)] : []), ...(updates > 0 ? [`${updates} updates`] : [])].join(', ')}`;
}

/** By what it holds: another copy of Ashlar may have made it. */
function isDefinition(value: unknown): value is Definition {
  const { func, variables } = (value ?? {}) as Partial<Definition>;
  return Array.isArray(variables) && Array.isArray(func?.nodes) && Array.isArray(func.results);
}

const renamed = (definition: ModelDefinition, name: string): ModelDefinition => ({
  ...definition,
  func: { ...definition.func, name },
});

/** The name of a file without its extension. */
export const stem = (path: string): string => basename(path, extname(path));
