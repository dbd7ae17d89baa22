// npm run bench [-- PART …]: measures, prints tables and keeps them in bench/results/. Parts that take models or need other
// packages run only when they are named; README.md lists all.

import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { compileSteps } from './compile-steps.ts';
import { compileTime } from './compile-time.ts';
import { cpuVariants } from './cpu-variants.ts';
import { decodingSpeed } from './decoding.ts';
import { gemv } from './gemv.ts';
import { gpuPack } from './gpu/pack.ts';
import { inference, inferenceOfOnnx } from './inference.ts';
import { math } from './math.ts';
import { matmul } from './matmul.ts';
import { memory } from './memory.ts';
import { onnxCheck } from './onnx/check.ts';
import { exportOnnxModels } from './onnx/models.ts';
import { profile } from './profile.ts';
import { profileOnnxRuntime } from './profile-onnxruntime.ts';
import { recurrent } from './recurrent.ts';
import { rows } from './rows.ts';
import { targets } from './targets.ts';
import { trainingSteps } from './training-steps.ts';
import { trainingVsPytorch } from './training-vs-pytorch.ts';
import { tuning } from './tune.ts';
import { typeCheck } from './type-check.ts';
import { webgpu } from './webgpu.ts';

const parts: Readonly<Record<string, () => string | Promise<string>>> = {
  'training-steps': trainingSteps,
  rows,
  'compile-time': compileTime,
  'compile-steps': compileSteps,
  'type-check': typeCheck,
  matmul,
  gemv,
  decoding: decodingSpeed,
  'cpu-variants': cpuVariants,
  math,
  targets,
};
/** Named first, with arguments of their own after them. What profiles and packs say is for reading now, not for keeping. */
const partsOfModels: Readonly<Record<string, (models: readonly string[]) => Promise<string>>> = {
  inference,
  'inference-onnx': inferenceOfOnnx,
  memory,
  training: trainingVsPytorch,
  recurrent,
  profile,
  'profile-onnxruntime': profileOnnxRuntime,
  tune: tuning,
  webgpu,
  'gpu-pack': gpuPack,
  'onnx-models': exportOnnxModels,
  onnx: onnxCheck,
};
const unkept: ReadonlySet<string> = new Set(['profile', 'profile-onnxruntime', 'gpu-pack', 'onnx-models']);

const wanted = process.argv.slice(2);
const ofModels = partsOfModels[wanted[0] ?? ''];
const unknown = ofModels === undefined ? wanted.find((name) => !(name in parts)) : undefined;
if (unknown !== undefined) {
  const names = [...Object.keys(parts), ...Object.keys(partsOfModels)];
  process.stderr.write(`bench: no part ${unknown}; there are ${names.join(', ')}\n`);
  process.exit(2);
}
const results = fileURLToPath(new URL('./results/', import.meta.url));
mkdirSync(results, { recursive: true });
const machine = `Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}`;

function keep(name: string, text: string): void {
  process.stdout.write(`${text}\n\n`);
  if (!unkept.has(name)) writeFileSync(`${results}${name}.md`, `${text}\n\nMeasured on ${machine}.\n`);
}

if (ofModels !== undefined) keep(wanted[0]!, await ofModels(wanted.slice(1)));
else {
  for (const [name, part] of Object.entries(parts)) {
    if (wanted.length === 0 || wanted.includes(name)) keep(name, await part());
  }
}
