// Matrix products on one thread against the peak of fused multiply-adds measured beside them: square, rectangular, ragged
// and batched ones, of two matrices that change.

import { func, input, type Tensor } from 'ashlar';
import { compile } from 'ashlar/node';
import { fmaPeak } from './fma-peak.ts';
import { keepRows } from './kept.ts';
import { best, progress, table } from './measure.ts';

type Product = readonly [batch: number, m: number, k: number, n: number, transposed?: 'transposed'];

const products: readonly Product[] = [
  [1, 256, 256, 256],
  [1, 512, 512, 512],
  [1, 1024, 1024, 1024],
  [1, 2048, 2048, 2048],
  [1, 64, 784, 512],
  [1, 1000, 300, 77],
  [1, 127, 129, 131],
  [1, 4096, 64, 4096],
  [1, 64, 4096, 4096],
  [1, 3, 1000, 1000],
  [64, 128, 64, 128],
  // Twelve heads of 128 queries with 64 features each, by as many keys.
  [12, 128, 64, 128, 'transposed'],
];

export interface ProductFigures {
  readonly product: string;
  readonly flops: number;
  readonly milliseconds: number;
  readonly gflops: number;
  readonly peak: number;
}

export async function matmul(): Promise<string> {
  const rows: ProductFigures[] = [];
  for (const product of products) rows.push(await measure(product));
  keepRows('matmul', rows);
  const cells = rows.map(({ product, milliseconds, gflops, peak }) => [
    product,
    milliseconds.toFixed(3),
    gflops.toFixed(1),
    peak.toFixed(1),
    `${((100 * gflops) / peak).toFixed(0)} %`,
  ]);
  const header = ['m×k×n', 'ms', 'GFLOP/s', 'FMA peak', 'of peak'];
  return ['## Matrix products, one thread', '', table(header, cells)].join('\n');
}

async function measure([batch, m, k, n, transposed]: Product): Promise<ProductFigures> {
  const title = `${batch === 1 ? '' : `${batch} × `}${m}×${k}×${n}${transposed === undefined ? '' : ', second transposed'}`;
  progress(`matmul ${title}`);
  const lead = batch === 1 ? [] : [batch];
  const a = input('a', [...lead, m, k] as number[]);
  const b = input('b', [...lead, ...(transposed === undefined ? [k, n] : [n, k])] as number[]);
  const y: Tensor = a.matmul(transposed === undefined ? b : b.transpose([0, 2, 1]));
  const run = await compile(func({ name: 'product', inputs: [a, b], outputs: { y } }), { target: 'c', threads: 1 });
  const arrays = { a: values(batch * m * k), b: values(batch * k * n) };
  const outputs = run(arrays);
  const before = fmaPeak();
  const milliseconds = best(() => void run(arrays, { outputs }), { seconds: 1 });
  const flops = 2 * batch * m * k * n;
  return {
    product: title,
    flops,
    milliseconds,
    gflops: flops / milliseconds / 1e6,
    peak: Math.max(before, fmaPeak()),
  };
}

function values(length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => ((i * 7919) % 13) / 13 - 0.5);
}
