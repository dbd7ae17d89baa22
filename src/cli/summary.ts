// What a program consists of, in numbers: kernels with their work and traffic, and memory.

import { formatSource } from '../ir/errors.ts';
import type { Launch, Program, ProgramBuffer } from '../ir/program.ts';
import { countedLeaves, leavesOf } from '../ir/steps.ts';
import { bytesPerElement, formatType, sizeOf } from '../ir/types.ts';
import { assumedIterations } from '../passes/schedule-loops.ts';
import { formatBytes, formatCount, harmless, table } from './terminal.ts';

export interface KernelSummary {
  readonly name: string;
  /** The graph's operations in it. */
  readonly operations: string;
  /** Types of what it writes. */
  readonly results: readonly string[];
  /** How many calls of a run are this kernel. */
  readonly calls: number;
  /** Of all its calls: floating-point operations, and bytes read and written, each once. */
  readonly flops: number;
  readonly bytes: number;
  /** The user's lines, `file:line:column`. */
  readonly sources: readonly string[];
}

export interface ProgramSummary {
  readonly name: string;
  readonly target: string;
  readonly inputs: Readonly<Record<string, string>>;
  readonly outputs: Readonly<Record<string, string>>;
  /** Of a call. */
  readonly kernels: readonly KernelSummary[];
  /** Run once, before the first call. */
  readonly preparation: readonly KernelSummary[];
  readonly flops: number;
  readonly bytes: number;
  readonly memory: {
    /** Intermediate results, of one call. */
    readonly arena: number;
    /** Weights and constants as kernels read them. */
    readonly weights: number;
    /** What a training step or other function with updates keeps from call to call. */
    readonly states: number;
    readonly inputs: number;
    readonly outputs: number;
    /** All of it: what one call needs. */
    readonly peak: number;
  };
}

export function summarize(program: Program, target: string): ProgramSummary {
  const kernels = kernelsOf(countedLeaves(program.steps, assumedIterations));
  const total = (measure: (kernel: KernelSummary) => number): number =>
    kernels.reduce((sum, kernel) => sum + measure(kernel), 0);
  const read = new Set(leavesOf(program.steps).flatMap(({ args }) => args));
  const constants = [...read].filter(({ storage }) => storage === 'constant' || storage === 'external');
  const parts = {
    arena: program.arenaBytes,
    weights: program.preparedBytes + bytesOf(constants),
    states: bytesOf(program.states),
    inputs: bytesOf(program.inputs),
    outputs: bytesOf(program.outputs),
  };
  return {
    name: program.name,
    target,
    inputs: typesOf(program.inputs),
    outputs: typesOf(program.outputs),
    kernels,
    preparation: kernelsOf(program.preparation.map((leaf) => ({ leaf, times: 1 }))),
    flops: total(({ flops }) => flops),
    bytes: total(({ bytes }) => bytes),
    memory: { ...parts, peak: Object.values(parts).reduce((sum, bytes) => sum + bytes, 0) },
  };
}

const typesOf = (buffers: readonly ProgramBuffer[]): Record<string, string> =>
  Object.fromEntries(buffers.map(({ name, type }) => [name, formatType(type)]));

const bytesOf = (buffers: readonly ProgramBuffer[]): number =>
  buffers.reduce((sum, { type }) => sum + sizeOf(type.shape) * bytesPerElement[type.dtype], 0);

/** Kernels in order of their first call. */
function kernelsOf(launches: readonly { readonly leaf: Launch; readonly times: number }[]): KernelSummary[] {
  const calls = new Map<Launch['kernel'], { readonly first: Launch; times: number }>();
  for (const { leaf, times } of launches) {
    const known = calls.get(leaf.kernel);
    if (known === undefined) calls.set(leaf.kernel, { first: leaf, times });
    else known.times += times;
  }
  return [...calls].map(([kernel, { first, times }]) => ({
    name: kernel.name,
    operations: kernel.summary,
    results: first.args.filter((_, i) => kernel.parameters[i]!.access !== 'read').map(({ type }) => formatType(type)),
    calls: times,
    flops: kernel.flops * times,
    bytes: kernel.bytes * times,
    sources: kernel.sources.map(formatSource),
  }));
}

/** The summary for people. */
export function printSummary({ kernels, preparation, memory, ...program }: ProgramSummary): string {
  const rows = kernels.map((kernel) => rowOf(kernel));
  const spell = (types: Readonly<Record<string, string>>): string =>
    harmless(
      Object.entries(types)
        .map(([name, type]) => `${name}: ${type}`)
        .join(', '),
    ) || 'none';
  const prepared = preparation.length === 0 ? '' : `, ${preparation.length} more run once before`;
  const parts = (['arena', 'weights', 'states', 'inputs', 'outputs'] as const)
    .filter((part) => memory[part] > 0)
    .map((part) => `${part} ${formatBytes(memory[part])}`);
  return [
    `${harmless(program.name)} for ${program.target}`,
    `  inputs   ${spell(program.inputs)}`,
    `  outputs  ${spell(program.outputs)}`,
    '',
    table(columns, [
      ...rows,
      ['total', '', String(sum(kernels)), formatCount(program.flops), formatBytes(program.bytes), ''],
    ]),
    '',
    `${kernels.length} kernels${prepared}`,
    `peak memory ${formatBytes(memory.peak)}: ${parts.join(', ')}`,
  ].join('\n');
}

const sum = (kernels: readonly KernelSummary[]): number => kernels.reduce((calls, kernel) => calls + kernel.calls, 0);

const columns = [
  { title: 'kernel' },
  { title: 'result' },
  { title: 'calls', align: 'right' },
  { title: 'FLOP', align: 'right' },
  { title: 'read + written', align: 'right' },
  { title: 'line' },
] as const;

const longestResult = 40;

function rowOf({ name, results, calls, flops, bytes, sources }: KernelSummary): string[] {
  const result = results.join(' ');
  const shown = result.length > longestResult ? `${results[0]} and ${results.length - 1} more` : result;
  const more = sources.length > 1 ? ` +${sources.length - 1}` : '';
  return [name, shown, String(calls), formatCount(flops), formatBytes(bytes), `${sources[0] ?? ''}${more}`];
}
