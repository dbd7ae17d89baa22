// Training steps against PyTorch's eager mode: the same models, weights, batch and thread counts, in turn.
//
// Nothing is timed before the losses of the first steps agree: from the same weights they can only do so if forward pass,
// gradients and Adam do.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compile, StateStore, writeSafetensorsFile } from 'ashlar/node';
import { fmaPeak } from './fma-peak.ts';
import { median, progress, table } from './measure.ts';
import { batch, type ComparedModel, compared, comparedStep, exampleBatch } from './training/models.ts';
import { findPython, type PyTorch, startPyTorch } from './training/pytorch.ts';

/** Adam's first steps turn the rounding of a gradient near zero into a step of the learning rate; measured: below 3e-7. */
const lossTolerance = 1e-4;
const comparedSteps = 5;
/** Many short turns: on a shared machine both sides then meet the same neighbours, and some turns meet none. */
const secondsPerTurn = 0.06;
const turns = 31;

export interface Comparison {
  readonly model: string;
  readonly threads: number;
  readonly ashlarMs: number;
  readonly pytorchMs: number;
  /** Times that PyTorch's step takes ours: the median over turns, each turn's two times being neighbours. */
  readonly ratio: number;
  /** Of each side's fastest turn, which neighbours on the machine disturb least. */
  readonly fastest: { readonly ashlarMs: number; readonly pytorchMs: number; readonly ratio: number };
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
    steps.set(count, () => executable(given as never, outputs).loss[0]!);
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
    ['y', { shape: [batch], dtype: 'i32', data: our.given.y }],
  ]);
  return [weights, examples];
}

function expectSameLosses(title: string, ours: readonly number[], theirs: readonly number[]): void {
  ours.forEach((loss, i) => {
    if (!(Math.abs(loss - theirs[i]!) <= lossTolerance * Math.abs(theirs[i]!)))
      throw new Error(`${title}: the losses of step ${i + 1} differ: ours [${ours}], PyTorch's [${theirs}]`);
  });
}

/** Milliseconds for `count` steps, after one that is not counted: the other side's turn has emptied the caches. */
function runOurs(step: () => number, count: number): number {
  step();
  const start = performance.now();
  for (let i = 0; i < count; i++) step();
  return performance.now() - start;
}

async function takeTurns(step: () => number, pytorch: PyTorch) {
  const count = async (run: (steps: number) => Promise<number> | number): Promise<number> => {
    await run(2);
    return Math.ceil((secondsPerTurn * 3000) / (await run(3)));
  };
  const ourCount = await count((steps) => runOurs(step, steps));
  const theirCount = await count(async (steps) => 1000 * (await pytorch.run(steps)));
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let turn = 0; turn < turns; turn++) {
    ours.push(runOurs(step, ourCount) / ourCount);
    theirs.push((1000 * (await pytorch.run(theirCount))) / theirCount);
  }
  const ratio = median(ours.map((time, turn) => theirs[turn]! / time));
  const fastest = { ashlarMs: Math.min(...ours), pytorchMs: Math.min(...theirs) };
  return {
    ashlarMs: median(ours),
    pytorchMs: median(theirs),
    ratio,
    fastest: { ...fastest, ratio: fastest.pytorchMs / fastest.ashlarMs },
  };
}

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

function resultTable(comparisons: readonly Comparison[], threads: readonly number[]): string {
  const rows = [...new Set(comparisons.map(({ model }) => model))].map((model) => [
    model,
    ...threads.flatMap((count) => {
      const found = comparisons.find((row) => row.model === model && row.threads === count)!;
      const times = [found.ashlarMs, found.pytorchMs].map((time) => time.toFixed(2));
      return [...times, `${found.ratio.toFixed(2)}×`, `${found.fastest.ratio.toFixed(2)}×`];
    }),
  ]);
  const mean = (count: number, ratio: (row: Comparison) => number): string =>
    `${geometricMean(comparisons.filter((row) => row.threads === count).map(ratio)).toFixed(2)}×`;
  const means = threads.flatMap((n) => ['', '', mean(n, (row) => row.ratio), mean(n, (row) => row.fastest.ratio)]);
  const header = threads.flatMap((count) => [
    `ms, ${count} ${count === 1 ? 'thread' : 'threads'}`,
    'PyTorch ms',
    'ratio',
    'of fastest',
  ]);
  return table(['model', ...header], [...rows, ['geometric mean', ...means]]);
}

function report(comparisons: readonly Comparison[], threads: readonly number[], peak: number, about: PyTorch): string {
  return [
    `## Training steps (batch ${batch}, cross-entropy, Adam) against PyTorch`,
    '',
    resultTable(comparisons, threads),
    '',
    `Medians of ${turns} turns of about ${secondsPerTurn} s each, both sides alternating in one run; the ratio is the median of`,
    `the turns' ratios, and the last one that of each side's fastest turn. Before timing, the losses of the first ${comparedSteps}`,
    `steps from the same weights agree within ${lossTolerance} (relative). PyTorch ${about.version}, eager mode, ${about.capability} kernels,`,
    `${about.blas}. FMA peak of one thread in this run: ${peak.toFixed(0)} GFLOP/s.`,
  ].join('\n');
}

/** The models named, by default all of them. */
export async function trainingVsPytorch(names: readonly string[] = []): Promise<string> {
  const unknown = names.find((name) => !compared.some((model) => model.name === name));
  if (unknown !== undefined)
    throw new Error(`no model ${unknown}; there are ${compared.map(({ name }) => name).join(', ')}`);
  const chosen = compared.filter(({ name }) => names.length === 0 || names.includes(name));
  const python = findPython();
  const threads = [...new Set([1, availableParallelism()])];
  const folder = mkdtempSync(join(tmpdir(), 'ashlar-training-'));
  try {
    const results = [];
    for (const model of chosen) results.push(await compare(model, threads, python, folder));
    const comparisons = results.flatMap((result) => result.comparisons);
    const peak = fmaPeak();
    const about = results[0]!.pytorch;
    const machine = `Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}`;
    const { version, capability, blas } = about;
    const kept = { machine, fmaPeakGflops: peak, pytorch: { version, capability, blas }, turns, comparisons };
    const file = fileURLToPath(new URL('./results/training.json', import.meta.url));
    writeFileSync(file, `${JSON.stringify(kept, null, 2)}\n`);
    return report(comparisons, threads, peak, about);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
