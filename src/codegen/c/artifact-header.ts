// The header of an exported program: what a C or C++ caller sees, and all that it must know.

import type { Program, ProgramBuffer } from '../../ir/program.ts';
import { formatType } from '../../ir/types.ts';
import { toComment } from '../names.ts';
import { scalarType } from './expressions.ts';
import { Namer } from './names.ts';
import { printStatuses } from './status.ts';
import { type BoundWeights, weightAlignment } from './weights.ts';

/** The workspace begins at a cache line. */
export const workspaceAlignment = 64;

/** What an exported program is called by, and what it needs. */
export interface ArtifactInterface {
  /** What its files are called and its names begin with: a C identifier. */
  readonly name: string;
  /** Its name as the user wrote it. */
  readonly title: string;
  readonly inputs: readonly Member[];
  readonly outputs: readonly Member[];
  readonly states: readonly Member[];
  readonly workspaceBytes: number;
  /** Null where the weights are in the code. */
  readonly weights: BoundWeights | null;
}

/** A buffer and its name in C. */
export interface Member {
  readonly buffer: ProgramBuffer;
  readonly identifier: string;
}

/** The buffers of a kind under names that are C's. */
export function membersOf(buffers: Program['inputs']): Member[] {
  const names = new Namer();
  return buffers.map((buffer) => ({ buffer, identifier: names.fresh(buffer.name) }));
}

/** What `NAME_run` takes, in order. */
export function runParameterList({ name, inputs, outputs, states, weights }: ArtifactInterface): string[] {
  return [
    ...(weights === null ? [] : [`const ${name}_weights *weights`]),
    ...(inputs.length === 0 ? [] : [`const ${name}_inputs *inputs`]),
    ...(outputs.length === 0 ? [] : [`const ${name}_outputs *outputs`]),
    ...(states.length === 0 ? [] : [`const ${name}_states *states`]),
    'void *workspace',
    'size_t workspace_bytes',
    'int threads',
  ];
}

/** What `NAME_initial_states` takes, in order. */
export const initialParameterList = ({ name, weights }: ArtifactInterface): string[] => [
  ...(weights === null ? [] : [`const ${name}_weights *weights`]),
  `const ${name}_states *states`,
];

const members = (name: string, kind: string, list: readonly Member[], constant: boolean, says: string): string[] => {
  if (list.length === 0) return [];
  const rows = list.map(
    ({ identifier, buffer: { name: given, type } }) =>
      `  ${constant ? 'const ' : ''}${scalarType(type.dtype)} *${identifier}; /* ${toComment(given)}: ${formatType(type)} */`,
  );
  return [`/* ${says} */\ntypedef struct {\n${rows.join('\n')}\n} ${name}_${kind};`];
};

/** `processors`: what is said about them. */
export function printArtifactHeader(parts: ArtifactInterface, processors: string): string {
  const { name, title, inputs, outputs, states, weights, workspaceBytes } = parts;
  const upper = name.toUpperCase();
  const binding =
    weights === null
      ? []
      : [
          `/* The file ${name}.weights must lie in memory at a multiple of ${weightAlignment}, mapped or read. */
#define ${upper}_WEIGHTS_BYTES ${weights.layout.bytes}
#define ${upper}_WEIGHTS_ALIGNMENT ${weightAlignment}

/* Bound weights: ${name}_bind_weights fills it, once; then any number of threads may use it. The bytes stay the caller's. */
typedef struct {
  const void *bytes;
  uint64_t hash;
} ${name}_weights;

/* Binds the bytes of the file, all of which it reads to see that they are the right ones. */
int ${name}_bind_weights(${name}_weights *weights, const void *bytes, size_t count);`,
        ];
  const initial =
    states.length === 0
      ? []
      : [
          `/* Writes the first values of all states. */\nint ${name}_initial_states(${initialParameterList(parts).join(', ')});`,
        ];
  const body = [
    printStatuses(name),
    `/* A status in words. */\nconst char *${name}_status_name(int status);`,
    ...binding,
    ...members(name, 'inputs', inputs, true, 'Read by a run.'),
    ...members(name, 'outputs', outputs, false, 'Written by a run.'),
    ...members(name, 'states', states, false, 'Read and written by a run: kept by the caller from one to the next.'),
    ...initial,
    `#define ${upper}_WORKSPACE_ALIGNMENT ${workspaceAlignment}

/* Bytes of working memory that a run needs${workspaceBytes === 0 ? ': none, so that it may be NULL' : `, at a multiple of ${workspaceAlignment}`}. */
size_t ${name}_workspace_size(void);`,
    `/* Runs the program on at most \`threads\` threads, where it was compiled with OpenMP; else on the caller's. */
int ${name}_run(${runParameterList(parts).join(', ')});`,
  ];
  return `/* ${toComment(title)}: made by Ashlar.
 *
 * Buffers are row-major, aligned as their elements are; bool is one byte, 0 or 1. Nothing is allocated and nothing is kept
 * between calls but what the caller keeps: calls with workspaces${states.length === 0 ? '' : ', states'} and outputs of their own may run at the same time.
 *
 * ${processors}
 */
#ifndef ${upper}_H
#define ${upper}_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

${body.join('\n\n')}

#ifdef __cplusplus
}
#endif

#endif
`;
}
