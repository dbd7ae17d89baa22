// Tuning: the cost model proposes, measurement decides, a record makes it reproducible. Every distinct problem of a program
// is run with its best candidates, these race against what is done untuned, and whoever wins beyond noise is written down.
// In the end the whole program is measured with and without the record. Nothing here needs Node.

import { opTable } from '../../ir/ops/index.ts';
import type { Candidate, Decision } from '../../passes/decision.ts';
import type { Group } from '../../passes/fuse.ts';
import { lower } from '../../passes/lower.ts';
import type { TuningEntry, TuningRecord } from '../../passes/tuning.ts';
import { duel, type Interruption, pause, race } from './race.ts';
import type { Ground, Refused, Trial, Workbench } from './workbench.ts';

/** One problem's measurements. */
export interface TunedProblem<Choice = unknown> {
  readonly problem: string;
  /** How often the program has it. */
  readonly calls: number;
  /** What was measured, the untuned choice first: estimated cost, and microseconds of the fastest run. */
  readonly measured: readonly { readonly choice: Choice; readonly cost: number; readonly microseconds: number }[];
  /** Candidates that the machine could not run, or whose results were others. */
  readonly refused: readonly Refused<Choice>[];
  /** Null where nothing was faster than the untuned choice beyond noise. */
  readonly entry: TuningEntry<Choice> | null;
}

export interface TuneResult<Choice = unknown, Kept extends TuningRecord = TuningRecord> {
  /** What `compile` and exports take as `tuning`; without entries where the whole program gained nothing. */
  readonly record: Kept;
  readonly problems: readonly TunedProblem<Choice>[];
  /** Problems that the time did not suffice for. */
  readonly skipped: number;
  /** Milliseconds of the whole program's fastest run, with what was chosen and without; whether the record is kept. */
  readonly milliseconds: { readonly untuned: number; readonly tuned: number };
  readonly kept: boolean;
}

export interface TunerOptions {
  /** Seconds after which no further problem is begun. */
  readonly seconds: number;
  /** Ends tuning with its reason. */
  readonly signal?: Interruption | undefined;
  /** Hears how many problems there are. */
  readonly onBegin?: (problems: number) => void;
  /** Hears of each problem that was measured, and has the record as it is then. */
  readonly onProblem?: (problem: TunedProblem, record: TuningRecord) => void;
}

/** A distinct problem of the program. */
interface Problem<Choice> {
  readonly key: string;
  readonly group: Group;
  readonly decision: Decision<Choice>;
  calls: number;
}

/** Tiles of one problem that are measured, at least so many of each form, and variants of the fastest tile. */
const mostTiles = 12;
const fewestOfForm = 2;
const mostVariants = 8;
/** Seconds that a candidate may be estimated to take: a system may end a device that computes for two. */
const longestTrial = 0.2;

type Form = { readonly form: string };

/** Measures all problems of a workbench's function, and the whole with what won. The workbench is the caller's to close. */
export async function tuneOn<Choice extends Form>(
  bench: Workbench<Choice>,
  { seconds, signal, onBegin, onProblem }: TunerOptions,
): Promise<TuneResult<Choice>> {
  const end = performance.now() + seconds * 1000;
  const found = problemsOf(bench);
  onBegin?.(found.length);
  const problems: TunedProblem<Choice>[] = [];
  const entries = (): TuningEntry<Choice>[] => problems.flatMap(({ entry }) => (entry === null ? [] : [entry]));
  for (const problem of found) {
    await pause(signal);
    if (performance.now() > end) break;
    problems.push(await tuneProblem(problem, bench, signal));
    onProblem?.(problems.at(-1)!, bench.record(entries()));
  }
  const record = bench.record(entries());
  const { first, second, won } = await compareWhole(bench, record, signal);
  const kept = record.entries.length > 0 && won;
  return {
    record: kept ? record : bench.record([]),
    problems,
    skipped: found.length - problems.length,
    milliseconds: { untuned: first * 1000, tuned: second * 1000 },
    kept,
  };
}

/** The distinct problems, the one with the most estimated work first. */
function problemsOf<Choice extends Form>(bench: Workbench<Choice>): Problem<Choice>[] {
  const problems = new Map<string, Problem<Choice>>();
  const machine = bench.machine((decision) => {
    const key = decision.key();
    const known = problems.get(key);
    if (known === undefined) problems.set(key, { key, group: decision.group, decision, calls: 1 });
    else known.calls++;
    return decision.untuned;
  });
  lower(bench.fused, opTable, machine);
  return [...problems.values()]
    .map((problem) => ({ problem, candidates: problem.decision.candidates() }))
    .filter(({ candidates }) => candidates.length > 1 && candidates[0]!.cost >= bench.leastCost)
    .sort((a, b) => b.candidates[0]!.cost * b.problem.calls - a.candidates[0]!.cost * a.problem.calls)
    .map(({ problem }) => problem);
}

