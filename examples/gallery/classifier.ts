// The training that several programs of the gallery share: a network that says which of some classes an example is of.

import { type Dataset, evaluate, fit, func, input, type Metrics, nn } from 'ashlar';
import { type AnyExecutable, compile } from 'ashlar/node';
import type { ExampleTarget } from './program.ts';

export interface ClassifierOptions extends ExampleTarget {
  /** `[N, ..] → [N, classes]`. */
  readonly network: nn.Layer;
  readonly classes: number;
  /** x f32 `[examples, ..]`, y i32 `[examples]`. */
  readonly training: Dataset;
  readonly heldOut: Dataset;
  readonly epochs: number;
  readonly batchSize: number;
  readonly lr: number;
}

export interface TrainedClassifier {
  /** The mean loss of each epoch, in training and on what was held out. */
  readonly losses: { readonly training: readonly number[]; readonly heldOut: readonly number[] };
  /** On what was held out. */
  readonly accuracy: number;
  /** For other functions of the same variables. */
  readonly state: AnyExecutable['state'];
}

/** Trains with Adam and the cross-entropy. */
export async function trainClassifier(options: ClassifierOptions): Promise<TrainedClassifier> {
  const { network, classes, training, heldOut, epochs, batchSize, lr, target } = options;
  const x = input('x', [batchSize, ...training.x!.shape.slice(1)]);
  const y = input('y', [batchSize], 'i32');
  const on = target === undefined ? {} : { target };
  const loss = nn.crossEntropy(network(x), y).mean();
  const updates = [...nn.adam(loss, network.variables, { lr }), ...network.updates()];
  const step = await compile(func({ name: 'step', inputs: [x, y], outputs: { loss }, updates }), on);
  const logits = network(x, 'infer');
  const score = await compile(
    func({
      name: 'score',
      inputs: [x, y],
      outputs: { loss: nn.crossEntropy(logits, y), accuracy: nn.accuracy(logits, y) },
    }),
    { ...on, state: step.state },
  );
  const { history } = await fit({
    step,
    data: training,
    batchSize,
    epochs,
    seed: 1,
    classes: { y: classes },
    validation: heldOut,
    evaluate: score,
  });
  const metrics: Metrics = await evaluate(score, heldOut, { batchSize, classes: { y: classes } });
  return {
    losses: {
      training: history.map(({ training }) => training.loss!),
      heldOut: history.map(({ validation }) => validation!.loss!),
    },
    accuracy: metrics.accuracy!,
    state: step.state,
  };
}
