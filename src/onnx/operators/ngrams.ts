// TfIdfVectorizer on integers: how often each n-gram of a pool occurs in a row.

import { narrow, stack } from '../../lang/functions.ts';
import type { AnyTensor } from '../../lang/tensor.ts';
import { like, type NodeContext, type Operator, shapeOf } from '../node-context.ts';
import { wholeRange } from './axes.ts';

/** Comparisons of a whole row with an element of a tuple, each of which is an operation. */
const mostComparisons = 2 ** 14;

/** Tuples of the pool by their length: `starts[n − 1]` is where those of n begin. */
function poolOf(node: NodeContext): number[][] {
  if (!node.has('pool_int64s')) return node.unsupported('it works on strings');
  const [pool, starts] = [node.ints('pool_int64s'), node.ints('ngram_counts')];
  return starts.flatMap((start, i) => {
    const end = starts[i + 1] ?? pool.length;
    const [length, count] = [i + 1, (end - start) / (i + 1)];
    if (!(Number.isInteger(count) && count >= 0 && start >= 0 && end <= pool.length))
      return node.invalid(`ngram_counts [${starts}] do not cut a pool of ${pool.length} into tuples`);
    return wholeRange(count).map((at) => pool.slice(start + at * length, start + (at + 1) * length));
  });
}

/** How often a tuple occurs in rows [N, L], with up to `skips` elements left out between each two of its own. */
function occurrences(rows: AnyTensor, gram: readonly number[], skips: number): AnyTensor {
  const [count, length] = rows.shape as readonly [number, number];
  const distances = gram.length === 1 ? [1] : wholeRange(skips + 1).map((skip) => skip + 1);
  const nothing: AnyTensor = rows.eq(rows).not().cast('f32').sum(1);
  return distances.reduce((sum, distance): AnyTensor => {
    const places = length - (gram.length - 1) * distance;
    if (places < 1) return sum;
    const isFound = gram
      .map((element, i): AnyTensor => (narrow(rows, 1, i * distance, places) as AnyTensor).eq(element))
      .reduce((all, next): AnyTensor => all.and(next));
    return sum.add(isFound.cast('f32').sum(1).reshape([count]));
  }, nothing);
}

/** [L] or [N, L] → [max index + 1] or [N, ..]: each tuple's count, weight, or count times weight at its index. */
const vectorized: Operator = (node) => {
  const x = node.input(0);
  const shape = shapeOf(x);
  if (shape.length !== 1 && shape.length !== 2) return node.invalid(`one or two axes expected, [${shape}] given`);
  const pool = poolOf(node);
  const [indices, mode] = [node.ints('ngram_indexes'), node.string('mode')];
  const weights = node.floats(
    'weights',
    pool.map(() => 1),
  );
  if (indices.length !== pool.length || weights.length !== pool.length)
    node.invalid(`an index and a weight for each of ${pool.length} tuples expected`);
  if (!['TF', 'IDF', 'TFIDF'].includes(mode)) node.invalid(`there is no mode ${mode}`);
  const [least, most, skips] = [node.int('min_gram_length'), node.int('max_gram_length'), node.int('max_skip_count')];
  const comparisons = pool.reduce((sum, gram) => sum + gram.length * Math.min(skips + 1, shape[shape.length - 1]!), 0);
  if (comparisons > mostComparisons)
    return node.unsupported(`${comparisons} comparisons: at most ${mostComparisons} are written out`);
  const rows: AnyTensor = x.tensor.reshape([-1, shape[shape.length - 1]!]);
  const nothing = node.fill('float', [rows.shape[0] as number], 0).tensor;
  const columns = wholeRange(Math.max(-1, ...indices) + 1).map(() => nothing);
  pool.forEach((gram, i) => {
    if (gram.length < least || gram.length > most) return;
    const found = occurrences(rows, gram, skips);
    const counted: AnyTensor = mode === 'IDF' ? found.gt(0).cast('f32') : found;
    columns[indices[i]!] = mode === 'TF' ? counted : counted.mul(weights[i]!);
  });
  const result: AnyTensor = stack(columns, 1);
  return like(node.fill('float', [], 0), result.reshape([...shape.slice(0, -1), columns.length]));
};

export const ngramOperators: Readonly<Record<string, Operator>> = { TfIdfVectorizer: vectorized };
