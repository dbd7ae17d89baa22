// Export: a function as a folder of C that needs nothing of Ashlar. A C compiler and the C library are all that is needed
// to build and run it.

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import xxhash from 'xxhash-wasm';
import { cmakeLists, exampleMain, readme } from '../codegen/bindings/c-project.ts';
import {
  type Manifest,
  type ManifestFile,
  type ManifestTensor,
  manifestFormat,
  manifestVersion,
  printManifest,
} from '../codegen/bindings/manifest.ts';
import { printNodeModule, printNodeTypings } from '../codegen/bindings/node-wrapper.ts';
import { arraysOf, printArtifact } from '../codegen/c/artifact.ts';
import { type ArtifactInterface, type Member, workspaceAlignment } from '../codegen/c/artifact-header.ts';
import { artifactName } from '../codegen/c/names.ts';
import { type Variant, withByteProducts } from '../codegen/c/variants.ts';
import { type Elements, WeightsLayout, weightAlignment } from '../codegen/c/weights.ts';
import type { FileContent } from '../io/write-aside.ts';
import { LimitationError, UserError } from '../ir/errors.ts';
import { builder } from '../ir/ops/index.ts';
import type { Program } from '../ir/program.ts';
import { bytesPerElement, sizeOf } from '../ir/types.ts';
import { Baked, bakePreparation } from '../passes/bake.ts';
import { bindStates } from '../passes/bind-states.ts';
import { cpuMachine } from '../passes/cpu.ts';
import { compileForMachines } from '../passes/pipeline.ts';
import { type CpuName, targets } from '../passes/schedule.ts';
import { noteUnused } from '../passes/tuning.ts';
import { arrayConstructor, arrayFrom, type TypedArray } from './arrays.ts';
import { describeFile, describeTensor, hashOfFiles, weightsByType } from './artifact/describe.ts';
import { writeArtifact } from './artifact/write.ts';
import { type Cpu, findCompiler } from './c/compiler.ts';
import { tunedChoices } from './c/processor.ts';
import type { Definition } from './definition.ts';
import { scriptBaker } from './js/baker.ts';
import type { StateStore } from './state.ts';
import type { Tuning } from './tuning-file.ts';

export interface ExportOptions {
  /** Where the files go, one folder for each artifact; made if it does not exist. */
  readonly directory: string;
  /** What files and functions are called: made a C identifier that hides no standard header. Default: the function's name. */
  readonly name?: string;
  /** The trained state. Default: the first values of the variables. */
  readonly state?: StateStore;
  /** Where weights go: into the code, or into NAME.weights, a file that programs map or read. Default: into the code. */
  readonly weights?: 'embed' | 'file';
  /** Whether NAME.mjs and its typings for Node go with it. Default true. */
  readonly nodeWrapper?: boolean;
  /**
   * The processors that the code is for: one, or several among which it chooses where it runs; native is this machine's.
   * Default: all, the last of which is any, but scalar, which is for compilers without GNU C's vectors and stands alone.
   */
  readonly cpu?: Cpu | readonly CpuName[];
  /** What `tune` measured on the machine that will run it, or the path of its file; `cpu` must name that processor alone. */
  readonly tuning?: Tuning;
  /** Hears which entries of `tuning` fit nothing of the function. */
  readonly print?: (stage: string, text: string) => void;
}

export interface ExportedC {
  /** The paths of NAME.c, NAME.h and NAME.json; of NAME.weights, or null where the weights are in the code. */
  readonly code: string;
  readonly header: string;
  readonly manifest: string;
  readonly weights: string | null;
  /** The paths of all files written. */
  readonly files: readonly string[];
  /** The program for each processor. */
  readonly programs: readonly Variant[];
}

/** Beyond this a compiler takes minutes and gigabytes for the text: 64 MB of weights are some 200 MB of it. */
const mostEmbeddedBytes = 64 * 2 ** 20;

/**
 * Writes a function as C11 with its manifest, a CMake project, an example and typings for Node. States that the function
 * updates are buffers of the caller, whose first values the code can write; the others are weights. The same function and
 * weights give the same bytes, on whatever machine. Throws UserError for options that cannot be and when the files cannot be
 * written, LimitationError for operations and sizes that C has no form for; in either case the folder is as it was.
 */
