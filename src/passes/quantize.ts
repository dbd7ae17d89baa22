// Quantization as a graph: contractions with weights become contractions of integers between what makes integers of activations and
// reals of sums. A real x stands for an integer q by x ≈ s · (q − z), with a scale s and a zero point z:
//   weights      q = round(w / s), −127 to 127, z = 0, s = max |w| / 127 for each channel of the result;
//   activations  q = round(x / s) + z, 0 to 255, s = (max − min) / 255 of the whole tensor, 0 within the range, z = round(−min / s);
//   a result     y = s_x · s_w · Σ (q_x − z_x) · q_w, the sum exact in 32 bits.
// B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018,
// equations 1 to 4; weights by channel and without zero points: R. Krishnamoorthi, arXiv:1806.08342 (2018), sections 2.2 and 3.

import { type Func, makeFunc, type Node, type Parameter, parameter, type Value } from '../ir/graph.ts';
import type { OpAttrs } from '../ir/opattrs.ts';
import { builder } from '../ir/ops/index.ts';
import { type Shape, sizeOf, stridesOf } from '../ir/types.ts';
import { mapNodes } from './rewrite.ts';
import { originOf, unchangingValues } from './weight-operands.ts';

/** A contraction of f32 with an operand that never changes. */
export interface Layer {
  readonly node: Node;
  readonly weight: Value;
  readonly activation: Value;
  /** Axes of the weight that have a scale for each index, and the axes of the result that they are. */
  readonly channels: readonly number[];
  readonly channelsOfResult: readonly number[];
  /** Products in a sum. */
  readonly inner: number;
  /** The weight's name: that of what it is made of. */
  readonly name: string;
}

/** Weights of a layer as integers, in the operand's order. */
export interface QuantizedWeight {
  readonly elements: Int8Array;
  /** One for each index of the layer's channels, row-major. */
  readonly scales: Float32Array;
}

/** How activations are quantized; null where they stay reals. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** The contractions with weights, in order, calls inlined; those in the bodies of loops are none of them. */
export function layersOf(func: Func): Layer[] {
  const unchanging = unchangingValues(func);
  const depends = new Map<Node, boolean>();
  const varies = ({ producer }: Value): boolean => producer === null || depends.get(producer)!;
  for (const node of func.nodes)
    depends.set(
      node,
      node.operands.some((operand) => !unchanging.has(operand) && varies(operand)),
    );
  const isFixed = (value: Value): boolean => unchanging.has(value) || !varies(value);
  const names = new Map(func.parameters.map(({ name, value }) => [value, name]));
  return func.nodes.flatMap((node): Layer[] => {
    if ((node.op !== 'dot' && node.op !== 'conv') || node.results[0]!.type.dtype !== 'f32') return [];
    const [lhs, rhs] = node.operands as [Value, Value];
    const side = isFixed(rhs) ? 1 : isFixed(lhs) && node.op === 'dot' ? 0 : null;
    if (side === null || isFixed(side === 1 ? lhs : rhs)) return [];
    const [weight, activation] = side === 1 ? [rhs, lhs] : [lhs, rhs];
    const axes = node.op === 'conv' ? convChannels : dotChannels(node as Node<'dot'>, side);
    const { shape } = weight.type;
    const inner = sizeOf(shape) / sizeOf(axes.channels.map((axis) => shape[axis]!));
    const origin = originOf(weight);
    const name = names.get(origin) ?? origin.name ?? weight.name ?? node.results[0]!.name ?? node.op;
    return [{ node, weight, activation, ...axes, inner, name }];
  });
}

const convChannels: Pick<Layer, 'channels' | 'channelsOfResult'> = { channels: [0], channelsOfResult: [1] };

