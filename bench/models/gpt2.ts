// GPT-2 small: A. Radford et al., Language Models are Unsupervised Multitask Learners, 2019. One sequence of 128 tokens,
// the next token's logits after each of them; the head's weight is the embedding.

import type { Net } from './net.ts';

type Operand = { readonly shape: readonly number[] };

export const vocabulary = 50_257;
const positions = 1024;
const tokens = 128;
const width = 768;
const heads = 12;
const blocks = 12;
/** What a block adds is small beside what it adds to, so that twelve of them stay finite. */
const branchGain = 0.2;

/** `[tokens, width] → [tokens, width]` */
function attention<T extends Operand>(net: Net<T>, x: T): T {
  const { backend } = net;
  const joined = net.dense(x, 3 * width, 1);
  const [query, key, value] = [0, 1, 2].map((part) =>
    backend.reshape(backend.columns(joined, part * width, width), [1, tokens, heads, width / heads]),
  ) as [T, T, T];
  const scores = net.matmul(backend.transpose(query, [0, 2, 1, 3]), backend.transpose(key, [0, 2, 3, 1]));
  const weights = backend.softmax(backend.causal(backend.scaleBy(scores, 1 / Math.sqrt(width / heads))));
  const mixed = net.matmul(weights, backend.transpose(value, [0, 2, 1, 3]));
  const rows = backend.reshape(backend.transpose(mixed, [0, 2, 1, 3]), [tokens, width]);
  return net.dense(rows, width, branchGain);
}

export function gpt2<T extends Operand>(net: Net<T>): T {
  const { backend } = net;
  const table = net.weight('tokens', [vocabulary, width], width, 1);
  const places = net.weight('positions', [positions, width], width, 1);
  let x = net.add(backend.embedding(table, net.input([tokens], 'i32')), backend.rows(places, tokens));
  for (let block = 0; block < blocks; block++) {
    x = net.add(x, attention(net, net.layerNorm(x)));
    const inner = backend.unary('geluTanh', net.dense(net.layerNorm(x), 4 * width, 1));
    x = net.add(x, net.dense(inner, width, branchGain));
  }
  return net.tiedHead(net.layerNorm(x), table);
}
