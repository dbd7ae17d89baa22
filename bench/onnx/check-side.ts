// One exported model on one target in a process of its own: imported, compiled, run on the recorded input and held against
// PyTorch's answer. Usage: check-side.ts MODEL (c | wgsl). Prints a SideCheck.

import { readFileSync } from 'node:fs';
import { compileForWebGpu, io, openDevice } from 'ashlar';
import { compile, nodeGpu } from 'ashlar/node';
import { fromOnnx, type OnnxDefinition } from 'ashlar/onnx';
import { median } from '../measure.ts';
import { peakResidentBytes } from '../resident.ts';
import { largestDifference } from '../webgpu-report.ts';
import { chosenModels, exportedFiles } from './models.ts';

export type CheckTarget = 'c' | 'wgsl';

export interface SideCheck {
  /** Seconds of an import from the file's bytes: the median of several, and the first. */
  readonly importSeconds: number;
  readonly firstImportSeconds: number;
  readonly compileSeconds: number;
  readonly kernels: number;
  /** From PyTorch's answer, as a share of its largest element. */
  readonly difference: number;
  readonly peakBytes: number;
}

type Run = (inputs: Record<string, unknown>) => Promise<Record<string, Float32Array>> | Record<string, Float32Array>;
type Compiled = Run & { readonly program: { readonly steps: readonly unknown[] } };

const imports = 5;
const seconds = (since: number): number => (performance.now() - since) / 1000;

const [name, target] = process.argv.slice(2) as [string, CheckTarget];
const [model] = chosenModels([name]);
const files = exportedFiles(model!);
const bytes = readFileSync(files.onnx);
const options = { name, dimensions: model!.dimensions ?? {} };

const times: number[] = [];
let definition: OnnxDefinition | null = null;
for (let i = 0; i < imports; i++) {
  const start = performance.now();
  definition = fromOnnx(bytes, options);
  times.push(seconds(start));
}
const start = performance.now();
const compiled = await (target === 'c' ? compileC(definition!) : compileWgsl(definition!));
const compileSeconds = seconds(start);
const given = io.readNpy(readFileSync(files.input), files.input);
const wanted = io.readNpy(readFileSync(files.output), files.output);
const [input] = definition!.inputs;
const found = await compiled({ [input!.name]: given.data });
const check: SideCheck = {
  importSeconds: median(times),
  firstImportSeconds: times[0]!,
  compileSeconds,
  kernels: compiled.program.steps.length,
  difference: largestDifference(wanted.data as Float32Array, found[definition!.outputs[0]!.name]!),
  peakBytes: peakResidentBytes(),
};
process.stdout.write(JSON.stringify(check), () => process.exit(0));

async function compileC(given: OnnxDefinition): Promise<Compiled> {
  return (await compile(given, { target: 'c', freeze: true })) as unknown as Compiled;
}

async function compileWgsl(given: OnnxDefinition): Promise<Compiled> {
  const device = await openDevice(await nodeGpu(), { kernels: 'card' });
  return (await compileForWebGpu(given, { device, freeze: true })) as unknown as Compiled;
}
