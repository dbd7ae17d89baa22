// A Program as one C11 file and its header. The file allocates nothing, keeps no state of its own, and needs only the
// C library; without OpenMP its pragmas vanish.

import { InternalError } from '../../ir/errors.ts';
import { halfBits } from '../../ir/half.ts';
import type { Launch, Program, ProgramBuffer } from '../../ir/program.ts';
import { isLoop, leavesOf, listsOf } from '../../ir/steps.ts';
import { bytesPerElement, formatType, sizeOf } from '../../ir/types.ts';
import { isShared, isSharedStep } from '../../passes/team.ts';
import { toComment } from '../names.ts';
import { loadOf, placeOf, printLiteral, type Scope, scalarType } from './expressions.ts';
import { helpersInOrder } from './helpers.ts';
import { Namer, toIdentifier } from './names.ts';
import type { CPieces, KernelText } from './parts.ts';
import { declareKernel, kernelKey, printKernel } from './statements.ts';
import { printSteps, printTeamSteps, type StepTexts } from './steps.ts';
import { teamHelpers, teamIncludes, teamNeeds, teamRegion } from './team.ts';

export interface CSource {
  /** The C identifier that prefixes everything public. */
  readonly name: string;
  readonly code: string;
  readonly header: string;
}

/** A program's source, and the pieces of its code. */
export interface ProgramSource extends CSource {
  readonly pieces: CPieces;
}

/** Status codes of `NAME_run`, shared with the header. */
const statusCodes = { ok: 0, missingBuffer: 1, misalignedWorkspace: 2 } as const;

/** Names that a program's code has beside those of kernels and constants. */
const publicNames = (name: string): string[] =>
  ['', '_run', '_steps', '_workspace_size', '_prepare', '_prepare_part'].map((suffix) => `${name}${suffix}`);

export const includes = (hasTeam: boolean): string =>
  [
    '#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <string.h>',
    ...(hasTeam ? [teamIncludes] : []),
  ].join('\n\n');

export function printProgram(program: Program): ProgramSource {
  const name = toIdentifier(program.name);
  const scope: Omit<Scope, 'namer'> = { helpers: new Set(), vectors: new Map() };
  const functions = new Map<string, string>();
  const kernels: KernelText[] = [];
  const names = new Namer(publicNames(name));
  const constants = new Map<ProgramBuffer, string>(
    program.constants.map((buffer) => [buffer, names.fresh(`constant_${buffer.name}`)]),
  );
  const called = ({ kernel, args }: Launch, numbers: readonly string[]): string => {
    const key = kernelKey(kernel, scope);
    let function_ = functions.get(key);
    if (function_ === undefined) {
      function_ = names.fresh(`kernel_${kernel.name}`);
      functions.set(key, function_);
      kernels.push({
        declaration: declareKernel(kernel, function_, scope),
        text: printKernel(kernel, function_, scope),
      });
    }
    const given = args.map((buffer) => argument(program, buffer, constants));
    return `${function_}(${[...given, ...numbers, ...(isShared(kernel) ? ['worker'] : [])].join(', ')});`;
  };
  const preparing = program.preparation.map((launch) => called(launch, []));
  const run = entry(program, name, { call: called, address: (buffer) => argument(program, buffer, constants) });
  const hasTeam = [...program.steps, ...program.preparation].some(isSharedStep);
  const pieces: CPieces = {
    head: [
      `/* ${toComment(program.name)}: made by Ashlar. ${leavesOf(program.steps).length} kernels, ${kernels.length} of them different. */`,
      `#include "${name}.h"`,
      includes(hasTeam),
      macros([program]),
      ...(hasTeam ? [teamHelpers(teamNeeds([program]))] : []),
      ...vectorTypes(scope.vectors),
      ...helpersInOrder(scope.helpers),
    ],
    constants: [...constants].map(([buffer, constantName]) => printConstant(buffer, constantName)),
    kernels,
    entries: [...(preparing.length === 0 ? [] : [prepareEntry(name, program, preparing)]), run],
  };
  const texts = [...pieces.head, ...pieces.constants, ...kernels.map(({ text }) => text), ...pieces.entries];
  return { name, code: `${texts.join('\n\n')}\n`, header: printHeader(program, name), pieces };
}

