// Training steps as one C program each: kernels before and after fusion, memory, and time on one thread and on all.

import { availableParallelism } from 'node:os';
import { compile } from 'ashlar/node';
import { alternate, progress, table } from './measure.ts';
import { exampleBatch, steps, trainingStep } from './models.ts';

export async function trainingSteps(): Promise<string> {
  const threads = availableParallelism();
  const rows: (string | number)[][] = [];
  for (const step of steps) {
    progress(`training step of ${step.name}`);
    const fused = await compile(trainingStep(step), { target: 'c', threads: 1 });
    const parallel = await compile(trainingStep(step), { target: 'c', threads });
    const plain = await compile(trainingStep(step), { target: 'c', threads: 1, fusion: false });
    const batch = exampleBatch(step);
    const [{ loss }] = [fused(batch)];
    const [{ loss: plainLoss }] = [plain(batch)];
    if (Math.abs(loss[0]! - plainLoss[0]!) > 1e-4)
      throw new Error(`${step.name}: the fused step's loss is ${loss[0]}, without fusion it is ${plainLoss[0]}`);
    const times = alternate(
      { fused: () => void fused(batch), plain: () => void plain(batch), parallel: () => void parallel(batch) },
      { rounds: 21, warmup: 3 },
    );
    rows.push([
      step.name,
      plain.program.steps.length,
      fused.program.steps.length,
      (plain.program.arenaBytes / 1e6).toFixed(2),
      (fused.program.arenaBytes / 1e6).toFixed(2),
      (fused.source.length / 1000).toFixed(0),
      times.plain.toFixed(2),
      times.fused.toFixed(2),
      times.parallel.toFixed(2),
      (times.plain / times.fused).toFixed(2),
    ]);
  }
  return [
    `## Training steps (batch 64, Adam), one C program each`,
    '',
    table(
      [
        'model',
        'kernels unfused',
        'fused',
        'arena MB unfused',
        'fused',
        'C KB',
        'ms unfused',
        'ms fused',
        `ms fused, ${threads} threads`,
        'gain of fusion',
      ],
      rows,
    ),
  ].join('\n');
}
