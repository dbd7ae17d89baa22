// A small GPT that learns a poem by heart, character by character, and says it on from a few words. It is written for one
// text: one head for one pair of places, `vmap` for the heads, and `vmap` again for the texts of a batch. Decoding keeps keys and values
// of what was read in a cache of the function's own and reads one character at a time.
// Run with: npx tsx examples/gpt.ts [--target c|wgsl|js] [--out FOLDER]
// Sources: A. Vaswani et al., NIPS 2017, section 3.2 (attention, heads); A. Radford et al. 2019, section 2.3 (the blocks).
// The poem is from the eighteenth century.

import { type AnyTensor, arange, func, input, iota, nn, type Tensor, variable, vmap, where } from 'ashlar';
import { type AnyExecutable, compile } from 'ashlar/node';
import { beside, heatMap, linePlot } from './gallery/plots.ts';
import { type ExampleTarget, figure, galleryProgram, type Shown } from './gallery/program.ts';

const verses = [
  ['house that Jack built', ''],
  ['malt', 'lay in'],
  ['rat', 'ate'],
  ['cat', 'killed'],
  ['dog', 'worried'],
  ['cow with the crumpled horn', 'tossed'],
  ['maiden all forlorn', 'milked'],
  ['man all tattered and torn', 'kissed'],
  ['priest all shaven and shorn', 'married'],
  ['cock that crowed in the morn', 'woke'],
  ['farmer sowing his corn', 'kept'],
] as const;

/** "The House That Jack Built": each verse takes in the one before. */
export const poem: string = verses
  .map((_, last) => {
    const lines = Array.from(
      { length: last },
      (_, i) => `that ${verses[last - i]![1]} the ${verses[last - i - 1]![0]}`,
    );
    return `this is the ${[verses[last]![0], ...lines].join(' ')}.\n`;
  })
  .join('');

const letters = [...new Set(poem)].sort();
const codesOf = (text: string): Int32Array => Int32Array.from(text, (letter) => letters.indexOf(letter));

export interface GptOptions extends ExampleTarget {
  readonly steps?: number;
  readonly batch?: number;
  /** How many characters it sees. */
  readonly context?: number;
}

const size = 64;
const heads = 4;
const layers = 2;

type Rows = Tensor<readonly number[], 'f32'>;

interface Attended {
  readonly values: AnyTensor;
  /** How much each query sees of each key. */
  readonly weights: AnyTensor;
}

/** One head, each query's mean of the values by its likeness to the keys that it may see: `[m, d], [n, d], [n, d], bool[m, n]`. */
function attention(queries: Rows, keys: Rows, values: Rows, seen: Tensor<readonly number[], 'bool'>) {
  const likeness = queries.matmul(keys.transpose([1, 0])).mul((size / heads) ** -0.5) as AnyTensor;
  const weights = nn.softmax(where(seen, likeness, -1e9) as AnyTensor) as AnyTensor;
  return { values: weights.matmul(values) as AnyTensor, weights };
}

/** All heads: queries `[m, heads, d]`, keys and values `[n, heads, d]` → values `[m, size]` and weights `[heads, m, n]`. */
function allHeads(queries: AnyTensor, keys: AnyTensor, values: AnyTensor, seen: AnyTensor): Attended {
  const each = vmap(attention, { axes: [1, 1, 1, null] }) as (...parts: AnyTensor[]) => Attended;
  const { values: byHead, weights } = each(queries, keys, values, seen);
  return { values: byHead.transpose([1, 0, 2]).reshape([-1, size]) as AnyTensor, weights };
}

