// Programs found by gradient descent: at each step soft attention selects an operation and its two operands among the inputs and
// what earlier steps made. From examples of what a program gives the attention becomes a choice, which can be read as a
// formula and is right where nothing was trained. A table of programs is learned at once, each from many random starts,
// by one function of one start under two `vmap`s.
// Run with: npx tsx examples/neural-programmer.ts [--target c|wgsl|js] [--out FOLDER]
// Source: A. Neelakantan, Q. V. Le, I. Sutskever, ICLR 2016, section 2 (soft selection of operations and of data).

import { type AnyTensor, constant, func, input, narrow, nn, squeeze, stack, variable, vmap } from 'ashlar';
import { compile } from 'ashlar/node';
import { beside, imageGrid, linePlot } from './gallery/plots.ts';
import { type ExampleTarget, figure, galleryProgram, type Shown } from './gallery/program.ts';

const inputNames = ['a', 'b', 'c'];

interface Operation {
  readonly sign: string;
  readonly of: (x: AnyTensor, y: AnyTensor) => AnyTensor;
  readonly number: (x: number, y: number) => number;
}

const operations: readonly Operation[] = [
  { sign: '+', of: (x, y) => x.add(y), number: (x, y) => x + y },
  { sign: '−', of: (x, y) => x.sub(y), number: (x, y) => x - y },
  { sign: '·', of: (x, y) => x.mul(y), number: (x, y) => x * y },
  { sign: 'max', of: (x, y) => x.maximum(y), number: Math.max },
];

type Row = readonly [a: number, b: number, c: number];
export const programs: Readonly<Record<string, (row: Row) => number>> = {
  '(a + b) · c': ([a, b, c]) => (a + b) * c,
  'a · b − c': ([a, b, c]) => a * b - c,
  'max(a, b) + c': ([a, b, c]) => Math.max(a, b) + c,
  '(a − b)²': ([a, b]) => (a - b) ** 2,
  'a · b · c': ([a, b, c]) => a * b * c,
  'max(a − c, b)': ([a, b, c]) => Math.max(a - c, b),
};

const programSteps = 2;
const most = inputNames.length + programSteps - 1;
/** Scores of one step: of the operations, of the first operand, of the second. */
const scores = operations.length + 2 * most;

/** What one program with these scores gives of examples `[examples, inputs]`: `[examples]`; the colder, the harder its choices. */
function run(chosen: AnyTensor, examples: AnyTensor, coldness: AnyTensor): AnyTensor {
  const known: AnyTensor[] = inputNames.map((_, i) => squeeze(narrow(examples, 1, i, 1), 1) as AnyTensor);
  for (let step = 0; step < programSteps; step++) {
    const row = squeeze(narrow(chosen, 0, step, 1), 0) as AnyTensor;
    const select = (from: number, among: readonly AnyTensor[]): AnyTensor =>
      (nn.softmax(narrow(row, 0, from, among.length).mul(coldness) as AnyTensor) as AnyTensor).matmul(stack(among));
    const left = select(operations.length, known);
    const right = select(operations.length + most, known);
    known.push(
      select(
        0,
        operations.map(({ of }) => of(left, right)),
      ),
    );
  }
  return known.at(-1)!;
}

export interface FoundProgram {
  readonly formula: string;
  /** The share of random starts that ended at a program that is right. */
  readonly rightStarts: number;
  /** The largest error of the formula, relative to the values, ten times as far out as it was trained. */
  readonly error: number;
  /** The attention of the best start: a row for each step. */
  readonly weights: Float32Array;
  /** The best start's mean squared error, relative to the variance, by step. */
  readonly losses: readonly number[];
}

export interface ProgrammerOptions extends ExampleTarget {
  readonly steps?: number;
  /** Random starts of each program. */
  readonly starts?: number;
}

const exampleCount = 64;
const reach = 2;

function rowsUpTo(bound: number, seed: number): Row[] {
  const numbers = nn.initializers.uniform(-bound, bound, seed)([exampleCount, 3], 'f32') as Float32Array;
  return Array.from({ length: exampleCount }, (_, i) => [...numbers.subarray(3 * i, 3 * i + 3)] as unknown as Row);
}

