// Training steps against PyTorch's eager mode: the same models, weights, batch and thread counts, in turn.
//
// Nothing is timed before the losses of the first steps agree: from the same weights they can only do so if forward pass,
// gradients and Adam do.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compile, StateStore, writeSafetensorsFile } from 'ashlar/node';
import { fmaPeak } from './fma-peak.ts';
import { median, progress, table } from './measure.ts';
import { batch, type ComparedModel, compared, comparedStep, exampleBatch } from './training/models.ts';
import { findPython, type PyTorch, type StepsTime, startPyTorch } from './training/pytorch.ts';

/** Adam's first steps turn the rounding of a gradient near zero into a step of the learning rate; measured: below 3e-7. */
const lossTolerance = 1e-4;
const comparedSteps = 5;
/** Many short turns: on a shared machine both sides then meet the same neighbours, and some turns meet none. */
const secondsPerTurn = 0.06;
const turns = 21;

interface Pair {
  readonly ashlarMs: number;
  readonly pytorchMs: number;
  /** Times that PyTorch's step takes ours. */
  readonly ratio: number;
}

export interface Comparison {
  readonly model: string;
  readonly threads: number;
  /** Medians over turns; the ratio is the median of each turn's, whose two times are neighbours. */
  readonly median: Pair;
  /** Of each side's fastest turn, which neighbours on the machine disturb least. */
  readonly fastest: Pair;
  /** The processor's time, all threads together: what one thread does is seen by it whatever else runs. */
  readonly cpu: Pair;
  readonly losses: { readonly ashlar: readonly number[]; readonly pytorch: readonly number[] };
}

/** Our side of one model: a step of any number of threads, on one state. */
async function ourSide(model: ComparedModel, threads: readonly number[]) {
  const state = new StateStore();
  const { step, layers } = comparedStep(model);
  const given = exampleBatch(model);
  const steps = new Map<number, () => number>();
  for (const count of threads) {
    const executable = await compile(step, { threads: count, state });
    const outputs = { loss: new Float32Array(1) };
    steps.set(count, () => executable(given as never, { outputs }).loss[0]!);
  }
  return { state, layers, given, steps };
}

function writeFiles(folder: string, model: ComparedModel, our: Awaited<ReturnType<typeof ourSide>>): [string, string] {
  const weights = join(folder, `${model.name}-weights.safetensors`);
  const examples = join(folder, `${model.name}-batch.safetensors`);
  writeSafetensorsFile(
    weights,
    our.layers.variables.map(({ name, type }) => [
      name,
      { shape: type.shape, dtype: type.dtype, data: our.state.get(name) as Float32Array },
    ]),
  );
  const dtype = model.x.classes === null ? 'f32' : 'i32';
  writeSafetensorsFile(examples, [
    ['x', { shape: model.x.shape, dtype, data: our.given.x }],
    ['y', { shape: [our.given.y.length], dtype: 'i32', data: our.given.y }],
  ]);
  return [weights, examples];
}

function expectSameLosses(title: string, ours: readonly number[], theirs: readonly number[]): void {
  ours.forEach((loss, i) => {
    if (!(Math.abs(loss - theirs[i]!) <= lossTolerance * Math.abs(theirs[i]!)))
      throw new Error(`${title}: the losses of step ${i + 1} differ: ours [${ours}], PyTorch's [${theirs}]`);
  });
}

/** Times `count` steps, after one that is not counted: the other side's turn has emptied the caches. */
function runOurs(step: () => number, count: number): StepsTime {
  step();
  const start = performance.now();
  const cpu = process.cpuUsage();
  for (let i = 0; i < count; i++) step();
  const { user, system } = process.cpuUsage(cpu);
  return { seconds: (performance.now() - start) / 1e3, cpuSeconds: (user + system) / 1e6 };
}

/** Milliseconds per step, turn by turn. */
interface Times {
  readonly wall: number[];
  readonly cpu: number[];
}

async function takeTurns(
  step: () => number,
  pytorch: PyTorch,
): Promise<Omit<Comparison, 'model' | 'threads' | 'losses'>> {
  const sides = [(count: number) => runOurs(step, count), (count: number) => pytorch.run(count)] as const;
  const times = sides.map((): Times => ({ wall: [], cpu: [] }));
  const counts: number[] = [];
  for (const run of sides) {
    await run(2);
    counts.push(Math.ceil((secondsPerTurn * 3) / (await run(3)).seconds));
  }
  for (let turn = 0; turn < turns; turn++) {
    for (const [side, run] of sides.entries()) {
      const count = counts[side]!;
      const { seconds, cpuSeconds } = await run(count);
      times[side]!.wall.push((1e3 * seconds) / count);
      times[side]!.cpu.push((1e3 * cpuSeconds) / count);
    }
  }
  const [ours, theirs] = times as [Times, Times];
  return {
    median: medians(ours.wall, theirs.wall),
    fastest: pair(Math.min(...ours.wall), Math.min(...theirs.wall)),
    cpu: medians(ours.cpu, theirs.cpu),
  };
}

const pair = (ashlarMs: number, pytorchMs: number): Pair => ({ ashlarMs, pytorchMs, ratio: pytorchMs / ashlarMs });

const medians = (ours: readonly number[], theirs: readonly number[]): Pair => ({
  ashlarMs: median(ours),
  pytorchMs: median(theirs),
  ratio: median(ours.map((time, turn) => theirs[turn]! / time)),
});

