// The one place where a model that is measured is compiled: what inference and the profile measure is decided here.

import { compile, type Definition, type Executable, type StateStore } from 'ashlar/node';

export type ModelDefinition = Definition;
type Arrays = Record<string, Float32Array | Int32Array>;

export async function compileModel(
  definition: ModelDefinition,
  options: { readonly threads: number; readonly state: StateStore; readonly compiler?: string },
): Promise<Executable<Arrays, Arrays>> {
  return (await compile(definition, { ...options, freeze: true })) as unknown as Executable<Arrays, Arrays>;
}
