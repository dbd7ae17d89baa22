// Inputs from .npy files or drawn at random, outputs to .npy files.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { FileArray, FileDType } from '../io/array.ts';
import { readNpyFile } from '../io/files.ts';
import { writeNpy } from '../io/npy.ts';
import { writeAllAside } from '../io/write-aside.ts';
import type { RangeCheck } from '../ir/program.ts';
import { isFloat, sameShape, sizeOf, type TensorType } from '../ir/types.ts';
import { arrayFrom, type TypedArray } from '../runtime/arrays.ts';
import { fromCarrier, toCarrier } from './element-types.ts';
import { Failure, Misuse } from './failure.ts';
import type { Arrays, Boundary } from './runnable.ts';

/**
 * The inputs that `NAME=FILE` give, each read and held against its type. Throws Misuse for a name or a file that there is not,
 * and for an input that is given twice.
 */
export function readInputs(inputs: readonly Boundary[], given: readonly string[] = []): Arrays {
  const files = new Map<Boundary, string>();
  for (const text of given) {
    const input = inputGiven(inputs, text);
    const file = text.slice(input.name.length + 1);
    if (files.has(input)) throw new Misuse(`input ${JSON.stringify(input.name)} is given twice`);
    if (!existsSync(file)) throw new Misuse(`--input ${input.name}: ${file} does not exist`);
    files.set(input, file);
  }
  return Object.fromEntries([...files].map(([input, file]) => [input.name, readInput(input, file)]));
}

/** The input that a `NAME=FILE` names: names and files may hold `=`, so the longest name that fits is meant. */
export function inputGiven(inputs: readonly Boundary[], text: string): Boundary {
  const fitting = inputs
    .filter(({ name }) => text.startsWith(`${name}=`))
    .sort((a, b) => b.name.length - a.name.length);
  if (fitting[0] !== undefined) return fitting[0];
  throw new Misuse(`there is no input ${JSON.stringify(text.replace(/=.*$/s, ''))}; ${listed(inputs)}`);
}

/** Throws Misuse where an input is missing. */
export function expectAll(inputs: readonly Boundary[], given: Arrays): void {
  const missing = inputs.filter(({ name }) => given[name] === undefined);
  if (missing.length === 0) return;
  const list = missing.map((input) => `  --input ${quoted(input.name)}=FILE.npy   ${formatBoundary(input)}`).join('\n');
  throw new Misuse(`${missing.length === 1 ? 'an input is' : `${missing.length} inputs are`} missing:\n${list}`);
}

const quoted = (name: string): string => (/^[\w.:/-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`);

const listed = (inputs: readonly Boundary[]): string =>
  inputs.length === 0
    ? 'the function has none'
    : `the function has ${inputs.map((input) => `${input.name}: ${formatBoundary(input)}`).join(', ')}`;

/** The type of an input's or output's file. */
export const formatBoundary = ({ type, file = type.dtype }: Boundary): string => `${file}[${type.shape}]`;

function readInput({ name, type, file: dtype = type.dtype }: Boundary, file: string): TypedArray {
  const array = readNpyFile(file);
  if (array.dtype !== dtype || !sameShape(array.shape, type.shape))
    throw new Failure(
      `--input ${name}: ${dtype}[${type.shape}] expected, ${file} holds ${array.dtype}[${array.shape}]${wayOut(array, dtype, type)}`,
    );
  return elementsFor(type, array);
}

const numpyNames: Readonly<Record<FileDType, string>> = {
  f32: 'float32',
  f64: 'float64',
  f16: 'float16',
  i8: 'int8',
  u8: 'uint8',
  i32: 'int32',
  u32: 'uint32',
  i64: 'int64',
  bool: 'bool',
  i16: 'int16',
  u16: 'uint16',
  u64: 'uint64',
};

/** How NumPy makes the one of the other. */
function wayOut(array: FileArray, dtype: FileDType, type: TensorType): string {
  const cast = array.dtype === dtype ? '' : `.astype('${numpyNames[dtype]}')`;
  const shaped = sameShape(array.shape, type.shape) ? '' : `.reshape(${type.shape.join(', ')})`;
  if (shaped !== '' && sizeOf(array.shape) !== sizeOf(type.shape)) return '';
  return ` (in NumPy: array${cast}${shaped})`;
}

/** Elements as the runtime takes them. A file may call any byte a truth value; kernels know 0 and 1. */
export function elementsFor({ dtype }: TensorType, array: FileArray): TypedArray {
  const elements = toCarrier(array, dtype);
  return dtype === 'bool' ? (elements as Uint8Array).map((value) => (value === 0 ? 0 : 1)) : elements;
}

/** A generator of numbers in [0, 1): a 32-bit mixed counter (Steele, Lea, Flood, OOPSLA 2014). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** Whole numbers of inputs that are no indices lie below this. */
const mostInteger = 8;

/** Random elements: floats in [−1, 1), whole numbers from 0 up, within the range where they are indices. */
export function randomInput({ name, type }: Boundary, checks: readonly RangeCheck[], random: () => number): TypedArray {
  const check = checks.find(({ input }) => input === name);
  const [lower, size] = check === undefined ? [0, mostInteger] : [check.lower, check.upper - check.lower + 1];
  const element = (): number => {
    if (type.dtype === 'bool') return random() < 0.5 ? 0 : 1;
    return isFloat(type.dtype) ? 2 * random() - 1 : lower + Math.floor(size * random());
  };
  return arrayFrom(type, Float64Array.from({ length: sizeOf(type.shape) }, element));
}

/** Writes every output as .npy, all or none. Returns the files by the outputs' names. */
export function writeOutputs(directory: string, outputs: readonly Boundary[], arrays: Arrays): Map<string, string> {
  const names = fileNames(outputs.map(({ name }) => name));
  const files = new Map(outputs.map(({ name }) => [name, join(directory, `${names.get(name)}.npy`)]));
  const contents = outputs.map(({ name, type, file = type.dtype }): [string, Uint8Array] => [
    files.get(name)!,
    writeNpy({ dtype: file, shape: type.shape, data: fromCarrier(file, type.dtype, arrays[name]!) }),
  ]);
  try {
    writeAllAside(contents);
  } catch (error) {
    throw new Failure(`the outputs cannot be written: ${error instanceof Error ? error.message : error}`);
  }
  return files;
}

const longestName = 100;

/** Names of files for names of any characters: unlike on every file system, and none that leads elsewhere. */
export function fileNames(names: readonly string[]): Map<string, string> {
  const taken = new Set<string>();
  return new Map(
    names.map((name) => {
      const safe =
        name
          .replace(/[^A-Za-z0-9_.-]+/g, '_')
          .replace(/^[.-]+/, '_')
          .slice(0, longestName) || '_';
      let unique = safe;
      for (let n = 2; taken.has(unique.toLowerCase()); n++) unique = `${safe}_${n}`;
      taken.add(unique.toLowerCase());
      return [name, unique];
    }),
  );
}
