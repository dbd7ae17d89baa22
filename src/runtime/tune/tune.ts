// Tuning: the cost model proposes, measurement decides, a record makes it reproducible. Every distinct contraction of a
// program is compiled with its best candidates, these race against what is done untuned, and whoever wins beyond noise is
// written down. In the end the whole program is measured with and without the record.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Presets, SingleBar } from 'cli-progress';
import type { TerminalStream } from '../../io/terminal-stream.ts';
import { writeAside } from '../../io/write-aside.ts';
import { UserError } from '../../ir/errors.ts';
import type { Func } from '../../ir/graph.ts';
import { opTable } from '../../ir/ops/index.ts';
import { cpuMachine } from '../../passes/cpu.ts';
import type { Fused, Group } from '../../passes/fuse.ts';
import { lower } from '../../passes/lower.ts';
import { fuseGraph } from '../../passes/pipeline.ts';
import { targets } from '../../passes/schedule.ts';
import type { Candidate, ContractionChoice, Decision } from '../../passes/schedule-candidates.ts';
import { printRecord, type TuningEntry, type TuningRecord } from '../../passes/tuning.ts';
import { threadCount } from '../c/compile.ts';
import { findCompiler } from '../c/compiler.ts';
import { thisProcessor } from '../c/processor.ts';
import { type CompileTargetOptions, compile, weightsFor } from '../compile.ts';
import { type Definition, prepareDefinition } from '../definition.ts';
import { StateStore } from '../state.ts';
import { duel, race } from './race.ts';
import { filled, type Trial, TrialGround, type Workshop } from './trial.ts';

export interface TuneOptions extends Pick<CompileTargetOptions, 'threads' | 'compiler' | 'freeze' | 'weights'> {
  /** With `freeze`, where the states' values are. */
  readonly state?: StateStore;
  /** Where the record is written, as JSON. Default: nowhere. */
  readonly path?: string;
  /** Seconds after which no further problem is begun. Default 300. */
  readonly seconds?: number;
  /** Where progress is shown if it is a terminal. Default: stderr. */
  readonly stream?: TerminalStream;
}

/** One problem's measurements. */
export interface TunedProblem {
  readonly problem: string;
  /** Contractions of the program that are this problem. */
  readonly calls: number;
  /** What was measured, the untuned choice first: estimated cycles, and microseconds of the fastest run. */
  readonly measured: readonly {
    readonly choice: ContractionChoice;
    readonly cost: number;
    readonly microseconds: number;
  }[];
  /** Null where nothing was faster than the untuned choice beyond noise. */
  readonly entry: TuningEntry | null;
}

export interface TuneResult {
  /** What `compile` and `exportC` take as `tuning`; without entries where the whole program gained nothing. */
  readonly record: TuningRecord;
  readonly problems: readonly TunedProblem[];
  /** Problems that the time did not suffice for. */
  readonly skipped: number;
  /** Milliseconds of the whole program's fastest run, with what was chosen and without; whether the record is kept. */
  readonly milliseconds: { readonly untuned: number; readonly tuned: number };
  readonly kept: boolean;
}

/** A distinct problem of the program. */
interface Problem {
  readonly key: string;
  readonly group: Group;
  readonly decision: Decision;
  calls: number;
}

/** Tiles of one problem that are measured, at least so many of each form, and variants of the fastest tile. */
const mostTiles = 12;
const fewestOfForm = 2;
const mostVariants = 8;
/** Candidates that are estimated so many times worse than the best are left alone. */
const mostCost = 3;
/** Problems of fewer estimated cycles (a few microseconds) cannot be measured well and matter little. */
const fewestCycles = 4096;

/**
 * Measures candidates for every contraction of a function on this machine and returns, and writes, the record of what won.
 * Deterministic afterwards: the same record and function give the same C. Throws UserError when the record cannot be written.
 */
