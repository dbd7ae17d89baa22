// The data that examples train on. The digits ship with the project; MNIST is read from a folder of the user's.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Dataset, nn, UserError } from 'ashlar';
import { readCsvFile, readIdxFile } from 'ashlar/node';

/** The 1,797 digits of the UCI repository: x f32 `[1797, 1, 8, 8]` from 0 to 1, y i32 `[1797]`. */
export function loadDigits(): Dataset & Readonly<Record<'x' | 'y', Dataset[string]>> {
  const path = fileURLToPath(new URL('data/uci-digits/digits.csv.gz', import.meta.url));
  const { shape, data } = readCsvFile(path).array;
  const [count, width] = shape as [number, number];
  const pixels = new Float32Array(count * 64);
  const labels = new Int32Array(count);
  for (let row = 0; row < count; row++) {
    for (let i = 0; i < 64; i++) pixels[row * 64 + i] = Number(data[row * width + i]) / 16;
    labels[row] = Number(data[row * width + 64]);
  }
  return { x: { shape: [count, 1, 8, 8], data: pixels }, y: { shape: [count], data: labels } };
}

/** The 10,000 MNIST images in a folder: x f32 `[10000, 1, 28, 28]` from 0 to 1, y i32 `[10000]`. Throws UserError where they are absent. */
export function loadMnist(directory: string): Dataset & Readonly<Record<'x' | 'y', Dataset[string]>> {
  const find = (name: string): string => {
    const found = [join(directory, `${name}.gz`), join(directory, name)].find(existsSync);
    if (found === undefined) throw new UserError(`MNIST is not in ${directory}: ${name}.gz expected there`);
    return found;
  };
  const images = readIdxFile(find('t10k-images-idx3-ubyte'));
  const labels = readIdxFile(find('t10k-labels-idx1-ubyte'));
  const [count, height, width] = images.shape as [number, number, number];
  return {
    x: { shape: [count, 1, height, width], data: Float32Array.from(images.data as Uint8Array, (pixel) => pixel / 255) },
    y: { shape: [count], data: Int32Array.from(labels.data as Uint8Array) },
  };
}

/** Numbers in [0, 1), one after another, the same for a seed everywhere. */
export function uniformNumbers(seed: number): () => number {
  let block: Float32Array = new Float32Array();
  let [used, drawn] = [0, 0];
  return () => {
    if (used === block.length) {
      block = nn.initializers.uniform(0, 1, seed + 1000 * drawn++)([4096], 'f32') as Float32Array;
      used = 0;
    }
    return block[used++]!;
  };
}