export async function learnPrograms({ target, steps = 300, starts = 128 }: ProgrammerOptions = {}) {
  const names = Object.keys(programs);
  const rows = rowsUpTo(reach, 1);
  const examples = constant(rows as never) as AnyTensor;
  const wanted = constant(names.map((name) => rows.map(programs[name]!)) as never) as AnyTensor;
  const table = variable('scores', [names.length, starts, programSteps, scores], {
    initial: nn.initializers.normal(0, 1, 2),
  });
  const coldness = input('coldness', []);
  const oneLoss = (chosen: AnyTensor, values: AnyTensor): AnyTensor => {
    const centred = values.sub(values.mean()) as AnyTensor;
    return run(chosen, examples, coldness).sub(values).square().mean().div(centred.square().mean()) as AnyTensor;
  };
  const ofStarts = vmap(oneLoss, { axes: [0, null] }) as typeof oneLoss;
  const losses = (vmap(ofStarts) as typeof oneLoss)(table as AnyTensor, wanted);
  const updates = nn.adam(losses.sum() as AnyTensor, [table], { lr: 0.05 });
  const step = await compile(
    func({ name: 'step', inputs: [coldness], outputs: { losses }, updates }),
    target === undefined ? {} : { target },
  );
  const history: Float32Array[] = [];
  for (let i = 0; i < steps; i++) history.push((await step({ coldness: Float32Array.of(1 + (4 * i) / steps) })).losses);
  const learned = (await step.state.get('scores')) as Float32Array;
  return names.map((name, program) => bestProgram(name, program, starts, learned, history));
}

const perStart = programSteps * scores;

/** The start with the least loss at the end, as a formula. */
function bestProgram(
  name: string,
  program: number,
  starts: number,
  learned: Float32Array,
  history: readonly Float32Array[],
): [name: string, found: FoundProgram] {
  const last = history.at(-1)!;
  const chosen = Array.from({ length: starts }, (_, start) => {
    const at = (program * starts + start) * perStart;
    return { start, loss: last[program * starts + start]!, ...readOut(learned.subarray(at, at + perStart)) };
  });
  const errors = chosen.map(({ value }) => errorOf(value, programs[name]!));
  const best = chosen.reduce((a, b) => (b.loss < a.loss ? b : a));
  return [
    name,
    {
      formula: best.formula,
      rightStarts: errors.filter((error) => error < 1e-6).length / starts,
      error: errors[best.start]!,
      weights: best.weights,
      losses: history.map((all) => all[program * starts + best.start]!),
    },
  ];
}

function errorOf(value: (row: Row) => number, wanted: (row: Row) => number): number {
  return Math.max(
    ...rowsUpTo(10 * reach, 3).map((row) => Math.abs(value(row) - wanted(row)) / (1 + Math.abs(wanted(row)))),
  );
}

/** The likeliest choices as a formula and as a function, and the attention itself. */
function readOut(given: Float32Array) {
  const weights = new Float32Array(perStart);
  let formulas = [...inputNames];
  let values: ((row: Row) => number)[] = inputNames.map((_, i) => (row) => row[i]!);
  for (let step = 0; step < programSteps; step++) {
    const likeliest = (from: number, count: number): number => {
      const part = given.subarray(step * scores + from, step * scores + from + count);
      const exponentials = Array.from(part, (score) => Math.exp(5 * (score - Math.max(...part))));
      const sum = exponentials.reduce((a, b) => a + b);
      exponentials.forEach((value, i) => {
        weights[step * scores + from + i] = value / sum;
      });
      return part.indexOf(Math.max(...part));
    };
    const operation = operations[likeliest(0, operations.length)]!;
    const left = likeliest(operations.length, values.length);
    const right = likeliest(operations.length + most, values.length);
    const [x, y] = [values[left]!, values[right]!];
    formulas = [...formulas, `(${formulas[left]} ${operation.sign} ${formulas[right]})`];
    values = [...values, (row) => operation.number(x(row), y(row))];
  }
  return { formula: formulas.at(-1)!, value: values.at(-1)!, weights };
}

async function show(options: ExampleTarget): Promise<Shown> {
  const found = await learnPrograms(options);
  const loss = linePlot(
    found.map(([name, { losses }]) => ({ name, y: losses.map((value) => Math.max(value, 1e-12)) })),
    { title: 'error of the best start', x: { title: 'step' }, y: { title: 'relative to the variance', log: true } },
  );
  const images = found.flatMap(([, { weights }]) => [...weights]);
  const signs = operations.map(({ sign }) => sign).join(' ');
  const chosen = imageGrid(images, [found.length, programSteps, scores], {
    title: `attention of both steps to ${signs}, to a, b, c and the first step on the left, and on the right`,
    columns: 1,
    scale: 16,
    colours: 'viridis',
    range: [0, 1],
    captions: found.map(([name]) => name),
  });
  return {
    figures: Object.fromEntries(
      found.map(([name, { formula, rightStarts }]) => [
        `found for ${name}`,
        `${formula}, by ${figure(100 * rightStarts, 2)} % of the starts`,
      ]),
    ),
    pictures: [beside([loss, chosen])],
  };
}

await galleryProgram(import.meta.url, show);
