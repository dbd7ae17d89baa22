// Functions as a web module: compiled for any WebGPU device, their first states and constants as one file of weights.

import { expectModuleNames, expectValueNames, type ModuleInterface } from '../../codegen/bindings/module-interface.ts';
import { printWebModule } from '../../codegen/bindings/web-module.ts';
import type { Place } from '../../codegen/wgsl/bindings.ts';
import { deviceBytes, printWgsl, type WgslProgram } from '../../codegen/wgsl/program.ts';
import { UserError } from '../../ir/errors.ts';
import { builder } from '../../ir/ops/index.ts';
import { formatType, sameType } from '../../ir/types.ts';
import { bindStates, updatedStates } from '../../passes/bind-states.ts';
import type { Choose } from '../../passes/decision.ts';
import type { GpuChoice } from '../../passes/gpu/candidates.ts';
import { expectWgslTypes } from '../../passes/gpu/legalize.ts';
import { gpuMachine } from '../../passes/gpu/machine.ts';
import { narrowIntegers } from '../../passes/gpu/narrow.ts';
import { bindingAlignment, type GpuKind, gpuTargets } from '../../passes/gpu/schedule.ts';
import { compileToProgram } from '../../passes/pipeline.ts';
import { arrayFrom, type TypedArray } from '../arrays.ts';
import type { Definition } from '../definition.ts';
import { constantArray, toDevice } from './transfer.ts';

/** The elements of a state, or undefined for its first value. */
export type KnownStates = (name: string) => TypedArray | undefined;

export interface WebModule {
  readonly code: string;
  /** What its users see of it. */
  readonly facade: ModuleInterface;
  readonly weights: Uint8Array<ArrayBuffer>;
  /** By the names of the functions. */
  readonly programs: Readonly<Record<string, WgslProgram>>;
}

/**
 * The text and weights of a module with these functions. States that one of them updates stay on the device,
 * common to all; the others become constants. Throws UserError for names that cannot be, LimitationError for dtypes that
 * WGSL lacks.
 */
export async function webModule(
  name: string,
  definitions: Readonly<Record<string, Definition>>,
  known: KnownStates = () => undefined,
  { kernels, choose }: { readonly kernels: GpuKind; readonly choose?: Choose<GpuChoice> } = { kernels: 'card' },
): Promise<WebModule> {
  expectModuleNames(name, Object.keys(definitions));
  const machine = gpuMachine(gpuTargets[kernels], choose);
  const states = new SharedStates(Object.values(definitions), known);
  const functions: Record<string, WgslProgram> = {};
  for (const [key, { func }] of Object.entries(definitions)) {
    const elements = (state: string): ArrayLike<number> => states.elements(state) as ArrayLike<number>;
    const bound = narrowIntegers(bindStates(func, builder, elements, Number.POSITIVE_INFINITY, states.kept));
    expectWgslTypes(bound);
    functions[key] = printWgsl(compileToProgram(bound, { machine }), (state) => states.place(state));
  }
  const kept = new Map(
    Object.values(functions).flatMap((program) => program.states.map((value) => [value.name, value])),
  );
  const facade = { name, target: 'wgsl', functions, states: [...kept.values()] } as const;
  expectValueNames(facade);
  const stateBlocks: Record<string, number> = states.bytes === 0 ? {} : { [states.block]: states.bytes };
  const { bytes, contents } = weightsFile(functions, states);
  const parts = {
    name,
    functions,
    stateBlocks,
    contents,
    weightBytes: bytes.length,
    weightHash: await shortHash(bytes),
  };
  return {
    code: printWebModule(parts),
    facade: { ...facade, weightBytes: bytes.length },
    weights: bytes,
    programs: functions,
  };
}

/** The states of several functions: those that one of them updates lie one after another in a block of their own. */
class SharedStates {
  readonly block = 'states';
  readonly kept: ReadonlySet<string>;
  bytes = 0;
  readonly #variables = new Map<string, Definition['variables'][number]>();
  readonly #places = new Map<string, Place>();
  readonly #known: KnownStates;

  constructor(definitions: readonly Definition[], known: KnownStates) {
    this.#known = known;
    this.kept = new Set(definitions.flatMap(({ func }) => updatedStates(func)));
    for (const variable of definitions.flatMap(({ variables }) => variables)) this.#add(variable);
  }

  #add(variable: Definition['variables'][number]): void {
    const { name, type } = variable;
    const other = this.#variables.get(name);
    if (other !== undefined && !sameType(other.type, type))
      throw new UserError(
        `state ${JSON.stringify(name)} is ${formatType(other.type)} in one function, ${formatType(type)} in another`,
      );
    this.#variables.set(name, variable);
    if (other !== undefined || !this.kept.has(name)) return;
    const bytes = deviceBytes(type, false);
    this.#places.set(name, { block: this.block, offset: this.bytes, bytes });
    this.bytes += Math.ceil(bytes / bindingAlignment) * bindingAlignment;
  }

  place(name: string): Place {
    return this.#places.get(name)!;
  }

  /** The elements as they are known, or the first ones. */
  elements(name: string): ArrayLike<number> | BigInt64Array {
    return this.#known(name) ?? this.#variables.get(name)!.initial();
  }

  /** What the block holds at first. */
  contents(): Uint8Array<ArrayBuffer> {
    const memory = new Uint8Array(this.bytes);
    for (const [name, { offset }] of this.#places) {
      const { type } = this.#variables.get(name)!;
      memory.set(toDevice({ type, packed: false }, arrayFrom(type, this.elements(name) as ArrayLike<number>)), offset);
    }
    return memory;
  }
}

/** States and constants of all functions as the blocks will hold them, one after another. */
function weightsFile(
  functions: Readonly<Record<string, WgslProgram>>,
  states: SharedStates,
): { bytes: Uint8Array<ArrayBuffer>; contents: { block: string; at: number; bytes: number }[] } {
  const blocks = new Map<string, Uint8Array<ArrayBuffer>>();
  if (states.bytes > 0) blocks.set(states.block, states.contents());
  for (const [key, program] of Object.entries(functions)) {
    for (const constant of program.constants) {
      const block = `${key}.${constant.block}`;
      const memory = blocks.get(block) ?? new Uint8Array(program.blocks[constant.block]!);
      blocks.set(block, memory);
      memory.set(toDevice(constant, constantArray(constant.type, constant.data!)), constant.offset);
    }
  }
  const bytes = new Uint8Array([...blocks.values()].reduce((sum, memory) => sum + memory.length, 0));
  let at = 0;
  const contents = [...blocks].map(([block, memory]) => {
    bytes.set(memory, at);
    at += memory.length;
    return { block, at: at - memory.length, bytes: memory.length };
  });
  return { bytes, contents };
}

async function shortHash(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
