// One LSTM, 64 steps of 128 inputs to 256: its inference from an ONNX file against onnxruntime-node, and its training step against
// PyTorch, each in turn with its peer and in one run.

import { measureModel } from './inference.ts';
import { inferenceReport, type ModelFigures } from './inference-report.ts';
import { keepValue } from './kept.ts';
import { recurrentModels } from './models/index.ts';
import { benchPackage } from './packages.ts';
import { recurrentModels as trainedModels } from './training/models.ts';
import { type Comparison, measureSteps, trainingReport } from './training-vs-pytorch.ts';

export interface RecurrentFigures {
  readonly inference: readonly ModelFigures[];
  readonly training: readonly Comparison[];
}

export async function recurrent(): Promise<string> {
  benchPackage('onnxruntime-node');
  const inference: ModelFigures[] = [];
  for (const name of Object.keys(recurrentModels)) inference.push(await measureModel(name, 'onnx'));
  const { comparisons, circumstances } = await measureSteps(trainedModels);
  keepValue<RecurrentFigures>('recurrent', { inference, training: comparisons });
  return [
    inferenceReport('A recurrent network at batch 1 against onnxruntime-node, from one ONNX file', inference),
    trainingReport(comparisons, circumstances),
  ].join('\n\n');
}
