// An artifact in C: its code compiled by the system's compiler and called in this process.

import { toIdentifier } from '../../codegen/c/names.ts';
import { statusMeanings } from '../../codegen/c/status.ts';
import { UserError } from '../../ir/errors.ts';
import type { TypedArray } from '../arrays.ts';
import { loadCached, threadCount } from '../c/compile.ts';
import { findCompiler } from '../c/compiler.ts';
import { alignedBytes, type Library, type NativeCall, Pointers, point } from '../c/library.ts';
import { type Callable, runner } from '../call.ts';
import { StateStore } from '../state.ts';
import { readListed, readListedText } from './files.ts';
import { boundaryOf, checksOf, type LoadedArtifact, type LoadOptions } from './loaded.ts';
import type { Found } from './manifest.ts';

export async function loadC(
  { manifest, folder, path }: Found,
  { threads: requested, compiler }: LoadOptions,
): Promise<LoadedArtifact> {
  const { name, files, functions, states } = manifest;
  if (toIdentifier(name) !== name) throw new UserError(`${path}: name: a C identifier expected, ${name} given`);
  const threads = threadCount(requested);
  const source = {
    name,
    code: readListedText(folder, files.code),
    header: readListedText(folder, files.header!),
  };
  const library = await loadCached(source, findCompiler(compiler));
  const bytes = Number(library.func(`size_t ${name}_workspace_size()`)());
  if (bytes !== manifest.workspace!.bytes)
    throw new UserError(
      `${path}: workspace.bytes: ${bytes}, as the code says, expected, ${manifest.workspace!.bytes} given`,
    );
  const weights =
    files.weights === undefined ? null : bindWeights(library, name, readListed(folder, files.weights, alignedBytes));
  const [{ name: functionName, inputs, outputs }] = functions as [(typeof functions)[0]];
  const program = {
    inputs: inputs.map(boundaryOf),
    outputs: outputs.map(boundaryOf),
    states: states.map(boundaryOf),
    checks: checksOf(inputs),
  };
  const state = new StateStore();
  for (const { name: kept, type } of program.states) state.declare(kept, type, () => []);
  const call = bindRun(library, name, program, alignedBytes(bytes), weights);
  const run = runner(program, (kept, given, results) => call(kept, given, results, threads), state);
  const arrays = program.states.map(({ name: kept }) => state.memory(kept));
  if (arrays.length > 0) writeInitialStates(library, name, weights, arrays);
  const { inputs: given, outputs: gives, checks } = program;
  return {
    name,
    target: 'c',
    functions: {
      [functionName]: Object.assign((arrays: Parameters<typeof run>[0]) => run(arrays), {
        inputs: given,
        outputs: gives,
        checks,
      }),
    },
    state,
    close: () => {},
  };
}

function expectOk(name: string, status: number): void {
  if (status !== 0) throw new UserError(`${name}: ${statusMeanings[status] ?? `status ${status}`}`);
}

/** `NAME_weights` as C lays it out, an address and a hash, and the bytes that the address means. */
interface Bound {
  readonly struct: BigUint64Array;
  readonly bytes: Uint8Array;
}

function bindWeights(library: Library, name: string, bytes: Uint8Array): Bound {
  const struct = new BigUint64Array(2);
  const bind = library.func(`int ${name}_bind_weights(void *weights, void *bytes, size_t count)`);
  expectOk(name, bind(struct, bytes, bytes.length) as number);
  return { struct, bytes };
}

/** A declaration of a function whose first parameters are pointers. */
const declared = (name: string, pointers: number, others: readonly string[] = []): string =>
  `int ${name}(${[...Array.from({ length: pointers }, (_, i) => `void *given${i}`), ...others].join(', ')})`;

/** A call of `NAME_run`: structs of buffers are tables of addresses. */
function bindRun(
  library: Library,
  name: string,
  { inputs, outputs, states }: Callable,
  workspace: Uint8Array,
  weights: Bound | null,
): NativeCall {
  const tables = {
    inputs: new Pointers(inputs.length),
    outputs: new Pointers(outputs.length),
    states: new Pointers(states.length),
  };
  const lists = Object.values(tables).filter(({ length }) => length > 0);
  const pointers = lists.length + (weights === null ? 0 : 1);
  const others = ['void *workspace', 'size_t workspace_bytes', 'int threads'];
  const run = library.func(declared(`${name}_run`, pointers, others));
  return (stateArrays, inputArrays, outputArrays, threads) => {
    point(tables.inputs, inputArrays);
    point(tables.outputs, outputArrays);
    point(tables.states, stateArrays);
    const given = weights === null ? lists : [weights.struct, ...lists];
    expectOk(name, run(...given, workspace, workspace.length, threads) as number);
  };
}

function writeInitialStates(
  library: Library,
  name: string,
  weights: Bound | null,
  arrays: readonly TypedArray[],
): void {
  const table = new Pointers(arrays.length);
  point(table, arrays);
  const given = weights === null ? [table] : [weights.struct, table];
  expectOk(name, library.func(declared(`${name}_initial_states`, given.length))(...given) as number);
}
