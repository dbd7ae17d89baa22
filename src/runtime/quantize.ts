// Post-training quantization: ranges are measured by running the function, weights become bytes, and the function one of integers.

import { UserError } from '../ir/errors.ts';
import type { Func, Node, Value } from '../ir/graph.ts';
import { sizeOf } from '../ir/types.ts';
import { inlineCalls } from '../passes/inline.ts';
import {
  type Layer,
  layersOf,
  mostSummed,
  quantizeLayers,
  quantizeWeight,
  type Range,
  type Replacement,
  rangesOf,
  valuesOf,
} from '../passes/quantize.ts';
import { fewestNarrowed } from '../passes/weight-operands.ts';
import type { TypedArray } from './arrays.ts';
import { hasCompiler } from './c/compiler.ts';
import { compile } from './compile.ts';
import type { AnyExecutable, Arrays, Definition } from './definition.ts';
import type { StoredWeight } from './half-weights.ts';
import { StateStore } from './state.ts';

/** Sums of fewer products cost more to make integers of than they save: depthwise convolutions, and first layers of few channels. */
const fewestSummed = 16;

export interface QuantizeOptions<Inputs> {
  /** Inputs of calls that are typical: what they make of activations is the range that integers cover. */
  readonly calibration: Iterable<Arrays<Inputs>>;
  /** The trained state. Default: the first values of the variables. */
  readonly state?: StateStore;
}

export interface Quantized<Inputs, Outputs> {
  readonly definition: Definition<Inputs, Outputs>;
  /** The weights of contractions, and why some of them are as they were. */
  readonly weights: readonly StoredWeight[];
}

/**
 * The function with its matrix products and convolutions by weights computed in integers: weights i8 with a scale for each channel of
 * the result, activations u8 with a scale and zero point for each tensor, from the least and greatest elements that the
 * calibration shows; sums are exact in 32 bits, and everything else is computed in f32. x ≈ s · (q − z), formulas and sources in
 * passes/quantize.ts. Layers stay f32 whose weights have fewer than 256 elements, whose sums have fewer than 16 products (depthwise)
 * or more than 66,311. Throws UserError without a single
 * call of calibration, and where an activation is NaN or infinite.
 */
export async function quantize<Inputs, Outputs>(
  definition: Definition<Inputs, Outputs>,
  { calibration, state }: QuantizeOptions<Inputs>,
): Promise<Quantized<Inputs, Outputs>> {
  const func = inlineCalls.run(definition.func);
  const layers = layersOf(func);
  const chosen = layers.filter((layer) => reasonFor(layer, true) === null);
  const activations = [...new Set(chosen.map(({ activation }) => activation))];
  const ranges = await measured({ ...definition, func: rangesOf(func, activations) }, activations, calibration, state);
  const replaced = await replacements(definition, func, chosen, state, ({ activation }) => ranges.get(activation)!);
  return narrowed(definition, func, layers, replaced, true);
}

/**
 * The function with the weights of its matrix products and convolutions as i8, with a scale for each channel of the result, and
 * computed with as f32: w ≈ s · q, s = max |w| / 127. Needs no calibration, costs little accuracy, and saves bytes alone. Layers
 * stay as they are whose weights have fewer than 256 elements. `state`: the trained values. Default: the first ones.
 */
export async function quantizeWeights<Inputs, Outputs>(
  definition: Definition<Inputs, Outputs>,
  { state }: { readonly state?: StateStore } = {},
): Promise<Quantized<Inputs, Outputs>> {
  const func = inlineCalls.run(definition.func);
  const layers = layersOf(func);
  const chosen = layers.filter((layer) => reasonFor(layer, false) === null);
  const replaced = await replacements(definition, func, chosen, state, () => null);
  return narrowed(definition, func, layers, replaced, false);
}

/** Why a layer stays f32; null where it does not. */
function reasonFor({ weight, inner }: Layer, integers: boolean): string | null {
  if (sizeOf(weight.type.shape) < fewestNarrowed) return `fewer than ${fewestNarrowed} elements`;
  if (!integers) return null;
  if (inner < fewestSummed) return `sums of fewer than ${fewestSummed} products`;
  return inner > mostSummed ? `sums of more than ${mostSummed} products could leave 32 bits` : null;
}

