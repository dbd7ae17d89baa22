// Code for narrower processors than this machine's, against the peak that their instructions reach on it, one thread.

import { conv, func, input, type Tensor, variable } from 'ashlar';
import { compile } from 'ashlar/node';
import { cpusInC } from '../src/codegen/c/cpus.ts';
import type { CpuName } from '../src/passes/schedule.ts';
import { fmaPeak } from './fma-peak.ts';
import { best, progress, table } from './measure.ts';

const cpus: readonly CpuName[] = ['x86-64-v4', 'x86-64-v3', 'plain'];

interface Work {
  readonly title: string;
  /** The input, and weights that are packed once. */
  readonly shapes: readonly [readonly number[], readonly number[]];
  readonly multiplyAdds: number;
  readonly of: (x: Tensor, weights: Tensor) => Tensor;
}

const works: readonly Work[] = [
  {
    title: 'matmul 512×512×512',
    shapes: [
      [512, 512],
      [512, 512],
    ],
    multiplyAdds: 512 ** 3,
    of: (x, weights) => x.matmul(weights),
  },
  {
    title: 'convolution of 256×28×28 by 256 of 3×3, stride 2',
    shapes: [
      [1, 256, 28, 28],
      [256, 256, 3, 3],
    ],
    multiplyAdds: 256 * 256 * 9 * 14 * 14,
    of: (x, weights) => conv(x, weights, { strides: 2, padding: 'same' }),
  },
];

const numbers = (shape: readonly number[]): Float32Array =>
  Float32Array.from({ length: shape.reduce((size, extent) => size * extent) }, (_, i) => ((i * 7919) % 13) / 13);

export async function cpuVariants(): Promise<string> {
  const rows: (string | number)[][] = [];
  for (const { title, shapes, multiplyAdds, of } of works) {
    for (const cpu of cpus) {
      progress(`${title}, ${cpu}`);
      const x = input('x', shapes[0] as number[]);
      const weights = variable('weights', shapes[1] as number[], { initial: () => numbers(shapes[1]) });
      const definition = func({ name: 'work', inputs: [x], outputs: { y: of(x, weights) } });
      const run = await compile(definition, { threads: 1, cpu, freeze: true });
      const given = { x: numbers(shapes[0]) };
      const outputs = run(given);
      const milliseconds = best(() => void run(given, { outputs }), { seconds: 1 });
      const peak = fmaPeak('gcc', cpusInC[cpu].flags);
      const rate = (2 * multiplyAdds) / milliseconds / 1e6;
      rows.push([
        title,
        cpu,
        milliseconds.toFixed(3),
        rate.toFixed(1),
        peak.toFixed(1),
        `${((100 * rate) / peak).toFixed(0)} %`,
      ]);
    }
  }
  return [
    '## Code for other processors, one thread',
    '',
    table(['work', 'cpu', 'ms', 'GFLOP/s', 'peak of its instructions', 'of peak'], rows),
  ].join('\n');
}