async function tuneProblem<Choice extends Form>(
  { key, calls, decision, group }: Problem<Choice>,
  bench: Workbench<Choice>,
  signal: Interruption | undefined,
): Promise<TunedProblem<Choice>> {
  const ground = bench.ground(group);
  try {
    const { measured, winner } = await raced(decision.candidates(), ground, bench.mostCost, signal);
    const untuned = measured[0]?.trial;
    const duelled = untuned !== undefined && winner !== undefined && winner !== untuned;
    return {
      problem: key,
      calls,
      measured: measured.map(({ candidate, seconds }) => ({
        choice: candidate.choice,
        cost: candidate.cost,
        microseconds: seconds * 1e6,
      })),
      refused: ground.refused,
      entry: duelled ? await confirmed(key, untuned, winner, signal) : null,
    };
  } finally {
    ground.close();
  }
}

interface Measured<Choice> {
  readonly candidate: Candidate<Choice>;
  readonly trial: Trial<Choice>;
  seconds: number;
}

/** Races of tiles, then of the fastest one's variants. Nothing is measured where the untuned choice itself is refused. */
async function raced<Choice extends Form>(
  candidates: readonly Candidate<Choice>[],
  ground: Ground<Choice>,
  mostCost: number,
  signal: Interruption | undefined,
): Promise<{ readonly measured: readonly Measured<Choice>[]; readonly winner: Trial<Choice> | undefined }> {
  const [first] = candidates;
  const untuned = await ground.trial(first!.choice);
  if (untuned === null) return { measured: [], winner: undefined };
  const measured: Measured<Choice>[] = [{ candidate: first!, trial: untuned, seconds: Number.POSITIVE_INFINITY }];
  const measure = async (proposed: readonly Candidate<Choice>[]): Promise<void> => {
    const fresh: Measured<Choice>[] = [];
    for (const candidate of proposed) {
      await pause(signal);
      const trial = await ground.trial(candidate.choice);
      if (trial !== null) fresh.push({ candidate, trial, seconds: Number.POSITIVE_INFINITY });
    }
    const times = await race([untuned, ...fresh.map(({ trial }) => trial)], signal);
    measured[0]!.seconds = Math.min(measured[0]!.seconds, times[0]!);
    for (const [i, next] of fresh.entries()) measured.push({ ...next, seconds: times[i + 1]! });
  };
  const fastest = () => measured.reduce((best, next) => (next.seconds < best.seconds ? next : best));
  const allowed = first!.cost * Math.max(1, longestTrial / (await untuned.measure()));
  const least = Math.min(...candidates.map(({ cost }) => cost));
  await measure(tilesToMeasure(candidates, Math.min(allowed, least * mostCost)));
  await measure(candidates.filter(({ tile }) => tile === fastest().candidate.tile).slice(0, mostVariants));
  return { measured, winner: fastest().trial };
}

/** The fastest of many is partly luck: only what wins again, measured anew, is worth an entry. */
async function confirmed<Choice>(
  problem: string,
  untuned: Trial<Choice>,
  winner: Trial<Choice>,
  signal: Interruption | undefined,
): Promise<TuningEntry<Choice> | null> {
  const { first, second, won } = await duel(untuned, winner, signal);
  if (!won) return null;
  const rounded = (seconds: number): number => Number((seconds * 1e6).toPrecision(4));
  return { problem, choice: winner.choice, untuned: rounded(first), tuned: rounded(second) };
}

/** One candidate of each tile up to an estimated cost: the least estimated cost, and of every form a few that are not hopeless. */
function tilesToMeasure<Choice extends Form>(
  candidates: readonly Candidate<Choice>[],
  limit: number,
): Candidate<Choice>[] {
  const seen = new Set([candidates[0]!.tile]);
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
async function compareWhole<Choice extends Form>(
  bench: Workbench<Choice>,
  record: TuningRecord,
  signal: Interruption | undefined,
): ReturnType<typeof duel> {
  const untuned = await bench.whole(null);
  try {
    const tuned = await bench.whole(record);
    try {
      return await duel(untuned, tuned, signal);
    } finally {
      tuned.close();
    }
  } finally {
    untuned.close();
  }
}
