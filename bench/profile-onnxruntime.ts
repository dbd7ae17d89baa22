// npm run bench profile-onnxruntime MODEL [THREADS]: where onnxruntime's time goes, by its own profiler, to be read beside
// our profile of the same model. Nodes of one operation on equal shapes are one row.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fmaPeak } from './fma-peak.ts';
import { median, progress, table } from './measure.ts';
import { models, onnxModel } from './models/index.ts';
import { encodeOnnx } from './onnx-file.ts';
import { openSession } from './onnxruntime.ts';

const runs = 20;
/** The first runs allocate memory. */
const warmup = 3;

/** A shape as the profiler writes it: `{ float: [1, 64, 56, 56] }`. */
type TypedShape = Readonly<Record<string, readonly number[]>>;

interface NodeEvent {
  readonly cat: string;
  readonly name: string;
  readonly ts: number;
  readonly dur: number;
  readonly args: {
    readonly op_name?: string;
    readonly input_type_shape?: readonly TypedShape[];
    readonly output_type_shape?: readonly TypedShape[];
  };
}

export async function profileOnnxRuntime(wanted: readonly string[]): Promise<string> {
  const threads = Number(wanted.find((argument) => /^\d+$/.test(argument)) ?? 1);
  const names = wanted.filter((argument) => !/^\d+$/.test(argument));
  const unknown = names.find((name) => !(name in models));
  if (names.length === 0 || unknown !== undefined)
    throw new Error(
      `profile-onnxruntime: one of the models ${Object.keys(models).join(', ')} expected, ${unknown ?? 'none'} given`,
    );
  const texts: string[] = [];
  for (const name of names) texts.push(await profileModel(name, threads));
  return texts.join('\n\n');
}

async function profileModel(name: string, threads: number): Promise<string> {
  const model = models[name]!;
  const folder = mkdtempSync(join(tmpdir(), 'ashlar-onnxruntime-'));
  try {
    progress(`${model.title} in onnxruntime`);
    const { graph, flops } = onnxModel(model, name);
    const file = join(folder, `${name}.onnx`);
    writeFileSync(file, encodeOnnx(graph));
    const before = fmaPeak();
    const { run, session } = await openSession(file, threads, graph.inputs[0]!.shape, model, {
      enableProfiling: true,
      profileFilePrefix: join(folder, 'profile'),
    });
    for (let i = 0; i < warmup + runs; i++) await run();
    session.endProfiling();
    const written = readdirSync(folder).find((entry) => entry.startsWith('profile'))!;
    const events = JSON.parse(readFileSync(join(folder, written), 'utf8')) as readonly NodeEvent[];
    const heading = `${model.title}, ${threads} thread${threads === 1 ? '' : 's'}, onnxruntime node by node`;
    return report(heading, flops, Math.max(before, fmaPeak()) * threads, events);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function report(heading: string, flops: number, peak: number, events: readonly NodeEvent[]): string {
  const byNode = new Map<string, NodeEvent[]>();
  for (const event of events) {
    if (event.cat !== 'Node' || !event.name.endsWith('_kernel_time')) continue;
    byNode.set(event.name, [...(byNode.get(event.name) ?? []), event]);
  }
  const groups = new Map<string, { count: number; microseconds: number; flops: number }>();
  let whole = 0;
  for (const times of byNode.values()) {
    const microseconds = median(times.slice(warmup).map(({ dur }) => dur));
    whole += microseconds;
    const key = describe(times[0]!);
    const group = groups.get(key) ?? { count: 0, microseconds: 0, flops: 0 };
    group.count++;
    group.microseconds += microseconds;
    group.flops += flopsOf(times[0]!);
    groups.set(key, group);
  }
  const rows = [...groups]
    .sort(([, a], [, b]) => b.microseconds - a.microseconds)
    .map(([what, group]) => [
      what.split(' ')[0]!,
      group.count,
      (group.microseconds / 1000).toFixed(3),
      `${((100 * group.microseconds) / whole).toFixed(1)} %`,
      (group.flops / 1e6).toFixed(1),
      (group.flops / group.microseconds / 1e3).toFixed(1),
      `${((100 * group.flops) / group.microseconds / 1e3 / peak).toFixed(0)} %`,
      what.slice(what.indexOf(' ') + 1),
    ]);
  return [
    `## ${heading}`,
    '',
    `${(whole / 1000).toFixed(3)} ms in nodes, ${(flops / 1e9).toFixed(3)} GFLOP at ${(flops / whole / 1e3).toFixed(1)} GFLOP/s; ` +
      `measured peak ${peak.toFixed(1)} GFLOP/s. Padding of channels to blocks counts as arithmetic.`,
    '',
    table(['node', 'calls', 'ms', 'share', 'MFLOP', 'GFLOP/s', 'of peak', 'operands → result'], rows),
  ].join('\n');
}

const shapesOf = (list: readonly TypedShape[] | undefined): (readonly number[])[] =>
  (list ?? []).flatMap((typed) => Object.values(typed));

function describe({ args }: NodeEvent): string {
  const text = (list: readonly TypedShape[] | undefined): string =>
    shapesOf(list)
      .map((shape) => `[${shape}]`)
      .join(', ');
  return `${args.op_name} ${text(args.input_type_shape)} → ${text(args.output_type_shape)}`;
}

/** 0 where weights were packed into a form that the profiler shows no shape of, and nothing else tells. */
function flopsOf({ args }: NodeEvent): number {
  const [x, weight] = shapesOf(args.input_type_shape);
  const [y] = shapesOf(args.output_type_shape);
  const product = (dims: readonly number[]): number => dims.reduce((all, dim) => all * dim, 1);
  switch (args.op_name) {
    case 'Conv':
      return (2 * product(y!) * product(weight!)) / weight![0]!;
    case 'ConvTranspose':
      return weight?.length === 4 ? (2 * product(x!) * product(weight)) / weight[0]! : 0;
    case 'Gemm':
    case 'MatMul':
    case 'FusedMatMul':
    case 'FusedGemm':
      return 2 * product(y!) * x!.at(-1)!;
    default:
      return 0;
  }
}
