// What "C kernels close to the machine's peak" set out to reach, against what the other parts last measured and kept in
// results/*.json. Measures nothing itself.

import type { DecodingFigures } from './decoding.ts';
import type { GemvFigures } from './gemv.ts';
import type { ModelFigures } from './inference-report.ts';
import { keptFigures, keptRows, keptValue } from './kept.ts';
import type { ProductFigures } from './matmul.ts';
import { table } from './measure.ts';
import type { MemoryFigures } from './memory.ts';
import type { RecurrentFigures } from './recurrent.ts';
import type { RowFigures } from './rows.ts';
import type { Comparison } from './training-vs-pytorch.ts';

/** One aim: what was reached of it, by the unit of each case, and whether more or less is better. */
interface Target {
  readonly work: string;
  readonly aim: number;
  readonly better: 'more' | 'less';
  readonly show: (value: number) => string;
  /** The cases; a target that speaks of a mean has one. None: not measured yet. */
  readonly cases: readonly { readonly name: string; readonly value: number }[];
}

const percent = (value: number): string => `${(100 * value).toFixed(0)} %`;
const times = (value: number): string => `${value.toFixed(2)}×`;

export function targets(): string {
  const rows = [
    ...productTargets(),
    ...inferenceTargets(),
    ...denseTargets(),
    ...trainingTargets(),
    ...recurrentTargets(),
    decodingTarget(),
    ...otherTargets(),
  ];
  const header = ['work', 'aim', 'reached', 'worst case', 'cases short of it'];
  return [
    '## What was aimed at and what is reached',
    '',
    'From the figures that each part kept last. "reached" is the worst case, or the mean where the aim is one.',
    '',
    table(header, rows.map(targetRow)),
  ].join('\n');
}

function targetRow({ work, aim, better, show, cases }: Target): string[] {
  const bound = `${better === 'more' ? '≥' : '<'} ${show(aim)}`;
  const isMet = (value: number): boolean => (better === 'more' ? value >= aim : value < aim);
  const sorted = [...cases].sort((a, b) => (better === 'more' ? a.value - b.value : b.value - a.value));
  const [worst] = sorted;
  if (worst === undefined) return [work, bound, 'not measured', '', ''];
  const missed = sorted.filter(({ value }) => !isMet(value)).map(({ name, value }) => `${name} ${show(value)}`);
  return [work, bound, show(worst.value), worst.name, missed.length === 0 ? 'none' : missed.join(', ')];
}

const geometricMean = (values: readonly number[]): number =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

/** The mean as the only case; none of nothing. */
function meanOf(name: string, values: readonly number[]): Target['cases'] {
  return values.length === 0 ? [] : [{ name, value: geometricMean(values) }];
}

function productTargets(): Target[] {
  const products = keptRows<ProductFigures>('matmul').map(({ product, flops, gflops, peak }) => ({
    name: product,
    flops,
    value: gflops / peak,
  }));
  const large = 2 * 512 ** 3;
  const common = { better: 'more', show: percent } as const;
  return [
    {
      ...common,
      work: 'products of 512³ and more, of the FMA peak',
      aim: 0.9,
      cases: products.filter(({ flops }) => flops >= large),
    },
    {
      ...common,
      work: 'smaller products, of the FMA peak',
      aim: 0.75,
      cases: products.filter(({ flops }) => flops < large),
    },
  ];
}

