// Dense layers at batch 1: every weight is used once, so the floor is reading them. Weights in the second-level cache, in the
// third and in memory, against the speed at which as many bytes can be read, measured in the same run.

import { availableParallelism } from 'node:os';
import { func, input, variable } from 'ashlar';
import { compile } from 'ashlar/node';
import { readBandwidth } from './bandwidth.ts';
import { keepRows } from './kept.ts';
import { best, progress, table } from './measure.ts';

const layers: readonly (readonly [inputs: number, outputs: number])[] = [
  [256, 1024],
  [1280, 1000],
  [4096, 4096],
  [9216, 4096],
];

export interface GemvFigures {
  readonly layer: string;
  readonly weights: 'constant' | 'changing';
  readonly threads: number;
  readonly microseconds: number;
  /** A call that computes nothing to speak of. */
  readonly callMicroseconds: number;
  readonly megabytes: number;
  /** GB/s at which the kernel reads weights, the call not counted, and at which they can be read. */
  readonly reached: number;
  readonly bandwidth: number;
}

export async function gemv(): Promise<string> {
  const rows: GemvFigures[] = [];
  for (const threads of new Set([1, availableParallelism()])) {
    for (const layer of layers) {
      for (const weights of ['constant', 'changing'] as const) rows.push(await measure(layer, weights, threads));
    }
  }
  keepRows('gemv', rows);
  const header = ['layer', 'weights', 'threads', 'MB', 'µs', 'µs call', 'GB/s', 'GB/s of reading', 'of it'];
  return [
    '## Dense layers at batch 1, against reading their weights',
    '',
    '"µs call" is a call that computes nothing to speak of; GB/s do not count it.',
    '',
    table(
      header,
      rows.map((row) => [
        row.layer,
        row.weights,
        row.threads,
        row.megabytes.toFixed(1),
        row.microseconds.toFixed(1),
        row.callMicroseconds.toFixed(1),
        row.reached.toFixed(1),
        row.bandwidth.toFixed(1),
        `${((100 * row.reached) / row.bandwidth).toFixed(0)} %`,
      ]),
    ),
  ].join('\n');
}

async function measure(
  [inputs, outputs]: readonly [number, number],
  weights: GemvFigures['weights'],
  threads: number,
): Promise<GemvFigures> {
  const layer = `[1,${inputs}] · [${inputs},${outputs}]`;
  progress(`${layer}, ${weights} weights, ${threads} thread${threads === 1 ? '' : 's'}`);
  const x = input('x', [1, inputs] as number[]);
  const w = variable('w', [inputs, outputs] as number[], { initial: () => values(inputs * outputs) });
  const definition = func({ name: 'dense', inputs: [x], outputs: { y: x.matmul(w) } });
  const run = await compile(definition, { target: 'c', threads, freeze: weights === 'constant' });
  const given = { x: values(inputs) };
  const results = run(given);
  const small = input('x', [1]);
  const empty = await compile(func({ name: 'empty', inputs: [small], outputs: { y: small.mul(2) } }), {
    target: 'c',
    threads: 1,
  });
  const one = { x: new Float32Array(1) };
  const nothing = empty(one);
  const bytes = 4 * inputs * outputs;
  const before = readBandwidth([bytes], threads)[0]!;
  const milliseconds = best(() => void run(given, { outputs: results }), { seconds: 1 });
  const call = best(() => void empty(one, { outputs: nothing }), { seconds: 0.2 });
  return {
    layer,
    weights,
    threads,
    microseconds: 1000 * milliseconds,
    callMicroseconds: 1000 * call,
    megabytes: bytes / 1e6,
    reached: bytes / (milliseconds - call) / 1e6,
    bandwidth: Math.max(before, readBandwidth([bytes], threads)[0]!),
  };
}

function values(length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => ((i * 7919) % 13) / 13 - 0.5);
}
