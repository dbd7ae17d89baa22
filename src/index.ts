// The core of Ashlar: everything that needs neither Node nor a file system.

export * as io from './io/index.ts';
export { InternalError, LimitationError, type SourcePosition, UserError } from './ir/errors.ts';
export type { DType, Shape, TensorType } from './ir/types.ts';
export * from './lang/index.ts';
export * as nn from './nn/index.ts';

export type { TuningEntry, TuningRecord, WgslTuningRecord } from './passes/tuning.ts';
export { tuneForWebGpu, type WebGpuTuneOptions } from './runtime/tune/tune-on-device.ts';
export type { TunedProblem, TuneResult } from './runtime/tune/tuner.ts';
export { compileForWebGpu, type WebGpuExecutable, type WebGpuOptions } from './runtime/webgpu/compile.ts';
export { type DeviceOptions, openDevice, WebGpuDevice } from './runtime/webgpu/device.ts';
export type { KernelTime } from './runtime/webgpu/profile.ts';
export { WebGpuStateStore } from './runtime/webgpu/state.ts';
export { type BatchOptions, batches } from './train/batches.ts';
export { type Dataset, type ExampleArray, selectExamples, splitDataset } from './train/dataset.ts';
export type { EarlyStopping } from './train/early-stopping.ts';
export { type EvaluateOptions, evaluate, type Metrics, predict } from './train/evaluate.ts';
export {
  type Checkpoint,
  type CheckpointStore,
  type FitOptions,
  type FitResult,
  fit,
  type Progress,
  type TrainingLog,
} from './train/fit.ts';
export type { Batch, BatchFunction, StateAccess, StepFunction, TensorData } from './train/model.ts';
export { type Overfit, type OverfitOptions, overfitOneBatch } from './train/overfit.ts';
export type { EpochRecord } from './train/position.ts';