/** The least and greatest elements of values over all calls. */
async function measured<Inputs>(
  ranges: Definition<Inputs, unknown>,
  activations: readonly Value[],
  calibration: Iterable<Arrays<Inputs>>,
  state: StateStore | undefined,
): Promise<Map<Value, Range>> {
  const found = activations.map(() => ({ min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY }));
  const run = await compiledFor(ranges as Definition<Inputs, Record<string, TypedArray>>, state);
  let calls = 0;
  for (const inputs of calibration) {
    calls++;
    const outputs = await run(inputs);
    found.forEach((range, i) => {
      const [min, max] = [Number(outputs[`min${i}`]![0]), Number(outputs[`max${i}`]![0])];
      if (!Number.isFinite(min) || !Number.isFinite(max))
        throw new UserError(
          `calibration: call ${calls} makes an activation (${describe(activations[i]!)}) go from ${min} to ${max}; numbers that are finite expected`,
        );
      range.min = Math.min(range.min, min);
      range.max = Math.max(range.max, max);
    });
  }
  if (calls === 0) throw new UserError('calibration: inputs of at least one call expected, none given');
  return new Map(activations.map((value, i) => [value, found[i]!]));
}

const describe = (value: Value): string =>
  `${value.name ?? value.producer?.op ?? 'input'}: ${value.type.dtype}[${value.type.shape}]`;

/** Compiled for this machine, or for any, which gives the same bits on each. */
async function compiledFor<Inputs, Outputs>(
  definition: Definition<Inputs, Outputs>,
  state: StateStore | undefined,
  target: 'c' | 'js' = hasCompiler() ? 'c' : 'js',
): Promise<AnyExecutable<Inputs, Outputs>> {
  const store = state === undefined ? new StateStore() : await StateStore.copyOf(state);
  return compile(definition, { target, state: store, freeze: true });
}

async function replacements(
  definition: Definition,
  func: Func,
  layers: readonly Layer[],
  state: StateStore | undefined,
  rangeOf: (layer: Layer) => Range | null,
): Promise<Replacement[]> {
  const elements = await elementsOf(definition, func, [...new Set(layers.map(({ weight }) => weight))], state);
  const taken = new Set(func.parameters.map(({ name }) => name));
  return layers.map((layer): Replacement => {
    let name = `${layer.name}.i8`;
    for (let i = 2; taken.has(name); i++) name = `${layer.name}.i8.${i}`;
    taken.add(name);
    const quantized = quantizeWeight(layer, elements.get(layer.weight)!);
    return { layer, quantized, range: rangeOf(layer), parameter: name };
  });
}

/** The elements of weights: known, or computed of what is. */
async function elementsOf(
  definition: Definition,
  func: Func,
  weights: readonly Value[],
  state: StateStore | undefined,
): Promise<Map<Value, ArrayLike<number>>> {
  const variables = new Map(definition.variables.map((variable) => [variable.name, variable]));
  const names = new Map(func.parameters.map(({ name, value }) => [value, name]));
  const found = new Map<Value, ArrayLike<number>>();
  for (const weight of weights) {
    const name = names.get(weight);
    if (name !== undefined)
      found.set(
        weight,
        state?.has(name) === true ? (state.memory(name) as Float32Array) : variables.get(name)!.initial(),
      );
    else if (weight.producer!.op === 'constant')
      found.set(weight, constantElements(weight.producer as Node<'constant'>));
  }
  const others = weights.filter((weight) => !found.has(weight));
  if (others.length === 0) return found;
  const run = (await compiledFor({ ...definition, func: valuesOf(func, others) }, state, 'js')) as AnyExecutable;
  const outputs = await run({});
  others.forEach((weight, i) => {
    found.set(weight, outputs[`value${i}`] as Float32Array);
  });
  return found;
}

function constantElements({ attrs: { shape, data } }: Node<'constant'>): ArrayLike<number> {
  return data.length === 1 ? new Float32Array(sizeOf(shape)).fill(Number(data[0])) : (data as ArrayLike<number>);
}

function narrowed<Inputs, Outputs>(
  definition: Definition<Inputs, Outputs>,
  func: Func,
  layers: readonly Layer[],
  replaced: readonly Replacement[],
  integers: boolean,
): Quantized<Inputs, Outputs> {
  const made = quantizeLayers(func, replaced);
  const kept = new Set(made.parameters.map(({ name }) => name));
  const weights = replaced.map(({ parameter, quantized, layer }) => ({
    name: parameter,
    type: { dtype: 'i8' as const, shape: layer.weight.type.shape },
    initial: () => quantized.elements,
  }));
  return {
    weights: layers.map((layer): StoredWeight => {
      const reason = reasonFor(layer, integers);
      return { name: layer.name, shape: layer.weight.type.shape, dtype: reason === null ? 'i8' : 'f32', reason };
    }),
    definition: {
      ...definition,
      func: made,
      variables: [...definition.variables.filter(({ name }) => kept.has(name)), ...weights],
    },
  };
}
