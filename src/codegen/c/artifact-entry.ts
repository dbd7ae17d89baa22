// The public functions of an exported program: they see whatever misuse can be seen, answer it with a status, and only then
// run a kernel.

import { InternalError } from '../../ir/errors.ts';
import type { Program, RangeCheck } from '../../ir/program.ts';
import { bytesPerElement, sizeOf, type TensorType } from '../../ir/types.ts';
import {
  type ArtifactInterface,
  initialParameterList,
  type Member,
  runParameterList,
  workspaceAlignment,
} from './artifact-header.ts';
import { scalarType } from './expressions.ts';
import { type Status, statusOf } from './status.ts';
import { teamNeeds, teamRegion } from './team.ts';

/** What the steps of a program take beside their worker: memory as tables of addresses. */
export const stepParameters =
  'const char *weight_bytes, void *workspace, void *const *states, const void *const *inputs, void *const *outputs';
const stepArguments = ['weight_bytes', 'workspace', 'state_list', 'input_list', 'output_list'];

const bytesOf = ({ dtype, shape }: TensorType): number => sizeOf(shape) * bytesPerElement[dtype];
const when = (parts: ArtifactInterface, condition: string, status: Status): string =>
  `  if (${condition}) return ${statusOf(parts.name, status)};`;

/** The workspace size and the run; `choose` is the function that gives the steps for the processor. */
export function printEntry(parts: ArtifactInterface, programs: readonly Program[], choose: string): string {
  const { name, inputs, outputs, states, weights, workspaceBytes } = parts;
  const body = [
    ...Object.entries({ inputs, outputs, states }).flatMap(([given, list]) =>
      list.length === 0 ? [] : [when(parts, `${given} == NULL`, 'nullPointer')],
    ),
    ...(weights === null ? [] : weightChecks(parts)),
    when(parts, 'threads < 1', 'badThreads'),
    ...workspaceChecks(parts),
    ...bufferChecks(parts),
    ...programs[0]!.checks.map((check) => rangeCheck(parts, check)),
    weights === null ? '  const char *const weight_bytes = NULL;' : boundBytes,
    table('state', states, 'void *const'),
    table('input', inputs, 'const void *const'),
    table('output', outputs, 'void *const'),
    `  ash_steps *const steps = ${choose}();`,
    when(parts, 'steps == NULL', 'unsupportedProcessor'),
    teamRegion('steps', stepArguments, teamNeeds(programs).decides),
    `  return ${statusOf(name, 'ok')};`,
  ];
  return `size_t ${name}_workspace_size(void) {
  return ${workspaceBytes};
}

int ${name}_run(${runParameterList(parts).join(', ')}) {
${body.join('\n')}
}`;
}

/** The addresses of a kind of buffers, as steps take them. */
function table(kind: string, list: readonly Member[], type: string): string {
  const items = list.map(({ identifier }) => `${kind}s->${identifier}`);
  if (list.length === 0) return `  ${type} *const ${kind}_list = NULL;`;
  return `  ${type} ${kind}_list[${list.length}] = {${items.join(', ')}};`;
}

const weightChecks = (parts: ArtifactInterface): string[] => [
  when(parts, 'weights == NULL', 'nullPointer'),
  when(parts, 'weights->bytes == NULL || weights->hash != ASH_WEIGHTS_HASH', 'unboundWeights'),
];

const boundBytes = '  const char *const weight_bytes = (const char *)weights->bytes;';

function workspaceChecks(parts: ArtifactInterface): string[] {
  if (parts.workspaceBytes === 0) return ['  (void)workspace_bytes;'];
  return [
    when(parts, 'workspace == NULL', 'nullPointer'),
    when(parts, `(uintptr_t)workspace % ${workspaceAlignment} != 0`, 'misalignedWorkspace'),
    when(parts, `workspace_bytes < ${parts.workspaceBytes}`, 'smallWorkspace'),
  ];
}

