// Matrix products on one thread against the peak of fused multiply-adds measured beside them.

import { func, input } from 'ashlar';
import { compile } from 'ashlar/node';
import { fmaPeak } from './fma-peak.ts';
import { best, progress, table } from './measure.ts';

const shapes: readonly (readonly [number, number, number])[] = [
  [256, 256, 256],
  [512, 512, 512],
  [1024, 1024, 1024],
  [2048, 2048, 2048],
  [64, 784, 512],
  [1000, 300, 77],
];

export async function matmul(): Promise<string> {
  const rows: (string | number)[][] = [];
  for (const [m, k, n] of shapes) {
    progress(`matmul ${m} × ${k} × ${n}`);
    const a = input('a', [m, k] as number[]);
    const b = input('b', [k, n] as number[]);
    const run = await compile(func({ name: 'product', inputs: [a, b], outputs: { y: a.matmul(b) } }), { threads: 1 });
    const values = (length: number): Float32Array =>
      Float32Array.from({ length }, (_, i) => ((i * 7919) % 13) / 13 - 0.5);
    const arrays = { a: values(m * k), b: values(k * n) };
    const outputs = run(arrays);
    const milliseconds = best(() => void run(arrays, outputs), { seconds: 1 });
    const peak = fmaPeak();
    const rate = (2 * m * k * n) / milliseconds / 1e6;
    rows.push([
      `${m}×${k}×${n}`,
      milliseconds.toFixed(3),
      rate.toFixed(1),
      peak.toFixed(1),
      `${((100 * rate) / peak).toFixed(0)} %`,
    ]);
  }
  return ['## Matrix products, one thread', '', table(['m×k×n', 'ms', 'GFLOP/s', 'FMA peak', 'of peak'], rows)].join(
    '\n',
  );
}