/** Axes of a batch come first in the result, then the free ones of the left operand, then of the right one. */
function dotChannels({ operands, attrs }: Node<'dot'>, side: 0 | 1): Pick<Layer, 'channels' | 'channelsOfResult'> {
  const { contract, batch } = attrs as OpAttrs['dot'];
  const freeOf = (of: 0 | 1): number[] =>
    operands[of]!.type.shape.map((_, axis) => axis).filter(
      (axis) => !contract[of].includes(axis) && !batch[of].includes(axis),
    );
  const free = freeOf(side);
  const before = batch[side].length + (side === 1 ? freeOf(0).length : 0);
  return {
    channels: [...batch[side], ...free],
    channelsOfResult: [...batch[side].map((_, i) => i), ...free.map((_, i) => before + i)],
  };
}

const mostOfWeights = 127;
const mostOfActivations = 255;
/** Sums of more products could leave 32 bits. */
export const mostSummed = Math.floor((2 ** 31 - 1) / (mostOfWeights * mostOfActivations));

/** A layer's weights as integers with a scale for each channel. */
export function quantizeWeight({ weight, channels }: Layer, elements: ArrayLike<number>): QuantizedWeight {
  const { shape } = weight.type;
  const extents = channels.map((axis) => shape[axis]!);
  const channelOf = channelIndices(shape, channels, extents);
  const most = new Float32Array(sizeOf(extents));
  for (let i = 0; i < elements.length; i++) {
    const channel = channelOf(i);
    most[channel] = Math.max(most[channel]!, Math.abs(elements[i]!));
  }
  // A channel of zeros is zeros at every scale; 1 divides nothing by zero.
  const scales = most.map((size) => (size === 0 ? 1 : size / mostOfWeights));
  const integers = new Int8Array(elements.length);
  for (let i = 0; i < elements.length; i++) {
    const steps = Math.round(elements[i]! / scales[channelOf(i)]!);
    integers[i] = Math.max(-mostOfWeights, Math.min(mostOfWeights, steps));
  }
  return { elements: integers, scales };
}

/** Of elements in their order: which channel each belongs to. */
function channelIndices(shape: Shape, channels: readonly number[], extents: Shape): (element: number) => number {
  const strides = stridesOf(shape);
  const steps = stridesOf(extents);
  return (element) => {
    let channel = 0;
    for (const [i, axis] of channels.entries())
      channel += (Math.floor(element / strides[axis]!) % shape[axis]!) * steps[i]!;
    return channel;
  };
}

/** Significant bits of scales of activations: machines that round sums in other orders then find the same, but for rare cases. */
const scaleBits = 8;

/** Scale and zero point of activations within a range, which 0 is made part of. */
export function activationScale({ min, max }: Range): { readonly scale: number; readonly zero: number } {
  const [low, high] = [Math.min(0, min), Math.max(0, max)];
  if (high === low) return { scale: 1, zero: 0 };
  const exact = (high - low) / mostOfActivations;
  const unit = 2 ** (Math.floor(Math.log2(exact)) + 1 - scaleBits);
  const scale = Math.ceil(exact / unit) * unit;
  return { scale, zero: Math.round(Math.abs(low) / scale) };
}

/** What a layer becomes. */
export interface Replacement {
  readonly layer: Layer;
  readonly quantized: QuantizedWeight;
  /** Null: activations stay reals, and only the weight is stored in bytes. */
  readonly range: Range | null;
  /** The name of the parameter with the integers. */
  readonly parameter: string;
}