export async function exportC(definition: Definition, options: ExportOptions): Promise<ExportedC> {
  const { directory, weights: place = 'embed', nodeWrapper = true } = options;
  if (place !== 'embed' && place !== 'file')
    throw new UserError(`weights: 'embed' or 'file' expected, ${JSON.stringify(place)} given`);
  if (place === 'embed') expectEmbeddable(definition);
  const variants = compileVariants(definition, options);
  const title = options.name ?? definition.func.name;
  const name = artifactName(title);
  const initial = initialStates(variants[0].program, definition, options.state);
  const layout = new WeightsLayout(arraysOf({ variants, initial }));
  const inFile = place === 'file' && layout.bytes > 0;
  const hashes = await hashesOf(layout);
  const weights = inFile ? { layout, hash: hashes.xxh64 } : null;
  const { code, header, parts } = printArtifact({ name, title, variants, weights, initial });
  const manifest = manifestOf(definition, parts, variants, { code, header, weights: hashes.sha256 });
  const files: [string, FileContent][] = [
    ...(weights === null ? [] : [[`${name}.weights`, bytesOf(layout)] as [string, FileContent]]),
    [`${name}.h`, header],
    [`${name}.c`, code],
    ['CMakeLists.txt', cmakeLists(parts)],
    ['main.c', exampleMain(parts)],
    ['README.md', readme(parts, manifest, nodeWrapper)],
    ...(nodeWrapper ? await nodeFiles(parts) : []),
    [`${name}.json`, printManifest(manifest)],
  ];
  const paths = writeArtifact(directory, files);
  const path = (ending: string): string => join(directory, `${name}.${ending}`);
  return {
    code: path('c'),
    header: path('h'),
    manifest: path('json'),
    weights: weights === null ? null : path('weights'),
    files: paths,
    programs: variants,
  };
}

/** TypeScript looks for the typings of a .mjs in a .d.mts. */
const nodeFiles = async (parts: ArtifactInterface): Promise<[string, string][]> => [
  [`${parts.name}.mjs`, printNodeModule(parts)],
  [`${parts.name}.d.ts`, await printNodeTypings(parts)],
  [`${parts.name}.d.mts`, `export * from './${parts.name}.js';\n`],
];

function expectEmbeddable({ func, variables }: Definition): void {
  const bytes = variables.reduce((sum, { type }) => sum + sizeOf(type.shape) * bytesPerElement[type.dtype], 0);
  if (bytes > mostEmbeddedBytes)
    throw new LimitationError(
      `${func.name} has weights of ${bytes} bytes; up to ${mostEmbeddedBytes} can stand in C code: ask for weights: 'file', on the command line --weights file`,
    );
}

/** The function with its weights as constants, for each processor, nothing left to prepare. */
function compileVariants(
  { func, variables }: Definition,
  { state, cpu, tuning, print }: ExportOptions,
): readonly [Variant, ...Variant[]] {
  const cpus = cpusOf(cpu);
  const initial = new Map(variables.map((variable) => [variable.name, () => variable.initial()]));
  const bound = bindStates(func, builder, (name) =>
    state?.has(name) === true ? numbersOf(name, state.memory(name)) : initial.get(name)!(),
  );
  const [widest] = cpus;
  if (tuning !== undefined && cpus.length > 1)
    throw new UserError('tuning holds for one processor: name the one that was measured as cpu');
  const tuned = tuning === undefined ? null : tunedChoices(tuning, targets[widest].vectorBytes);
  const machines = cpus.map((name) => cpuMachine({ ...targets[name], widest: targets[widest] }, tuned?.choose));
  const baked = new Baked(scriptBaker);
  const programs = compileForMachines(bound, machines).map((program) => bakePreparation(program, baked));
  if (tuned !== null) noteUnused(tuned, tuned.name, print);
  const variants = cpus.map((name, i): Variant => ({ cpu: name, program: programs[i]! }));
  return withByteProducts(variants as [Variant, ...Variant[]]);
}

