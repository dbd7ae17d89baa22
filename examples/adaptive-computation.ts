// Adaptive computation time: a network that decides itself how many steps to think. It adds the numbers of a list, of which it sees one in
// each step; every step costs, so it learns to stop where the list ends, and thinks the longer the longer the list is.
// Run with: npx tsx examples/adaptive-computation.ts [--target c|wgsl|js] [--out FOLDER]
// Source: A. Graves, Adaptive Computation Time for Recurrent Neural Networks, 2016, section 2; equations are numbered as there.

import { type AnyTensor, func, input, nn, scan, where, zeros } from 'ashlar';
import { compile } from 'ashlar/node';
import { uniformNumbers } from './data.ts';
import { beside, linePlot } from './gallery/plots.ts';
import { type ExampleTarget, figure, galleryProgram, type Shown } from './gallery/program.ts';

/** The longest list, and the most steps: two more than it has numbers. */
export const longestList = 8;
const mostSteps = longestList + 2;
const [batch, hidden] = [64, 32];
/** Of a step, in units of square error. */
const timePenalty = 0.03;
/** A halting probability that leaves less than this is all of it. */
const epsilon = 0.01;

interface Carry {
  /** Of the cell, `[batch, hidden]`. */
  readonly h: AnyTensor;
  /** `[batch]` each: halting probabilities so far, the answer, the steps, and what was left at the last one. */
  readonly total: AnyTensor;
  readonly answer: AnyTensor;
  readonly steps: AnyTensor;
  readonly remainder: AnyTensor;
}

/** From lists `[steps, batch, 2]`, a number and whether the list has ended, to the answer and the steps taken, `[batch]` each. */
function ponderer() {
  const cell = nn.gruCell(2, hidden);
  const speak = nn.dense(hidden, 1);
  // It thinks on at first: the bias of halting is low.
  const halt = nn.dense(hidden, 1);
  const step = (carry: Carry, { seen, isLast }: { readonly seen: AnyTensor; readonly isLast: AnyTensor }) => {
    const { h } = cell.step({ h: carry.h }, seen);
    const answer: AnyTensor = speak(h).reshape([batch]);
    const stop: AnyTensor = halt(h).reshape([batch]).sub(1).sigmoid();
    const runs: AnyTensor = carry.total.lt(1 - epsilon);
    const ends: AnyTensor = runs.and(
      carry.total
        .add(stop)
        .ge(1 - epsilon)
        .or(isLast.gt(0)),
    );
    // Equations 5 and 6: what is left for the last step, and the probability of this one.
    const left: AnyTensor = carry.total.neg().add(1);
    const probability: AnyTensor = where(runs, where(ends, left, stop), 0);
    return [
      {
        h,
        total: carry.total.add(where(runs, stop, 0)),
        answer: carry.answer.add(probability.mul(answer)),
        steps: carry.steps.add(runs.cast('f32')),
        remainder: carry.remainder.add(where(ends, left, 0)),
      },
      null,
    ] as const;
  };
  return {
    variables: [cell, speak, halt].flatMap(({ variables }) => variables),
    run(seen: AnyTensor, isLast: AnyTensor) {
      const none = zeros([batch]);
      const initial = { ...cell.initial(batch), total: none, answer: none, steps: none, remainder: none };
      const [last] = scan(initial as never, { seen, isLast } as never, step as never);
      return last as unknown as Carry;
    },
  };
}

const isLast = Float32Array.from({ length: mostSteps }, (_, step) => (step === mostSteps - 1 ? 1 : 0));

function lists(lengthOf: (row: number) => number, next: () => number) {
  const seen = new Float32Array(mostSteps * batch * 2);
  const sum = new Float32Array(batch);
  for (let row = 0; row < batch; row++) {
    const length = lengthOf(row);
    for (let t = 0; t < mostSteps; t++) {
      const value = t < length ? next() : 0;
      seen.set([value, t < length - 1 ? 0 : 1], (t * batch + row) * 2);
      sum[row]! += value;
    }
  }
  return { seen, sum, isLast };
}

export interface PonderOptions extends ExampleTarget {
  readonly steps?: number;
}

export interface PonderRun {
  /** By step of training: the mean square error of sums, and the mean of the steps that it took. */
  readonly errors: readonly number[];
  readonly steps: readonly number[];
  /** By the length of the list, from 1: the mean steps and the mean square error after training. */
  readonly byLength: readonly { readonly length: number; readonly steps: number; readonly error: number }[];
}

const mean = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;

export async function ponder({ target, steps: training = 2500 }: PonderOptions = {}): Promise<PonderRun> {
  nn.setSeed(4);
  nn.resetNames();
  const machine = ponderer();
  const seen = input('seen', [mostSteps, batch, 2]);
  const last = input('isLast', [mostSteps]);
  const sum = input('sum', [batch]);
  const { answer, steps, remainder } = machine.run(seen, last);
  const errors = nn.squaredError(answer, sum);
  // Equation 13: the steps themselves have no derivative, what is left at the last one has.
  const loss: AnyTensor = errors.mean().add(remainder.mean().mul(timePenalty));
  const given = target === undefined ? {} : { target };
  const outputs = { errors, steps };
  const updates = nn.adam(loss, machine.variables, { lr: 4e-3, clipNorm: 1 });
  const step = await compile(func({ name: 'train', inputs: [seen, last, sum], outputs, updates }), given);
  const next = uniformNumbers(3);
  const run: { errors: number[]; steps: number[] } = { errors: [], steps: [] };
  for (let i = 0; i < training; i++) {
    const found = await step(lists(() => 1 + Math.floor(next() * longestList), next));
    run.errors.push(mean(found.errors));
    run.steps.push(mean(found.steps));
  }
  const test = await compile(func({ name: 'test', inputs: [seen, last, sum], outputs }), {
    ...given,
    state: step.state,
  });
  const byLength: PonderRun['byLength'][number][] = [];
  for (let length = 1; length <= longestList; length++) {
    const found = await test(lists(() => length, next));
    byLength.push({ length, steps: mean(found.steps), error: mean(found.errors) });
  }
  return { ...run, byLength };
}

export function showPonder({ errors, steps, byLength }: PonderRun): Shown {
  const every = Math.ceil(errors.length / 200);
  const shown = errors.map((_, step) => step).filter((step) => step % every === 0);
  const at = (values: readonly number[]) => ({ x: shown, y: shown.map((step) => values[step]!) });
  return {
    figures: {
      ...Object.fromEntries(byLength.map((row) => [`steps for ${row.length} numbers`, figure(row.steps)])),
      'square error of sums': figure(byLength.reduce((sum, row) => sum + row.error, 0) / byLength.length, 2),
    },
    pictures: [
      beside([
        linePlot([{ name: 'steps', x: byLength.map((row) => row.length), y: byLength.map((row) => row.steps) }], {
          title: 'Steps of thought by the length of the list',
          x: { title: 'numbers to add' },
          y: { title: 'steps', range: [0, mostSteps] },
        }),
        linePlot([{ name: 'error', ...at(errors) }], {
          title: 'Square error by step of training',
          x: { title: 'step' },
          y: { title: 'square error', log: true },
        }),
        linePlot([{ name: 'steps', ...at(steps) }], {
          title: 'Steps of thought by step of training',
          x: { title: 'step' },
          y: { title: 'mean steps', range: [0, mostSteps] },
        }),
      ]),
    ],
  };
}

await galleryProgram(import.meta.url, async (options) => showPonder(await ponder(options)));
