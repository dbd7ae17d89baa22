// What needs Node: the native compiler and runtime, files, the terminal.

export { type EventWriter, type EventWriterOptions, eventWriter } from './io/event-writer.ts';
export type { EventImage } from './io/events.ts';
export * from './io/files.ts';
export { readOnnxFile } from './onnx/file.ts';
export type { CTuningRecord, TuningEntry, TuningRecord, WgslTuningRecord } from './passes/tuning.ts';
export { loadArtifact } from './runtime/artifact/load.ts';
export type { LoadedArtifact, LoadedFunction, LoadOptions } from './runtime/artifact/loaded.ts';
export { type Compiler, type Cpu, findCompiler } from './runtime/c/compiler.ts';
export { type CompileTargetOptions, compile, type Target } from './runtime/compile.ts';
export type { AnyExecutable, CallOptions, Definition, Executable } from './runtime/definition.ts';
export { type ExportedC, type ExportOptions, exportC } from './runtime/export-c.ts';
export { type ExportedJs, type ExportJsOptions, exportJs } from './runtime/export-js.ts';
export { type ExportedWeb, type ExportWebOptions, exportWeb } from './runtime/export-web.ts';
export { type HalfWeights, halfWeights, type StoredWeight } from './runtime/half-weights.ts';
export { type Quantized, type QuantizeOptions, quantize, quantizeWeights } from './runtime/quantize.ts';
export { type AnyStateStore, StateStore } from './runtime/state.ts';
export { type TuneOptions, tune } from './runtime/tune/tune.ts';
export type { TunedProblem, TuneResult } from './runtime/tune/tuner.ts';
export type { Tuning } from './runtime/tuning-file.ts';
export { nodeGpu } from './runtime/webgpu/node-gpu.ts';
export * as search from './search/index.ts';
export { checkpointFile } from './train/checkpoint-file.ts';
export { csvLog } from './train/csv-log.ts';
export { formatMetrics, progressBar } from './train/progress-bar.ts';
export { type TensorBoardLog, type TensorBoardOptions, tensorBoardLog } from './train/tensorboard-log.ts';