/** Every buffer once in a table: those that are only read, those that are written, the workspace. */
function bufferChecks({ inputs, outputs, states, workspaceBytes }: ArtifactInterface): string[] {
  const rows = [
    ...inputs.map((member) => row('inputs', member)),
    ...outputs.map((member) => row('outputs', member)),
    ...states.map((member) => row('states', member)),
    ...(workspaceBytes === 0 ? [] : [`{workspace, ${workspaceBytes}, ${workspaceAlignment}}`]),
  ];
  if (rows.length === 0) return [];
  return [
    `  const ash_buffer buffers[${rows.length}] = {\n    ${rows.join(',\n    ')},\n  };`,
    `  const int misuse = ash_misuse(buffers, ${rows.length}, ${inputs.length});`,
    '  if (misuse != 0) return misuse;',
  ];
}

const row = (list: string, { identifier, buffer: { type } }: Member): string =>
  `{${list}->${identifier}, ${bytesOf(type)}, ${bytesPerElement[type.dtype]}}`;

/** The check of a table of buffers. */
export function printMisuse({ name }: ArtifactInterface): string {
  return `/* Memory of the caller: where it is, its bytes, and what its address must be a multiple of. */
typedef struct {
  const void *address;
  size_t bytes, alignment;
} ash_buffer;

/* What is wrong with the buffers, of which those from \`written\` on are written; 0 where nothing is. */
static int ash_misuse(const ash_buffer *buffers, int count, int written) {
  for (int i = 0; i < count; i++) {
    if (buffers[i].bytes == 0) continue;
    if (buffers[i].address == NULL) return ${statusOf(name, 'nullPointer')};
    if ((uintptr_t)buffers[i].address % buffers[i].alignment != 0) return ${statusOf(name, 'misalignedBuffer')};
  }
  for (int i = written; i < count; i++) {
    const uintptr_t begin = (uintptr_t)buffers[i].address;
    for (int other = 0; other < i; other++) {
      const uintptr_t at = (uintptr_t)buffers[other].address;
      if (begin < at + buffers[other].bytes && at < begin + buffers[i].bytes) return ${statusOf(name, 'overlappingBuffers')};
    }
  }
  return 0;
}`;
}

/** An integer input whose elements index something must lie within it. */
function rangeCheck(parts: ArtifactInterface, { input, lower, upper }: RangeCheck): string {
  const member = parts.inputs.find(({ buffer }) => buffer.name === input);
  if (member === undefined) throw new InternalError(`a check of ${input}, which is no input`);
  const { type } = member.buffer;
  const unsigned = type.dtype === 'u8' || type.dtype === 'u32';
  const value = `inputs->${member.identifier}[i]`;
  const below = unsigned && lower === 0 ? '' : `${value} < ${lower} || `;
  return `  for (size_t i = 0; i < ${sizeOf(type.shape)}; i++) {
    if (${below}${value} > ${upper}${unsigned ? 'u' : ''}) return ${statusOf(parts.name, 'indexOutOfRange')};
  }`;
}

/** A state's first values: where they come from in C, or null where all of them are zero. */
export type InitialText = (state: string) => string | null;

/** The function that writes the first values of states. */
export function printInitialStates(parts: ArtifactInterface, initial: InitialText): string {
  const { name, states, weights } = parts;
  const copies = states.flatMap(({ identifier, buffer: { name: given, type } }) => {
    if (sizeOf(type.shape) === 0) return [];
    const from = initial(given);
    if (from === null) return [`  memset(states->${identifier}, 0, ${bytesOf(type)});`];
    // A loop in place of memcpy, which gcc 12 gets wrong for some tables: see `gccFlags` of the runtime.
    const first = `const ${scalarType(type.dtype)} *const first = ${from};`;
    const copy = `for (size_t i = 0; i < ${sizeOf(type.shape)}; i++) states->${identifier}[i] = first[i];`;
    return [`  {\n    ${first}\n    ${copy}\n  }`];
  });
  const missing = states
    .filter(({ buffer }) => sizeOf(buffer.type.shape) > 0)
    .map(({ identifier }) => `states->${identifier} == NULL`);
  return `int ${name}_initial_states(${initialParameterList(parts).join(', ')}) {
${[
  when(parts, 'states == NULL', 'nullPointer'),
  ...(weights === null ? [] : weightChecks(parts)),
  ...(weights === null ? [] : [boundBytes]),
  ...missing.map((condition) => when(parts, condition, 'nullPointer')),
  ...copies,
  `  return ${statusOf(name, 'ok')};`,
].join('\n')}
}`;
}
