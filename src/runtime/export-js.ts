// Export for anywhere: functions as an ES module in JavaScript with its typings and weights, which need nothing of Ashlar.

import { printJsModule, type WeightPlace } from '../codegen/bindings/js-module.ts';
import { expectModuleNames, expectValueNames } from '../codegen/bindings/module-interface.ts';
import { UserError } from '../ir/errors.ts';
import { builder } from '../ir/ops/index.ts';
import type { ProgramBuffer } from '../ir/program.ts';
import { formatType, sameType } from '../ir/types.ts';
import { bindStates, updatedStates } from '../passes/bind-states.ts';
import { compileToProgram } from '../passes/pipeline.ts';
import { scriptTarget } from '../passes/schedule.ts';
import { arrayFrom, type TypedArray } from './arrays.ts';
import { type ExportedModule, writeModule } from './artifact/write-module.ts';
import type { Definition } from './definition.ts';
import type { StateStore } from './state.ts';

export interface ExportJsOptions {
  /** The files are NAME.mjs, NAME.d.mts, NAME.bin, NAME.json and README.md. */
  readonly name: string;
  /** Where they go, one folder for each artifact; made if it does not exist. */
  readonly directory: string;
  /** The trained state. Default: the first values of the variables. */
  readonly state?: StateStore;
}

export type ExportedJs = ExportedModule;

/** Constants beyond a few cache lines are in the file of weights. */
const mostInlineElements = 64;
/** Arrays of the file begin at multiples of the largest element. */
const alignment = 8;

/**
 * Writes functions as one module in JavaScript: `load()` of it gives an object with a method for each, which answers at once.
 * States that one of them updates are common to all; the others are constants. The same functions and weights give the
 * same bytes. Throws UserError when a file cannot be written; then none is.
 */
export function exportJs(
  functions: Readonly<Record<string, Definition>>,
  { name, directory, state }: ExportJsOptions,
): ExportedJs {
  expectModuleNames(name, Object.keys(functions));
  const elements = knownElements(Object.values(functions), state);
  const kept = new Set(Object.values(functions).flatMap(({ func }) => updatedStates(func)));
  const programs = Object.fromEntries(
    Object.entries(functions).map(([key, { func }]) => {
      const bound = bindStates(func, builder, (known) => elements(known) as ArrayLike<number>, undefined, kept);
      return [key, compileToProgram(bound, { schedule: scriptTarget, mostInlineElements })];
    }),
  );
  const file = new WeightsFile();
  const states = new Map(
    Object.values(programs)
      .flatMap((program) => program.states)
      .map((buffer) => [buffer.name, buffer] as const),
  );
  const facade = { name, target: 'js', functions: programs, states: [...states.values()] } as const;
  expectValueNames(facade);
  const parts = {
    name,
    functions: programs,
    states: new Map([...states].map(([key, buffer]) => [key, file.place(buffer, elements(key))])),
    externals: Object.fromEntries(
      Object.entries(programs).map(([key, { externals }]) => [
        key,
        externals.map((buffer) => file.place(buffer, buffer.data!)),
      ]),
    ),
  };
  const weights = file.content();
  const code = printJsModule({ ...parts, weightBytes: weights.length, weightHash: wordHash(weights) });
  const checks = Object.fromEntries(Object.entries(programs).map(([key, program]) => [key, program.checks]));
  const contents = { code, weights, alignment, checks, definitions: Object.values(functions) };
  return writeModule(directory, { ...facade, weightBytes: weights.length }, contents);
}

/** Elements of states by name: as the store has them, else their first ones. Throws UserError where two functions disagree. */
function knownElements(
  definitions: readonly Definition[],
  store: StateStore | undefined,
): (name: string) => ArrayLike<number> | BigInt64Array {
  const variables = new Map<string, Definition['variables'][number]>();
  for (const variable of definitions.flatMap((definition) => definition.variables)) {
    const other = variables.get(variable.name);
    if (other !== undefined && !sameType(other.type, variable.type))
      throw new UserError(
        `state ${JSON.stringify(variable.name)} is ${formatType(other.type)} in one function, ${formatType(variable.type)} in another`,
      );
    variables.set(variable.name, variable);
  }
  return (name) => (store?.has(name) === true ? store.memory(name) : variables.get(name)!.initial());
}

/** Arrays one after another; one that several functions read stands once. */
class WeightsFile {
  readonly #places = new Map<unknown, WeightPlace>();
  readonly #arrays: { readonly at: number; readonly array: TypedArray }[] = [];
  #bytes = 0;

  place(buffer: ProgramBuffer, elements: ArrayLike<number> | BigInt64Array): WeightPlace {
    const known = this.#places.get(elements);
    if (known !== undefined && sameType(known.buffer.type, buffer.type)) return known;
    const array = elements instanceof BigInt64Array ? elements : arrayFrom(buffer.type, elements);
    const place = { buffer, at: this.#bytes };
    this.#arrays.push({ at: place.at, array });
    this.#places.set(elements, place);
    this.#bytes += Math.ceil(array.byteLength / alignment) * alignment;
    return place;
  }

  content(): Uint8Array<ArrayBuffer> {
    const content = new Uint8Array(this.#bytes);
    for (const { at, array } of this.#arrays)
      content.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), at);
    return content;
  }
}

/** As the module computes it. FNV-1a: G. Fowler, L. C. Noll, K.-P. Vo, D. Eastlake, "The FNV Non-Cryptographic Hash Algorithm". */
function wordHash(bytes: Uint8Array<ArrayBuffer>): string {
  let hash = 0x811c9dc5;
  for (const word of new Uint32Array(bytes.buffer)) hash = Math.imul(hash ^ word, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}
