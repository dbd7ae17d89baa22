// What one run of a model asks of a WebGPU device, against TensorFlow.js and jax-js on the same Dawn: dispatches, bytes that
// they are bound to, memory. Counts, not times: a software adapter gives the same ones as a card.

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { measureEach } from './kept.ts';
import { progress, table } from './measure.ts';
import { ashlarModel, models } from './models/index.ts';
import { largestDifference, type Side, type SideReport, sides } from './webgpu-report.ts';

/** Outputs of f32 arithmetic in different orders agree to this share of the largest. */
const tolerance = 2e-3;
/** A side that has not answered after this long on a software adapter is given up. */
const patienceMinutes = 25;

/** What a side did, or why it did not. */
export type SideFigures =
  | (Omit<SideReport, 'output'> & {
      /**
       * The largest difference from Ashlar's output, as a share of the largest element; null where it is not finite, and
       * not there where kernels were counted but not executed.
       */
      readonly difference?: number | null;
    })
  | { readonly failure: string };

export interface WebGpuFigures {
  readonly title: string;
  /** Bytes of the model's parameters. */
  readonly weightBytes: number;
  readonly sides: Readonly<Record<Side, SideFigures>>;
}

/** `counts` before the names of models: nothing is executed, for large ones on a slow adapter. */
export async function webgpu(args: readonly string[]): Promise<string> {
  const onlyCounts = args[0] === 'counts';
  const names = onlyCounts ? args.slice(1) : args;
  const all = await measureEach('webgpu', names, (name) => measure(name, onlyCounts));
  const columns = [
    'model',
    'side',
    'dispatches',
    'submissions',
    'MB bound',
    'MB on the device',
    'beside weights',
    'MB while loading',
    'MB copied',
    's to first',
    'difference',
  ];
  return [
    '## One run on WebGPU: what it asks of the device',
    '',
    'The batch-1 networks of the inference bench. "bound" counts every byte of the ranges that dispatches are bound to, "on the device"',
    'all buffers at their peak in a run; "beside weights" is what of it is not the model\'s parameters: the arena, inputs, outputs and',
    'copies of weights in other forms. "while loading" is the peak until the first output. "first" is the time from the model to the',
    'first output on a software adapter of a busy machine: compilation, pipelines, weights and a run. "difference" is from Ashlar\'s',
    'output, as a share of its largest element; "not compared" where kernels were counted but not executed, which takes long.',
    '',
    table(columns, all.flatMap(rowsOf)),
    ...all.flatMap(failuresOf),
  ].join('\n');
}

async function measure(name: string, onlyCounts: boolean): Promise<WebGpuFigures> {
  const { title } = models[name]!;
  const reports = {} as Record<Side, SideReport | { readonly failure: string }>;
  for (const side of sides) {
    progress(`${title}: ${side}`);
    reports[side] = await runSide(side, name, onlyCounts);
  }
  if ('failure' in reports.ashlar) throw new Error(`Ashlar could not run ${name}: ${reports.ashlar.failure}`);
  const wanted = reports.ashlar.output;
  const compared = (report: SideReport | { readonly failure: string }): SideFigures => {
    if ('failure' in report) return report;
    const { output, ...figures } = report;
    if (onlyCounts) return figures;
    const difference = largestDifference(wanted, output);
    return { ...figures, difference: Number.isFinite(difference) ? difference : null };
  };
  const weightBytes = ashlarModel(models[name]!, name).definition.variables.reduce(
    (sum, { type }) => sum + 4 * type.shape.reduce((all, dim) => all * dim, 1),
    0,
  );
  const figures = Object.fromEntries(sides.map((side) => [side, compared(reports[side])]));
  return { title, weightBytes, sides: figures as Record<Side, SideFigures> };
}

/** The report of a process of its own. */
function runSide(side: Side, name: string, onlyCounts: boolean): Promise<SideReport | { readonly failure: string }> {
  const script = fileURLToPath(new URL('./peers/side.ts', import.meta.url));
  const child = fork(script, [side, name, 'software', onlyCounts ? 'counts' : 'run'], {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    serialization: 'advanced',
    timeout: patienceMinutes * 60_000,
  });
  let complaint = '';
  child.stderr!.on('data', (text) => {
    complaint += text;
  });
  return new Promise((resolve) => {
    child.once('message', (report) => resolve(report as SideReport));
    child.once('close', (_code, signal) =>
      resolve({ failure: signal === null ? complaintOf(complaint) : `no answer in ${patienceMinutes} minutes` }),
    );
  });
}

/** The line of an uncaught exception that says what happened, or the last one. */
function complaintOf(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return (lines.find((line) => /^\s*\w*Error\b/.test(line)) ?? lines.at(-1) ?? 'it ended without a word').trim();
}

function rowsOf({ title, weightBytes, sides: figures }: WebGpuFigures): (string | number)[][] {
  return sides.map((side) => {
    const first = [side === 'ashlar' ? title : '', side];
    const given = figures[side];
    if ('failure' in given) return [...first, 'fails', '', '', '', '', '', '', '', ''];
    const { reading, loadPeakBytes, firstSeconds, difference } = given;
    const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(2);
    return [
      ...first,
      reading.dispatches,
      reading.submissions,
      megabytes(reading.boundBytes),
      megabytes(reading.peakBytes),
      megabytes(reading.peakBytes - weightBytes),
      megabytes(loadPeakBytes),
      megabytes(reading.copiedBytes),
      difference === undefined ? '' : firstSeconds.toFixed(1),
      agreement(difference),
    ];
  });
}

function agreement(difference: number | null | undefined): string {
  if (difference === undefined) return 'not compared';
  if (difference === null) return 'not finite';
  return `${difference.toExponential(0)}${difference > tolerance ? ' (wrong)' : ''}`;
}

function failuresOf({ title, sides: figures }: WebGpuFigures): string[] {
  return sides.flatMap((side) => {
    const given = figures[side];
    return 'failure' in given ? ['', `${title} on ${side} fails: ${given.failure}`] : [];
  });
}
