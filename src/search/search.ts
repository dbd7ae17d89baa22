// The search itself: rounds of trials from a strategy, evaluated here or in worker processes, kept as they come.

import { UserError } from '../ir/errors.ts';
import { expectSpace, type Parameters, type ParametersOf, type Point, type Space, valuesAt } from './space.ts';
import type { Evaluated, Strategy, Trial } from './strategy.ts';

/** What an objective is told besides the parameters. */
export interface TrialContext {
  /** Counted from 0. */
  readonly trial: number;
  /** Of the search: for initial weights and shuffles, so that a trial gives the same value again. */
  readonly seed: number;
}

/** What is to be least: a validation loss, say. A trial whose objective throws, or gives no finite number, has failed. */
export type Objective<P = Parameters> = (parameters: P, context: TrialContext) => number | Promise<number>;

export interface Task extends TrialContext {
  readonly parameters: Parameters;
}
export type Outcome = { readonly value: number } | { readonly failure: string };

/** Something that evaluates trials, several at a time. */
export interface Evaluator {
  readonly parallel: number;
  /** Never rejects for a fault of the trial: that is an outcome. */
  evaluate(task: Task): Promise<Outcome>;
  /** Ends what is under way: nobody waits for it. */
  abandon(): void;
}

/** What is known of a search when it begins, and has to be the same when it goes on. */
export interface SearchIdentity {
  /** Descriptions of the dimensions by name. */
  readonly space: Readonly<Record<string, string>>;
  readonly strategy: string;
  readonly seed: number;
}

/** Keeps trials that ended, so that an interrupted search goes on. */
export interface TrialStore {
  readonly name: string;
  /** The trials of an earlier run of the same search, in any order; throws UserError where they are of another one. */
  start(identity: SearchIdentity): readonly Trial[];
  add(trial: Trial): void;
}

/** Shows how far a search is. */
export interface SearchProgress {
  start(strategy: string, trials: number): void;
  trial(done: number, best: Trial | null, failed: number): void;
  stop(): void;
}

export interface SearchOptions<S extends Space> {
  readonly space: S;
  readonly strategy: Strategy;
  /** The most trials; a strategy may have fewer. */
  readonly trials: number;
  /** A function that is evaluated in this process, one trial at a time, or `workers({ … })`. */
  readonly objective: Objective<ParametersOf<S>> | Evaluator;
  /** Decides the trials, with the strategy and the results. Default 1. */
  readonly seed?: number;
  readonly store?: TrialStore;
  readonly progress?: SearchProgress;
  readonly onTrial?: (trial: Trial<ParametersOf<S>>) => void;
}

export interface SearchResult<P> {
  readonly best: Trial<P> & { readonly value: number };
  /** All, in the order in which they were proposed. */
  readonly trials: readonly Trial<P>[];
}

/**
 * Looks for the parameters of the least value. The same space, strategy and seed give the same trials whatever runs them, as long as
 * the objective gives the same values. Throws UserError where all trials failed.
 */
export async function run<const S extends Space>(options: SearchOptions<S>): Promise<SearchResult<ParametersOf<S>>> {
  const { space, strategy, trials: most, seed = 1, store, progress } = options;
  expectSpace(space);
  if (!Number.isInteger(most) || most < 1)
    throw new UserError(`search.run: a whole number of trials of at least 1 expected, ${most} given`);
  if (!Number.isSafeInteger(seed))
    throw new UserError(`search.run: a seed that is a whole number expected, ${seed} given`);
  const evaluator = typeof options.objective === 'function' ? here(options.objective) : options.objective;
  const kept = new Map((store?.start(identityOf(space, strategy, seed)) ?? []).map((trial) => [trial.index, trial]));
  const points: Point[] = [];
  const trials: Trial[] = [];
  const tally = new Tally(progress);
  try {
    progress?.start(strategy.name, most);
    while (trials.length < most) {
      const earlier = trials.map(({ value }, i): Evaluated => ({ point: points[i]!, value }));
      const round = strategy.propose(space, earlier, most - trials.length, seed);
      if (round.length === 0) break;
      const ended = await inParallel(round, evaluator.parallel, async (point, i) => {
        const task: Task = { trial: trials.length + i, seed, parameters: valuesAt(space, point) as Parameters };
        const known = kept.get(task.trial);
        if (known !== undefined) expectSame(known, task, store!.name);
        const trial = known ?? (await evaluated(task, evaluator));
        if (known === undefined) {
          store?.add(trial);
          options.onTrial?.(trial as Trial<ParametersOf<S>>);
        }
        tally.add(trial);
        return trial;
      });
      points.push(...round);
      trials.push(...ended);
    }
  } finally {
    progress?.stop();
    evaluator.abandon();
  }
  if (tally.best === null)
    throw new UserError(`search.run: all ${trials.length} trials failed; the first: ${trials[0]!.failure}`);
  return { best: tally.best, trials } as unknown as SearchResult<ParametersOf<S>>;
}

/** The best trial so far, the first of several that are as good, told to the progress. */
class Tally {
  best: (Trial & { readonly value: number }) | null = null;
  #done = 0;
  #failed = 0;
  readonly #progress: SearchProgress | undefined;
  constructor(progress: SearchProgress | undefined) {
    this.#progress = progress;
  }
  add(trial: Trial): void {
    const { value } = trial;
    this.#done++;
    if (value === null) this.#failed++;
    else if (
      this.best === null ||
      value < this.best.value ||
      (value === this.best.value && trial.index < this.best.index)
    )
      this.best = { ...trial, value };
    this.#progress?.trial(this.#done, this.best, this.#failed);
  }
}

function identityOf(space: Space, { description }: Strategy, seed: number): SearchIdentity {
  const dimensions = Object.entries(space).map(([name, dimension]) => [name, dimension.description]);
  return { space: Object.fromEntries(dimensions), strategy: description, seed };
}

function expectSame(known: Trial, { trial, parameters }: Task, store: string): void {
  if (JSON.stringify(known.parameters) === JSON.stringify(parameters)) return;
  throw new UserError(
    `${store}: trial ${trial} there has ${JSON.stringify(known.parameters)}, and would have ${JSON.stringify(parameters)}: ` +
      'the objective gave other values then, or Ashlar was of another version. Search anew, with another file',
  );
}

async function evaluated(task: Task, evaluator: Evaluator): Promise<Trial> {
  const began = performance.now();
  const outcome = await evaluator.evaluate(task);
  const seconds = (performance.now() - began) / 1000;
  const { trial: index, parameters } = task;
  if ('failure' in outcome) return { index, parameters, value: null, seconds, failure: outcome.failure };
  if (Number.isFinite(outcome.value)) return { index, parameters, value: outcome.value, seconds };
  return { index, parameters, value: null, seconds, failure: `the objective gave ${outcome.value}` };
}

/** The objective in this process. */
function here<P>(objective: Objective<P>): Evaluator {
  return {
    parallel: 1,
    evaluate: ({ parameters, ...context }) => outcomeOf(objective, parameters as P, context),
    abandon() {},
  };
}

/** Calls an objective; what it throws is an outcome. */
export async function outcomeOf<P>(objective: Objective<P>, parameters: P, context: TrialContext): Promise<Outcome> {
  try {
    return { value: Number(await objective(parameters, context)) };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}

/** Results in the order of the items, at most `width` of them under way; the first error ends it. */
async function inParallel<Item, Result>(
  items: readonly Item[],
  width: number,
  run: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      results[index] = await run(items[index]!, index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
  return results;
}
