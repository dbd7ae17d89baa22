// Datasets are arrays in memory whose first axis counts examples, one for each input of the compiled function. They
// are checked once, before training, so that a wrong label is reported by its place and not as a wrong result.

import { UserError } from '../ir/errors.ts';
import { type Shape, sizeOf } from '../ir/types.ts';
import type { TensorData } from './model.ts';
import { permutation } from './shuffle.ts';

export interface ExampleArray {
  /** `[examples, …]`: the first axis counts examples. */
  readonly shape: Shape;
  readonly data: TensorData;
}

/** Arrays by the name of the input they feed. */
export type Dataset = Readonly<Record<string, ExampleArray>>;

/** How many examples a dataset holds; an error when its arrays disagree or their shapes are not those of their data. */
export function exampleCount(dataset: Dataset): number {
  const entries = Object.entries(dataset);
  const first = entries[0];
  if (first === undefined) throw new UserError('the dataset has no arrays; give one for each input, such as { x, y }');
  for (const [name, { shape, data }] of entries) {
    if (shape.length === 0)
      throw new UserError(`dataset array '${name}' is a scalar; its first axis must count examples`);
    if (sizeOf(shape) !== data.length) {
      const wanted = `${sizeOf(shape)} elements`;
      throw new UserError(`dataset array '${name}' of shape [${shape}] should hold ${wanted} but holds ${data.length}`);
    }
  }
  const lengths = new Set(entries.map(([, { shape }]) => shape[0]));
  if (lengths.size > 1) {
    const listed = entries.map(([name, { shape }]) => `'${name}' has ${shape[0]}`).join(', ');
    throw new UserError(`the arrays of a dataset must hold equally many examples: ${listed}`);
  }
  const count = first[1].shape[0]!;
  if (count === 0) throw new UserError('the dataset holds no examples');
  return count;
}

/** What is known of a dataset's values: for integer labels, how many classes there are. */
export interface ValueRules {
  /** Array name → number of classes: every element must be a whole number in [0, classes). */
  readonly classes?: Readonly<Record<string, number>> | undefined;
}

/** Throws when an array holds NaN, or a label is outside its classes; names the array and the example. */
export function checkValues(dataset: Dataset, rules: ValueRules): void {
  for (const [name, { shape, data }] of Object.entries(dataset)) {
    if (!(data instanceof Float32Array || data instanceof Float64Array)) continue;
    const at = data.findIndex((element: number) => Number.isNaN(element));
    if (at >= 0) throw new UserError(`dataset array '${name}' holds NaN in example ${exampleOf(at, shape)}`);
  }
  for (const [name, classes] of Object.entries(rules.classes ?? {})) {
    const labels = dataset[name];
    if (labels === undefined) {
      const known = Object.keys(dataset).join(', ');
      throw new UserError(`classes are given for '${name}', but the dataset has only ${known}`);
    }
    const valid = (label: number): boolean => Number.isInteger(label) && label >= 0 && label < classes;
    const at = labels.data.findIndex((label: number) => !valid(label));
    if (at >= 0) {
      const where = `example ${exampleOf(at, labels.shape)} of '${name}'`;
      throw new UserError(
        `label ${labels.data[at]} in ${where} is out of range: with ${classes} classes, labels are 0 to ${classes - 1}`,
      );
    }
  }
}

function exampleOf(position: number, shape: Shape): number {
  return Math.floor(position / sizeOf(shape.slice(1)));
}

/** The examples at `order`, as a dataset of its own. */
export function selectExamples(dataset: Dataset, order: ArrayLike<number>): Dataset {
  return Object.fromEntries(
    Object.entries(dataset).map(([name, array]) => {
      const data = emptyLike(array, order.length);
      copyExamples(array, order, 0, order.length, data);
      return [name, { shape: [order.length, ...array.shape.slice(1)], data }];
    }),
  );
}

/** Splits off `fraction` of the examples, chosen by `seed` alone; both parts keep the order of the dataset. */
export function splitDataset(
  dataset: Dataset,
  fraction: number,
  seed = 0,
): { readonly training: Dataset; readonly validation: Dataset } {
  const count = exampleCount(dataset);
  const held = Math.round(count * fraction);
  if (!(fraction > 0 && fraction < 1) || held === 0 || held === count) {
    throw new UserError(
      `a validation fraction of ${fraction} leaves ${held} of ${count} examples for validation; ` +
        'it must lie between 0 and 1 and leave examples on both sides',
    );
  }
  const order = permutation(count, seed, 'split', 0);
  return {
    training: selectExamples(dataset, order.slice(held).sort()),
    validation: selectExamples(dataset, order.slice(0, held).sort()),
  };
}

/** An array of the same element type with room for `examples` examples. */
export function emptyLike({ shape, data }: ExampleArray, examples: number): TensorData {
  const length = examples * sizeOf(shape.slice(1));
  if (data instanceof Float32Array) return new Float32Array(length);
  if (data instanceof Float64Array) return new Float64Array(length);
  if (data instanceof Int32Array) return new Int32Array(length);
  if (data instanceof Uint32Array) return new Uint32Array(length);
  if (data instanceof Int8Array) return new Int8Array(length);
  return new Uint8Array(length);
}

/** Copies the examples `order[from … from + count)` to the head of `target`. */
export function copyExamples(
  { shape, data }: ExampleArray,
  order: ArrayLike<number>,
  from: number,
  count: number,
  target: TensorData,
): void {
  const width = sizeOf(shape.slice(1));
  for (let row = 0; row < count; row++) {
    const start = order[from + row]! * width;
    if (width === 1) target[row] = data[start]!;
    else target.set(data.subarray(start, start + width), row * width);
  }
}
