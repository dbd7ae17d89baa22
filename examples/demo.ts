// Trains a convolutional network on handwritten digits, exports it as C, builds that with a small main by the C compiler,
// and shows what the program reads. Run with: npm run demo -- [FOLDER] [--target c|wgsl|js]
// FOLDER is where the C files go. Training runs in C unless another target is named; --epochs, --examples and
// --batch make it shorter.

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type Dataset,
  type ExampleArray,
  evaluate,
  fit,
  func,
  input,
  LimitationError,
  nn,
  selectExamples,
  splitDataset,
  UserError,
} from 'ashlar';
import { compile, exportC, findCompiler, formatMetrics, progressBar, StateStore } from 'ashlar/node';
import { loadDigits } from './data.ts';
import { digitsNet } from './models.ts';
import { type ExampleOptions, exampleOptions } from './options.ts';
import { drawImage, sideBySide } from './terminal.ts';

const usualBatchSize = 32;
const usualEpochs = 20;
const seed = 1;
const heldOutFraction = 0.2;
/** Below this, after the usual epochs, the demo fails. */
const requiredAccuracy = 0.97;

async function main(): Promise<void> {
  const began = performance.now();
  const options = exampleOptions(usualEpochs, usualBatchSize);
  const directory = options.folder ?? fileURLToPath(new URL('../dist/demo/', import.meta.url));
  const compiler = findCompiler();
  const { training, validation: heldOut } = splitDataset(options.shorten(loadDigits()), heldOutFraction, seed);
  console.log(
    `${training.y!.shape[0]} handwritten digits of 8 × 8 pixels to train on, ${heldOut.y!.shape[0]} held out\n` +
      'compiling the training step …',
  );
  const { network, state, accuracy, kernels, language } = await train(training, heldOut, options);
  console.log(
    `trained in one ${language} program of ${kernels} kernels; ${percent(accuracy)} of the held-out digits are read right\n`,
  );
  const program = await exportNetwork(network, state, directory, compiler.command);
  const shown = oneOfEach(heldOut);
  show(shown, runProgram(program, shown.x!));
  console.log(`\nthe program: ${program}, from digits.c, digits.h and read.c beside it (${seconds(began)} s in all)`);
  if (options.isWhole && accuracy < requiredAccuracy) {
    throw new Error(
      `only ${percent(accuracy)} of the held-out digits are read right; ${percent(requiredAccuracy)} expected`,
    );
  }
}

type Trained = {
  network: nn.Layer;
  state: StateStore;
  accuracy: number;
  kernels: number;
  language: string;
};

const languages = { c: 'C', wgsl: 'WebGPU', js: 'JavaScript' };

async function train(
  training: Dataset,
  heldOut: Dataset,
  { target, epochs, batchSize }: ExampleOptions,
): Promise<Trained> {
  nn.setSeed(seed);
  const network = digitsNet();
  const x = input('x', [batchSize, 1, 8, 8]);
  const y = input('y', [batchSize], 'i32');
  const logits = network(x);
  const losses = nn.crossEntropy(logits, y);
  const loss = losses.mean();
  const accuracy = nn.accuracy(logits, y);
  const updates = nn.adam(loss, network.variables, { lr: 2e-3 });
  const step = await compile(
    func({ name: 'train', inputs: [x, y], outputs: { loss, accuracy: accuracy.mean() }, updates }),
    target,
  );
  const score = func({ name: 'score', inputs: [x, y], outputs: { loss: losses, accuracy } });
  const scoring = await compile(score, { ...target, state: step.state });
  const classes = { y: 10 };
  await fit({
    step,
    data: training,
    batchSize,
    epochs,
    seed,
    classes,
    progress: progressBar(),
    onEpoch: ({ epoch, training }) => {
      if (!process.stderr.isTTY) console.log(`epoch ${epoch}/${epochs}  ${formatMetrics(training)}`);
    },
  });
  const metrics = await evaluate(scoring, heldOut, { batchSize, classes });
  const state = await StateStore.copyOf(step.state);
  const kernels = step.program.steps.length;
  return { network, state, accuracy: metrics.accuracy!, kernels, language: languages[step.target] };
}

