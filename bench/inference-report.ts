// What an inference comparison keeps of each model, and the tables made of it.

import type { CompileFigures } from './compile-figures.ts';
import { table } from './measure.ts';

export interface SideFigures {
  readonly milliseconds: number;
  readonly fastest: number;
  readonly loadSeconds: number;
}

export interface ThreadFigures {
  readonly threads: number;
  readonly ours: SideFigures;
  readonly theirs: SideFigures;
  /** Their time over ours, the median over neighbouring turns: above 1, Ashlar is faster. */
  readonly ratio: number;
  readonly gflops: number;
  /** GFLOP/s of all threads and GB/s at which weights of this size can be read, measured before and after. */
  readonly peak: number;
  readonly bandwidth: number;
  readonly ofPeak: number;
  /** The time that the machine needs at least for these kernels, over the time taken. */
  readonly ofRoofline: number;
  /** The machine's load average when the measurement began: well above 1, neighbours disturbed it. */
  readonly load: number;
}

export interface ModelFigures {
  readonly title: string;
  readonly flops: number;
  readonly difference: number;
  readonly compiled: CompileFigures;
  readonly measured: readonly ThreadFigures[];
  readonly machine: string;
}

/** The tables of bench/results/inference.md and inference-onnx.md. */
export function inferenceReport(title: string, rows: readonly ModelFigures[]): string {
  const threadCounts = [...new Set(rows.flatMap(({ measured }) => measured.map(({ threads }) => threads)))];
  return [
    `## ${title}`,
    '',
    'Medians, both sides in turn; a ratio above 1 means that Ashlar is faster. "load" is the load average as each began:',
    'well above 1, other programs took part of the cores.',
    ...threadCounts.flatMap((threads) => ['', ...threadTable(rows, threads)]),
    '',
    '### Compiling and agreement',
    '',
    compileTable(rows),
  ].join('\n');
}

function threadTable(rows: readonly ModelFigures[], threads: number): string[] {
  const found = rows.flatMap(({ title, measured }) =>
    measured.filter((figures) => figures.threads === threads).map((figures) => ({ title, figures })),
  );
  const ratios = found.map(({ figures }) => figures.ratio);
  const mean = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
  const single = new Map(rows.map(({ title, measured }) => [title, measured[0]!]));
  const scaling = (title: string, of: (figures: ThreadFigures) => SideFigures, figures: ThreadFigures): string =>
    (of(single.get(title)!).milliseconds / of(figures).milliseconds).toFixed(2);
  const cells = found.map(({ title, figures }) => [
    title,
    figures.ours.milliseconds.toFixed(3),
    figures.theirs.milliseconds.toFixed(3),
    figures.ratio.toFixed(2),
    (figures.theirs.fastest / figures.ours.fastest).toFixed(2),
    figures.gflops.toFixed(1),
    `${(100 * figures.ofPeak).toFixed(0)} %`,
    `${(100 * figures.ofRoofline).toFixed(0)} %`,
    ...(threads === 1
      ? []
      : [scaling(title, ({ ours }) => ours, figures), scaling(title, ({ theirs }) => theirs, figures)]),
    figures.load.toFixed(1),
  ]);
  const header = ['model', 'ms', 'ms onnxruntime', 'ratio', 'of the fastest', 'GFLOP/s', 'of FMA peak', 'of roofline'];
  return [
    `### ${threads} thread${threads === 1 ? '' : 's'}: geometric mean ${mean.toFixed(2)}`,
    '',
    table([...header, ...(threads === 1 ? [] : ['over 1 thread', 'theirs']), 'load'], cells),
  ];
}

function compileTable(rows: readonly ModelFigures[]): string {
  return table(
    ['model', 'GFLOP', 'kernels', 's to C', 's C compiler', 'C KB', 'arena MB', 'packed MB', 'difference'],
    rows.map(({ title, flops, compiled, difference }) => [
      title,
      (flops / 1e9).toFixed(3),
      compiled.kernels,
      compiled.graphToCSeconds.toFixed(2),
      compiled.compilerSeconds.toFixed(1),
      (compiled.sourceBytes / 1000).toFixed(0),
      (compiled.arenaBytes / 1e6).toFixed(1),
      (compiled.preparedBytes / 1e6).toFixed(1),
      difference.toExponential(0),
    ]),
  );
}
