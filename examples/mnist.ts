// FashionSimpleNet's shape on MNIST: trained on the first 8,000 of the 10,000 test images, tested on the last 2,000.
// Run with: npm run mnist -- FOLDER [--target c|wgsl|js] [--epochs NUMBER] [--examples NUMBER] [--batch NUMBER]
// FOLDER has t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz.

import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { evaluate, fit, func, input, LimitationError, nn, selectExamples, UserError } from 'ashlar';
import { compile, formatMetrics, progressBar } from 'ashlar/node';
import { loadMnist } from './data.ts';
import { fashionSimpleNet } from './models.ts';
import { exampleOptions } from './options.ts';

const usualBatchSize = 64;
const usualEpochs = 8;
const trainingFraction = 0.8;
/** Below this, after the usual epochs, the example fails. */
const requiredAccuracy = 0.98;

/** The folder given as argument or in ASHLAR_MNIST, else one that lies beside the project. */
function mnistFolder(folder: string | undefined): string {
  const given = folder ?? process.env.ASHLAR_MNIST;
  if (given !== undefined) return given;
  const beside = fileURLToPath(new URL('../../shared/data/mnist', import.meta.url));
  if (existsSync(beside)) return beside;
  throw new UserError(
    'MNIST is not part of this project. Put t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz into a folder and ' +
      'name it: npm run mnist -- FOLDER (or in ASHLAR_MNIST).',
  );
}

const range = (start: number, end: number): number[] => Array.from({ length: end - start }, (_, i) => start + i);

async function main(): Promise<void> {
  const { folder, target, epochs, batchSize, shorten, isWhole } = exampleOptions(usualEpochs, usualBatchSize);
  const images = shorten(loadMnist(mnistFolder(folder)));
  const count = images.y.data.length;
  const trainingExamples = Math.floor(trainingFraction * count);
  const training = selectExamples(images, range(0, trainingExamples));
  const heldOut = selectExamples(images, range(trainingExamples, count));

  nn.setSeed(1);
  const network = fashionSimpleNet();
  const x = input('x', [batchSize, 1, 28, 28]);
  const y = input('y', [batchSize], 'i32');
  const logits = network(x);
  const losses = nn.crossEntropy(logits, y);
  const loss = losses.mean();
  const accuracy = nn.accuracy(logits, y);

  const usesThreads = target.target === undefined || target.target === 'c';
  const given = usesThreads ? { ...target, threads: availableParallelism() } : target;
  const stepsInAll = epochs * Math.ceil(trainingExamples / batchSize);
  const updates = nn.adam(loss, network.variables, { lr: nn.schedules.cosine(2e-3, stepsInAll) });
  const outputs = { loss, accuracy: accuracy.mean() };
  const step = await compile(func({ name: 'train', inputs: [x, y], outputs, updates }), given);
  const score = func({ name: 'score', inputs: [x, y], outputs: { loss: losses, accuracy } });
  const scoring = await compile(score, { ...given, state: step.state });
  console.log(`one training step is ${step.program.steps.length} kernels (target ${step.target})`);

  const classes = { y: 10 };
  await fit({
    step,
    data: training,
    batchSize,
    epochs,
    seed: 1,
    classes,
    progress: progressBar(),
    onEpoch: ({ epoch, seconds, training }) => {
      if (!process.stderr.isTTY)
        console.log(`epoch ${epoch}/${epochs}  ${formatMetrics(training)}  ${seconds.toFixed(1)} s`);
    },
  });
  const found = await evaluate(scoring, heldOut, { batchSize, classes });
  const percent = (fraction: number): string => `${(100 * fraction).toFixed(2)}%`;
  console.log(`${percent(found.accuracy!)} of the ${heldOut.y!.shape[0]} held-out images are read right`);
  if (isWhole && found.accuracy! < requiredAccuracy) throw new Error(`at least ${percent(requiredAccuracy)} expected`);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UserError || error instanceof LimitationError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