export function macros(programs: readonly Program[]): string {
  let largest = 0;
  for (const { steps } of programs) {
    for (const { args } of leavesOf(steps))
      for (const { type } of args) largest = Math.max(largest, sizeOf(type.shape));
    largest = Math.max(largest, longestLoop(steps));
  }
  return `typedef ${largest < 2 ** 30 ? 'int32_t' : 'int64_t'} ash_index;

#define ASH_PRAGMA(text) _Pragma(#text)
#ifdef _OPENMP
#define ASH_OMP(...) ASH_PRAGMA(omp __VA_ARGS__)
#else
#define ASH_OMP(...)
#endif
#ifdef __GNUC__
#define ASH_UNROLL(count) ASH_PRAGMA(GCC unroll count)
#define ASH_ALIGNED __attribute__((aligned(64)))
#else
#define ASH_UNROLL(count)
#define ASH_ALIGNED
#define __attribute__(list)
#endif
#define ASH_AT(block, offset) ((void *)((char *)(block) + (offset)))
#define ASH_WORK(offset) ASH_AT(workspace, offset)
/* A kernel stays a function of its own: it is compiled faster, and a profile shows its name. */
#define ASH_KERNEL static __attribute__((noinline)) void

#ifdef __clang__
/* A loop that clang leaves scalar is slower, not wrong. */
#pragma clang diagnostic ignored "-Wpass-failed"
#endif`;
}

/** Most iterations of a loop whose number kernels may read. */
function longestLoop(steps: Program['steps']): number {
  return steps.reduce(
    (most, step) =>
      Math.max(most, isLoop(step) && step.axis !== null ? step.count : 0, ...listsOf(step).map(longestLoop)),
    0,
  );
}

export function vectorTypes(vectors: Scope['vectors']): string[] {
  return [...vectors].map(([name, { dtype, lanes }]) => {
    const bytes = bytesPerElement[dtype] * lanes;
    const type = scalarType(dtype);
    return [
      `/* ${lanes} lanes of ${type}; ash_${name}_at is the same in memory, aligned as its elements are, and is read and written at its first. */`,
      `typedef ${type} ash_${name} __attribute__((vector_size(${bytes})));`,
      `typedef ${type} ash_${name}_at __attribute__((vector_size(${bytes}), aligned(${bytesPerElement[dtype]}), may_alias));`,
      `#define ${loadOf(`ash_${name}`)}(first) ((ash_${name})*(const ash_${name}_at *)&(first))`,
      `#define ${placeOf(`ash_${name}`)}(first) (*(ash_${name}_at *)&(first))`,
    ].join('\n');
  });
}

export function printConstant({ type, data }: ProgramBuffer, name: string): string {
  if (data === null) throw new InternalError(`constant ${name} has no data`);
  // What a preparation computed of f16 are bits already.
  const [dtype, elements] = type.dtype === 'f16' ? (['i32', halfBits(data)] as const) : [type.dtype, data];
  const rows: string[] = [];
  const width = 12;
  for (let at = 0; at < elements.length; at += width) {
    const row = Array.from({ length: Math.min(width, elements.length - at) }, (_, i) =>
      printLiteral(dtype, Number(elements[at + i])),
    );
    rows.push(`  ${row.join(', ')}`);
  }
  const size = Math.max(1, sizeOf(type.shape));
  return `/* ${formatType(type)} */\nstatic const ${scalarType(type.dtype)} ${name}[${size}] ASH_ALIGNED = {\n${rows.join(',\n') || '  0'}\n};`;
}

/**
 * What follows the caller's states in the table of persistent memory: the external constants, then the block that the
 * preparation fills.
 */
export function persistentCount({ states, externals, preparation }: Program): number {
  return states.length + externals.length + (preparation.length === 0 ? 0 : 1);
}

/** The address of a buffer, as a call passes it: C converts addresses of bytes by itself. */
export function argument(
  program: Program,
  buffer: ProgramBuffer,
  constants: ReadonlyMap<ProgramBuffer, string>,
): string {
  switch (buffer.storage) {
    case 'input':
      return `inputs[${buffer.index}]`;
    case 'output':
      return `outputs[${buffer.index}]`;
    case 'state':
      return `states[${buffer.index}]`;
    case 'constant':
      return constants.get(buffer)!;
    case 'external':
      return `states[${program.states.length + program.externals.indexOf(buffer)}]`;
    case 'arena':
      return `ASH_WORK(${buffer.offset})`;
    case 'prepared':
      return `ASH_AT(states[${persistentCount(program) - 1}], ${buffer.offset})`;
  }
}