/** The function, its calls inlined, with layers replaced; parameters that nothing reads any more are gone. */
export function quantizeLayers(func: Func, replacements: readonly Replacement[]): Func {
  const byNode = new Map(replacements.map((replacement) => [replacement.layer.node.results[0]!, replacement]));
  const added: Parameter[] = [];
  const integers = new Map<Value, Map<string, Value>>();
  // Rewritten nodes keep the order of the function's own.
  const originals = func.nodes.values();
  const replaced = mapNodes(func, (node) => {
    const original = originals.next().value!;
    const replacement = byNode.get(original.results[0]!);
    if (replacement === undefined) return node.results;
    const { layer, quantized } = replacement;
    const weight = parameter(replacement.parameter, { dtype: 'i8', shape: layer.weight.type.shape }, 'weight');
    added.push(weight);
    const side = original.operands.indexOf(layer.weight);
    return [quantizedLayer(node, side, weight.value, quantized.scales, replacement, integers)];
  });
  const read = new Set(replaced.nodes.flatMap(({ operands }) => operands));
  const results = new Set(replaced.results.map(({ value }) => value));
  const updated = new Set(replaced.results.filter(({ role }) => role === 'update').map(({ name }) => name));
  const kept = replaced.parameters.filter(
    ({ role, name, value }) => role === 'input' || updated.has(name) || read.has(value) || results.has(value),
  );
  return makeFunc(replaced.name, [...kept, ...added], replaced.results);
}

function quantizedLayer(
  node: Node,
  side: number,
  weight: Value,
  scales: Float32Array,
  { layer, range }: Replacement,
  integers: Map<Value, Map<string, Value>>,
): Value {
  const b = builder.at(node.source);
  const activation = node.operands[1 - side]!;
  const dtype = range === null ? 'f32' : 'i32';
  const wide = b.cast(weight, { dtype });
  const { scale, zero } = range === null ? { scale: 1, zero: 0 } : activationScale(range);
  const whole = range === null ? activation : centred(activation, scale, zero, integers);
  const operands = side === 1 ? [whole, wide] : [wide, whole];
  const sums = b.emit(node.op, operands, node.attrs).results[0]!;
  const { shape } = sums.type;
  const extents = layer.channelsOfResult.map((axis) => shape[axis]!);
  const data = scales.map((each) => each * scale);
  const factors = b.constant({ dtype: 'f32', shape: extents, data: data.length === 1 ? [data[0]!] : data });
  const spread = b.broadcast(factors, { shape, axes: layer.channelsOfResult });
  return b.mul(range === null ? sums : b.cast(sums, { dtype: 'f32' }), spread);
}

/** Activations as integers less their zero point: once for all layers that read them on one scale. */
function centred(x: Value, scale: number, zero: number, known: Map<Value, Map<string, Value>>): Value {
  const byScale = known.get(x) ?? new Map<string, Value>();
  known.set(x, byScale);
  const key = `${scale} ${zero}`;
  const found = byScale.get(key);
  if (found !== undefined) return found;
  const steps = builder.round(builder.mul(x, builder.like(x, 1 / scale)));
  const moved = zero === 0 ? steps : builder.add(steps, builder.like(x, zero));
  const bounded = builder.min(builder.max(moved, builder.like(x, 0)), builder.like(x, mostOfActivations));
  const bytes = builder.cast(bounded, { dtype: 'u8' });
  const wide = builder.cast(bytes, { dtype: 'i32' });
  const made = zero === 0 ? wide : builder.sub(wide, builder.like(wide, zero));
  byScale.set(key, made);
  return made;
}

/** The function whose outputs are the least and the greatest element of each value: `min0`, `max0`, `min1` and on. */
export function rangesOf(func: Func, values: readonly Value[]): Func {
  const results = values.flatMap((value, i) =>
    (['min', 'max'] as const).map((kind) => ({
      name: `${kind}${i}`,
      role: 'output' as const,
      value: builder.reduce(value, { kind, axes: value.type.shape.map((_, axis) => axis) }),
    })),
  );
  return makeFunc(func.name, func.parameters, results);
}

/** The function whose outputs are these values: `value0` and on. Its inputs are gone: nothing that it computes depends on them. */
export function valuesOf(func: Func, values: readonly Value[]): Func {
  const results = values.map((value, i) => ({ name: `value${i}`, role: 'output' as const, value }));
  const parameters = func.parameters.filter(({ role }) => role !== 'input');
  return makeFunc(func.name, parameters, results);
}
