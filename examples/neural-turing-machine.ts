// A neural Turing machine learns to copy: it writes rows of bits to a memory and reads them again, and having learned how on sequences of up to
// eight rows, it copies longer ones. Each step tells whether a row is to be kept or one to be recalled.
// Run with: npx tsx examples/neural-turing-machine.ts [--target c|wgsl|js] [--out FOLDER]
// Source: A. Graves, G. Wayne, I. Danihelka, Neural Turing Machines, 2014; equations are numbered as there. The controller is feed-forward.

import { type AnyTensor, concat, constant, func, input, narrow, nn, scan, softmax, zeros } from 'ashlar';
import { type AnyExecutable, compile } from 'ashlar/node';
import { uniformNumbers } from './data.ts';
import { beside, imageGrid, linePlot } from './gallery/plots.ts';
import { type ExampleTarget, figure, galleryProgram, type Shown } from './gallery/program.ts';

const bits = 6;
/** Places of the memory, and numbers in each. */
const memory = { places: 32, width: 10 };
const hidden = 48;
const batch = 16;
/** Rows of the longest sequence in training. */
export const longestTrained = 8;
const shifts = 3;

/** What goes from step to step: `[batch, places, width]`, where both heads are `[batch, places]`, and what was read `[batch, width]`. */
interface State {
  readonly memory: AnyTensor;
  readonly write: AnyTensor;
  readonly read: AnyTensor;
  readonly content: AnyTensor;
}

/** Σ over places of a memory, weighted: `[B, N] · [B, N, W] → [B, W]`. */
function weighted(weights: AnyTensor, values: AnyTensor): AnyTensor {
  const [rows, places, width] = values.shape as unknown as readonly [number, number, number];
  return weights.reshape([rows, 1, places]).matmul(values).reshape([rows, width]);
}

/** Each vector over its length, which is at least a little. */
const normalised = (x: AnyTensor): AnyTensor => x.mul(x.square().sum(-1, { keepDims: true }).add(1e-6).rsqrt());

/** Turned by one place: `direction` −1 brings the next place here, +1 the one before. */
function turned(weights: AnyTensor, direction: -1 | 1): AnyTensor {
  const last = memory.places - 1;
  return direction === 1
    ? concat([narrow(weights, 1, last, 1), narrow(weights, 1, 0, last)], 1)
    : concat([narrow(weights, 1, 1, last), narrow(weights, 1, 0, 1)], 1);
}

/** Numbers that a head takes from the controller: a key, its strength, the gate, the shifts and the sharpening. */
const headWidth = memory.width + 1 + 1 + shifts + 1;

/** The places that a head looks at next: by content and by where it was. */
function addressed(given: AnyTensor, before: AnyTensor, memoryNow: AnyTensor): AnyTensor {
  const [rows] = given.shape as unknown as readonly [number];
  const part = (start: number, count: number): AnyTensor => narrow(given, 1, start, count);
  const key: AnyTensor = normalised(part(0, memory.width).tanh());
  // Equations 5 and 6.
  const likeness: AnyTensor = normalised(memoryNow)
    .matmul(key.reshape([rows, memory.width, 1]))
    .reshape([rows, memory.places]);
  const byContent: AnyTensor = softmax(likeness.mul(part(memory.width, 1).softplus()), -1);
  // Equation 7.
  const gate: AnyTensor = part(memory.width + 1, 1).sigmoid();
  const mixed: AnyTensor = gate.mul(byContent).add(gate.neg().add(1).mul(before));
  // Equation 8.
  const shift: AnyTensor = softmax(part(memory.width + 2, shifts), -1);
  const moved: AnyTensor = narrow(shift, 1, 0, 1)
    .mul(turned(mixed, -1))
    .add(narrow(shift, 1, 1, 1).mul(mixed))
    .add(narrow(shift, 1, 2, 1).mul(turned(mixed, 1)));
  // Equation 9.
  const sharp: AnyTensor = moved.add(1e-9).pow(
    part(memory.width + 2 + shifts, 1)
      .softplus()
      .add(1),
  );
  return sharp.div(sharp.sum(-1, { keepDims: true }));
}

const inputs = bits + 2;