function inferenceTargets(): Target[] {
  const models = Object.values(keptFigures<ModelFigures>('inference'));
  const measured = models.flatMap(({ title, measured }) => measured.map((figures) => ({ title, ...figures })));
  const counts = [...new Set(measured.map(({ threads }) => threads))];
  const common = { better: 'more', show: times } as const;
  const targets = counts.flatMap((threads): Target[] => {
    const found = measured.filter((figures) => figures.threads === threads);
    const on = `on ${threads} thread${threads === 1 ? '' : 's'}`;
    return [
      {
        ...common,
        work: `inference ${on}, onnxruntime's time over ours, mean`,
        aim: 1.5,
        cases: meanOf(
          'geometric mean',
          found.map(({ ratio }) => ratio),
        ),
      },
      {
        ...common,
        work: `inference ${on}, each model`,
        aim: 1,
        cases: found.map(({ title, ratio }) => ({ name: title, value: ratio })),
      },
    ];
  });
  const scaling = models.flatMap(({ title, measured }) => {
    const [one, ...more] = measured;
    const two = more.find(({ threads }) => threads === 2);
    if (one === undefined || two === undefined || one.ours.milliseconds < 1) return [];
    return [{ name: title, value: one.ours.milliseconds / two.ours.milliseconds }];
  });
  const compiled = keptFigures<ModelFigures>('inference').resnet50?.compiled;
  const figure = (value: number | undefined): Target['cases'] =>
    value === undefined ? [] : [{ name: 'ResNet-50', value }];
  return [
    ...targets,
    { ...common, work: 'two threads over one, models of more than 1 ms', aim: 1.8, cases: scaling },
    {
      work: 'ResNet-50, graph to C',
      aim: 1,
      better: 'less',
      show: (value) => `${value.toFixed(2)} s`,
      cases: figure(compiled?.graphToCSeconds),
    },
    {
      work: 'ResNet-50, C compiler',
      aim: 15,
      better: 'less',
      show: (value) => `${value.toFixed(1)} s`,
      cases: figure(compiled?.compilerSeconds),
    },
    {
      work: 'ResNet-50, C text',
      aim: 400e3,
      better: 'less',
      show: (value) => `${(value / 1e3).toFixed(0)} KB`,
      cases: figure(compiled?.sourceBytes),
    },
  ];
}

function denseTargets(): Target[] {
  const rows = keptRows<GemvFigures>('gemv');
  return (['constant', 'changing'] as const).map((weights) => ({
    work: `dense layers at batch 1, ${weights} weights, of reading them`,
    aim: 0.85,
    better: 'more',
    show: percent,
    cases: rows
      .filter((row) => row.weights === weights)
      .map(({ layer, threads, reached, bandwidth }) => ({
        name: `${layer} on ${threads}`,
        value: reached / bandwidth,
      })),
  }));
}

function trainingTargets(): Target[] {
  const comparisons = keptValue<{ readonly comparisons: readonly Comparison[] }>('training')?.comparisons ?? [];
  const counts = [...new Set(comparisons.map(({ threads }) => threads))];
  return counts.map((threads) => ({
    work: `training steps on ${threads} thread${threads === 1 ? '' : 's'}, PyTorch's time over ours, mean`,
    aim: 2,
    better: 'more',
    show: times,
    cases: meanOf(
      'geometric mean',
      comparisons.filter((comparison) => comparison.threads === threads).map(({ median }) => median.ratio),
    ),
  }));
}

function recurrentTargets(): Target[] {
  const { inference = [], training = [] } = keptValue<RecurrentFigures>('recurrent') ?? {};
  const on = (threads: number): string => `on ${threads} thread${threads === 1 ? '' : 's'}`;
  const common = { better: 'more', show: times } as const;
  return [
    {
      ...common,
      work: "an LSTM's inference, onnxruntime's time over ours",
      aim: 1.3,
      cases: inference.flatMap(({ measured }) =>
        measured.map(({ threads, ratio }) => ({ name: on(threads), value: ratio })),
      ),
    },
    {
      ...common,
      work: "an LSTM's training step, PyTorch's time over ours",
      aim: 2,
      cases: training.map(({ model, threads, median }) => ({ name: `${model}, ${on(threads)}`, value: median.ratio })),
    },
  ];
}

function decodingTarget(): Target {
  return {
    work: 'GPT-2 small a token at a time, of reading its weights and caches',
    aim: 0.8,
    better: 'more',
    show: percent,
    cases: keptRows<DecodingFigures>('decoding').map(({ length, threads, share }) => ({
      name: `${length} tokens before, on ${threads}`,
      value: share,
    })),
  };
}

function otherTargets(): Target[] {
  const rows = keptRows<RowFigures>('rows').filter(({ where }) => where === 'memory');
  const memory = Object.values(keptFigures<MemoryFigures>('memory'));
  return [
    {
      work: 'operations on long rows in memory, of a copy',
      aim: 0.8,
      better: 'more',
      show: percent,
      cases: rows.map(({ name, milliseconds, copyMilliseconds }) => ({ name, value: copyMilliseconds / milliseconds })),
    },
    {
      work: "peak memory, of onnxruntime's",
      aim: 1,
      better: 'less',
      show: percent,
      cases: memory.map(({ title, ours, theirs }) => ({ name: title, value: ours.peakBytes / theirs.peakBytes })),
    },
  ];
}
