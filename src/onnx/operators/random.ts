// Operators that draw random numbers: by Philox, from keys that the import's seed, the node's own seed or number, and the number of a
// loop's step decide. The standard leaves open which numbers come; these are the same on every target.

import { bernoulli, categorical, normal, type RandomFloat, uniform } from '../../lang/random.ts';
import type { AnyTensor, Tensor } from '../../lang/tensor.ts';
import { carrierOf, type ElementType, isFloatType } from '../element-types.ts';
import { type NodeContext, type OnnxValue, type Operator, shapeOf } from '../node-context.ts';
import { targetType } from './elementwise.ts';
import { choose, converted } from './values.ts';

/** The node's key; its seed is a float, whose bits are a word. */
const keyOf = (node: NodeContext) =>
  node.drawKey(node.has('seed') ? new Uint32Array(Float32Array.of(node.float('seed')).buffer)[0]! : null);

/** The type that is asked for, else another. */
const typeOf = (node: NodeContext, otherwise: ElementType): ElementType =>
  node.has('dtype') ? targetType(node, node.int('dtype')) : otherwise;

function expectFloats(node: NodeContext, type: ElementType): RandomFloat {
  if (!isFloatType(type)) node.invalid(`numbers of a float type expected, ${type} asked for`);
  return carrierOf[type] as RandomFloat;
}

/** Numbers of the shape that the node names, or of that of its input. */
const numbers =
  (draw: (node: NodeContext, shape: readonly number[], dtype: RandomFloat) => AnyTensor): Operator =>
  (node) => {
    const like = node.optional(0);
    const type = typeOf(node, like?.type ?? 'float');
    const shape = like === null ? node.ints('shape') : shapeOf(like);
    return { type, tensor: draw(node, shape, expectFloats(node, type)) };
  };

const normalNumbers = numbers((node, shape, dtype) =>
  (normal(keyOf(node), shape, { dtype }) as AnyTensor).mul(node.float('scale', 1)).add(node.float('mean', 0)),
);

const uniformNumbers = numbers((node, shape, dtype) =>
  uniform(keyOf(node), shape, { low: node.float('low', 0), high: node.float('high', 1), dtype }),
);

/** 1 with the probability that the input has there. */
const trials: Operator = (node) => {
  const x = node.input(0);
  expectFloats(node, x.type);
  const found: OnnxValue = {
    type: 'bool',
    tensor: bernoulli(keyOf(node), x.tensor as Tensor<readonly number[], 'f32'>, shapeOf(x)),
  };
  return converted(found, typeOf(node, x.type));
};

/** [N, classes] of logarithms of probabilities, but for a constant → classes [N, samples]. */
const classes: Operator = (node) => {
  const x = node.input(0);
  expectFloats(node, x.type);
  const [rows, count, ...rest] = shapeOf(x);
  if (rows === undefined || count === undefined || rest.length > 0)
    return node.invalid(`[N, classes] expected, [${shapeOf(x)}] given`);
  const wide = [rows, node.int('sample_size', 1), count];
  const logits: AnyTensor = x.tensor.reshape([rows, 1, count]).broadcastTo(wide);
  return converted({ type: 'int32', tensor: categorical(keyOf(node), logits) }, typeOf(node, 'int32'));
};

/** Elements are dropped in training mode; else all are kept, and a mask, where asked for, says so. */
const dropout: Operator = (node) => {
  const x = node.input(0);
  const shape = shapeOf(x);
  const mode = node.opset >= 12 ? node.optional(2) : null;
  const trains = mode !== null && node.expectKnown(mode, 'training_mode')[0] !== 0;
  const given = node.optional(1);
  if (!trains || (given !== null && node.known(given)?.[0] === 0))
    return node.wants(1) ? [x, node.fill('bool', shape, 1)] : x;
  const rate: AnyTensor = (given === null ? node.fill(x.type, [], 0.5) : converted(given, x.type)).tensor.reshape([]);
  const seed = node.has('seed') ? Number(BigInt.asUintN(32, node.bigint('seed'))) : null;
  const drawn: AnyTensor = uniform(node.drawKey(seed), shape, { dtype: expectFloats(node, x.type) });
  const kept: AnyTensor = drawn.ge(rate);
  const scaled: AnyTensor = x.tensor.div(rate.neg().add(1));
  return [{ type: x.type, tensor: choose(kept, scaled, 0) }, { type: 'bool', tensor: kept } as const].slice(
    0,
    node.wants(1) ? 2 : 1,
  );
};

export const randomOperators: Readonly<Record<string, Operator>> = {
  Bernoulli: trials,
  Multinomial: classes,
  RandomNormal: normalNumbers,
  RandomNormalLike: normalNumbers,
  RandomUniform: uniformNumbers,
  RandomUniformLike: uniformNumbers,
  Dropout: dropout,
};
