// A network of the bench as Ashlar's function: written in its language, or read from the ONNX file that others read.

import { readFileSync } from 'node:fs';
import { fromOnnx } from 'ashlar/onnx';
import type { ModelDefinition } from './compile-model.ts';
import { ashlarModel, modelOf } from './models/index.ts';

/** Where a network's definition comes from. */
export type Origin = 'language' | 'onnx';

/** `file`: the model's ONNX file, which origin onnx reads. */
export function definitionOf(model: string, origin: Origin, file: string): ModelDefinition {
  if (origin === 'language') return ashlarModel(modelOf(model), model).definition;
  return fromOnnx(readFileSync(file), { name: model });
}