async function compare(model: ComparedModel, threads: readonly number[], python: string, folder: string) {
  progress(`training step of ${model.title}, with PyTorch in turn`);
  const our = await ourSide(model, threads);
  const pytorch = await startPyTorch(python, model.name, ...writeFiles(folder, model, our));
  try {
    const ashlarLosses = Array.from({ length: comparedSteps }, () => our.steps.get(threads[0]!)!());
    const losses = { ashlar: ashlarLosses, pytorch: await pytorch.losses(comparedSteps) };
    expectSameLosses(model.title, losses.ashlar, losses.pytorch);
    const comparisons: Comparison[] = [];
    for (const count of threads) {
      await pytorch.setThreads(count);
      const times = await takeTurns(our.steps.get(count)!, pytorch);
      comparisons.push({ model: model.title, threads: count, ...times, losses });
    }
    return { comparisons, pytorch };
  } finally {
    pytorch.end();
  }
}

const geometricMean = (values: readonly number[]): number =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

/** On more than one thread the processor's time counts waiting too: it compares work on one thread only. */
const ratiosShown = (threads: number): readonly ('median' | 'fastest' | 'cpu')[] =>
  threads === 1 ? ['median', 'fastest', 'cpu'] : ['median', 'fastest'];
const titles = { median: 'ms, median', fastest: 'ms, fastest turn', cpu: 'ms of the processor' };

function resultTable(comparisons: readonly Comparison[], threads: number): string {
  const found = comparisons.filter((row) => row.threads === threads);
  const shown = ratiosShown(threads);
  const rows = found.map((row) => [
    row.model,
    ...shown.flatMap((kind) => {
      const { ashlarMs, pytorchMs, ratio } = row[kind];
      return [ashlarMs.toFixed(2), pytorchMs.toFixed(2), `${ratio.toFixed(2)}×`];
    }),
  ]);
  const means = shown.flatMap((kind) => ['', '', `${geometricMean(found.map((row) => row[kind].ratio)).toFixed(2)}×`]);
  const header = shown.flatMap((kind) => [titles[kind], 'PyTorch', 'ratio']);
  return table(['model', ...header], [...rows, ['geometric mean', ...means]]);
}

export interface Circumstances {
  readonly fmaPeakGflops: number;
  /** Processes that wanted to run, over the last minute, before and after: above the number of threads, times of several threads mean little. */
  readonly load: readonly [number, number];
  readonly pytorch: { readonly version: string; readonly capability: string; readonly blas: string };
}

/** The tables of a comparison, under a heading that says the batch where it is the same for all. */
export function trainingReport(
  comparisons: readonly Comparison[],
  { fmaPeakGflops, load, pytorch }: Circumstances,
  batches = '',
): string {
  const threads = [...new Set(comparisons.map((comparison) => comparison.threads))];
  return [
    `## Training steps (${batches}cross-entropy, Adam) against PyTorch`,
    '',
    ...threads.flatMap((count) => [
      `### ${count} ${count === 1 ? 'thread' : 'threads'}`,
      '',
      resultTable(comparisons, count),
      '',
    ]),
    `Medians of ${turns} turns of about ${secondsPerTurn} s each, both sides alternating in one run; the ratio is the median of`,
    "the turns' ratios, beside it those of each side's fastest turn and of the processor's time. Before timing, the losses",
    `of the first ${comparedSteps} steps from the same weights agree within ${lossTolerance} (relative). PyTorch ${pytorch.version}, eager mode,`,
    `${pytorch.capability} kernels, ${pytorch.blas}. FMA peak of one thread in this run: ${fmaPeakGflops.toFixed(0)} GFLOP/s;`,
    `load average before ${load[0].toFixed(1)}, after ${load[1].toFixed(1)}${
      Math.max(...load) > Math.max(...threads) + 1
        ? ': others were at work, so of the times only those of the processor compare, and those of several threads mean little'
        : ''
    }.`,
  ].join('\n');
}

/** The models named, by default all of them. */
export async function trainingVsPytorch(names: readonly string[] = []): Promise<string> {
  const unknown = names.find((name) => !compared.some((model) => model.name === name));
  if (unknown !== undefined)
    throw new Error(`no model ${unknown}; there are ${compared.map(({ name }) => name).join(', ')}`);
  const chosen = compared.filter(({ name }) => names.length === 0 || names.includes(name));
  const { comparisons, circumstances } = await measureSteps(chosen);
  const machine = `Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}`;
  const kept = { machine, ...circumstances, turns, comparisons };
  const file = fileURLToPath(new URL('./results/training.json', import.meta.url));
  writeFileSync(file, `${JSON.stringify(kept, null, 2)}\n`);
  return trainingReport(comparisons, circumstances, `batch ${batch}, `);
}

/** Compares models, one after the other, on one thread and on all. */
export async function measureSteps(
  models: readonly ComparedModel[],
): Promise<{ readonly comparisons: readonly Comparison[]; readonly circumstances: Circumstances }> {
  const python = findPython();
  const threads = [...new Set([1, availableParallelism()])];
  const folder = mkdtempSync(join(tmpdir(), 'ashlar-training-'));
  try {
    const before = loadavg()[0]!;
    const results = [];
    for (const model of models) results.push(await compare(model, threads, python, folder));
    const { version, capability, blas } = results[0]!.pytorch;
    return {
      comparisons: results.flatMap((result) => result.comparisons),
      circumstances: {
        fmaPeakGflops: fmaPeak(),
        load: [before, loadavg()[0]!],
        pytorch: { version, capability, blas },
      },
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
