// `ashlar bench`: how long a call takes, from its arguments to its results.

import { randomInput, readInputs, seeded } from '../arrays.ts';
import type { Context } from '../program.ts';
import { type Arrays, openRunnable, type Runnable, type RunnableOptions } from '../runnable.ts';
import { print, printJson, progress } from '../terminal.ts';

interface BenchOptions extends RunnableOptions {
  /** `NAME=FILE` of each. */
  readonly input?: readonly string[];
  readonly seconds: number;
  readonly json?: boolean;
}

export async function benchModel(path: string, options: BenchOptions, { own }: Context): Promise<void> {
  const runnable = await openRunnable(path, options, own);
  try {
    const random = seeded(1);
    const given = readInputs(runnable.inputs, options.input);
    const inputs = Object.fromEntries(
      runnable.inputs.map((input) => [input.name, given[input.name] ?? randomInput(input, runnable.checks, random)]),
    );
    const times = await measure(runnable, inputs, options.seconds);
    const sorted = times.sort((a, b) => a - b);
    const rounded = (milliseconds: number): number => Number(milliseconds.toPrecision(5));
    const result = {
      median_ms: rounded(median(sorted)),
      min_ms: rounded(sorted[0]!),
      runs: sorted.length,
      target: runnable.target,
      threads: runnable.threads,
    };
    if (options.json === true) printJson(result);
    else
      print(
        `median ${result.median_ms} ms, min ${result.min_ms} ms of ${result.runs} runs (target ${result.target}, ${result.threads} thread${result.threads === 1 ? '' : 's'})`,
      );
  } finally {
    runnable.close();
  }
}

const median = (sorted: Float64Array): number => {
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

/** Parts of the time between which progress is shown. */
const parts = 20;
/** Part of the time that is spent before anything counts: caches, pages and clocks settle. */
const warmUp = 0.1;
/** So many runs are measured however long they take. */
const fewestRuns = 3;
/** More runs than this tell nothing more; their times fill memory. */
const mostRuns = 1e6;

/** Milliseconds of every run. */
async function measure(runnable: Runnable, inputs: Arrays, seconds: number): Promise<Float64Array> {
  const once = async (): Promise<number> => {
    const before = performance.now();
    const answer = runnable.run(inputs);
    // Only a promise is waited for: a turn of the event loop would be part of the time.
    if (answer instanceof Promise) await answer;
    return performance.now() - before;
  };
  const bar = progress('measuring', parts);
  const whole = seconds * 1000;
  const begin = performance.now();
  while (performance.now() - begin < whole * warmUp) await once();
  const times: number[] = [];
  const measured = performance.now();
  for (let part = 1; part <= parts; part++) {
    const end = measured + (whole * part) / parts;
    while (performance.now() < end && times.length < mostRuns) times.push(await once());
    bar.advance(`${times.length} runs`);
    await new Promise(setImmediate);
  }
  while (times.length < fewestRuns) times.push(await once());
  bar.stop();
  return Float64Array.from(times);
}