function cpusOf(cpu: ExportOptions['cpu']): readonly [CpuName, ...CpuName[]] {
  const known = Object.keys(targets) as CpuName[];
  if (cpu === 'native') return [findCompiler().cpu];
  const wanted = cpu === undefined ? known.filter((name) => name !== 'scalar') : typeof cpu === 'string' ? [cpu] : cpu;
  const unknown = wanted.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new UserError(`cpu ${JSON.stringify(unknown)} is not known; there are native, ${known.join(', ')}`);
  // From the widest to what runs anywhere, each once, whatever the order given.
  const ordered = known.filter((name) => wanted.includes(name));
  if (ordered.length === 0) throw new UserError('cpu: at least one processor expected, none given');
  if (ordered.length > 1 && ordered.includes('scalar'))
    throw new UserError(
      'cpu: scalar stands alone, because its weights lie otherwise; export it into a folder of its own',
    );
  return ordered as [CpuName, ...CpuName[]];
}

function numbersOf(name: string, elements: TypedArray): ArrayLike<number> {
  if (elements instanceof BigInt64Array) {
    throw new LimitationError(`state ${name} is i64; weights of that type cannot be exported, cast it to i32`);
  }
  return elements;
}

/** The first values of the states that a program updates; null for zeros, which need no place. */
function initialStates(
  { states }: Program,
  { variables }: Definition,
  store: StateStore | undefined,
): ReadonlyMap<string, Elements | null> {
  const byName = new Map(variables.map((variable) => [variable.name, variable]));
  return new Map(
    states.map(({ name }) => {
      const elements: Elements = store?.has(name) === true ? store.memory(name) : byName.get(name)!.initial();
      return [name, isZero(elements) ? null : elements];
    }),
  );
}

function isZero(elements: Elements): boolean {
  for (let i = 0; i < elements.length; i++) if (!Object.is(Number(elements[i]), 0)) return false;
  return true;
}

/** A file of weights piece by piece: each array with the zeros after it, up to the next one's place. */
function* bytesOf({ weights, bytes }: WeightsLayout): Generator<Uint8Array> {
  for (const [i, { type, elements, at }] of weights.entries()) {
    const array =
      elements instanceof arrayConstructor(type.dtype)
        ? (elements as TypedArray)
        : arrayFrom(type, elements as ArrayLike<number>);
    yield new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    yield new Uint8Array((weights[i + 1]?.at ?? bytes) - at - array.byteLength);
  }
}

async function hashesOf(layout: WeightsLayout): Promise<{ readonly xxh64: bigint; readonly sha256: string }> {
  const xxh64 = (await xxhash()).create64();
  const sha256 = createHash('sha256');
  for (const piece of bytesOf(layout)) {
    xxh64.update(piece);
    sha256.update(piece);
  }
  return { xxh64: xxh64.digest(), sha256: sha256.digest('hex') };
}

function manifestOf(
  definition: Definition,
  parts: ArtifactInterface,
  variants: readonly Variant[],
  { code, header, weights }: { readonly code: string; readonly header: string; readonly weights: string },
): Manifest {
  const { name, title, inputs, outputs, states, workspaceBytes } = parts;
  const { checks } = variants[0]!.program;
  const tensors = (list: readonly Member[]): ManifestTensor[] =>
    list.map(({ identifier, buffer }) => describeTensor({ ...buffer, identifier }, checks));
  const files = { code: describeFile(`${name}.c`, code), header: describeFile(`${name}.h`, header) };
  const bound = parts.weights;
  const weightsFile: ManifestFile | null =
    bound === null ? null : { path: `${name}.weights`, bytes: bound.layout.bytes, sha256: weights };
  return {
    format: manifestFormat,
    version: manifestVersion,
    target: 'c',
    name,
    functions: [{ name: title, inputs: tensors(inputs), outputs: tensors(outputs) }],
    states: tensors(states),
    ...weightsByType([definition]),
    workspace: { bytes: workspaceBytes, alignment: workspaceAlignment },
    processors: variants.map(({ cpu }) => cpu),
    files:
      bound === null || weightsFile === null
        ? files
        : {
            ...files,
            weights: {
              ...weightsFile,
              alignment: weightAlignment,
              xxh64: bound.hash.toString(16).padStart(16, '0'),
            },
          },
    hash: hashOfFiles([files.code, files.header, ...(weightsFile === null ? [] : [weightsFile])]),
  };
}
