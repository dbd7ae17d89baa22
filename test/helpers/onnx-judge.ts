// What becomes of the standard's node tests on every target: passed, not supported with the reason, or failed.

import { LimitationError } from '../../src/ir/errors.ts';
import { expectWgslTypes } from '../../src/passes/gpu/legalize.ts';
import { narrowDoubles, narrowIntegers } from '../../src/passes/gpu/narrow.ts';
import { compile } from '../../src/runtime/compile.ts';
import { compileForWebGpu } from '../../src/runtime/webgpu/compile.ts';
import type { WebGpuDevice } from '../../src/runtime/webgpu/device.ts';
import {
  type Call,
  difference,
  type Imported,
  importCase,
  type NodeCase,
  type Outputs,
  type Refused,
  runReference,
  runTogether,
  together,
} from './onnx-node.ts';

export type TargetName = 'reference' | 'c' | 'wgsl' | 'js';

export interface Verdict {
  readonly name: string;
  readonly outcome: 'passed' | 'not supported' | 'failed';
  /** Why it is not supported or failed; '' where it passed. */
  readonly reason: string;
}

export interface ImportedCases {
  readonly imported: readonly Imported[];
  readonly refused: readonly Refused[];
  /** Cases whose import broke. */
  readonly failed: readonly Verdict[];
}

/** Cases in one compilation: so many that compilers start seldom, so few that a failure is soon found. */
const batchSize = 80;

export function importCases(cases: readonly NodeCase[]): ImportedCases {
  const imported: Imported[] = [];
  const refused: Refused[] = [];
  const failed: Verdict[] = [];
  for (const next of cases) {
    try {
      const made = importCase(next);
      if ('reason' in made) refused.push(made);
      else imported.push(made);
    } catch (error) {
      failed.push(failure(next.name, error));
    }
  }
  return { imported, refused, failed };
}

/** Runs imported cases on a target. */
export async function judge(
  cases: readonly Imported[],
  target: TargetName,
  device: WebGpuDevice | null,
): Promise<Verdict[]> {
  if (target === 'reference') return cases.map((next) => verdictOf(next, () => runReference(next)));
  const refused = target === 'wgsl' ? cases.flatMap(refusedByWgsl) : [];
  const names = new Set(refused.map(({ name }) => name));
  const left = cases.filter(({ name }) => !names.has(name));
  const compiled = async (batch: readonly Imported[]): Promise<Call> => {
    const definition = together(batch);
    return (target === 'wgsl'
      ? await compileForWebGpu(definition, { device: device!, doubles: 'f32' })
      : await compile(definition, { target })) as unknown as Call;
  };
  const verdicts: Verdict[] = [];
  for (let at = 0; at < left.length; at += batchSize)
    verdicts.push(...(await judgeBatch(left.slice(at, at + batchSize), compiled)));
  return [...refused, ...verdicts];
}

/** A batch that breaks is halved until the case is found that broke it. */
async function judgeBatch(
  batch: readonly Imported[],
  compiled: (batch: readonly Imported[]) => Promise<Call>,
): Promise<Verdict[]> {
  try {
    const outputs = await runTogether(batch, await compiled(batch));
    return batch.map((next, i) => verdictOf(next, () => outputs[i]!));
  } catch (error) {
    if (batch.length === 1) return [failure(batch[0]!.name, error)];
    const half = Math.ceil(batch.length / 2);
    const first = await judgeBatch(batch.slice(0, half), compiled);
    return [...first, ...(await judgeBatch(batch.slice(half), compiled))];
  }
}

function refusedByWgsl({ name, definition }: Imported): Verdict[] {
  try {
    expectWgslTypes(narrowIntegers(narrowDoubles(definition.func)));
    return [];
  } catch (error) {
    return [failure(name, error)];
  }
}

function verdictOf(next: Imported, outputs: () => Outputs): Verdict {
  const found = difference(next, outputs());
  return { name: next.name, outcome: found === null ? 'passed' : 'failed', reason: found ?? '' };
}

function failure(name: string, error: unknown): Verdict {
  const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
  return { name, outcome: error instanceof LimitationError ? 'not supported' : 'failed', reason };
}
