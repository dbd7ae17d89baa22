// What one run of a model asks of a WebGPU device, against TensorFlow.js and jax-js on the same Dawn: dispatches, bytes that
// they are bound to, memory. Counts, not times: a software adapter gives the same ones as a card.

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { measureEach } from './kept.ts';
import { progress, table } from './measure.ts';
import { models } from './models/index.ts';
import type { SideReport } from './webgpu-report.ts';

const sides = ['ashlar', 'tfjs', 'jax-js'] as const;
type Side = (typeof sides)[number];

/** Without arguments those whose runs take seconds on a software adapter. */
const small = ['mlp', 'fashionsimplenet', 'dcgan', 'lstm', 'squeezenet', 'mobilenetv2', 'resnet18'];

/** Outputs of f32 arithmetic in different orders agree to this share of the largest. */
const tolerance = 2e-3;

export interface WebGpuFigures {
  readonly title: string;
  readonly sides: Readonly<Record<Side, Omit<SideReport, 'output'>>>;
  /** The largest difference from Ashlar's output, as a share of the largest element. */
  readonly differences: Readonly<Record<Side, number>>;
}

export async function webgpu(names: readonly string[]): Promise<string> {
  const all = await measureEach('webgpu', names.length === 0 ? small : names, measure);
  const rows = all.flatMap(rowsOf);
  const columns = [
    'model',
    'side',
    'dispatches',
    'submissions',
    'MB bound',
    'MB on the device',
    'MB copied',
    'difference',
  ];
  return [
    '## One run on WebGPU: what it asks of the device',
    '',
    'The batch-1 networks of the inference bench. "bound" counts every byte of the ranges that dispatches are bound to, "on the device"',
    'all buffers at their peak, weights included. "difference" is from Ashlar\'s output, as a share of its largest element.',
    '',
    table(columns, rows),
  ].join('\n');
}

async function measure(name: string): Promise<WebGpuFigures> {
  const reports = {} as Record<Side, SideReport>;
  for (const side of sides) {
    progress(`${models[name]!.title}: ${side}`);
    reports[side] = await runSide(side, name);
  }
  const wanted = reports.ashlar.output;
  const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const differences = mapSides(
    (side) =>
      wanted.reduce((most, value, i) => Math.max(most, Math.abs(value - reports[side].output[i]!)), 0) / largest,
  );
  const withoutOutput = mapSides((side) => {
    const { output: _output, ...report } = reports[side];
    return report;
  });
  return { title: models[name]!.title, sides: withoutOutput, differences };
}

const mapSides = <T>(make: (side: Side) => T): Record<Side, T> =>
  Object.fromEntries(sides.map((side) => [side, make(side)])) as Record<Side, T>;

/** The report of a process of its own. */
function runSide(side: Side, name: string): Promise<SideReport> {
  const script = fileURLToPath(new URL('./peers/side.ts', import.meta.url));
  const child = fork(script, [side, name, 'software'], {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let complaint = '';
  child.stderr!.on('data', (text) => {
    complaint += text;
  });
  return new Promise((resolve, reject) => {
    child.once('message', (report) => resolve(report as SideReport));
    child.once('exit', () => reject(new Error(`${side} could not run ${name}:\n${complaint.slice(-1500)}`)));
  });
}

function rowsOf({ title, sides: reports, differences }: WebGpuFigures): (string | number)[][] {
  return sides.map((side) => {
    const { dispatches, submissions, boundBytes, peakBytes, copiedBytes } = reports[side].reading;
    const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(2);
    const difference = differences[side];
    return [
      side === 'ashlar' ? title : '',
      side,
      dispatches,
      submissions,
      megabytes(boundBytes),
      megabytes(peakBytes),
      megabytes(copiedBytes),
      `${difference.toExponential(0)}${difference > tolerance ? ' (wrong)' : ''}`,
    ];
  });
}
