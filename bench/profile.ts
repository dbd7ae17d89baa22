// npm run bench profile MODEL [THREADS]: where a model's time goes, kernel by kernel; training:MODEL is its training step.
// The program runs as it always does, compiled by profile-compiler.mjs, which puts a clock around every kernel's call.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compile, type Executable, StateStore } from 'ashlar/node';
import koffi from 'koffi';
import type { Launch } from '../src/ir/program.ts';
import { countedLeaves, leavesOf } from '../src/ir/steps.ts';
import { formatType } from '../src/ir/types.ts';
import { compileModel } from './compile-model.ts';
import { median, progress, table } from './measure.ts';
import { exampleInput } from './models/example-input.ts';
import { ashlarModel, models } from './models/index.ts';
import { constantBytes, floorSeconds, measureRoofline, type Roofline, workOf } from './roofline.ts';
import { type ComparedModel, compared, comparedStep, exampleBatch } from './training/models.ts';

const compiler = fileURLToPath(new URL('./profile-compiler.mjs', import.meta.url));
/** Runs whose median counts: as many as fit, within bounds. */
const secondsOfRuns = 4;
const fewestRuns = 5;
const mostRuns = 200;

interface KernelTime {
  readonly name: string;
  readonly launches: readonly Launch[];
  readonly seconds: number;
  readonly flops: number;
  readonly bytes: number;
  /** The least seconds that the machine could need. */
  readonly floor: number;
}

type Arrays = Record<string, Float32Array | Int32Array>;

/** What is profiled: a compiled program, its inputs, and the arithmetic that its definition asks for. */
interface Subject {
  readonly title: string;
  readonly flops: number;
  readonly run: Executable<Arrays, Arrays>;
  readonly inputs: Arrays;
}
type Prepare = (threads: number) => Promise<Subject>;

/** How each name is compiled. A training step's arithmetic is counted from its kernels. */
const subjects: Readonly<Record<string, Prepare>> = {
  ...Object.fromEntries(Object.keys(models).map((name) => [name, (threads: number) => inferenceOf(name, threads)])),
  ...Object.fromEntries(
    compared.map((model) => [`training:${model.name}`, (threads: number) => trainingOf(model, threads)]),
  ),
};

async function inferenceOf(name: string, threads: number): Promise<Subject> {
  const model = models[name]!;
  const { definition, flops } = ashlarModel(model, name);
  const run = await compileModel(definition, { threads, state: new StateStore(), compiler });
  return { title: model.title, flops, run, inputs: { x: exampleInput(model, run.program.inputs[0]!.type.shape) } };
}

async function trainingOf(model: ComparedModel, threads: number): Promise<Subject> {
  const compiled = await compile(comparedStep(model).step, { threads, compiler });
  const run = compiled as unknown as Executable<Arrays, Arrays>;
  const flops = countedLeaves(run.program.steps, 1).reduce(
    (sum, { leaf, times }) => sum + times * leaf.kernel.flops,
    0,
  );
  return { title: `training step of ${model.title}`, flops, run, inputs: exampleBatch(model) };
}

export async function profile(wanted: readonly string[]): Promise<string> {
  const threads = Number(wanted.find((argument) => /^\d+$/.test(argument)) ?? 1);
  const names = wanted.filter((argument) => !/^\d+$/.test(argument));
  const unknown = names.find((name) => !(name in subjects));
  if (names.length === 0 || unknown !== undefined)
    throw new Error(
      `profile: one of the models ${Object.keys(subjects).join(', ')} expected, ${unknown ?? 'none'} given`,
    );
  const texts: string[] = [];
  for (const name of names) texts.push(await profileModel(name, threads));
  return texts.join('\n\n');
}

