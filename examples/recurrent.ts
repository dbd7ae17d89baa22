// A basic recurrent network, an LSTM and a GRU on two tasks: to add two numbers of a long sequence, which needs a memory that a basic one does
// not learn to keep, and to learn a sonnet by heart, character by character.
// Run with: npx tsx examples/recurrent.ts [--target c|wgsl|js] [--out FOLDER]
// Sources: S. Hochreiter, J. Schmidhuber, Neural Computation 9 (1997), section 5.4, for the adding problem; J. Chung et al. 2014 for the GRU.
// The sonnet is Shakespeare's eighteenth.

import { type AnyTensor, func, input, nn, oneHot, slice } from 'ashlar';
import { compile } from 'ashlar/node';
import { beside, linePlot } from './gallery/plots.ts';
import { type ExampleTarget, figure, galleryProgram, type Shown } from './gallery/program.ts';

const kinds = { 'basic RNN': nn.rnn, LSTM: nn.lstm, GRU: nn.gru } as const;
type Kind = keyof typeof kinds;
const names = Object.keys(kinds) as Kind[];

export interface RecurrentOptions extends ExampleTarget {
  readonly steps?: number;
}

/** Numbers in [0, 1) of a seed. */
function uniform(seed: number): () => number {
  let block: Float32Array = new Float32Array();
  let used = 0;
  let drawn = 0;
  return () => {
    if (used === block.length) {
      block = nn.initializers.uniform(0, 1, seed + 1000 * drawn++)([4096], 'f32') as Float32Array;
      used = 0;
    }
    return block[used++]!;
  };
}

const adding = { length: 60, batch: 32, hidden: 32 };

/** Sequences of numbers from 0 to 1, two of which are marked, one in each half; their sum is asked for after the last. */
function addingBatch(next: () => number) {
  const { length, batch } = adding;
  const x = new Float32Array(length * batch * 2);
  const y = new Float32Array(batch);
  for (let row = 0; row < batch; row++) {
    const at = (t: number) => (t * batch + row) * 2;
    for (let t = 0; t < length; t++) x[at(t)] = next();
    const half = length / 2;
    for (const t of [Math.floor(next() * half), half + Math.floor(next() * half)]) {
      x[at(t) + 1] = 1;
      y[row]! += x[at(t)]!;
    }
  }
  return { x, y };
}

/** The mean square error by step. To answer 1 whatever the numbers has one of 1/6. */
export async function addingProblem(kind: Kind, { target, steps = 1200 }: RecurrentOptions = {}): Promise<number[]> {
  nn.setSeed(1);
  const { length, batch, hidden } = adding;
  const [x, y] = [input('x', [length, batch, 2]), input('y', [batch])];
  const network = kinds[kind](2, hidden);
  const answer = nn.dense(hidden, 1);
  const { last } = network.unroll(x);
  const loss = nn.squaredError(answer(last.h).reshape([batch]), y).mean();
  const variables = [...network.variables, ...answer.variables];
  const updates = nn.adam(loss, variables, { lr: 5e-3, clipNorm: 1 });
  const step = await compile(
    func({ name: 'adding', inputs: [x, y], outputs: { loss }, updates }),
    target === undefined ? {} : { target },
  );
  const next = uniform(7);
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) losses.push((await step(addingBatch(next))).loss[0]!);
  return losses;
}

export const sonnet = `Shall I compare thee to a summer's day?
Thou art more lovely and more temperate:
Rough winds do shake the darling buds of May,
And summer's lease hath all too short a date;
Sometime too hot the eye of heaven shines,
And often is his gold complexion dimm'd;
And every fair from fair sometime declines,
By chance or nature's changing course untrimm'd;
But thy eternal summer shall not fade,
Nor lose possession of that fair thou ow'st;
Nor shall death brag thou wander'st in his shade,
When in eternal lines to time thou grow'st:
So long as men can breathe or eyes can see,
So long lives this, and this gives life to thee.
`;
const letters = [...new Set(sonnet)].sort();
const codes = Int32Array.from(sonnet, (letter) => letters.indexOf(letter));
const reading = { length: 40, batch: 16, hidden: 96 };

export interface CharacterModel {
  /** By step, per character, in bits. */
  readonly bits: readonly number[];
  /** What it says after `beginning`, always the likeliest character. */
  readonly said: string;
}

const beginning = 'Shall I';
const saidLength = 120;

