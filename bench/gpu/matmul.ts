// Matrix products in f32 on the card, ours in WGSL against PyTorch's cuBLAS with TF32 off.

import { keeper, order } from './part.ts';
import { adapterName, comparePair, type Problem, type ProblemFigures } from './problem.ts';
import { describeTorch, TorchSide } from './torch.ts';

export interface ProductFigures extends ProblemFigures {
  readonly flops: number;
}

export interface MatmulFigures {
  readonly adapter: string;
  readonly pytorch: string;
  readonly products: readonly ProductFigures[];
  readonly failures: readonly string[];
}

/** M, K, N: squares, a long sum of few results' worth of loads, and few rows. */
const sizes = [
  [4096, 4096, 4096],
  [2048, 2048, 2048],
  [1024, 1024, 1024],
  [4096, 64, 4096],
  [64, 4096, 4096],
] as const;
/** Sums of 4096 products in another order, as a share of the largest. */
const tolerance = 1e-4;

const { small } = order();
const keep = keeper<MatmulFigures>('matmul');
const torch = await TorchSide.start();
const adapter = await adapterName();
const products: ProductFigures[] = [];
const failures: string[] = [];
for (const size of sizes) {
  const [m, k, n] = small ? size.map((dim) => Math.max(16, dim / 16)) : size;
  const problem: Problem = {
    title: `${m} × ${k} · ${k} × ${n}`,
    expression: 'matmul',
    operands: [
      [m!, k!],
      [k!, n!],
    ],
    compute: (a, b) => a!.matmul(b!),
  };
  try {
    products.push({ ...(await comparePair(problem, torch, tolerance)), flops: 2 * m! * k! * n! });
  } catch (error) {
    failures.push(`${problem.title}: ${(error as Error).message}`);
  }
  keep({ adapter, pytorch: describeTorch(torch), products, failures });
}
torch?.end();
process.exit(0);