async function profileModel(name: string, threads: number): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'ashlar-profile-'));
  const cache = process.env.ASHLAR_CACHE;
  process.env.ASHLAR_CACHE = folder;
  try {
    progress(`compiling ${name} with a clock around each kernel`);
    const { title, flops, run, inputs } = await subjects[name]!(threads);
    const library = readdirSync(folder).find((file) => file.endsWith('.so'))!;
    const steps = leavesOf(run.program.steps);
    if (run.program.steps.some(({ kind }) => kind !== 'launch'))
      throw new Error(`${name} has loops: calls of its kernels cannot be told apart by their order`);
    progress(`running it on ${threads} thread${threads === 1 ? '' : 's'}`);
    const times = timeCalls(join(folder, library), steps.length, () => void run(inputs));
    const roofline = measureRoofline(constantBytes(run.program), threads);
    const kernels = groupByFunction(run.source, steps, times.calls, roofline);
    const heading = `${title}, ${threads} thread${threads === 1 ? '' : 's'}`;
    return report(heading, flops, roofline, kernels, times.whole);
  } finally {
    if (cache === undefined) delete process.env.ASHLAR_CACHE;
    else process.env.ASHLAR_CACHE = cache;
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Median seconds of each call in the program's text, and of whole runs. */
function timeCalls(path: string, expected: number, run: () => void): { calls: number[]; whole: number } {
  const library = koffi.load(path);
  const found = library.func('int ash_profile_calls()')() as number;
  if (found !== expected)
    throw new Error(
      `profile: ${expected} kernel calls expected in the C text, ${found} found; profile-compiler.mjs must learn its new form`,
    );
  const read = library.func('void ash_profile_read(double *seconds)');
  const perCall: number[][] = Array.from({ length: found }, () => []);
  const whole: number[] = [];
  const seconds = new Float64Array(found);
  run();
  const end = performance.now() + secondsOfRuns * 1000;
  while (whole.length < fewestRuns || (whole.length < mostRuns && performance.now() < end)) {
    const start = performance.now();
    run();
    whole.push((performance.now() - start) / 1000);
    read(seconds);
    for (let i = 0; i < found; i++) perCall[i]!.push(seconds[i]!);
  }
  return { calls: perCall.map(median), whole: median(whole) };
}

/** Calls of one C function are one row: identical kernels are emitted once. */
function groupByFunction(
  source: string,
  steps: readonly Launch[],
  seconds: readonly number[],
  roofline: Roofline,
): KernelTime[] {
  const body = source.match(/^(?:int \w+_run|static void \w+_steps)\([\s\S]*?^}/gm)?.join('\n') ?? '';
  const called = [...body.matchAll(/^ +(kernel_\w+)\(.*\);$/gm)].map((match) => match[1]!);
  const groups = new Map<string, number[]>();
  called.forEach((name, i) => {
    groups.set(name, [...(groups.get(name) ?? []), i]);
  });
  return [...groups].map(([name, members]) => {
    const launches = members.map((i) => steps[i]!);
    const sum = (of: (i: number) => number): number => members.reduce((total, i) => total + of(i), 0);
    return {
      name: name.replace(/^kernel_/, ''),
      launches,
      seconds: sum((i) => seconds[i]!),
      flops: sum((i) => steps[i]!.kernel.flops),
      bytes: sum((i) => workOf(steps[i]!).constantBytes + workOf(steps[i]!).freshBytes),
      floor: sum((i) => floorSeconds(workOf(steps[i]!), roofline)),
    };
  });
}

function report(
  title: string,
  flops: number,
  roofline: Roofline,
  kernels: readonly KernelTime[],
  whole: number,
): string {
  const inKernels = kernels.reduce((sum, { seconds }) => sum + seconds, 0);
  const floor = kernels.reduce((sum, kernel) => sum + kernel.floor, 0);
  const lost = (kernel: KernelTime): number => kernel.seconds - kernel.floor;
  const rows = [...kernels]
    .sort((a, b) => lost(b) - lost(a))
    .map((kernel) => {
      const { launches, seconds, name } = kernel;
      const rate = kernel.flops / seconds / 1e9;
      return [
        name,
        launches.length,
        (seconds * 1000).toFixed(3),
        `${((100 * seconds) / inKernels).toFixed(1)} %`,
        (lost(kernel) * 1000).toFixed(3),
        `${((100 * kernel.floor) / seconds).toFixed(0)} %`,
        (kernel.flops / 1e6).toFixed(1),
        rate.toFixed(1),
        `${((100 * rate) / roofline.peak).toFixed(0)} %`,
        (kernel.bytes / seconds / 1e9).toFixed(1),
        operands(launches[0]!),
      ];
    });
  return [
    `## ${title}, kernel by kernel`,
    '',
    `${(whole * 1000).toFixed(3)} ms in all, ${(inKernels * 1000).toFixed(3)} in kernels, ${(floor * 1000).toFixed(3)} at the roofline. ` +
      `${(flops / 1e9).toFixed(3)} GFLOP at ${(flops / whole / 1e9).toFixed(1)} GFLOP/s.`,
    `Measured peak ${roofline.peak.toFixed(1)} GFLOP/s; weights of this size are read at ${roofline.constantBandwidth.toFixed(1)} GB/s. ` +
      'Sorted by the milliseconds lost against the roofline.',
    '',
    table(
      [
        'kernel',
        'calls',
        'ms',
        'share',
        'lost',
        'of roofline',
        'MFLOP',
        'GFLOP/s',
        'of peak',
        'GB/s',
        'operands → result',
      ],
      rows,
    ),
  ].join('\n');
}

/** The types of the first launch: `f32[1,64,56,56], f32[64,64,3,3] → f32[1,64,56,56]`. */
function operands({ kernel, args }: Launch): string {
  const types = (kind: (access: string) => boolean): string =>
    args.flatMap(({ type }, i) => (kind(kernel.parameters[i]!.access) ? [formatType(type)] : [])).join(', ');
  return `${types((access) => access === 'read')} → ${types((access) => access !== 'read')}`;
}
