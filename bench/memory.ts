// Peak memory of a process that loads a model from a file and runs it, against one that does the same with onnxruntime-node.
// Both are plain node without a loader of TypeScript, on one thread, and read the same weights from disk.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeSafetensorsFile } from 'ashlar/node';
import { build } from 'esbuild';
import { measureEach } from './kept.ts';
import { median, progress, table } from './measure.ts';
import { ashlarModel, models, onnxModel } from './models/index.ts';
import { encodeOnnx } from './onnx-file.ts';
import { benchPackage } from './packages.ts';

/** What a side is told on its command line, as JSON. */
export interface MemoryOrder {
  readonly model: string;
  /** The weights in safetensors, or the model in ONNX. */
  readonly file: string;
  readonly inputShape: readonly number[];
  readonly vocabulary?: number;
}

/** What a process has used at most: when its library was loaded, and when it ended. */
export interface MemorySide {
  readonly loadedBytes: number;
  readonly peakBytes: number;
}

export interface MemoryFigures {
  readonly title: string;
  /** The file of weights. */
  readonly fileBytes: number;
  readonly ours: MemorySide & { readonly preparedBytes: number; readonly arenaBytes: number };
  readonly theirs: MemorySide;
}

/** When garbage is collected differs from run to run. */
const runs = 3;
const bundles = fileURLToPath(new URL('./node_modules/.cache/ashlar-memory/', import.meta.url));

export async function memory(wanted: readonly string[]): Promise<string> {
  benchPackage('onnxruntime-node');
  await build({
    entryPoints: ['memory-ashlar', 'memory-onnxruntime'].map((name) =>
      fileURLToPath(new URL(`./${name}.ts`, import.meta.url)),
    ),
    outdir: bundles,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    target: 'es2023',
    logLevel: 'warning',
  });
  return memoryReport(await measureEach('memory', wanted, measureModel));
}

async function measureModel(name: string): Promise<MemoryFigures> {
  const model = models[name]!;
  progress(`${model.title}: memory`);
  const folder = mkdtempSync(join(tmpdir(), 'ashlar-memory-'));
  try {
    const onnx = join(folder, `${name}.onnx`);
    const weights = join(folder, `${name}.safetensors`);
    const { graph } = onnxModel(model, name);
    writeFileSync(onnx, encodeOnnx(graph));
    writeWeights(name, weights);
    const order = {
      model: name,
      inputShape: graph.inputs[0]!.shape,
      ...(model.vocabulary === undefined ? {} : { vocabulary: model.vocabulary }),
    };
    return {
      title: model.title,
      fileBytes: statSync(weights).size,
      ours: typical<MemoryFigures['ours']>('memory-ashlar', { ...order, file: weights }, folder),
      theirs: typical<MemorySide>('memory-onnxruntime', { ...order, file: onnx }, folder),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function writeWeights(name: string, path: string): void {
  const { definition } = ashlarModel(models[name]!, name);
  const tensors = definition.variables.map((variable) => {
    const { dtype, shape } = variable.type;
    return [variable.name, { dtype, shape, data: Float32Array.from(variable.initial()) }] as const;
  });
  writeSafetensorsFile(path, tensors);
}

/** The run whose peak is the median of a few. */
function typical<Side extends MemorySide>(program: string, order: MemoryOrder, cache: string): Side {
  const measured = Array.from({ length: runs }, (): Side => {
    const printed = execFileSync(process.execPath, [`${bundles}${program}.mjs`, JSON.stringify(order)], {
      encoding: 'utf8',
      env: { ...process.env, NODE_OPTIONS: '', ASHLAR_CACHE: cache },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    return JSON.parse(printed) as Side;
  });
  const middle = median(measured.map(({ peakBytes }) => peakBytes));
  return measured.find(({ peakBytes }) => peakBytes === middle)!;
}

function memoryReport(rows: readonly MemoryFigures[]): string {
  const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);
  const header = [
    'model',
    'MB of weights',
    'MB packed',
    'MB arena',
    'peak MB',
    'peak MB onnxruntime',
    'of theirs',
    'MB with the library loaded',
    'theirs',
  ];
  return [
    '## Peak memory of a process that loads a model from a file and runs it',
    '',
    'Resident set (VmHWM) of plain node on one thread. Weights come from a safetensors file here, from the ONNX file there.',
    '',
    table(
      header,
      rows.map(({ title, fileBytes, ours, theirs }) => [
        title,
        megabytes(fileBytes),
        megabytes(ours.preparedBytes),
        megabytes(ours.arenaBytes),
        megabytes(ours.peakBytes),
        megabytes(theirs.peakBytes),
        `${((100 * ours.peakBytes) / theirs.peakBytes).toFixed(0)} %`,
        megabytes(ours.loadedBytes),
        megabytes(theirs.loadedBytes),
      ]),
    ),
  ].join('\n');
}
