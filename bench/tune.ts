// npm run bench tune [MODEL …]: what tuning gains over the cost model, and how good the cost model is: how often its first
// choice was the fastest that was measured, and how its estimates rank against times.

import { compile, type Definition, type TunedProblem, tune } from 'ashlar/node';
import { alternate, progress, table } from './measure.ts';
import { exampleInput } from './models/example-input.ts';
import { ashlarModel, models } from './models/index.ts';
import { compared, comparedStep, exampleBatch } from './training/models.ts';

type Arrays = Record<string, Float32Array | Int32Array>;
type Run = (inputs: Arrays) => unknown;

const defaults = ['resnet18', 'mobilenetv2', 'squeezenet', 'training:transformer'];
/** A choice within this share of the fastest is as good as it. */
const noise = 0.02;

interface Subject {
  readonly title: string;
  readonly definition: Definition;
  readonly freeze: boolean;
  readonly inputs: Arrays;
}

function subject(name: string): Subject {
  const model = models[name];
  if (model !== undefined) {
    const { definition } = ashlarModel(model, name);
    const { shape } = definition.func.parameters[0]!.value.type;
    return { title: model.title, definition, freeze: true, inputs: { x: exampleInput(model, shape) } };
  }
  const step = compared.find((candidate) => `training:${candidate.name}` === name);
  if (step === undefined)
    throw new Error(
      `tune: one of ${[...Object.keys(models), ...compared.map((c) => `training:${c.name}`)].join(', ')} expected, ${name} given`,
    );
  const inputs = exampleBatch(step) as Arrays;
  return { title: `training step of ${step.title}`, definition: comparedStep(step).step, freeze: false, inputs };
}

/** Spearman's rank correlation of estimates and times; candidates that were given up early have the time that they had then. */
function rankCorrelation(measured: TunedProblem['measured']): number {
  const ranks = (values: readonly number[]): number[] =>
    values.map((value) => {
      const below = values.filter((other) => other < value).length;
      return below + (values.filter((other) => other === value).length - 1) / 2;
    });
  const [a, b] = [ranks(measured.map(({ cost }) => cost)), ranks(measured.map(({ microseconds }) => microseconds))];
  const mean = (measured.length - 1) / 2;
  const product = (x: readonly number[], y: readonly number[]): number =>
    x.reduce((sum, value, i) => sum + (value - mean) * (y[i]! - mean), 0);
  const scale = Math.sqrt(product(a, a) * product(b, b));
  return scale === 0 ? 1 : product(a, b) / scale;
}

async function row(name: string): Promise<(string | number)[]> {
  progress(`tuning ${name}`);
  const { title, definition, freeze, inputs } = subject(name);
  const began = performance.now();
  const { record, problems, kept } = await tune(definition, { threads: 1, freeze });
  const seconds = (performance.now() - began) / 1000;
  const untuned = (await compile(definition, { target: 'c', threads: 1, freeze })) as unknown as Run;
  const tuned = (await compile(definition, { threads: 1, freeze, tuning: record })) as unknown as Run;
  const times = alternate({ untuned: () => void untuned(inputs), tuned: () => void tuned(inputs) }, { rounds: 31 });
  const fastest = ({ measured }: TunedProblem): number => Math.min(...measured.map(({ microseconds }) => microseconds));
  const right = problems.filter((problem) => problem.measured[0]!.microseconds <= fastest(problem) * (1 + noise));
  const mean = problems.reduce((sum, { measured }) => sum + rankCorrelation(measured), 0) / problems.length;
  return [
    title,
    problems.length,
    problems.reduce((sum, { measured }) => sum + measured.length, 0),
    seconds.toFixed(0),
    `${right.length} of ${problems.length}`,
    mean.toFixed(2),
    record.entries.length,
    kept ? 'yes' : 'no',
    times.untuned.toFixed(2),
    times.tuned.toFixed(2),
    (times.untuned / times.tuned).toFixed(2),
  ];
}

export async function tuning(wanted: readonly string[]): Promise<string> {
  const rows: (string | number)[][] = [];
  for (const name of wanted.length === 0 ? defaults : wanted) rows.push(await row(name));
  const header = ['model', 'problems', 'measured', 's', 'first choice right', 'rank correlation', 'entries', 'kept'];
  return [
    '## Tuning, one thread',
    '',
    `A first choice is right within ${noise * 100} % of the fastest that was measured. The rank correlation is Spearman's, of estimated ` +
      'cycles and measured times, averaged over problems.',
    '',
    table([...header, 'ms untuned', 'tuned', 'gain'], rows),
  ].join('\n');
}
