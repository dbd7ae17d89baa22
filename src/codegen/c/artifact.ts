// An exported program: one C11 file for several processors, and its header. It needs only the C library, allocates nothing
// and keeps no state of its own; without OpenMP its pragmas vanish.

import type { ProgramBuffer } from '../../ir/program.ts';
import { leavesOf } from '../../ir/steps.ts';
import type { TensorType } from '../../ir/types.ts';
import { toComment } from '../names.ts';
import { type InitialText, printEntry, printInitialStates, printMisuse } from './artifact-entry.ts';
import { type ArtifactInterface, membersOf, printArtifactHeader } from './artifact-header.ts';
import { helpersInOrder } from './helpers.ts';
import { Namer } from './names.ts';
import { type CSource, includes, macros, printConstant, vectorTypes } from './program.ts';
import { printStatusName } from './status.ts';
import { teamHelpers, teamNeeds } from './team.ts';
import { describeProcessors, printVariants, type Variant } from './variants.ts';
import { type BoundWeights, type Elements, printBinding } from './weights.ts';

export interface Artifact {
  /** A C identifier: what files are called and public names begin with. */
  readonly name: string;
  /** The name as the user wrote it. */
  readonly title: string;
  /** The widest processor first; programs of one function, in which nothing is left to prepare. */
  readonly variants: readonly [Variant, ...Variant[]];
  /** The file of weights; null where they stand in the code. */
  readonly weights: BoundWeights | null;
  /** The first values of each state; null for zeros. */
  readonly initial: ReadonlyMap<string, Elements | null>;
}

/** The code and header of an artifact, and what both call its parts. */
export function printArtifact(artifact: Artifact): CSource & { readonly parts: ArtifactInterface } {
  const { name, title, variants, weights, initial } = artifact;
  const programs = variants.map(({ program }) => program);
  const [{ program: first }] = variants;
  const cpus = variants.map(({ cpu }) => cpu);
  const parts: ArtifactInterface = {
    name,
    title,
    inputs: membersOf(first.inputs),
    outputs: membersOf(first.outputs),
    states: membersOf(first.states),
    workspaceBytes: Math.max(...programs.map(({ arenaBytes }) => arenaBytes)),
    weights,
  };
  const names = new Namer(publicNames(name));
  const arrays = new Arrays(names, weights);
  const constants = new Map(
    programs.flatMap(({ constants }) => constants).map((buffer) => [buffer, arrays.constant(buffer)] as const),
  );
  const { scope, selection, texts, choose } = printVariants(variants, name, names, constants);
  const initialText: InitialText = (state) => {
    const elements = initial.get(state) ?? null;
    const buffer = first.states.find((candidate) => candidate.name === state)!;
    return elements === null ? null : arrays.constant({ ...buffer, data: elements as ArrayLike<number> });
  };
  const initialStates = first.states.length === 0 ? [] : [printInitialStates(parts, initialText)];
  const code = [
    `/* ${toComment(title)}: made by Ashlar for ${cpus.join(', ')}. ${leavesOf(first.steps).length} kernels. */`,
    `#include "${name}.h"`,
    includes(true),
    optimizations,
    macros(programs),
    ...(weights === null ? [] : ['#define ASH_WEIGHT(offset) ((const void *)(weight_bytes + (offset)))']),
    '/* What kernels have in common: part of each, its sizes constants, and compiled for its processor. */\n#define ASH_BODY static inline __attribute__((always_inline)) void',
    selection,
    teamHelpers(teamNeeds(programs)),
    ...vectorTypes(scope.vectors),
    ...helpersInOrder(scope.helpers),
    ...arrays.texts,
    ...texts,
    choose.text,
    printStatusName(name),
    ...(weights === null ? [] : [printBinding(name, weights)]),
    printMisuse(parts),
    ...initialStates,
    printEntry(parts, programs, choose.name),
  ].join('\n\n');
  return { name, code: `${code}\n`, header: printArtifactHeader(parts, describeProcessors(cpus)), parts };
}

/**
 * What gcc is told in the code, because callers' flags do not say it. In ISO C modes it fuses no multiply-add: ResNet-50 for
 * AVX2 with -std=c11 had 1007 products and no fused ones, and has 312 and 407. For the others see `portableFlags` and
 * `gccFlags` of the runtime. Clang fuses by itself.
 */
const optimizations = `#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=fast", "no-split-wide-types", "no-tree-loop-distribute-patterns", "no-split-loops", "ira-region=one", "no-math-errno", "no-trapping-math")
#endif`;

/** Names that the header declares, or may declare. */
const publicNames = (name: string): string[] =>
  ['', '_run', '_workspace_size', '_bind_weights', '_initial_states', '_status_name']
    .concat(['_weights', '_inputs', '_outputs', '_states'])
    .map((suffix) => `${name}${suffix}`);

/** The constants of a program: each array once, as a definition in the code or a place in the file of weights. */
class Arrays {
  readonly texts: string[] = [];
  readonly #known = new Map<Elements | null, string>();
  readonly #names: Namer;
  readonly #weights: BoundWeights | null;

  constructor(names: Namer, weights: BoundWeights | null) {
    this.#names = names;
    this.#weights = weights;
  }

  /** The C expression of a constant's address. */
  constant(buffer: ProgramBuffer): string {
    const known = this.#known.get(buffer.data);
    if (known !== undefined) return known;
    const expression = this.#weights === null ? this.#defined(buffer) : this.#placed(buffer, this.#weights);
    this.#known.set(buffer.data, expression);
    return expression;
  }

  #defined(buffer: ProgramBuffer): string {
    const name = this.#names.fresh(`constant_${buffer.name}`);
    this.texts.push(printConstant(buffer, name));
    return name;
  }

  #placed({ data }: ProgramBuffer, { layout }: BoundWeights): string {
    return `ASH_WEIGHT(${layout.placeOf(data!)})`;
  }
}

/** Every array that an artifact's code reads, in the order that a file of weights has them. */
export function arraysOf({
  variants,
  initial,
}: Pick<Artifact, 'variants' | 'initial'>): readonly (readonly [TensorType, Elements])[] {
  const constants = variants.flatMap(({ program }) => program.constants);
  return [
    ...constants.map(({ type, data }) => [type, data!] as const),
    ...variants[0].program.states.flatMap(({ name, type }) => {
      const elements = initial.get(name) ?? null;
      return elements === null ? [] : [[type, elements] as const];
    }),
  ];
}
