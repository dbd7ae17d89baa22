// npm run bench onnx-models [NAME …]: networks as PyTorch exports them to ONNX, each with an input and PyTorch's answer, in
// bench/onnx-models/.

import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { table } from '../measure.ts';
import { findPython, type PythonNeeds } from '../training/pytorch.ts';

export interface ExportedModel {
  readonly name: string;
  readonly title: string;
  /** Dimensions that its file names, and what they are in the recorded input. */
  readonly dimensions?: Readonly<Record<string, number>>;
}

export const exportedModels: readonly ExportedModel[] = [
  { name: 'alexnet', title: 'AlexNet' },
  { name: 'resnet18', title: 'ResNet-18' },
  { name: 'resnet50', title: 'ResNet-50' },
  { name: 'mobilenet_v2', title: 'MobileNetV2' },
  { name: 'squeezenet1_1', title: 'SqueezeNet 1.1' },
  { name: 'densenet121', title: 'DenseNet-121' },
  { name: 'vgg16', title: 'VGG-16' },
  { name: 'gpt2', title: 'GPT-2 small, 128 tokens', dimensions: { tokens: 128 } },
];

const forExport: PythonNeeds = {
  modules: ['torch', 'torchvision', 'onnx', 'numpy'],
  packages: ['python3-torchvision', 'python3-onnx'],
};

const folder = fileURLToPath(new URL('../onnx-models/', import.meta.url));
const script = fileURLToPath(new URL('./export_models.py', import.meta.url));

export interface ExportedFiles {
  readonly onnx: string;
  readonly input: string;
  readonly output: string;
}

/** The files of a model. Throws with the command that makes them where they are missing. */
export function exportedFiles({ name }: ExportedModel): ExportedFiles {
  const files = {
    onnx: join(folder, `${name}.onnx`),
    input: join(folder, `${name}.input.npy`),
    output: join(folder, `${name}.output.npy`),
  };
  // The output is written last.
  if (!existsSync(files.output))
    throw new Error(`${files.onnx} is not there; npm run bench onnx-models ${name} makes it`);
  return files;
}

/** The models of these names, or all. */
export function chosenModels(names: readonly string[]): readonly ExportedModel[] {
  const unknown = names.find((name) => !exportedModels.some((model) => model.name === name));
  if (unknown !== undefined)
    throw new Error(`no model ${unknown}; there are ${exportedModels.map(({ name }) => name).join(', ')}`);
  return exportedModels.filter(({ name }) => names.length === 0 || names.includes(name));
}

export async function exportOnnxModels(names: readonly string[]): Promise<string> {
  const models = chosenModels(names);
  const { status } = spawnSync(findPython(forExport), [script, folder, ...models.map(({ name }) => name)], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) throw new Error(`export_models.py ended with code ${status}`);
  const rows = models.map((model) => {
    const files = exportedFiles(model);
    return [model.title, `${model.name}.onnx`, (statSync(files.onnx).size / 1e6).toFixed(1)];
  });
  return table(['model', 'file in bench/onnx-models/', 'MB'], rows);
}
