// GPT-2 as a text is made with it, a token at a time: keys and values of what was read are kept. A. Radford et al., Language Models
// are Unsupervised Multitask Learners, 2019. The head's weight is the embedding.

import {
  type AnyTensor,
  type AnyVariable,
  arange,
  type FunctionDefinition,
  func,
  input,
  nn,
  scan,
  variable,
} from 'ashlar';
import { seededUniform } from './net.ts';

export interface Gpt2Sizes {
  readonly vocabulary: number;
  readonly context: number;
  readonly width: number;
  readonly heads: number;
  readonly blocks: number;
}

export const gpt2Small: Gpt2Sizes = { vocabulary: 50_257, context: 1024, width: 768, heads: 12, blocks: 12 };

/** `[tokens, width] → [tokens, width]`, with the keys and values before them or without. */
function makeBlock(index: number, { width, heads }: Gpt2Sizes) {
  const named = (part: string) => ({ name: `block${index}.${part}` });
  const [before, behind] = [nn.layerNorm(width, named('norm1')), nn.layerNorm(width, named('norm2'))];
  const attention = nn.multiHeadAttention(width, heads, { ...named('attention'), causal: true });
  const wide = nn.dense(width, 4 * width, named('wide'));
  const narrow = nn.dense(4 * width, width, named('narrow'));
  const perceptron = (x: AnyTensor): AnyTensor => x.add(narrow(nn.geluTanh(wide(behind(x)))));
  return {
    read: (x: AnyTensor): AnyTensor => perceptron(x.add(attention(before(x)))),
    step: (x: AnyTensor, cache: nn.AttentionCache, place: AnyTensor) => {
      const { rows, cache: next } = attention.step(before(x), cache, place);
      return { rows: perceptron(x.add(rows)), cache: next };
    },
  };
}

/** Keys and values of all blocks, by names. */
type Caches = Readonly<Record<string, AnyTensor>>;

/** The network over shared variables: `read` a text at once, `step` on with more of it. */
export function gpt2Network(sizes: Gpt2Sizes = gpt2Small) {
  const { vocabulary, context, width, heads, blocks: count } = sizes;
  const tokens = nn.embedding(vocabulary, width, { name: 'tokens' });
  const places = nn.embedding(context, width, { name: 'places' });
  const blocks = Array.from({ length: count }, (_, i) => makeBlock(i, sizes));
  const norm = nn.layerNorm(width, { name: 'norm' });
  const head = (rows: AnyTensor): AnyTensor => norm(rows).matmul((tokens.variables[0] as AnyTensor).transpose());
  const read = (text: AnyTensor): AnyTensor => {
    const { shape } = text.value.type;
    let rows: AnyTensor = tokens(text).add(places(arange(shape[0]!)));
    for (const block of blocks) rows = block.read(rows);
    return head(rows);
  };
  const names = Array.from({ length: count }, (_, i) => [`keys${i}`, `values${i}`] as const);
  /** Rows of further tokens, the first of them at a place, and the caches with them. */
  const rowsOf = (text: AnyTensor, place: AnyTensor, caches: Caches) => {
    const next: Record<string, AnyTensor> = {};
    let rows: AnyTensor = tokens(text).add(places(arange(text.value.type.shape[0]!).add(place)));
    for (const [i, block] of blocks.entries()) {
      const [keys, values] = names[i]!;
      const { rows: after, cache } = block.step(rows, { keys: caches[keys]!, values: caches[values]! }, place);
      rows = after;
      Object.assign(next, { [keys]: cache.keys, [values]: cache.values });
    }
    return { rows, caches: next };
  };
  /** Logits after a token at a place, and the caches with it. */
  const step = (token: AnyTensor, place: AnyTensor, caches: Caches) => {
    const { rows, caches: next } = rowsOf(token, place, caches);
    return { logits: head(rows).reshape([vocabulary]) as AnyTensor, caches: next };
  };
  const emptyCaches = (): Record<string, AnyVariable> =>
    Object.fromEntries(
      names.flat().map((name) => [name, variable(name, [heads, context, width / heads], { trainable: false })]),
    );
  return { sizes, read, rowsOf, step, emptyCaches };
}

type Network = ReturnType<typeof gpt2Network>;

/** Logits after each token of a text `[length]`. */
export function reading({ read }: Network, length: number) {
  const text = input('text', [length], 'i32');
  return func({ name: 'gpt2_read', inputs: [text], outputs: { logits: read(text) } });
}

/** One token more: its logits; the keys and values are the program's state. */
export function decoding({ step, emptyCaches }: Network) {
  const token = input('token', [1], 'i32');
  const place = input('place', [], 'i32');
  const states = emptyCaches();
  const { logits, caches } = step(token, place, states as Caches);
  return func({
    name: 'gpt2_decode',
    inputs: [token, place],
    outputs: { logits },
    updates: Object.entries(caches).map(([name, next]) => [states[name]!, next] as const),
  });
}

/** A whole call: `count` tokens after one at a place, each the likeliest after the one before. */
export function generating({ step, emptyCaches }: Network, count: number) {
  const token = input('token', [1], 'i32');
  const place = input('place', [], 'i32');
  const states = emptyCaches();
  const [last, tokens] = scan({ token, ...states }, arange(count), (carry, i) => {
    const { token: current, ...caches } = carry as Record<string, AnyTensor>;
    const { logits, caches: next } = step(current!, place.add(i as never), caches as Caches);
    const likeliest: AnyTensor = logits.argmax(0).reshape([1]);
    return [{ token: likeliest, ...next }, likeliest.reshape([])] as never;
  });
  const after = last as unknown as Caches;
  return func({
    name: 'gpt2_generate',
    inputs: [token, place],
    outputs: { tokens: tokens as never as AnyTensor },
    updates: Object.entries(states).map(([name, state]) => [state, after[name]!] as const),
  });
}

/** Bytes of the keys and values of so many tokens. */
export const cacheBytes = ({ blocks, width }: Gpt2Sizes, tokens: number): number => 4 * 2 * blocks * width * tokens;

/** Seeded numbers for everything but the caches: scales of normalisations near 1, and branches that add little to what they add to. */
export function weightsFor({ variables }: Pick<FunctionDefinition, 'variables'>) {
  return variables.flatMap(({ name, type: { shape } }, seed) => {
    if (cacheNames.test(name)) return [];
    const size = shape.reduce((product, extent) => product * extent, 1);
    const scale = shape.length === 1 ? 0.1 : branches.test(name) ? branchScale : weightScale;
    const data = seededUniform(seed, size, scale, name.endsWith('.scale') ? 1 : 0);
    return [{ name, dtype: 'f32' as const, shape, data, bytes: data.byteLength }];
  });
}

const cacheNames = /^(keys|values)\d+$/;
const branches = /\.(out|narrow)\.weight$/;
/** Twelve blocks of such branches leave activations near 1. */
const [weightScale, branchScale] = [0.06, 0.02];
