// Samples that a model is judged on: read from .npy files, some or all of them at a time as the model takes them, or drawn at random.

import { existsSync } from 'node:fs';
import type { FileArray } from '../../io/array.ts';
import { readNpyFile } from '../../io/files.ts';
import type { RangeCheck } from '../../ir/program.ts';
import { isFloat, sameShape, sizeOf } from '../../ir/types.ts';
import type { TypedArray } from '../../runtime/arrays.ts';
import { elementsFor, formatBoundary, inputGiven, randomInput, seeded } from '../arrays.ts';
import { Failure, Misuse } from '../failure.ts';
import type { Arrays, Boundary } from '../runnable.ts';

/** Inputs of several calls. */
export interface Samples {
  readonly calls: number;
  /** The inputs of a call. */
  inputs(call: number): Arrays;
  /** Samples in all, and by how many a call begins after the first: the last one may repeat some of those before it. */
  readonly count: number;
  readonly perCall: number;
  /** What they are, for a sentence. */
  readonly described: string;
}

const randomCalls = 3;

export function randomSamples(inputs: readonly Boundary[], checks: readonly RangeCheck[]): Samples {
  const random = seeded(1);
  const drawn = Array.from({ length: randomCalls }, () =>
    Object.fromEntries(inputs.map((input) => [input.name, randomInput(input, checks, random)])),
  );
  return {
    calls: randomCalls,
    inputs: (call) => drawn[call]!,
    count: randomCalls,
    perCall: 1,
    described: `${randomCalls} random inputs, floats from −1 to 1`,
  };
}

/**
 * Samples from `FILE.npy` for the only input or `NAME=FILE.npy` for each: the shape of the input with any first dimension that is
 * not less, or with one more before it. Throws Misuse for names and files that there are not, Failure for what the files hold.
 */
export function readSamples(inputs: readonly Boundary[], given: readonly string[]): Samples {
  const files = new Map<Boundary, string>();
  for (const text of given) {
    const isFile = inputs.length === 1 && (existsSync(text) || !text.includes('='));
    const input = isFile ? inputs[0]! : inputGiven(inputs, text);
    const file = isFile ? text : text.slice(input.name.length + 1);
    if (files.has(input)) throw new Misuse(`--calibration of input ${JSON.stringify(input.name)} is given twice`);
    if (!existsSync(file)) throw new Misuse(`--calibration: ${file} does not exist`);
    files.set(input, file);
  }
  const missing = inputs.filter((input) => !files.has(input));
  if (missing.length > 0)
    throw new Misuse(`--calibration is missing for ${missing.map(({ name }) => JSON.stringify(name)).join(', ')}`);
  const parts = [...files].map(([input, file]) => readPart(input, file));
  const [first] = parts as [Part, ...Part[]];
  for (const { input, file, calls, count } of parts)
    if (calls !== first.calls || count !== first.count)
      throw new Failure(
        `--calibration: as many samples for every input expected; ${first.file} has ${first.count} for ${first.input.name}, ${file} ${count} for ${input.name}`,
      );
  return {
    calls: first.calls,
    count: first.count,
    perCall: first.perCall,
    inputs: (call) => Object.fromEntries(parts.map(({ input, at }) => [input.name, at(call)])),
    described: `the ${first.count} samples of --calibration`,
  };
}

/** One input's samples. */
interface Part {
  readonly input: Boundary;
  readonly file: string;
  readonly calls: number;
  readonly count: number;
  readonly perCall: number;
  at(call: number): TypedArray;
}

function readPart(input: Boundary, file: string): Part {
  const { type, name } = input;
  const array = readNpyFile(file);
  const { file: dtype = type.dtype } = input;
  const [perCall = 1, ...rest] = type.shape;
  const [total = 0, ...inner] = array.shape;
  const isRows = type.shape.length > 0 && sameShape(inner, rest) && total >= perCall;
  const isCalls = sameShape(inner, type.shape) && total > 0;
  if (array.dtype !== dtype || !(isRows || isCalls))
    throw new Failure(
      `--calibration ${name}: ${formatBoundary(input)} with as many samples as you like along the first axis, or one more axis before it, expected; ${file} holds ${array.dtype}[${array.shape}]`,
    );
  const elements = elementsFor(type, array);
  expectFinite(elements, array, `--calibration ${name}: ${file}`);
  const size = sizeOf(type.shape);
  if (!isRows)
    return {
      ...{ input, file, perCall, calls: total, count: total * perCall },
      at: (call) => elements.subarray(call * size, (call + 1) * size),
    };
  const calls = Math.ceil(total / perCall);
  const each = size / perCall;
  return {
    ...{ input, file, perCall, calls, count: total },
    at(call) {
      const begin = Math.min(call * perCall, total - perCall) * each;
      return elements.subarray(begin, begin + size);
    },
  };
}

function expectFinite(elements: TypedArray, { dtype }: FileArray, place: string): void {
  if (!isFloat(dtype as 'f32')) return;
  const at = (elements as Float32Array).findIndex((value) => !Number.isFinite(value));
  if (at >= 0)
    throw new Failure(`${place} has ${elements[at]} as its element ${at}; samples must be numbers that are finite`);
}