/** The preparation, one kernel for each part, with a team where one shares loops. */
function prepareEntry(name: string, { preparation }: Program, calls: readonly string[]): string {
  const hasTeam = preparation.some(({ kernel }) => isShared(kernel));
  const cases = preparation.map(({ kernel }, part) => {
    const alone = hasTeam && !isShared(kernel) ? 'if (ash_single(worker)) ' : '';
    return `    case ${part}:\n      ${alone}${calls[part]!}\n      break;`;
  });
  const parts = `  switch (part) {\n${cases.join('\n')}\n  }`;
  const head = `void ${name}_prepare(int part, void *const *states, int threads) {\n  (void)states;\n  (void)threads;`;
  if (!hasTeam) return `${head}\n${parts}\n}`;
  return `static void ${name}_prepare_part(ash_worker *worker, int part, void *const *states) {
  (void)states;
${parts}
}

${head}
${teamRegion(`${name}_prepare_part`, ['part', 'states'])}
}`;
}

const runParameters = 'void *workspace, void *const *states, const void *const *inputs, void *const *outputs';

/** How a run begins: with checks of what the caller gave. */
function runChecks(program: Program): string[] {
  const lists = [
    ['states', persistentCount(program)],
    ['inputs', program.inputs.length],
    ['outputs', program.outputs.length],
  ] as const;
  const checks = lists.flatMap(([list, count]) => {
    if (count === 0) return [];
    return [
      `  if (${list} == NULL) return ${statusCodes.missingBuffer};`,
      `  for (int i = 0; i < ${count}; i++) {\n    if (${list}[i] == NULL) return ${statusCodes.missingBuffer};\n  }`,
    ];
  });
  const workspace =
    program.arenaBytes === 0
      ? []
      : [
          `  if (workspace == NULL) return ${statusCodes.missingBuffer};`,
          `  if ((uintptr_t)workspace % 64 != 0) return ${statusCodes.misalignedWorkspace};`,
        ];
  return [...unusedRunParameters, '  (void)threads;', ...checks, ...workspace];
}

const unusedRunParameters = ['workspace', 'states', 'inputs', 'outputs'].map((given) => `  (void)${given};`);

function entry(program: Program, name: string, texts: StepTexts): string {
  const shared = program.steps.some(isSharedStep);
  const steps = !shared
    ? ''
    : `static void ${name}_steps(ash_worker *worker, ${runParameters}) {
${[...unusedRunParameters, ...printTeamSteps(program.steps, texts)].join('\n')}
}

`;
  const body = shared
    ? [teamRegion(`${name}_steps`, ['workspace', 'states', 'inputs', 'outputs'], teamNeeds([program]).decides)]
    : printSteps(program.steps, texts);
  return `size_t ${name}_workspace_size(void) {
  return ${program.arenaBytes};
}

${steps}int ${name}_run(${runParameters}, int threads) {
${[...runChecks(program), ...body].join('\n')}
  return ${statusCodes.ok};
}`;
}

/** What a caller in this process must know. */
function printHeader(program: Program, name: string): string {
  const { inputs, outputs, states, externals, preparation, preparedBytes } = program;
  const row = (kind: string, { name: given, type }: ProgramBuffer, i: number): string =>
    ` *   ${kind}[${i}]  ${toComment(given)}: ${formatType(type)}`;
  const table = [
    ...inputs.map((buffer, i) => row('inputs', buffer, i)),
    ...outputs.map((buffer, i) => row('outputs', buffer, i)),
    ...[...states, ...externals].map((buffer, i) => row('states', buffer, i)),
  ];
  const prepared =
    preparation.length === 0
      ? ''
      : `
/* Computes from the constants what every call needs, into states[${persistentCount(program) - 1}], ${preparedBytes} bytes aligned to 64: parts 0 to
   ${preparation.length - 1}, each once and in order, before the first call. */
void ${name}_prepare(int part, void *const *states, int threads);
`;
  return `/* ${toComment(program.name)}: made by Ashlar.\n${table.join('\n')}\n */
#include <stddef.h>
#include <stdint.h>

/* Bytes of working memory that a call needs, aligned to 64. */
size_t ${name}_workspace_size(void);
${prepared}
/* Returns 0; 1 if a buffer or the workspace is NULL; 2 if the workspace is not aligned to 64 bytes. */
int ${name}_run(${runParameters}, int threads);
`;
}
