// Operations on long rows on one thread against a copy of the same bytes in the same run: arrays that stay in the
// second-level cache, in the third, and in neither. The copy is a compiled function too, so both pay for the call.

import { func, grad, input, logSoftmax, nn, softmax, type Tensor } from 'ashlar';
import { compile } from 'ashlar/node';
import { keepRows } from './kept.ts';
import { alternate, progress, table } from './measure.ts';

type Matrix = Tensor<readonly number[], 'f32'>;

interface RowCase {
  readonly name: string;
  readonly inputs: 1 | 2;
  readonly result: (x: Matrix, c: Matrix) => Matrix;
}

export interface RowFigures {
  readonly name: string;
  /** The memory that the arrays stay in. */
  readonly where: 'L2' | 'L3' | 'memory';
  readonly kernels: number;
  readonly bytes: number;
  readonly milliseconds: number;
  readonly copyMilliseconds: number;
}

const cases: readonly RowCase[] = [
  { name: 'sum of each row', inputs: 1, result: (x) => x.sum([-1]) },
  { name: 'greatest of each row', inputs: 1, result: (x) => x.max([-1]) },
  { name: 'sum of everything', inputs: 1, result: (x) => x.sum() },
  { name: 'softmax', inputs: 1, result: (x) => softmax(x, -1) },
  { name: 'log-softmax', inputs: 1, result: (x) => logSoftmax(x, -1) },
  { name: 'softmax, gradient', inputs: 2, result: (x, c) => gradient(x, softmax(x, -1).mul(c)) },
  { name: 'layer norm', inputs: 1, result: (x) => nn.layerNorm(length)(x) as Matrix },
  { name: 'layer norm, gradient', inputs: 2, result: (x, c) => gradient(x, nn.layerNorm(length)(x).mul(c)) },
  { name: 'GELU', inputs: 1, result: (x) => nn.gelu(x) as Matrix },
  { name: 'GELU by tanh', inputs: 1, result: (x) => nn.geluTanh(x) as Matrix },
];

const sizes = [
  { where: 'L2', rows: 64 },
  { where: 'L3', rows: 1024 },
  { where: 'memory', rows: 16_384 },
] as const;
const length = 1024;

function gradient(x: Matrix, y: Tensor): Matrix {
  return grad(y.sum(), [x])[0] as Matrix;
}

function values(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => ((i * 2654435761) % 1000) / 250 - 2);
}

/** A function that runs `repeat` times what `result` computes, and the bytes that it has to read and write once. */
async function runner(shape: readonly number[], inputs: 1 | 2, result: RowCase['result']) {
  nn.resetNames();
  const given = ['x', 'c'].slice(0, inputs).map((name) => input(name, shape));
  const y = result(given[0]!, given[inputs - 1]!);
  const run = await compile(func({ name: 'rows', inputs: given, outputs: { y } }), { target: 'c', threads: 1 });
  const size = shape.reduce((product, dim) => product * dim, 1);
  const arrays = Object.fromEntries(given.map(({ name }) => [name, values(size)]));
  const outputs = run(arrays);
  const bytes = 4 * (inputs * size + outputs.y.length);
  return { bytes, kernels: run.program.steps.length, once: () => void run(arrays, { outputs }) };
}

export async function rows(): Promise<string> {
  const figures: RowFigures[] = [];
  for (const { where, rows: count } of sizes) {
    const repeat = Math.ceil(2048 / count);
    const repeated = (once: () => void) => () => {
      for (let i = 0; i < repeat; i++) once();
    };
    for (const { name, inputs, result } of cases) {
      progress(`${name}, ${count} rows of ${length}`);
      const { bytes, kernels, once } = await runner([count, length], inputs, result);
      const copy = await runner([Math.round(bytes / 8)], 1, (x) => x);
      const times = alternate({ once: repeated(once), copy: repeated(copy.once) }, { rounds: 15 });
      const [milliseconds, copyMilliseconds] = [times.once / repeat, times.copy / repeat];
      figures.push({ name, where, kernels, bytes, milliseconds, copyMilliseconds });
    }
  }
  keepRows('rows', figures);
  const lines = figures.map(({ name, where, kernels, bytes, milliseconds, copyMilliseconds }) => [
    name,
    where,
    kernels,
    milliseconds.toFixed(3),
    copyMilliseconds.toFixed(3),
    (bytes / milliseconds / 1e6).toFixed(1),
    `${((100 * copyMilliseconds) / milliseconds).toFixed(0)} %`,
  ]);
  return [
    `## Rows of ${length}, one thread, against a copy of the same bytes`,
    '',
    table(['operation', 'in', 'kernels', 'ms', 'ms copy', 'GB/s', 'of the copy'], lines),
  ].join('\n');
}
