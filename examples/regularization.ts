// A task built to overfit: 200 digits, every fifth with a wrong label, and a perceptron that can learn them by heart. The loss on
// digits held out, with and without dropout, batch norm, weight decay and early stopping.
// Run with: npx tsx examples/regularization.ts [--target c|wgsl|js] [--out FOLDER]
// Sources: N. Srivastava et al., JMLR 15 (2014); S. Ioffe, C. Szegedy, ICML 2015; I. Loshchilov, F. Hutter, ICLR 2019; L. Prechelt,
// "Early stopping, but when?", 1998.

import { type Dataset, fit, func, input, nn, random, selectExamples } from 'ashlar';
import { compile } from 'ashlar/node';
import { loadDigits } from './data.ts';
import { beside, linePlot, type Series } from './gallery/plots.ts';
import { type ExampleTarget, figure, galleryProgram, type Shown } from './gallery/program.ts';

const classes = 10;
const batchSize = 50;
const trainingExamples = 200;
const heldOutExamples = 500;
const units = 128;
/** Epochs without improvement after which early stopping ends. */
const patience = 8;

interface Method {
  readonly network: () => nn.Layer;
  readonly weightDecay?: number;
  readonly stopsEarly?: boolean;
}

const { dense, relu, dropout, batchNorm, flatten } = nn;
const plain = (): nn.Layer =>
  nn.sequential(flatten(), dense(64, units), relu, dense(units, units), relu, dense(units, classes));

export const methods = {
  nothing: { network: plain },
  dropout: {
    network: () =>
      nn.sequential(
        ...[flatten(), dropout(0.2), dense(64, units), relu, dropout(0.5)],
        ...[dense(units, units), relu, dropout(0.5), dense(units, classes)],
      ),
  },
  'batch norm': {
    network: () =>
      nn.sequential(
        ...[flatten(), dense(64, units), batchNorm(units), relu],
        ...[dense(units, units), batchNorm(units), relu, dense(units, classes)],
      ),
  },
  'weight decay': { network: plain, weightDecay: 1 },
  'early stopping': { network: plain, stopsEarly: true },
} satisfies Readonly<Record<string, Method>>;
export type MethodName = keyof typeof methods;

/** Losses by epoch, on the digits that are trained on, in training, and on those held out. */
export interface Curve {
  readonly training: readonly number[];
  readonly heldOut: readonly number[];
  /** The share of digits held out that the kept weights read right. */
  readonly accuracy: number;
}

export interface RegularizationOptions extends ExampleTarget {
  readonly epochs?: number;
  readonly methods?: readonly MethodName[];
}

/** Digits to train on, every fifth of them with another label than its own, and digits held out. */
async function task(): Promise<{ training: Dataset; heldOut: Dataset }> {
  const digits = loadDigits();
  const count = trainingExamples + heldOutExamples;
  const [forOrder, forLabels] = random.split(random.key(7), 2);
  const draw = await compile(
    func({
      outputs: {
        order: random.permutation(forOrder, digits.y.data.length),
        shift: random.uniform(forLabels, [trainingExamples], { low: 1, high: classes }),
      },
    }),
    { target: 'js' },
  );
  const { order, shift } = draw({});
  const chosen = selectExamples(digits, Array.from(order.subarray(0, count)));
  const part = (from: number, to: number) =>
    selectExamples(
      chosen,
      Array.from({ length: to - from }, (_, i) => from + i),
    );
  const training = part(0, trainingExamples);
  const labels = training.y!.data as Int32Array;
  for (let i = 0; i < trainingExamples; i += 5) labels[i] = (labels[i]! + Math.floor(shift[i]!)) % classes;
  return { training, heldOut: part(trainingExamples, count) };
}

export async function regularize({
  target,
  epochs = 80,
  methods: names = Object.keys(methods) as MethodName[],
}: RegularizationOptions = {}): Promise<Readonly<Record<string, Curve>>> {
  const data = await task();
  const curves: [string, Curve][] = [];
  for (const name of names) curves.push([name, await train(methods[name], data, epochs, target)]);
  return Object.fromEntries(curves);
}

async function train(
  { network, weightDecay = 0, stopsEarly = false }: Method,
  { training, heldOut }: { training: Dataset; heldOut: Dataset },
  epochs: number,
  target: ExampleTarget['target'],
): Promise<Curve> {
  nn.resetNames();
  nn.setSeed(3);
  const model = network();
  const x = input('x', [batchSize, 1, 8, 8]);
  const y = input('y', [batchSize], 'i32');
  const loss = nn.crossEntropy(model(x), y).mean();
  const updates = [...nn.adamw(loss, undefined, { lr: 3e-3, weightDecay }), ...model.updates()];
  const where = target === undefined ? {} : { target };
  const step = await compile(func({ name: 'train', inputs: [x, y], outputs: { loss }, updates }), where);
  const logits = model(x, 'infer');
  const outputs = { loss: nn.crossEntropy(logits, y), accuracy: nn.accuracy(logits, y) };
  const score = await compile(func({ name: 'score', inputs: [x, y], outputs }), { ...where, state: step.state });
  const { history, bestEpoch } = await fit({
    ...{ step, evaluate: score, data: training, validation: heldOut, batchSize, epochs, seed: 1 },
    ...(stopsEarly && { earlyStopping: { metric: 'loss', mode: 'min' as const, patience } }),
  });
  const kept = bestEpoch === null ? history.at(-1)! : history[bestEpoch - 1]!;
  return {
    training: history.map((epoch) => epoch.training.loss!),
    heldOut: history.map((epoch) => epoch.validation!.loss!),
    accuracy: kept.validation!.accuracy!,
  };
}

/** The loss on digits held out of the weights that are kept: the last ones, or those that early stopping chose. */
export const kept = (name: string, { heldOut }: Curve): number =>
  name === 'early stopping' ? Math.min(...heldOut) : heldOut.at(-1)!;

export function showCurves(curves: Readonly<Record<string, Curve>>): Shown {
  const series = (of: (curve: Curve) => readonly number[]): Series[] =>
    Object.entries(curves).map(([name, curve]) => ({
      name,
      x: of(curve).map((_, epoch) => epoch + 1),
      y: of(curve),
    }));
  const axes = { x: { title: 'epoch' }, width: 400, height: 280 };
  const loss = 'cross entropy';
  return {
    figures: Object.fromEntries(
      Object.entries(curves).flatMap(([name, curve]) => [
        [`loss on digits held out, ${name}`, figure(kept(name, curve))],
        [`digits held out read right, ${name}`, `${(100 * curve.accuracy).toFixed(1)} %`],
      ]),
    ),
    pictures: [
      beside([
        linePlot(
          series(({ heldOut }) => heldOut),
          { title: 'Digits held out, whose labels are right', ...axes, y: { title: loss, range: [0.4, 1.6] } },
        ),
        linePlot(
          series(({ training }) => training.map((value) => Math.max(value, 1e-3))),
          { title: 'Digits trained on, a fifth with wrong labels', ...axes, y: { title: loss, log: true } },
        ),
      ]),
    ],
  };
}

await galleryProgram(import.meta.url, async (options) => showCurves(await regularize(options)));
