// The page: trains the exported network step by step, draws the loss, and reads what is drawn on the pad.

import { drawLoss } from './chart.ts';
import type { Digits } from './digits.js';
import { drawingPad } from './pad.ts';

/** As exported by examples/web.ts: images of 64 numbers, then labels, the first `training` of them to train on. */
interface Examples {
  readonly images: Float32Array;
  readonly labels: Int32Array;
  readonly training: number;
}

const batchSize = 32;
/** `?epochs=1` in the address trains shorter. */
const epochs = Number(new URLSearchParams(location.search).get('epochs') ?? 6);
const $ = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const status = $('status');

/** The network on the device of this browser: as it was exported for cards, or for adapters that compute on the processor. */
async function loadNetwork(): Promise<Digits> {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) throw new Error('This browser has no WebGPU adapter. Chrome, Edge, Safari 26 and Firefox have WebGPU.');
  const onProcessor = adapter.info.isFallbackAdapter;
  const { load } = onProcessor ? await import('./software/digits.js') : await import('./digits.js');
  return load(await adapter.requestDevice());
}

async function fetchExamples(): Promise<Examples> {
  const response = await fetch('digits-data.bin');
  if (!response.ok) throw new Error(`The digits cannot be fetched: ${response.status}`);
  const bytes = await response.arrayBuffer();
  const [count, training] = new Uint32Array(bytes, 0, 2) as unknown as [number, number];
  const pixels = new Uint8Array(bytes, 8, count * 64);
  const labels = Int32Array.from(new Uint8Array(bytes, 8 + count * 64, count));
  return { images: Float32Array.from(pixels, (pixel) => pixel / 16), labels, training };
}

/** A seeded shuffle: the page trains the same way every time. */
function shuffled(count: number, seed: number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  let state = seed + 1;
  for (let i = count - 1; i > 0; i--) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const other = Math.floor((state / 2 ** 32) * (i + 1));
    [order[i], order[other]] = [order[other]!, order[i]!];
  }
  return order;
}

function batchOf({ images, labels }: Examples, rows: readonly number[]): { x: Float32Array; y: Int32Array } {
  const x = new Float32Array(rows.length * 64);
  rows.forEach((row, i) => {
    x.set(images.subarray(row * 64, row * 64 + 64), i * 64);
  });
  return { x, y: Int32Array.from(rows, (row) => labels[row]!) };
}

async function train(network: Digits, examples: Examples): Promise<void> {
  const losses: number[] = [];
  const perEpoch = Math.floor(examples.training / batchSize);
  const began = performance.now();
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = shuffled(examples.training, epoch);
    for (let batch = 0; batch < perEpoch; batch++) {
      const rows = order.slice(batch * batchSize, (batch + 1) * batchSize);
      const { loss } = await network.train(batchOf(examples, rows));
      losses.push(loss[0]!);
      $('step').textContent = `${losses.length} of ${epochs * perEpoch}`;
      $('loss-value').textContent = loss[0]!.toFixed(3);
      drawLoss($<HTMLCanvasElement>('loss'), losses, epochs * perEpoch);
    }
    $('accuracy').textContent = `${(100 * (await accuracy(network, examples))).toFixed(1)} %`;
    status.textContent = `Epoch ${epoch + 1} of ${epochs}`;
  }
  status.textContent = `Trained in ${((performance.now() - began) / 1000).toFixed(1)} s`;
  document.body.dataset.trained = 'true';
}

async function accuracy(network: Digits, examples: Examples): Promise<number> {
  const { labels, training } = examples;
  let right = 0;
  for (let first = training; first + batchSize <= labels.length; first += batchSize) {
    const rows = Array.from({ length: batchSize }, (_, i) => first + i);
    const { label } = await network.score({ x: batchOf(examples, rows).x });
    rows.forEach((row, i) => {
      if (label[i] === labels[row]) right++;
    });
  }
  return right / (Math.floor((labels.length - training) / batchSize) * batchSize);
}

function showAnswer(probabilities: Float32Array | null): void {
  const best = probabilities === null ? null : probabilities.indexOf(Math.max(...probabilities));
  $('answer').textContent = best === null ? '?' : String(best);
  $('bars').replaceChildren(
    ...Array.from({ length: 10 }, (_, digit) => {
      const row = document.createElement('li');
      const bar = document.createElement('span');
      const share = probabilities?.[digit] ?? 0;
      bar.style.setProperty('--share', String(share));
      row.title = `${digit}: ${(100 * share).toFixed(1)} %`;
      row.append(String(digit), bar);
      return row;
    }),
  );
}

async function main(): Promise<void> {
  showAnswer(null);
  status.textContent = 'Loading the network …';
  const [network, examples] = await Promise.all([loadNetwork(), fetchExamples()]);
  drawingPad($<HTMLCanvasElement>('pad'), $<HTMLCanvasElement>('seen'), $('clear'), async (image) => {
    showAnswer(image === null ? null : (await network.read({ image })).probabilities);
  });
  status.textContent = 'Training …';
  await train(network, examples);
}

main().catch((error: Error) => {
  status.textContent = error.message;
  status.classList.add('failed');
});
