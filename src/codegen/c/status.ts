// What the functions of an exported program answer.

/** In the order of their numbers, which are the same in all programs: the name in C, and in words. */
const statuses = {
  ok: ['OK', 'ok'],
  nullPointer: ['NULL_POINTER', 'an argument or a buffer is NULL'],
  misalignedBuffer: ['MISALIGNED_BUFFER', 'a buffer is not aligned to its elements'],
  overlappingBuffers: ['OVERLAPPING_BUFFERS', 'a buffer that is written overlaps another or the workspace'],
  misalignedWorkspace: ['MISALIGNED_WORKSPACE', 'the workspace is not aligned to 64 bytes'],
  smallWorkspace: ['SMALL_WORKSPACE', 'the workspace is too small'],
  badThreads: ['BAD_THREADS', 'the number of threads is less than 1'],
  indexOutOfRange: ['INDEX_OUT_OF_RANGE', 'an index in an input is out of its range'],
  unsupportedProcessor: ['UNSUPPORTED_PROCESSOR', 'the processor is none that the code was compiled for'],
  misalignedWeights: ['MISALIGNED_WEIGHTS', 'the weights are not aligned to 64 bytes'],
  wrongWeightsLength: ['WRONG_WEIGHTS_LENGTH', 'the weights have another length'],
  wrongWeightsHash: ['WRONG_WEIGHTS_HASH', 'the weights are others: their hash differs'],
  unboundWeights: ['UNBOUND_WEIGHTS', 'no weights were bound'],
} as const;

export type Status = keyof typeof statuses;

/** The enumerator of a program for a status. */
export const statusOf = (name: string, status: Status): string => `${name.toUpperCase()}_STATUS_${statuses[status][0]}`;

/** The enumerators, as the header declares them. */
export function printStatuses(name: string): string {
  const rows = Object.entries(statuses).map(([status, [, meaning]], number) => {
    const row = `  ${statusOf(name, status as Status)} = ${number}`;
    return `${row}${number + 1 < Object.keys(statuses).length ? ',' : ''} /* ${meaning} */`;
  });
  return `/* What every function answers. */\nenum {\n${rows.join('\n')}\n};`;
}

/** The function that says in words what a status means. */
export function printStatusName(name: string): string {
  const cases = Object.entries(statuses).map(
    ([status, [, meaning]]) => `    case ${statusOf(name, status as Status)}:\n      return "${meaning}";`,
  );
  return `const char *${name}_status_name(int status) {
  switch (status) {
${cases.join('\n')}
    default:
      return "no status of this program";
  }
}`;
}

/** By number, in words: what a loader says of a status. */
export const statusMeanings: readonly string[] = Object.values(statuses).map(([, meaning]) => meaning);
