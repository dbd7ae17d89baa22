// GPT-2 small, a token at a time: every weight is used once a token, so the floor is reading them and the keys and values so far. Times
// against the speed at which as many bytes are read in turn with it, in the same process with as many threads.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeSafetensorsFile } from 'ashlar/node';
import { keepRows } from './kept.ts';
import { progress, table } from './measure.ts';
import { decoding, gpt2Network, weightsFor } from './models/gpt2-decoding.ts';

export interface DecodingFigures {
  readonly threads: number;
  /** Tokens before the one that is read. */
  readonly length: number;
  readonly milliseconds: number;
  readonly megabytes: number;
  /** GB/s at which a token reads them, and at which they can be read; the share is the median of neighbouring turns. */
  readonly reached: number;
  readonly bandwidth: number;
  readonly share: number;
  /** Of weights as the file has them, and of the process when it had read its first token. */
  readonly weightMegabytes: number;
  readonly peakMegabytes: number;
  /** Of a logit from that of the text read at once, of the largest. */
  readonly difference: number;
}

export async function decodingSpeed(): Promise<string> {
  const rows: DecodingFigures[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'ashlar-decoding-'));
  try {
    const file = join(folder, 'gpt2.safetensors');
    writeWeights(file);
    for (const threads of new Set([1, availableParallelism()])) rows.push(...(await measure(threads, file)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  keepRows('decoding', rows);
  const header = ['tokens before', 'threads', 'ms a token', 'MB read', 'GB/s', 'GB/s of reading', 'of it'];
  return [
    '## GPT-2 small, a token at a time, against reading its weights and caches',
    '',
    'f32. Median of turns of a few tokens, in turn with reading as many bytes of other memory. MB are the weights, but for one row of the',
    'table of places, and the keys and values of the tokens before.',
    '',
    table(
      header,
      rows.map(({ length, threads, milliseconds, megabytes, reached, bandwidth, share }) => [
        length,
        threads,
        milliseconds.toFixed(2),
        megabytes.toFixed(0),
        reached.toFixed(1),
        bandwidth.toFixed(1),
        `${(100 * share).toFixed(0)} %`,
      ]),
    ),
    '',
    `The process has at most ${Math.max(...rows.map(({ peakMegabytes }) => peakMegabytes)).toFixed(0)} MB in use until it has read ` +
      `its first token; ${rows[0]!.weightMegabytes.toFixed(0)} MB of it are weights. A text read at once has the same logits within ` +
      `${Math.max(...rows.map(({ difference }) => difference)).toExponential(0)} of the largest, and a loop over tokens in one program says the same.`,
  ].join('\n');
}

/** A process of its own, so that what is in use is what decoding uses. */
async function measure(threads: number, file: string): Promise<DecodingFigures[]> {
  progress(`GPT-2 small, a token at a time, ${threads} thread${threads === 1 ? '' : 's'}`);
  const side = fork(fileURLToPath(new URL('./decoding-side.ts', import.meta.url)), [String(threads), file]);
  const [figures] = (await Promise.race([
    once(side, 'message'),
    once(side, 'exit').then(([code]) => Promise.reject(new Error(`the process measured ended with code ${code}`))),
  ])) as [DecodingFigures[]];
  return figures;
}

function writeWeights(file: string): void {
  const weights = weightsFor(decoding(gpt2Network()));
  writeSafetensorsFile(
    file,
    weights.map((weight) => [weight.name, weight] as const),
  );
}
