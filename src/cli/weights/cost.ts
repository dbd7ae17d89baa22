// What a narrower form of a model costs: how far its outputs are from those of the model as it was, and how many labels it gets right.

import { existsSync } from 'node:fs';
import { readNpyFile } from '../../io/files.ts';
import { fromHalfBits } from '../../ir/half.ts';
import { isFloat, sizeOf } from '../../ir/types.ts';
import type { TypedArray } from '../../runtime/arrays.ts';
import { formatBoundary } from '../arrays.ts';
import { Failure, Misuse } from '../failure.ts';
import type { Arrays, Boundary, Runnable } from '../runnable.ts';
import type { Samples } from './samples.ts';

/** How far an output is off. */
export interface OutputCost {
  readonly output: string;
  /** The largest difference; for integers and truth values how many elements differ. */
  readonly absolute: number;
  /** That in proportion to the largest magnitude of the output; of integers the share of elements that differ. */
  readonly relative: number;
}

export interface Accuracy {
  readonly output: string;
  readonly labels: number;
  /** Shares of labels that are right. */
  readonly before: number;
  readonly after: number;
}

export interface Cost {
  readonly samples: string;
  readonly outputs: readonly OutputCost[];
  readonly accuracy: Accuracy | null;
}

/** Labels and the output that they are about. */
export interface Labels {
  readonly output: Boundary;
  readonly labels: readonly number[];
  /** Labels of a call. */
  readonly perCall: number;
}

/** Runs both forms of a model on all samples. */
export async function costOf(
  before: Runnable,
  after: Runnable,
  samples: Samples,
  labels: Labels | null,
): Promise<Cost> {
  const sums = before.outputs.map(() => ({ largest: 0, magnitude: 0, differing: 0, elements: 0 }));
  const right = { before: 0, after: 0 };
  for (let call = 0; call < samples.calls; call++) {
    const inputs = samples.inputs(call);
    const [exact, found] = [await before.run(inputs), await after.run(inputs)];
    before.outputs.forEach((output, i) => {
      addDifferences(sums[i]!, output, exact[output.name]!, found[output.name]!);
    });
    if (labels === null) continue;
    right.before += rightIn(labels, call, exact);
    right.after += rightIn(labels, call, found);
  }
  const count = labels?.labels.length ?? 0;
  return {
    samples: samples.described,
    outputs: before.outputs.map(({ name, type }, i): OutputCost => {
      const { largest, magnitude, differing, elements } = sums[i]!;
      return isFloat(type.dtype)
        ? { output: name, absolute: largest, relative: magnitude === 0 ? 0 : largest / magnitude }
        : { output: name, absolute: differing, relative: elements === 0 ? 0 : differing / elements };
    }),
    accuracy:
      labels === null
        ? null
        : { output: labels.output.name, labels: count, before: right.before / count, after: right.after / count },
  };
}

interface Differences {
  largest: number;
  magnitude: number;
  differing: number;
  elements: number;
}

function addDifferences(sums: Differences, { type }: Boundary, exact: TypedArray, found: TypedArray): void {
  const number = (value: number | bigint): number =>
    type.dtype === 'f16' ? fromHalfBits(Number(value)) : Number(value);
  sums.elements += exact.length;
  for (let i = 0; i < exact.length; i++) {
    const [a, b] = [number(exact[i]!), number(found[i]!)];
    if (Object.is(a, b)) sums.magnitude = Math.max(sums.magnitude, Math.abs(a));
    else {
      sums.differing++;
      // Where one of them is NaN or both are infinite there is no difference to speak of.
      const distance = Math.abs(a - b);
      sums.largest = Math.max(sums.largest, Number.isNaN(distance) ? Number.POSITIVE_INFINITY : distance);
      if (Number.isFinite(a)) sums.magnitude = Math.max(sums.magnitude, Math.abs(a));
    }
  }
}

/** How many labels of a call are right, those left out that an earlier call had. */
function rightIn({ output, labels, perCall }: Labels, call: number, arrays: Arrays): number {
  const values = arrays[output.name]!;
  const classes = values.length / perCall;
  const first = Math.min(call * perCall, labels.length - perCall);
  let right = 0;
  for (let i = call * perCall - first; i < perCall; i++) {
    const scores = values.subarray(i * classes, (i + 1) * classes);
    const chosen = isFloat(output.type.dtype) ? largestOf(scores) : Number(scores[0]);
    if (chosen === labels[first + i]) right++;
  }
  return right;
}

function largestOf(scores: TypedArray): number {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i;
  return best;
}

/**
 * Labels from `FILE.npy`, or `OUTPUT=FILE.npy` where several outputs could be meant: a whole number for each sample. The output has
 * a score for each class, or the class. Throws Misuse for names and files that there are not, Failure for what the file holds.
 */
export function readLabels(outputs: readonly Boundary[], samples: Samples, given: string): Labels {
  const named = existsSync(given) ? undefined : outputs.find(({ name }) => given.startsWith(`${name}=`));
  const file = named === undefined ? given : given.slice(named.name.length + 1);
  if (!existsSync(file)) throw new Misuse(`--labels: ${file} does not exist`);
  const { dtype, shape, data } = readNpyFile(file);
  const labels = Array.from(data as ArrayLike<number | bigint>, Number);
  const isList = shape.length === 1 || shape.slice(1).every((dim) => dim === 1);
  if (isFloat(dtype as 'f32') || dtype === 'bool' || !isList)
    throw new Failure(`--labels: whole numbers, one for each sample, expected; ${file} holds ${dtype}[${shape}]`);
  const { calls, count, perCall: rows } = samples;
  const isOnePerCall = labels.length === calls && count === calls * rows;
  if (labels.length !== count && !isOnePerCall)
    throw new Failure(`--labels: ${count} expected, as there are samples; ${file} has ${labels.length}`);
  const perCall = labels.length === count ? rows : 1;
  const fits = ({ type }: Boundary): boolean => {
    const each = sizeOf(type.shape) / perCall;
    return isFloat(type.dtype) ? Number.isInteger(each) && each > 1 : type.dtype !== 'bool' && each === 1;
  };
  const fitting = (named === undefined ? outputs : [named]).filter(fits);
  const [output] = fitting;
  if (output === undefined || fitting.length > 1)
    throw new Misuse(
      `--labels: ${fitting.length === 0 ? 'no output has' : 'several outputs have'} a score for each class or the class of each sample; give OUTPUT=FILE.npy, where there are ${outputs.map((each) => `${each.name}: ${formatBoundary(each)}`).join(', ')}`,
    );
  return { output, labels, perCall };
}
