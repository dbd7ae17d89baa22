// Hyper-parameter search: scales, what each strategy proposes, that a seed decides it whatever runs the trials, and that neither failing
// trials, dying processes nor an interruption lose a search.

import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { UserError } from 'ashlar';
import { search } from 'ashlar/node';
import { afterAll, describe, expect, it } from 'vitest';
import { expectedImprovement } from '../src/search/bayesian.ts';
import { gaussianProcess } from '../src/search/gaussian-process.ts';
import { drawsOf } from '../src/search/strategy.ts';
import { expectClose } from './helpers/close.ts';

const { bayesian, choice, evolutionary, grid, integer, linear, log, random, run, trialFile, workers } = search;
const folder = mkdtempSync(join(tmpdir(), 'ashlar-search-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const units = Array.from({ length: 1001 }, (_, i) => i / 1000);

describe('scales', () => {
  it('linear and log reach both ends, and their middles are the arithmetic and the geometric mean', () => {
    expectClose([0, 0.5, 1].map(linear(-1, 3).at), [-1, 1, 3]);
    expectClose([0, 0.5, 1].map(log(1e-4, 1).at), [1e-4, 1e-2, 1]);
  });

  it('integers and choices have all their values, equally often', () => {
    const counts = (values: readonly unknown[]) =>
      [...new Set(values)].map((value) => [value, values.filter((other) => other === value).length]);
    const middles = units.slice(1).map((unit) => unit - 5e-4);
    expect(counts(middles.map(integer(3, 6).at))).toEqual([3, 4, 5, 6].map((n) => [n, 250]));
    expect(counts(middles.map(choice('a', true).at))).toEqual([
      ['a', 500],
      [true, 500],
    ]);
    expect(integer(3, 6).at(1)).toBe(6);
  });

  it('integers on a logarithmic scale have as much room for a factor as for any other', () => {
    const { at } = integer(1, 64, { scale: 'log' });
    const values = units.map(at);
    expect([values[0], values.at(-1), new Set(values).size]).toEqual([1, 64, 64]);
    const between = (low: number, high: number) => values.filter((n) => n >= low && n < high).length;
    expect(Math.abs(between(4, 8) / between(16, 32) - 1)).toBeLessThan(0.1);
  });

  it('refuse ranges that are none', () => {
    expect(() => linear(1, 1)).toThrow('linear(1, 1): two finite numbers in rising order expected');
    expect(() => log(0, 1)).toThrow('log(0, 1): two finite numbers above 0 in rising order expected');
    expect(() => integer(1.5, 3)).toThrow('integer(1.5, 3): whole numbers expected');
    expect(() => choice('a', 'a')).toThrow('choice(a, a): different values, at least one, expected');
  });
});

const parabola = { x: linear(0, 1) };
const square = ({ x }: { readonly x: number }) => (x - 0.3) ** 2;

/** F. H. Branin 1972: three minima of 0.397887, among hills of up to 308. */
const plane = { x: linear(-5, 10), y: linear(0, 15) };
const branin = ({ x, y }: { readonly x: number; readonly y: number }) =>
  (y - (5.1 / (4 * Math.PI ** 2)) * x * x + (5 / Math.PI) * x - 6) ** 2 +
  10 * (1 - 1 / (8 * Math.PI)) * Math.cos(x) +
  10;
const braninMinimum = 0.397887;

describe('strategies', () => {
  it('grid has every combination once, the last dimension fastest, and ends with them', async () => {
    const space = { rate: log(0.01, 1), depth: integer(1, 2), kind: choice('tanh', 'relu', 'sigmoid', 'elu') };
    const { trials } = await run({ space, strategy: grid(3), trials: 100, objective: ({ rate }) => rate });
    expect(trials.length).toBe(3 * 2 * 3);
    expect(trials.slice(0, 4).map(({ parameters: { rate, depth, kind } }) => [rate, depth, kind])).toEqual([
      [0.01, 1, 'tanh'],
      [0.01, 1, 'sigmoid'],
      [0.01, 1, 'elu'],
      [0.01, 2, 'tanh'],
    ]);
    expect(new Set(trials.map(({ parameters }) => JSON.stringify(parameters))).size).toBe(18);
  });

  it('grid has as many levels of a dimension as are given for it, the middle where there is one', async () => {
    const space = { x: linear(0, 1), y: linear(0, 1) };
    const strategy = grid({ y: 1, x: 2 });
    const { trials } = await run({ space, strategy, trials: 9, objective: ({ x }) => x });
    expect(trials.map(({ parameters: { x, y } }) => [x, y])).toEqual([
      [0, 0.5],
      [1, 0.5],
    ]);
    const unknown = run({ space, strategy: grid({ z: 2 }), trials: 9, objective: ({ x }) => x });
    await expect(unknown).rejects.toThrow('grid: levels of z given, and the dimensions are x, y');
  });

  it.each([random(), bayesian(), evolutionary()])(
    '$name: a seed gives the same trials, another seed others',
    async (strategy) => {
      const options = { space: plane, strategy, trials: 14, objective: branin };
      const values = async (seed: number) => (await run({ ...options, seed })).trials.map(({ value }) => value);
      const first = await values(1);
      expect(await values(1)).toEqual(first);
      expect(await values(2)).not.toEqual(first);
    },
  );

  it('in 40 trials Bayesian search comes to the minimum, evolution nearer to it than random points', async () => {
    const reached = async (strategy: search.Strategy) => {
      const seeds = [1, 2, 3];
      const found = await Promise.all(
        seeds.map((seed) => run({ space: plane, strategy, trials: 40, objective: branin, seed })),
      );
      return found.reduce((sum, { best }) => sum + best.value - braninMinimum, 0) / seeds.length;
    };
    const [byModel, byEvolution, byChance] = [
      await reached(bayesian()),
      await reached(evolutionary()),
      await reached(random()),
    ];
    expect(byModel).toBeLessThan(0.02);
    expect(byEvolution).toBeLessThan(0.7 * byChance);
  });

  it('Bayesian search learns which of a choice is good, and bears values of 10⁹', async () => {
    const space = { rate: log(1e-4, 1), kind: choice('a', 'b', 'c') };
    const objective = ({ rate, kind }: { readonly rate: number; readonly kind: string }) =>
      rate > 0.5 ? 1e9 : (Math.log10(rate) + 2) ** 2 + (kind === 'b' ? 0 : 1);
    const { best, trials } = await run({ space, strategy: bayesian(), trials: 30, objective });
    expect(best.parameters.kind).toBe('b');
    expect(best.value).toBeLessThan(0.01);
    expect(trials.slice(15).filter(({ parameters }) => parameters.kind === 'b').length).toBeGreaterThan(9);
  });

  it('refuse options that are none', () => {
    expect(() => grid(0)).toThrow('grid: a whole number of levels of at least 1 expected, 0 given');
    expect(() => bayesian({ round: 0.5 })).toThrow('bayesian: whole numbers of at least 1 expected');
    expect(() => evolutionary({ spread: 0 })).toThrow('evolutionary: a spread above 0');
  });
});

describe('the Gaussian process', () => {
  const at = [0, 0.15, 0.3, 0.5, 0.7, 0.85, 1];
  const wave = (x: number) => Math.sin(6 * x);
  const mean = at.reduce((sum, x) => sum + wave(x), 0) / at.length;
  const process = gaussianProcess(
    at.map((x) => [x]),
    at.map((x) => wave(x) - mean),
  );

  it('follows a smooth function between its points, and knows where it does not know', () => {
    for (const x of [0.07, 0.22, 0.4, 0.6, 0.77, 0.93])
      expect(process.predict([x]).mean).toBeCloseTo(wave(x) - mean, 1);
    expect(process.predict([0.3]).deviation).toBeLessThan(0.1);
    expect(process.predict([1.8]).deviation).toBeGreaterThan(5 * process.predict([0.4]).deviation);
  });

  it('expects of a normal value the improvement that sampling it gives', () => {
    const { normal } = drawsOf(1, 0, 'candidates');
    const samples = Array.from({ length: 40_000 }, () => Math.max(0, 0.2 - (0.5 + 0.7 * normal())));
    const sampled = samples.reduce((sum, value) => sum + value, 0) / samples.length;
    expect(expectedImprovement({ mean: 0.5, deviation: 0.7 }, 0.2)).toBeCloseTo(sampled, 2);
    expect(expectedImprovement({ mean: 0.5, deviation: 0 }, 0.2)).toBe(0);
  });
});

describe('trials that fail', () => {
  it('are told why, and the search goes on', async () => {
    const objective = ({ x }: { readonly x: number }) => {
      if (x < 0.2) throw new Error('too small');
      return x < 0.5 ? Number.NaN : x;
    };
    for (const strategy of [random(), bayesian(), evolutionary()]) {
      const { best, trials } = await run({ space: parabola, strategy, trials: 24, objective });
      for (const { parameters, failure } of trials)
        expect(failure).toBe(
          parameters.x < 0.2 ? 'too small' : parameters.x < 0.5 ? 'the objective gave NaN' : undefined,
        );
      expect(trials.filter(({ failure }) => failure !== undefined).length).toBeGreaterThan(2);
      expect(best.value).toBe(best.parameters.x);
    }
  });

  it('all of them are an error', async () => {
    const objective = () => {
      throw new Error('no data');
    };
    const failing = run({ space: parabola, strategy: random(), trials: 3, objective });
    await expect(failing).rejects.toThrow('all 3 trials failed; the first: no data');
  });
});

describe('trials in a file', () => {
  const options = { space: parabola, strategy: bayesian({ initial: 3 }), trials: 8, objective: square };

  it('go on where an interrupted search stopped, a half-written line evaluated again', async () => {
    const whole = await run(options);
    const path = join(folder, 'interrupted.jsonl');
    let calls = 0;
    const interrupted = run({
      ...options,
      store: trialFile(path),
      onTrial: () => {
        if (++calls === 5) throw new Error('interrupted');
      },
    });
    await expect(interrupted).rejects.toThrow('interrupted');
    appendFileSync(path, '{"index":5,"param');
    const evaluatedNow: number[] = [];
    const resumed = await run({ ...options, store: trialFile(path), onTrial: ({ index }) => evaluatedNow.push(index) });
    expect(evaluatedNow).toEqual([5, 6, 7]);
    const withoutTimes = ({ trials }: typeof whole) => trials.map(({ seconds, ...trial }) => trial);
    expect(withoutTimes(resumed)).toEqual(withoutTimes(whole));
    expect(readFileSync(path, 'utf8').trim().split('\n').length).toBe(1 + 8);
  });

  it('more trials of the same search follow those that are there', async () => {
    const path = join(folder, 'more.jsonl');
    const short = await run({ ...options, trials: 4, store: trialFile(path) });
    const long = await run({ ...options, store: trialFile(path) });
    expect(long.trials.slice(0, 4)).toEqual(short.trials);
  });

  it('of another search, and damaged ones, are refused', async () => {
    const path = join(folder, 'other.jsonl');
    await run({ ...options, store: trialFile(path) });
    await expect(run({ ...options, seed: 2, store: trialFile(path) })).rejects.toThrow(
      `the trials in ${path} are of another search: its seed is 1, and this one's 2`,
    );
    await expect(run({ ...options, space: { x: log(0.1, 1) }, store: trialFile(path) })).rejects.toThrow(
      /its space is/,
    );
    writeFileSync(path, readFileSync(path, 'utf8').replace('"index":2', '"index":"two"'));
    await expect(run({ ...options, store: trialFile(path) })).rejects.toThrow(`${path}, line 4: a trial with index`);
    writeFileSync(path, 'x\n');
    await expect(run({ ...options, store: trialFile(path) })).rejects.toThrow(
      `${path}, line 1: JSON expected, "x" found`,
    );
    await expect(run({ ...options, store: trialFile(folder) })).rejects.toThrow(UserError);
  });
});

describe('worker processes', () => {
  const module = new URL('helpers/search-trials.ts', import.meta.url);
  const execArgv = ['--import', createRequire(import.meta.url).resolve('tsx')];
  const inWorkers = (count: number, more: Partial<search.WorkerOptions> = {}) =>
    workers({ module, count, execArgv, ...more });
  const space = { x: linear(0, 1), way: choice('well') };

  it('give what this process gives, however many there are', async () => {
    const options = { space, strategy: evolutionary({ children: 4 }), trials: 12 };
    const values = async (objective: search.SearchOptions<typeof space>['objective']) =>
      (await run({ ...options, objective })).trials.map(({ value }) => value);
    const here = await values(square);
    expect(await values(inWorkers(1))).toEqual(here);
    expect(await values(inWorkers(3))).toEqual(here);
  });

  it('that die, throw or hang cost their own trial alone', async () => {
    const ways = { x: linear(0, 1), way: choice('well', 'dies', 'throws', 'hangs') };
    const { trials, best } = await run({
      space: ways,
      strategy: grid(4),
      trials: 8,
      objective: inWorkers(2, { timeLimit: 0.5 }),
    });
    expect(best.parameters.way).toBe('well');
    for (const { parameters, value, failure, index } of trials) {
      const reason = {
        well: undefined,
        dies: 'its process ended with exit code 3',
        throws: `trial ${index} is refused`,
        hangs: 'it took longer than 0.5 s',
      }[parameters.way];
      expect([failure, value === null]).toEqual([reason, reason !== undefined]);
    }
  });

  it('a trial whose process died once is evaluated again', async () => {
    const mark = join(folder, 'mark');
    const { best } = await run({
      space: { x: linear(0, 1), way: choice('once') },
      strategy: random(),
      trials: 1,
      objective: inWorkers(1, { args: [mark] }),
    });
    expect(existsSync(mark)).toBe(true);
    expect(best.value).toBe(square(best.parameters));
  });

  it('are refused where no search started them', () => {
    expect(search.servesTrials()).toBe(false);
    expect(() => search.serveTrials(() => 0)).toThrow('serveTrials: this process was not started by a search');
    expect(() => inWorkers(0)).toThrow('workers: whole numbers of at least 1 expected, count 0');
  });
});

describe('the progress bar', () => {
  const shownBy = async (isTTY: boolean): Promise<string> => {
    const terminal = { isTTY, columns: 100, cursorTo: () => true, clearLine: () => true };
    const stream = Object.assign(new PassThrough(), terminal);
    const progress = search.progressBar(stream);
    const objective = ({ x }: { readonly x: number }) => (x < 0.5 ? Number.NaN : x);
    await run({ space: parabola, strategy: random(), trials: 12, objective, progress });
    return stream.read()?.toString() ?? '';
  };

  it('has the best value so far and how many trials failed', async () => {
    expect(await shownBy(true)).toMatch(/random .*12\/12 {2}best 0\.\d+ \(trial \d+\), \d+ failed/);
  });

  it('writes nothing where there is no terminal', async () => {
    expect(await shownBy(false)).toBe('');
  });
});