/** Exports the network for one image, and builds it with a main of its own; the path of the program. */
async function exportNetwork(
  network: nn.Layer,
  state: StateStore,
  directory: string,
  command: string,
): Promise<string> {
  const image = input('image', [1, 1, 8, 8]);
  const logits = network(image, 'infer');
  const probabilities = nn.softmax(logits, -1);
  const digits = func({
    name: 'digits',
    inputs: [image],
    outputs: { label: logits.argmax(-1), confidence: probabilities.max(-1) },
  });
  await exportC(digits, { directory, state });
  writeFileSync(join(directory, 'read.c'), mainSource);
  const build = ['-std=c11', '-O2', '-o', 'digits', 'read.c', 'digits.c', '-lm'];
  console.log(`$ ${[command, ...build].join(' ')}`);
  const { status, stderr } = spawnSync(command, build, { cwd: directory, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} could not build the exported network:\n${stderr}`);
  return join(directory, 'digits');
}

const mainSource = `/* Reads images of 64 numbers from 0 to 1 and prints the digit in each, with its probability. */
#include "digits.h"
#include <stdio.h>
#include <stdlib.h>

int main(void) {
  const size_t bytes = (digits_workspace_size() + 63) / 64 * 64;
  void *workspace = aligned_alloc(64, bytes);
  if (workspace == NULL) return 1;
  float image[64], confidence;
  int32_t label;
  const digits_inputs inputs = {image};
  const digits_outputs outputs = {&label, &confidence};
  int count = 0;
  while (scanf("%f", &image[count]) == 1) {
    if (++count < 64) continue;
    const int status = digits_run(&inputs, &outputs, workspace, bytes, 1);
    if (status != 0) {
      fprintf(stderr, "%s\\n", digits_status_name(status));
      return 1;
    }
    printf("%d %.4f\\n", label, confidence);
    count = 0;
  }
  free(workspace);
  return 0;
}
`;

interface Prediction {
  readonly label: number;
  readonly confidence: number;
}

/** Runs the C program on images. */
function runProgram(program: string, { data }: ExampleArray): Prediction[] {
  const { status, stdout, stderr } = spawnSync(program, { input: Array.from(data).join(' '), encoding: 'utf8' });
  if (status !== 0) throw new Error(`the exported program failed: ${stderr}`);
  return stdout
    .trim()
    .split('\n')
    .map((line) => {
      const [label, confidence] = line.split(' ').map(Number);
      return { label: label!, confidence: confidence! };
    });
}

/** The first example of each digit that there is. */
function oneOfEach(digits: Dataset): Dataset {
  const labels = Array.from(digits.y!.data);
  const first = Array.from({ length: 10 }, (_, digit) => labels.indexOf(digit));
  return selectExamples(
    digits,
    first.filter((example) => example >= 0),
  );
}

function show({ x, y }: Dataset, predictions: readonly Prediction[]): void {
  const perRow = 5;
  const blocks = predictions.map(({ label, confidence }, i) => ({
    lines: drawImage(x!.data.subarray(i * 64, (i + 1) * 64), 8, 1),
    caption: `${label} (${percent(confidence)})${label === y!.data[i] ? '' : `, is ${y!.data[i]}`}`,
  }));
  for (let start = 0; start < blocks.length; start += perRow)
    console.log(`\n${sideBySide(blocks.slice(start, start + perRow))}`);
}

const percent = (fraction: number): string => `${(100 * fraction).toFixed(1)}%`;
const seconds = (began: number): string => ((performance.now() - began) / 1000).toFixed(1);

try {
  await main();
} catch (error) {
  if (!(error instanceof UserError || error instanceof LimitationError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