/** Learns the sonnet from pieces of it, each from a state of zeros; then says it on, one step of the cell at a time. */
export async function characterModel(
  kind: Kind,
  { target, steps = 400 }: RecurrentOptions = {},
): Promise<CharacterModel> {
  nn.setSeed(1);
  const { length, batch, hidden } = reading;
  const network = kinds[kind](letters.length, hidden);
  const answer = nn.dense(hidden, letters.length);
  const given = target === undefined ? {} : { target };

  const text = input('text', [length + 1, batch], 'i32');
  const seen: AnyTensor = oneHot(slice(text, [0, 0], [length, batch]), letters.length);
  const loss = nn.crossEntropy(answer(network(seen)), slice(text, [1, 0], [length + 1, batch])).mean();
  const updates = nn.adam(loss, [...network.variables, ...answer.variables], { lr: 6e-3, clipNorm: 1 });
  const step = await compile(func({ name: 'read', inputs: [text], outputs: { loss }, updates }), given);
  const next = uniform(11);
  const bits: number[] = [];
  for (let i = 0; i < steps; i++) {
    const pieces = new Int32Array((length + 1) * batch);
    for (let row = 0; row < batch; row++) {
      const start = Math.floor(next() * (codes.length - length));
      for (let t = 0; t <= length; t++) pieces[t * batch + row] = codes[start + t]!;
    }
    bits.push((await step({ text: pieces })).loss[0]! / Math.LN2);
  }
  return { bits, said: await say(network, answer, { ...given, state: step.state }) };
}

type Store = Awaited<ReturnType<typeof compile>>['state'];

async function say(
  network: nn.Recurrent,
  answer: nn.Layer,
  options: ExampleTarget & { readonly state: Store },
): Promise<string> {
  const letter = input('letter', [1], 'i32');
  const parts = Object.keys(network.cell.initial(1));
  const before = parts.map((part) => input(part, [1, network.cell.hidden]));
  const state = Object.fromEntries(parts.map((part, i) => [part, before[i]!])) as unknown as nn.CellState;
  const after = network.cell.step(state, oneHot(letter, letters.length) as AnyTensor);
  const likeliest: AnyTensor = answer(after.h).argmax(-1);
  const outputs: Record<string, AnyTensor> = { likeliest, ...after };
  const run = await compile(func({ name: 'say', inputs: [letter, ...before], outputs }), options);
  let carried: Record<string, Float32Array> = Object.fromEntries(
    parts.map((part) => [part, new Float32Array(network.cell.hidden)]),
  );
  let [said, code] = ['', 0];
  for (let i = 0; i < saidLength; i++) {
    code = i < beginning.length ? letters.indexOf(beginning[i]!) : code;
    said += letters[code];
    const { likeliest: found, ...states } = (await run({ letter: Int32Array.of(code), ...carried } as never)) as Record<
      string,
      Float32Array
    >;
    carried = states;
    code = found![0]!;
  }
  return said;
}

/** The mean of the last tenth of the steps. */
export const reached = (values: readonly number[]): number => {
  const last = values.slice(-Math.ceil(values.length / 10));
  return last.reduce((sum, value) => sum + value, 0) / last.length;
};

export interface RecurrentRun {
  readonly adding: Readonly<Record<Kind, readonly number[]>>;
  readonly reading: Readonly<Record<Kind, CharacterModel>>;
}

export async function recurrentNetworks(options: RecurrentOptions = {}): Promise<RecurrentRun> {
  const run: { adding: Record<string, number[]>; reading: Record<string, CharacterModel> } = {
    adding: {},
    reading: {},
  };
  for (const kind of names) {
    run.adding[kind] = await addingProblem(kind, options);
    run.reading[kind] = await characterModel(kind, options);
  }
  return run as unknown as RecurrentRun;
}

/** Means of neighbouring steps: what a picture can show. */
function smooth(values: readonly number[]): { readonly x: number[]; readonly y: number[] } {
  const width = Math.ceil(values.length / 100);
  const starts = Array.from({ length: Math.ceil(values.length / width) }, (_, i) => i * width);
  const means = starts.map((start) => {
    const part = values.slice(start, start + width);
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
  return { x: starts, y: means };
}

export function showRecurrent(run: RecurrentRun): Shown {
  const lines = (of: (kind: Kind) => readonly number[]) => names.map((name) => ({ name, ...smooth(of(name)) }));
  return {
    figures: {
      ...Object.fromEntries(
        names.map((kind) => [`square error of sums, ${kind}`, figure(reached(run.adding[kind]), 2)]),
      ),
      ...Object.fromEntries(
        names.map((kind) => [`bits per character, ${kind}`, figure(reached(run.reading[kind].bits), 2)]),
      ),
      ...Object.fromEntries(names.map((kind) => [`the ${kind} says`, run.reading[kind].said.replaceAll('\n', ' / ')])),
    },
    pictures: [
      beside([
        linePlot(
          lines((kind) => run.adding[kind]),
          {
            title: `Two of ${adding.length} numbers added: square error by step`,
            x: { title: 'step' },
            y: { title: 'square error', log: true, range: [1e-4, 1] },
          },
        ),
        linePlot(
          lines((kind) => run.reading[kind].bits),
          {
            title: 'A sonnet learned by heart: bits per character by step',
            x: { title: 'step' },
            y: { title: 'bits' },
          },
        ),
      ]),
    ],
  };
}

await galleryProgram(import.meta.url, async (options) => showRecurrent(await recurrentNetworks(options)));
