// Exports the digits network for a page, with its training step, and serves the page. Run with: npm run web (an argument is
// the folder for the files; with --no-serve they are only written)

import { copyFileSync, createReadStream, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { func, input, nn, splitDataset } from 'ashlar';
import { exportWeb } from 'ashlar/node';
import { build } from 'esbuild';
import { loadDigits } from './data.ts';
import { digitsNet } from './models.ts';

const batchSize = 32;
const heldOutFraction = 0.2;
const seed = 1;
const sources = fileURLToPath(new URL('./web/', import.meta.url));

/** The network in three functions over the same weights: a training step, reading a batch, and reading one image. */
function functions() {
  nn.setSeed(seed);
  const network = digitsNet();
  const x = input('x', [batchSize, 1, 8, 8]);
  const y = input('y', [batchSize], 'i32');
  const loss = nn.crossEntropy(network(x), y).mean();
  const updates = nn.adam(loss, network.variables, { lr: 2e-3 });
  const image = input('image', [1, 1, 8, 8]);
  return {
    train: func({ name: 'train', inputs: [x, y], outputs: { loss }, updates }),
    score: func({ name: 'score', inputs: [x], outputs: { label: network(x, 'infer').argmax(-1) } }),
    read: func({
      name: 'read',
      inputs: [image],
      outputs: { probabilities: nn.softmax(network(image, 'infer'), -1) },
    }),
  };
}

/** Counts, pixels from 0 to 16 as bytes, labels: what the page trains on. */
function exampleBytes(): Uint8Array {
  const { training, validation } = splitDataset(loadDigits(), heldOutFraction, seed);
  const images = [training, validation].flatMap(({ x }) => Array.from(x!.data, (pixel) => Math.round(pixel * 16)));
  const labels = [training, validation].flatMap(({ y }) => Array.from(y!.data));
  const counts = Uint32Array.of(labels.length, training.y!.shape[0]!);
  return Uint8Array.of(...new Uint8Array(counts.buffer), ...images, ...labels);
}

/** Writes the page and all that it loads: the network for cards, and in `software/` for adapters that compute on the processor. */
export async function writePage(directory: string): Promise<void> {
  mkdirSync(directory, { recursive: true });
  await exportWeb(functions(), { name: 'digits', directory });
  await exportWeb(functions(), { name: 'digits', directory: join(directory, 'software'), kernels: 'software' });
  writeFileSync(join(directory, 'digits-data.bin'), exampleBytes());
  for (const file of ['index.html', 'page.css']) copyFileSync(join(sources, file), join(directory, file));
  await build({
    entryPoints: [join(sources, 'page.ts')],
    outfile: join(directory, 'page.js'),
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    external: ['./digits.js', './software/digits.js'],
    logLevel: 'warning',
  });
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.bin': 'application/octet-stream',
};

/** Serves the files of a folder, and nothing beside it. */
export function serve(directory: string, port: number): Promise<Server> {
  const server = createServer((request, response) => {
    const name = (request.url ?? '/').split('?')[0]!.slice(1) || 'index.html';
    const path = join(directory, name);
    if (!/^(software\/)?[\w.-]+$/.test(name) || !existsSync(path)) {
      response.writeHead(404).end('not found\n');
      return;
    }
    response.writeHead(200, { 'content-type': types[extname(name)] ?? 'application/octet-stream' });
    createReadStream(path).pipe(response);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, 'localhost', () => resolve(server));
  });
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { port: { type: 'string', default: '8080' }, 'no-serve': { type: 'boolean', default: false } },
  });
  const directory = positionals[0] ?? fileURLToPath(new URL('../dist/web/', import.meta.url));
  await writePage(directory);
  console.log(`the page, its network and its digits are in ${directory}`);
  if (values['no-serve']) return;
  await serve(directory, Number(values.port));
  console.log(`http://localhost:${values.port}/ trains it in your browser; Ctrl-C ends`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
