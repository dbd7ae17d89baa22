// Attention in several heads, and a cache of keys and values for text that is made a token at a time. A. Vaswani et al., Attention Is
// All You Need, NIPS 2017, sections 3.2.1 and 3.2.2.

import { UserError } from '../ir/errors.ts';
import { refuse } from '../lang/checks.ts';
import { gather, narrow, softmax, where } from '../lang/functions.ts';
import type { AnyTensor, Tensor } from '../lang/tensor.ts';
import { iota, zeros } from '../lang/variable.ts';
import { dense, type Layer, layer, nameOf, type WeightOptions } from './layers.ts';

// biome-ignore lint/suspicious/noExplicitAny: f32 tensors of any shape, as other layers take them
type F32 = Tensor<any, 'f32'>;

/** Keys and values of the tokens read so far, each `[heads, context, size of a head]`. */
export type AttentionCache = { readonly keys: F32; readonly values: F32 };

export interface AttentionOptions extends WeightOptions {
  /** True: a token sees itself and those before it. Default false. */
  readonly causal?: boolean;
}

export interface MultiHeadAttention extends Layer {
  /** A cache for so many tokens, empty: zeros. */
  cache(context: number): AttentionCache;
  /**
   * Further tokens `[tokens, width]`, the first of them at `place` (an integer, scalar): each sees the cache up to its own place. Gives
   * their rows `[tokens, width]` and the cache with them. What lies beyond a token's place is not read.
   */
  step(x: F32, cache: AttentionCache, place: AnyTensor): { readonly rows: F32; readonly cache: AttentionCache };
}

/**
 * Each token's mean of the values by its likeness to the keys, in `heads` parts of the width: `[tokens, width] → [tokens, width]`. Queries,
 * keys and values are side by side in the weight `<name>.joined.weight [width, 3·width]`; `<name>.out.weight` joins the heads.
 */
export function multiHeadAttention(width: number, heads: number, options: AttentionOptions = {}): MultiHeadAttention {
  const name = nameOf('attention', options.name);
  if (width % heads !== 0) throw new UserError(`${name}: a width of ${width} cannot be cut into ${heads} heads`);
  const { causal = false, name: _, ...ofWeights } = options;
  const joined = dense(width, 3 * width, { ...ofWeights, name: `${name}.joined` });
  const out = dense(width, width, { ...ofWeights, name: `${name}.out` });
  const size = width / heads;
  /** Part 0, 1 or 2 of queries, keys and values by head: `[heads, tokens, size]`. */
  const part = (all: AnyTensor, index: number): AnyTensor =>
    narrow(all, -1, index * width, width)
      .reshape([-1, heads, size])
      .transpose([1, 0, 2]);
  const expectRows = (x: AnyTensor): AnyTensor => {
    const { shape } = x.value.type;
    if (shape.length !== 2 || shape[1] !== width) refuse(name, [x], `tokens [tokens, ${width}] expected`);
    return joined(x);
  };
  const mix = (weights: AnyTensor, values: AnyTensor): F32 =>
    out(weights.matmul(values).transpose([1, 0, 2]).reshape([-1, width]) as AnyTensor);
  const likeness = (queries: AnyTensor, keys: AnyTensor): AnyTensor =>
    queries.matmul(keys.transpose([0, 2, 1])).mul(size ** -0.5);
  const read = (x: F32): F32 => {
    const all = expectRows(x);
    const scores = likeness(part(all, 0), part(all, 1));
    const { shape } = scores.value.type;
    const seen: AnyTensor = iota(shape, 2).le(iota(shape, 1));
    return mix(softmax(causal ? (where(seen, scores, -1e9) as AnyTensor) : scores), part(all, 2));
  };
  const cache: MultiHeadAttention['cache'] = (context) => {
    const shape = [heads, context, size];
    return { keys: zeros(shape), values: zeros(shape) };
  };
  const step: MultiHeadAttention['step'] = (x, before, place) => {
    const all = expectRows(x);
    const queries = part(all, 0);
    const tokens = queries.value.type.shape[1]!;
    const shape = (before.keys as AnyTensor).value.type.shape;
    const context = shape[1]!;
    const keys = written(before.keys, part(all, 1), place);
    const values = written(before.values, part(all, 2), place);
    const seen: AnyTensor = iota([tokens, context], 1).le(iota([tokens, context], 0).add(place));
    const weights = softmax(where(seen, likeness(queries, keys), -1e9) as AnyTensor);
    const filled: AnyTensor = iota([context, 1], 0).le(place.add(tokens - 1));
    return { rows: mix(weights, where(filled, values, 0) as AnyTensor), cache: { keys, values } };
  };
  return Object.assign(layer(name, [...joined.variables, ...out.variables], read), { cache, step });
}

/** A cache `[heads, context, size]` with the rows of new tokens `[heads, tokens, size]` from a place on. */
function written(cache: AnyTensor, rows: AnyTensor, place: AnyTensor): AnyTensor {
  const [context, tokens] = [cache.value.type.shape[1]!, rows.value.type.shape[1]!];
  const token: AnyTensor = iota([context], 0).sub(place);
  const isNew: AnyTensor = token.ge(0).and(token.lt(tokens));
  const all = tokens === 1 ? rows : gather(rows, token, 1);
  return where(tokens === 1 ? iota([context, 1], 0).eq(place) : isNew.reshape([context, 1]), all, cache) as AnyTensor;
}