function makeBlock(index: number) {
  const named = (part: string) => ({ name: `block${index}.${part}` });
  const [before, behind] = [nn.layerNorm(size, named('norm1')), nn.layerNorm(size, named('norm2'))];
  const [query, key, value, out] = ['query', 'key', 'value', 'out'].map((part) => nn.dense(size, size, named(part)));
  const wide = nn.sequential(
    nn.dense(size, 4 * size, named('wide')),
    nn.gelu,
    nn.dense(4 * size, size, named('narrow')),
  );
  const byHead = (x: AnyTensor): AnyTensor => x.reshape([-1, heads, size / heads]);
  /** Rows `[m, size]` that see the keys and values that `remember` makes of their own. */
  return (
    x: AnyTensor,
    seen: AnyTensor,
    remember: (part: 'key' | 'value', own: AnyTensor) => AnyTensor = (_part, own) => own,
  ): { readonly rows: AnyTensor; readonly weights: AnyTensor } => {
    const normed = before(x);
    const keys = remember('key', byHead(key!(normed)));
    const values = remember('value', byHead(value!(normed)));
    const attended = allHeads(byHead(query!(normed)), keys, values, seen);
    const h = x.add(out!(attended.values)) as AnyTensor;
    return { rows: h.add(wide(behind(h))) as AnyTensor, weights: attended.weights };
  };
}

function makeModel(context: number) {
  nn.setSeed(1);
  nn.resetNames();
  const small = nn.initializers.normal(0, 0.1);
  const table = nn.embedding(letters.length, size, { name: 'letters', initializer: small });
  const places = nn.embedding(context, size, { name: 'places', initializer: small });
  const blocks = Array.from({ length: layers }, (_, i) => makeBlock(i));
  const norm = nn.layerNorm(size, { name: 'norm' });
  const head = nn.dense(size, letters.length, { name: 'head' });
  const causal: AnyTensor = iota([context, context], 1).le(iota([context, context], 0));
  /** Logits of the next character at each place of a text `[context]`, and what the last block's heads see. */
  const read = (text: AnyTensor): { readonly logits: AnyTensor; readonly weights: AnyTensor } => {
    let rows: AnyTensor = table(text).add(places(arange(context)));
    let weights: AnyTensor = rows;
    for (const block of blocks) ({ rows, weights } = block(rows, causal));
    return { logits: head(norm(rows)), weights };
  };
  const caches = Array.from({ length: layers }, (_, i) => ({
    key: variable(`cache${i}.key`, [context, heads, size / heads], { trainable: false }),
    value: variable(`cache${i}.value`, [context, heads, size / heads], { trainable: false }),
  }));
  /** The same for one more character at a place, with the keys and values of what came before, and those with its own. */
  const next = (letter: AnyTensor, place: AnyTensor) => {
    const here = iota([context, 1, 1], 0).eq(place) as AnyTensor;
    const seen = iota([1, context], 1).le(place) as AnyTensor;
    const updates: [AnyTensor, AnyTensor][] = [];
    const remember = (block: number) => (part: 'key' | 'value', own: AnyTensor) => {
      const all = where(here, own, caches[block]![part]) as AnyTensor;
      updates.push([caches[block]![part], all]);
      return all;
    };
    let rows: AnyTensor = table(letter).add(places(place.reshape([1])));
    for (const [i, block] of blocks.entries()) ({ rows } = block(rows, seen, remember(i)));
    return { logits: head(norm(rows)).reshape([letters.length]) as AnyTensor, updates };
  };
  return { read, next };
}

export interface Gpt {
  /** Mean cross-entropy of each step, in nats for a character. */
  readonly losses: readonly number[];
  /** Of a text of `context` characters, read at once: logits `[context, letters]`, and weights `[heads, context, context]`. */
  readonly read: (text: string) => Promise<{ readonly logits: Float32Array; readonly weights: Float32Array }>;
  /** Logits after one more character, read with the cache. */
  readonly readNext: (letter: string, place: number) => Promise<Float32Array>;
  readonly context: number;
}

