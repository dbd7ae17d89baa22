// What the parts of a run on a card found, as one page.

import { table } from '../measure.ts';
import { sides } from '../webgpu-report.ts';
import type { BandwidthFigures } from './bandwidth.ts';
import type { MatmulFigures } from './matmul.ts';
import type { NetworkFigures, NetworksFigures } from './networks.ts';
import type { ProblemFigures } from './problem.ts';
import type { TestFigures } from './test-runner.ts';

/** Parts that were never run are not there. */
export interface PartResults {
  readonly operations?: TestFigures;
  readonly matmul?: MatmulFigures;
  readonly bandwidth?: BandwidthFigures;
  readonly networks?: NetworksFigures;
}

export function cardReport({ operations, matmul, bandwidth, networks }: PartResults, machine: string): string {
  const card = matmul?.adapter ?? bandwidth?.adapter ?? networks?.adapter ?? 'no adapter was opened';
  return [
    '## WebGPU on a card',
    '',
    `${card}. Dawn through Node. Medians of alternating turns, results compared before anything was timed.`,
    ...(operations === undefined ? [] : operationsSection(operations)),
    ...(matmul === undefined ? [] : matmulSection(matmul)),
    ...(networks === undefined ? [] : networksSection(networks)),
    ...(bandwidth === undefined ? [] : bandwidthSection(bandwidth)),
    '',
    `Measured on ${machine}.`,
    '',
  ].join('\n');
}

const listed = (failures: readonly string[]): string[] =>
  failures.length === 0 ? [] : ['', ...failures.map((failure) => `- ${failure}`)];

function operationsSection({ passed, total, failures }: TestFigures): string[] {
  return [
    '',
    `### Operations: ${passed} of ${total} tests of test/webgpu*.test.ts pass`,
    ...listed(failures.map(({ title, message }) => `${title}: ${message.replaceAll('\n', ' ')}`)),
  ];
}

const microseconds = (milliseconds: number | null | undefined): string =>
  milliseconds === null || milliseconds === undefined ? '' : (milliseconds * 1000).toFixed(1);
const times = (ratio: number | null): string => (ratio === null ? '' : `${ratio.toFixed(2)}×`);
const share = (difference: number | null): string =>
  difference === null ? 'not compared' : difference.toExponential(0);
/** By the card's clock, else by the host's. */
const best = ({ ours }: ProblemFigures): number => ours.device ?? ours.wall!;

function matmulSection({ pytorch, products, failures }: MatmulFigures): string[] {
  const rows = products.map((figures) => [
    figures.title,
    microseconds(figures.ours.device),
    microseconds(figures.ours.wall),
    microseconds(figures.torch?.device),
    microseconds(figures.torch?.wall),
    (figures.flops / best(figures) / 1e9).toFixed(2),
    times(figures.ratio),
    share(figures.difference),
  ]);
  const columns = ['product', 'µs', 'µs wall', 'PyTorch µs', 'wall', 'TFLOP/s', 'speed of PyTorch', 'difference'];
  return [
    '',
    '### Products in f32',
    '',
    `${pytorch}; TF32 off. Aim: 0.70× at 4096.`,
    '',
    table(columns, rows),
    ...listed(failures),
  ];
}

function bandwidthSection({ pytorch, copy, problems, failures }: BandwidthFigures): string[] {
  const rows = problems.map((figures) => {
    const speed = figures.bytes / (best(figures) / 1000);
    return [
      figures.title,
      figures.kernels,
      microseconds(figures.ours.device),
      microseconds(figures.torch?.device),
      (speed / 1e9).toFixed(0),
      copy === null ? '' : `${((100 * speed) / copy).toFixed(0)} %`,
      times(figures.ratio),
      share(figures.difference),
    ];
  });
  const columns = ['problem', 'kernels', 'µs', 'PyTorch µs', 'GB/s', 'of a copy', 'speed of PyTorch', 'difference'];
  const copied =
    copy === null ? 'a copy by hand was not timed' : `a copy by hand moves ${(copy / 1e9).toFixed(0)} GB/s`;
  return ['', '### Bound by memory', '', `${pytorch}; ${copied}.`, '', table(columns, rows), ...listed(failures)];
}

function networksSection({ networks, failures }: NetworksFigures): string[] {
  const columns = ['network', 'side', 'ms', 'Ashlar is', 'ms until done', 'Ashlar is', 's to first', 'difference'];
  return [
    '',
    '### Networks at batch 1',
    '',
    '"ms" is a run with its output read, "until done" one whose output stays on the device. Aim: 1.5× for ResNet-50 and GPT-2.',
    '',
    table(columns, networks.flatMap(networkRows)),
    ...networks.flatMap(kernelLines),
    ...listed([...networks.flatMap(sideFailures), ...failures]),
  ];
}

function networkRows({ title, sides: figures }: NetworkFigures): (string | number)[][] {
  return sides.map((side) => {
    const first = [side === 'ashlar' ? title : '', side];
    const given = figures[side];
    if (given === undefined || 'failure' in given) return [...first, 'fails', '', '', '', '', ''];
    const ratio = (value: number): string => (side === 'ashlar' ? '' : times(value));
    return [
      ...first,
      given.run.toFixed(3),
      ratio(given.runRatio),
      given.device.toFixed(3),
      ratio(given.deviceRatio),
      given.loadSeconds.toFixed(1),
      share(given.difference),
    ];
  });
}

function sideFailures({ title, sides: figures }: NetworkFigures): string[] {
  return sides.flatMap((side) => {
    const given = figures[side];
    return given !== undefined && 'failure' in given ? [`${title} on ${side}: ${given.failure}`] : [];
  });
}

/** Where the time of a network goes. */
function kernelLines({ title, kernels }: NetworkFigures): string[] {
  if (kernels.length === 0) return [];
  const total = kernels.reduce((sum, { nanoseconds }) => sum + nanoseconds, 0);
  const slowest = kernels
    .slice(0, 5)
    .map(({ kernel, nanoseconds }) => `${kernel} ${(nanoseconds / 1000).toFixed(0)} µs`)
    .join(', ');
  return ['', `${title}: ${kernels.length} kernels take ${(total / 1e6).toFixed(3)} ms; the slowest: ${slowest}.`];
}
