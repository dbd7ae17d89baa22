// ashlar/onnx: models of the ONNX standard as functions that every target compiles. Imports nothing of Node.

export type { ElementType } from './onnx/element-types.ts';
export { fromOnnx, type OnnxArrays, type OnnxDefinition, type OnnxOptions, type OnnxPort } from './onnx/import.ts';
export { UnsupportedModelError, type UnsupportedNode } from './onnx/unsupported.ts';