export async function trainedGpt({ target, steps = 300, batch = 16, context = 64 }: GptOptions = {}): Promise<Gpt> {
  const on = target === undefined ? {} : { target };
  const model = makeModel(context);
  const x = input('x', [batch, context], 'i32');
  const y = input('y', [batch, context], 'i32');
  const oneLoss = (text: AnyTensor, following: AnyTensor): AnyTensor =>
    nn.crossEntropy(model.read(text).logits, following as never).mean() as AnyTensor;
  const loss = (vmap(oneLoss)(x as AnyTensor, y as AnyTensor) as AnyTensor).mean() as AnyTensor;
  const rate = nn.schedules.warmUp(20, nn.schedules.cosine(1e-2, steps));
  const step = await compile(
    func({ name: 'train', inputs: [x, y], outputs: { loss }, updates: nn.adam(loss, undefined, { lr: rate }) }),
    on,
  );
  const { state } = step as AnyExecutable;
  const codes = codesOf(poem);
  const starts = nn.initializers.uniform(0, codes.length - context - 1, 7)([steps * batch], 'f32') as Float32Array;
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) {
    const [from, to] = [new Int32Array(batch * context), new Int32Array(batch * context)];
    for (let row = 0; row < batch; row++) {
      const start = Math.floor(starts[i * batch + row]!);
      from.set(codes.subarray(start, start + context), row * context);
      to.set(codes.subarray(start + 1, start + context + 1), row * context);
    }
    losses.push((await step({ x: from, y: to })).loss[0]!);
  }
  const text = input('text', [context], 'i32');
  const letter = input('letter', [1], 'i32');
  const place = input('place', [], 'i32');
  const whole = await compile(func({ name: 'read', inputs: [text], outputs: { ...model.read(text) } }), {
    ...on,
    state,
  });
  const { logits, updates } = model.next(letter, place);
  const cached = await compile(
    func({ name: 'read_next', inputs: [letter, place], outputs: { logits }, updates: updates as never }),
    { ...on, state },
  );
  return {
    losses,
    context,
    read: async (given) => whole({ text: codesOf(given) }) as never,
    readNext: async (given, at) => (await cached({ letter: codesOf(given), place: Int32Array.of(at) })).logits as never,
  };
}

/** The text said on to the end of the context: always the likeliest character. */
export async function sayOn({ readNext, context }: Gpt, beginning: string): Promise<string> {
  let text = beginning;
  for (let place = 0; place < context - 1; place++) {
    const logits = await readNext(text[place]!, place);
    if (place === text.length - 1) text += letters[logits.indexOf(Math.max(...logits))]!;
  }
  return text;
}

/** The largest difference between logits of a text read at once and character by character. */
export async function cacheDifference({ read, readNext, context }: Gpt, text: string): Promise<number> {
  const { logits: whole } = await read(text.slice(0, context));
  let most = 0;
  for (let place = 0; place < context; place++)
    (await readNext(text[place]!, place)).forEach((logit, i) => {
      most = Math.max(most, Math.abs(logit - whole[place * letters.length + i]!));
    });
  return most;
}

/** How much of a text stands in the poem: the share of its stretches of `length` characters. */
export function shareOfPoem(text: string, length = 12): number {
  const stretches = Array.from({ length: text.length - length + 1 }, (_, i) => text.slice(i, i + length));
  return stretches.filter((stretch) => poem.includes(stretch)).length / stretches.length;
}

export const beginnings = ['this is the rat ', 'this is the cow ', 'that kissed the ', 'the dog that wor'];
const passage = 'this is the dog that worried the cat that killed the rat that ate the malt';

async function show(options: ExampleTarget): Promise<Shown> {
  const gpt = await trainedGpt(options);
  const { context, losses } = gpt;
  const said: [string, string][] = [];
  for (const beginning of beginnings)
    said.push([`“${beginning}” goes on`, (await sayOn(gpt, beginning)).slice(beginning.length)]);
  const { weights } = await gpt.read(passage.slice(0, context));
  const places = [0, context] as const;
  const maps = Array.from({ length: heads }, (_, head) =>
    heatMap(weights.subarray(head * context ** 2, (head + 1) * context ** 2), [context, context], {
      title: `what head ${head + 1} of the last block sees`,
      x: { title: 'character seen', range: places },
      y: { title: 'character that sees', range: places },
      range: [0, 1],
      width: 3 * context,
      height: 3 * context,
    }),
  );
  const loss = linePlot([{ name: 'loss', y: losses }], {
    title: 'cross-entropy of the next character',
    x: { title: 'step' },
    y: { title: 'nats', log: true },
  });
  return {
    figures: {
      'cross-entropy at the end, in nats for a character': figure(losses.at(-1)!),
      ...Object.fromEntries(said),
      'largest difference of a logit with and without the cache': figure(
        await cacheDifference(gpt, poem.slice(300)),
        1,
      ),
    },
    pictures: [beside([loss, beside(maps, 2)])],
  };
}

await galleryProgram(import.meta.url, show);