export function neuralTuringMachine() {
  const controller = nn.sequential(nn.dense(inputs + memory.width, hidden), nn.tanh);
  const heads = nn.dense(hidden, 2 * headWidth);
  const change = nn.dense(hidden, 2 * memory.width);
  const answer = nn.dense(hidden + memory.width, bits);
  const step = (state: State, x: AnyTensor) => {
    const thought: AnyTensor = controller(concat([x, state.content], 1));
    const both: AnyTensor = heads(thought);
    const write = addressed(narrow(both, 1, 0, headWidth), state.write, state.memory);
    const changes: AnyTensor = change(thought);
    const [rows] = x.shape as unknown as readonly [number];
    const erased: AnyTensor = narrow(changes, 1, 0, memory.width).sigmoid().reshape([rows, 1, memory.width]);
    const added: AnyTensor = narrow(changes, 1, memory.width, memory.width).tanh().reshape([rows, 1, memory.width]);
    const at: AnyTensor = write.reshape([rows, memory.places, 1]);
    // Equations 3 and 4.
    const next: AnyTensor = state.memory.mul(at.mul(erased).neg().add(1)).add(at.mul(added));
    const read = addressed(narrow(both, 1, headWidth, headWidth), state.read, next);
    // Equation 2.
    const content = weighted(read, next);
    const logits: AnyTensor = answer(concat([thought, content], 1));
    return [
      { memory: next, write, read, content },
      { logits, write, read },
    ] as const;
  };
  const first: AnyTensor = constant(
    Array.from({ length: batch * memory.places }, (_, i) => (i % memory.places === 0 ? 1 : 0)),
    { shape: [batch, memory.places] },
  );
  const initial: State = {
    memory: zeros([batch, memory.places, memory.width]).add(1e-3),
    write: first,
    read: first,
    content: zeros([batch, memory.width]),
  };
  return {
    variables: [controller, heads, change, answer].flatMap(({ variables }) => variables),
    /** `[time, batch, inputs]` → logits and the places of both heads, of every step. */
    unroll(x: AnyTensor) {
      const [, outputs] = scan(initial as never, x, step as never);
      return outputs as unknown as { readonly logits: AnyTensor; readonly write: AnyTensor; readonly read: AnyTensor };
    },
  };
}

/** Sequences of `rows(i)` rows for row i of the batch: to be kept, then recalled. `wanted` and `counts` are of the steps that recall. */
function copyBatch(steps: number, rows: (i: number) => number, next: () => number) {
  const x = new Float32Array(steps * batch * inputs);
  const wanted = new Float32Array(steps * batch * bits);
  const counts = new Float32Array(steps * batch);
  for (let i = 0; i < batch; i++) {
    const length = rows(i);
    for (let t = 0; t < steps; t++) x[(t * batch + i) * inputs + bits + (t < length ? 0 : 1)] = 1;
    for (let t = 0; t < length; t++) {
      const recall = (t + length) * batch + i;
      counts[recall] = 1;
      for (let bit = 0; bit < bits; bit++) {
        const value = next() < 0.5 ? 0 : 1;
        x[(t * batch + i) * inputs + bit] = value;
        wanted[recall * bits + bit] = value;
      }
    }
  }
  return { x, wanted, counts };
}

export interface CopyOptions extends ExampleTarget {
  readonly steps?: number;
}

/** A sequence of one length, as it was copied: row-major, a row for each row of the sequence. */
export interface Copied {
  readonly rows: number;
  readonly wanted: Float32Array;
  /** Probabilities of ones. */
  readonly given: Float32Array;
  /** Where the heads are: in the first half of the steps the one that writes, in the second the one that reads. */
  readonly places: Float32Array;
  /** Of the whole batch: the share of bits that are wrong. */
  readonly wrong: number;
}

export interface CopyRun {
  /** By step, per bit, in bits. */
  readonly losses: readonly number[];
  readonly copies: readonly Copied[];
}

const lengthsTested = [4, 8, 12, 16, 20];

