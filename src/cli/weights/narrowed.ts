// `--dtype`: the model with its weights in fewer bytes, and what that costs.

import type { Definition } from '../../runtime/definition.ts';
import { halfWeights, type StoredWeight } from '../../runtime/half-weights.ts';
import { type Quantized, quantize, quantizeWeights } from '../../runtime/quantize.ts';
import { Misuse } from '../failure.ts';
import type { ModelDefinition } from '../model/onnx.ts';
import { type Arrays, boundariesOf, compiled } from '../runnable.ts';
import { print, table } from '../terminal.ts';
import { type Cost, costOf, readLabels } from './cost.ts';
import { randomSamples, readSamples, type Samples } from './samples.ts';

export interface NarrowOptions {
  readonly dtype: 'f32' | 'f16' | 'i8';
  readonly calibration?: readonly string[];
  readonly labels?: string;
  readonly weightsOnly?: boolean;
}

/** For programs; people get it as tables. */
export interface NarrowReport {
  readonly dtype: 'f16' | 'i8';
  readonly weights: readonly StoredWeight[];
  readonly cost: Cost;
}

export interface Narrowed {
  readonly definition: ModelDefinition;
  readonly report: NarrowReport;
}

/** Null where weights stay f32. Throws Misuse for options that do not go together. */
export async function narrowed(model: ModelDefinition, options: NarrowOptions): Promise<Narrowed | null> {
  const { dtype, calibration, labels, weightsOnly } = options;
  for (const [option, given] of Object.entries({ calibration, labels, 'weights-only': weightsOnly }))
    if (dtype === 'f32' && given !== undefined)
      throw new Misuse(`--${option} is for --dtype f16 and i8; weights stay as they are without`);
  if (dtype === 'f32') return null;
  if (dtype === 'f16' && weightsOnly)
    throw new Misuse('--weights-only is for --dtype i8; in f16 there are only weights anyway');
  if (dtype === 'i8' && calibration === undefined && !weightsOnly)
    throw new Misuse(
      '--dtype i8 needs samples, by which it finds the ranges of activations: give --calibration FILE.npy; or --weights-only, which computes in f32 and saves bytes alone',
    );
  if (labels !== undefined && calibration === undefined)
    throw new Misuse('--labels are those of the samples that --calibration names; give both');
  const { inputs, outputs, checks } = boundariesOf(model);
  const samples = calibration === undefined ? randomSamples(inputs, checks) : readSamples(inputs, calibration);
  const known = labels === undefined ? null : readLabels(outputs, samples, labels);
  const { definition, weights } = await narrowDefinition(model as Definition<Arrays, Arrays>, options, samples);
  const narrow: ModelDefinition = { ...model, ...definition };
  const cost = await costBetween(model, narrow, samples, known);
  return { definition: narrow, report: { dtype, weights, cost } };
}

async function narrowDefinition(
  model: Definition<Arrays, Arrays>,
  { dtype, weightsOnly }: NarrowOptions,
  samples: Samples,
): Promise<Quantized<Arrays, Arrays>> {
  if (dtype === 'f16') return halfWeights(model);
  if (weightsOnly) return quantizeWeights(model);
  return quantize(model, { calibration: callsOf(samples) });
}

function* callsOf(samples: Samples): Generator<Arrays> {
  for (let call = 0; call < samples.calls; call++) yield samples.inputs(call);
}

/** Both models run in C, or without a compiler in JavaScript. */
async function costBetween(
  before: ModelDefinition,
  after: ModelDefinition,
  samples: Samples,
  labels: ReturnType<typeof readLabels> | null,
): Promise<Cost> {
  const [exact, found] = [await compiled(before, undefined, {}), await compiled(after, undefined, {})];
  try {
    return await costOf(exact, found, samples, labels);
  } finally {
    exact.close();
    found.close();
  }
}

export function printNarrowed({ weights, cost }: NarrowReport): void {
  print(
    table(
      [{ title: 'weight' }, { title: 'shape' }, { title: 'stored as' }],
      weights.map(({ name, shape, dtype, reason }) => [
        name,
        `[${shape}]`,
        reason === null ? dtype : `${dtype}: ${reason}`,
      ]),
    ),
  );
  print(`\nagainst f32 on ${cost.samples}:`);
  print(
    table(
      [
        { title: 'output' },
        { title: 'largest error', align: 'right' },
        { title: 'of its largest value', align: 'right' },
      ],
      cost.outputs.map(({ output, absolute, relative }) => [output, shortest(absolute), shortest(relative)]),
    ),
  );
  if (cost.accuracy !== null) {
    const { output, labels, before, after } = cost.accuracy;
    print(`${output} is right for ${percent(before)} of ${labels} labels in f32, for ${percent(after)} now`);
  }
  print('');
}

const shortest = (value: number): string => (Number.isInteger(value) ? String(value) : value.toExponential(1));
const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