export async function tune(definition: Definition, options: TuneOptions = {}): Promise<TuneResult> {
  const compiler = findCompiler(options.compiler);
  const threads = threadCount(options.threads);
  const target = targets[compiler.cpu];
  const folder = mkdtempSync(join(tmpdir(), 'ashlar-tune-'));
  const workshop: Workshop = { compiler, target, threads, folder };
  const end = performance.now() + (options.seconds ?? 300) * 1000;
  try {
    const fused = fuseGraph(boundFunc(definition, options), cpuMachine(target));
    const found = problemsOf(fused, workshop);
    const bar = progressOf(options.stream ?? process.stderr, found.length);
    const problems: TunedProblem[] = [];
    for (const problem of found) {
      if (performance.now() > end) break;
      problems.push(tuneProblem(problem, new TrialGround(fused, problem.group, workshop)));
      bar.finished(problem.key);
      // The event loop draws the progress and hears an interruption.
      await new Promise(setImmediate);
    }
    bar.stop();
    const entries = problems.flatMap(({ entry }) => (entry === null ? [] : [entry]));
    const processor = thisProcessor(target.vectorBytes);
    const record: TuningRecord = { processor, compiler: compiler.version, threads, entries };
    const { first, second, won } = await compareWhole(definition, options, record);
    const kept = entries.length > 0 && won;
    const result = kept ? record : { ...record, entries: [] };
    if (options.path !== undefined) write(options.path, result);
    const milliseconds = { untuned: first * 1000, tuned: second * 1000 };
    return { record: result, problems, skipped: found.length - problems.length, milliseconds, kept };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The function as `compile` sees it. */
function boundFunc(definition: Definition, options: TuneOptions): Func {
  const weights = weightsFor(definition, options);
  try {
    return prepareDefinition(definition, weights).func;
  } finally {
    weights?.close();
  }
}

/** The distinct problems, the one with the most estimated cycles first. */
function problemsOf(fused: Fused, { target }: Workshop): Problem[] {
  const problems = new Map<string, Problem>();
  const machine = cpuMachine(target, (decision) => {
    const key = decision.key();
    const known = problems.get(key);
    if (known === undefined) problems.set(key, { key, group: decision.group, decision, calls: 1 });
    else known.calls++;
    return decision.untuned;
  });
  lower(fused, opTable, machine);
  return [...problems.values()]
    .map((problem) => ({ problem, candidates: problem.decision.candidates() }))
    .filter(({ candidates }) => candidates.length > 1 && candidates[0]!.cost >= fewestCycles)
    .sort((a, b) => b.candidates[0]!.cost * b.problem.calls - a.candidates[0]!.cost * a.problem.calls)
    .map(({ problem }) => problem);
}

function tuneProblem({ key, calls, decision }: Problem, ground: TrialGround): TunedProblem {
  const candidates = decision.candidates();
  const [first] = candidates;
  const untuned = ground.trial(first!.choice)!;
  const measured = [{ candidate: first!, trial: untuned, seconds: Number.POSITIVE_INFINITY }];
  const measure = (proposed: readonly Candidate[]): void => {
    const fresh = proposed.flatMap((candidate) => {
      const trial = ground.trial(candidate.choice);
      return trial === null ? [] : [{ candidate, trial }];
    });
    const times = race([untuned, ...fresh.map(({ trial }) => trial)], () => ground.settle());
    measured[0]!.seconds = Math.min(measured[0]!.seconds, times[0]!);
    for (const [i, { candidate, trial }] of fresh.entries())
      measured.push({ candidate, trial, seconds: times[i + 1]! });
  };
  const fastest = () => measured.reduce((best, next) => (next.seconds < best.seconds ? next : best));
  measure(tilesToMeasure(candidates));
  measure(candidates.filter(({ tile }) => tile === fastest().candidate.tile).slice(0, mostVariants));
  const winner = fastest();
  return {
    problem: key,
    calls,
    measured: measured.map(({ candidate, seconds }) => ({
      choice: candidate.choice,
      cost: candidate.cost,
      microseconds: seconds * 1e6,
    })),
    entry: winner.trial === untuned ? null : confirmed(key, untuned, winner.trial, ground),
  };
}

/** The fastest of many is partly luck: only what wins again, measured anew, is worth an entry. */
function confirmed(problem: string, untuned: Trial, winner: Trial, ground: TrialGround): TuningEntry | null {
  const { first, second, won } = duel(untuned, winner, () => ground.settle());
  if (!won) return null;
  const rounded = (seconds: number): number => Number((seconds * 1e6).toPrecision(4));
  return { problem, choice: winner.choice, untuned: rounded(first), tuned: rounded(second) };
}

/** One candidate of each tile: the least estimated cost, and of every form a few that are not hopeless. */
function tilesToMeasure(candidates: readonly Candidate[]): Candidate[] {
  const seen = new Set([candidates[0]!.tile]);
  const limit = Math.min(...candidates.map(({ cost }) => cost)) * mostCost;
  const tiles = candidates.filter(({ tile, cost }) => {
    if (seen.has(tile) || cost > limit) return false;
    seen.add(tile);
    return true;
  });
  const ofForm = new Map<string, number>();
  const chosen = tiles.filter(({ choice: { form } }) => {
    const count = ofForm.get(form) ?? 0;
    ofForm.set(form, count + 1);
    return count < fewestOfForm;
  });
  const others = tiles.filter((candidate) => !chosen.includes(candidate));
  return [...chosen, ...others.slice(0, Math.max(0, mostTiles - chosen.length))];
}

/** The whole program without and with the record, in turn, with states of their own. */
async function compareWhole(definition: Definition, options: TuneOptions, tuning: TuningRecord) {
  const compiled = async (more: CompileTargetOptions) => {
    const { threads, compiler, freeze, weights } = options;
    const given = { threads, compiler, freeze, weights };
    const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    const executable = await compile(definition as Definition<Record<string, never>, Record<string, never>>, {
      ...set,
      ...more,
      target: 'c',
      state: new StateStore(),
    });
    const { inputs, outputs } = executable.program;
    const arrays = Object.fromEntries(inputs.map(({ name, type }) => [name, filled(type)])) as Record<string, never>;
    const results = Object.fromEntries(outputs.map(({ name, type }) => [name, filled(type)])) as Record<string, never>;
    return { run: () => void executable(arrays, { outputs: results }) };
  };
  return duel(await compiled({}), await compiled({ tuning }), () => {});
}

function write(path: string, record: TuningRecord): void {
  try {
    writeAside(path, printRecord(record));
  } catch (error) {
    throw new UserError(
      `the tuning record ${path} cannot be written: ${error instanceof Error ? error.message : error}`,
    );
  }
}

/** Shows each finished problem on a terminal; a log file or a pipe gets nothing. */
function progressOf(given: TerminalStream, total: number): { finished(problem: string): void; stop(): void } {
  const stream = given as NodeJS.WriteStream;
  if (!stream.isTTY || total === 0) return { finished() {}, stop() {} };
  const format = 'tuning {bar} {value}/{total}  {problem}';
  const bar = new SingleBar({ stream, format, barsize: 24, fps: 10, hideCursor: true }, Presets.shades_classic);
  const width = Math.max(20, (stream.columns ?? 80) - 50);
  let done = 0;
  bar.start(total, done, { problem: '' });
  return { finished: (problem) => bar.update(++done, { problem: problem.slice(0, width) }), stop: () => bar.stop() };
}