export async function copyTask({ target, steps = 1000 }: CopyOptions = {}, lengths = lengthsTested): Promise<CopyRun> {
  nn.setSeed(2);
  nn.resetNames();
  const machine = neuralTuringMachine();
  const given = target === undefined ? {} : { target };
  const time = 2 * longestTrained;
  const x = input('x', [time, batch, inputs]);
  const [wanted, counts] = [input('wanted', [time, batch, bits]), input('counts', [time, batch])];
  const errors: AnyTensor = nn.binaryCrossEntropyWithLogits(machine.unroll(x).logits, wanted).mean(-1);
  const loss: AnyTensor = errors.mul(counts).sum().div(counts.sum());
  const updates = nn.adam(loss, machine.variables, { lr: 4e-3, clipNorm: 1 });
  const step = await compile(func({ name: 'train', inputs: [x, wanted, counts], outputs: { loss }, updates }), given);
  const next = uniformNumbers(5);
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) {
    const sequences = copyBatch(time, () => 1 + Math.floor(next() * longestTrained), next);
    losses.push((await step(sequences)).loss[0]! / Math.LN2);
  }
  const copies: Copied[] = [];
  for (const rows of lengths) {
    const long = input('x', [2 * rows, batch, inputs]);
    const { logits, write, read } = machine.unroll(long);
    const outputs = { given: logits.sigmoid() as AnyTensor, write, read };
    const run = await compile(func({ name: 'copy', inputs: [long], outputs }), { ...given, state: step.state });
    copies.push(await copied(run, rows, next));
  }
  return { losses, copies };
}

type Run = AnyExecutable<{ x: Float32Array }, { given: Float32Array; write: Float32Array; read: Float32Array }>;

async function copied(run: unknown, rows: number, next: () => number): Promise<Copied> {
  const { x, wanted } = copyBatch(2 * rows, () => rows, next);
  const { given, write, read } = await (run as Run)({ x });
  const recalled = rows * batch * bits;
  let wrong = 0;
  for (let i = recalled; i < 2 * recalled; i++) if (given[i]! > 0.5 !== wanted[i]! > 0.5) wrong++;
  // Of the first sequence of the batch.
  const rowsOf = (all: Float32Array, width: number, from: number, count: number) =>
    Float32Array.from(
      { length: count * width },
      (_, i) => all[(from + Math.floor(i / width)) * batch * width + (i % width)]!,
    );
  const places = new Float32Array(2 * rows * memory.places);
  places.set(rowsOf(write, memory.places, 0, rows));
  places.set(rowsOf(read, memory.places, rows, rows), rows * memory.places);
  return {
    rows,
    wanted: rowsOf(wanted, bits, rows, rows),
    given: rowsOf(given, bits, rows, rows),
    places,
    wrong: wrong / recalled,
  };
}

/** The mean of the last tenth of the steps. */
export const reached = (values: readonly number[]): number => {
  const last = values.slice(-Math.ceil(values.length / 10));
  return last.reduce((sum, value) => sum + value, 0) / last.length;
};

export function showCopy({ losses, copies }: CopyRun): Shown {
  const every = Math.ceil(losses.length / 200);
  const shown = losses.map((_, step) => step).filter((step) => step % every === 0);
  const longest = copies.at(-1)!;
  const image = (values: Float32Array, width: number, title: string, scale: number) =>
    imageGrid(values, [1, values.length / width, width], { title, columns: 1, scale, range: [0, 1] });
  return {
    figures: {
      [`bits of error per bit, up to ${longestTrained} rows`]: figure(reached(losses), 2),
      ...Object.fromEntries(
        copies.map(({ rows, wrong }) => [`bits wrong of ${rows} rows`, `${figure(100 * wrong, 2)} %`]),
      ),
    },
    pictures: [
      beside([
        linePlot([{ name: 'error', x: shown, y: shown.map((step) => Math.max(losses[step]!, 1e-5)) }], {
          title: 'Error per bit by step',
          x: { title: 'step' },
          y: { title: 'bits', log: true },
        }),
        image(longest.wanted, bits, `${longest.rows} rows`, 10),
        image(longest.given, bits, 'their copy', 10),
        image(longest.places, memory.places, 'places written to, and read from', 5),
      ]),
    ],
  };
}

await galleryProgram(import.meta.url, async (options) => showCopy(await copyTask(options)));
