// What the users of an exported ES module see of it, for pages that describe it: functions, files, weights.

import { UserError } from '../../ir/errors.ts';
import type { TensorType } from '../../ir/types.ts';
import { arrayNames, rowMajor } from '../typed-arrays.ts';

/** An input, output or state. */
export interface ModuleValue {
  readonly name: string;
  readonly type: TensorType;
}

export interface ModuleInterface {
  /** Of the files, and in messages. */
  readonly name: string;
  /** wgsl: `load` takes a device and functions answer later; js: it takes none, and they answer at once. */
  readonly target: 'wgsl' | 'js';
  readonly functions: Readonly<
    Record<string, { readonly inputs: readonly ModuleValue[]; readonly outputs: readonly ModuleValue[] }>
  >;
  /** What functions keep between calls, common to all. */
  readonly states: readonly ModuleValue[];
  readonly weightBytes: number;
}

/** The names of a module's files. Node takes .mjs for a module wherever it lies. */
export const moduleFiles = (name: string, target: ModuleInterface['target']) => ({
  module: target === 'js' ? `${name}.mjs` : `${name}.js`,
  typings: target === 'js' ? `${name}.d.mts` : `${name}.d.ts`,
  weights: `${name}.bin`,
  manifest: `${name}.json`,
  readme: 'README.md',
});

/** Where a module finds its weights unless it is told: in this form bundlers recognize a file that they have to ship. */
export const weightsAddress = (name: string): string =>
  `const beside = () => new URL(${JSON.stringify(`./${moduleFiles(name, 'js').weights}`)}, import.meta.url);`;

/** What typings name themselves, or take from the language. */
const typeNames: ReadonlySet<string> = new Set([
  ...Object.values(arrayNames),
  ...[rowMajor.name, 'LoadOptions', 'GPUDevice', 'Response', 'URL', 'Promise', 'ArrayBuffer'],
]);

/** `digits-2` as `Digits2`, the name of a type; of a name that is taken, as `Response_`. */
export function pascalCase(name: string): string {
  const type = name
    .replace(/(^|[^A-Za-z0-9]+)([A-Za-z0-9]?)/g, (_all, _gap, letter: string) => letter.toUpperCase())
    .replace(/^\d/, '_$&');
  return typeNames.has(type) ? `${type}_` : type;
}

/** A name as a property: bare where it is an identifier. */
export const property = (name: string): string => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name));

/** What `load` gives has these itself, would be waited for, or is no property that a literal can define. */
const reserved = ['state', 'destroy', 'then', '__proto__'];

/** Refuses names that are no files', and functions of names that cannot be. Throws UserError. */
export function expectModuleNames(name: string, functions: readonly string[]): void {
  if (!/^[A-Za-z0-9][\w.-]*$/.test(name))
    throw new UserError(`a module's name is letters, digits, ".", "-" and "_"; ${JSON.stringify(name)} given`);
  if (functions.length === 0) throw new UserError(`module ${name} has no functions; at least one expected`);
  const taken = functions.find((key) => reserved.includes(key));
  if (taken !== undefined) throw new UserError(`a function of a module cannot be called ${taken}; name it otherwise`);
}

/** Refuses inputs, outputs and states of names that cannot be. Throws UserError. */
export function expectValueNames({ functions, states }: Pick<ModuleInterface, 'functions' | 'states'>): void {
  const values = Object.values(functions).flatMap(({ inputs, outputs }) => [...inputs, ...outputs]);
  if ([...values, ...states].some(({ name }) => name === '__proto__'))
    throw new UserError('an input, output or state of a module cannot be called __proto__; name it otherwise');
}
