// Every ONNX operator by its name; those of other domains than the standard's own as 'domain:name'.
//
// An operator is a function from its node to the values of its outputs (one, or a list in the order of the outputs). The node gives its
// inputs as typed tensors (`input`, `optional`, `allInputs`), attributes with their defaults (`int`, `floats`, ...), the opset version
// (`opset`, for what changed between versions), which outputs are read (`wants`), and what is known at import (`known`, `expectKnown`).
// It writes expressions with the language's own functions (src/lang, src/nn), which carry the node into comments and errors:
//
//     Relu: (node) => like(node.input(0), node.input(0).tensor.relu()),
//
// An OnnxValue is a tensor with its ONNX element type, because several types share a dtype (uint16 is carried by i32): arithmetic on
// them goes through `wrap` of values.ts. What shapes depend on is asked by `expectKnown`, which refuses a value that depends on an
// input of the model; nothing is evaluated twice. `unsupported` says that a right node cannot be expressed, `invalid` that it is wrong.
// Families stand in files of their own, each exporting a record of operators; this table joins them.

import type { Operator } from '../node-context.ts';
import { contractionOperators } from './contraction.ts';
import { controlOperators } from './control.ts';
import { deformableOperators } from './deformable.ts';
import { einsumOperators } from './einsum.ts';
import { elementwiseOperators } from './elementwise.ts';
import { samplingOperators } from './grid-sample.ts';
import { lossOperators } from './losses.ts';
import { matrixOperators } from './matrices.ts';
import { ngramOperators } from './ngrams.ts';
import { normalizationOperators } from './normalization.ts';
import { optimizerOperators } from './optimizers.ts';
import { outOfScopeOperators } from './out-of-scope.ts';
import { poolingOperators } from './pooling.ts';
import { quantizationOperators } from './quantization.ts';
import { randomOperators } from './random.ts';
import { recurrentOperators } from './recurrent.ts';
import { reductionOperators } from './reduction.ts';
import { regionOperators } from './regions.ts';
import { resizeOperators } from './resize.ts';
import { scanOperators } from './scan.ts';
import { scatterOperators } from './scatter.ts';
import { selectionOperators } from './selection.ts';
import { shapeOperators } from './shape.ts';
import { signalOperators } from './signal.ts';

export const operators: Readonly<Record<string, Operator>> = {
  ...elementwiseOperators,
  ...shapeOperators,
  ...reductionOperators,
  ...contractionOperators,
  ...poolingOperators,
  ...normalizationOperators,
  ...controlOperators,
  ...deformableOperators,
  ...einsumOperators,
  ...lossOperators,
  ...matrixOperators,
  ...ngramOperators,
  ...optimizerOperators,
  ...outOfScopeOperators,
  ...quantizationOperators,
  ...randomOperators,
  ...recurrentOperators,
  ...regionOperators,
  ...resizeOperators,
  ...samplingOperators,
  ...scanOperators,
  ...scatterOperators,
  ...selectionOperators,
  ...signalOperators,
};
