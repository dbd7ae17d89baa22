// Layers, activations, losses, optimizers: nothing but expressions in the language.

export * from './activations.ts';
export {
  type AttentionCache,
  type AttentionOptions,
  type MultiHeadAttention,
  multiHeadAttention,
} from './attention.ts';
export {
  deadUnits,
  type GradientCheckOptions,
  type GradientError,
  gradientCheck,
  readStatistics,
  type Statistics,
  statistics,
} from './debugging.ts';
export { type EnsembleOptions, ensemble } from './ensemble.ts';
export * as initializers from './initializers.ts';
export { type LayerRow, layerTable } from './layer-table.ts';
export {
  avgPool,
  type BatchNormOptions,
  batchNorm,
  type ConvLayerOptions,
  type ConvTransposeOptions,
  conv1d,
  conv2d,
  conv3d,
  convTranspose1d,
  convTranspose2d,
  convTranspose3d,
  dense,
  type Embedding,
  embedding,
  flatten,
  globalAvgPool,
  globalMaxPool,
  type Layer,
  type LocalResponseNormOptions,
  layerNorm,
  localResponseNorm,
  type Mode,
  maxPool,
  resetNames,
  sequential,
  type WeightOptions,
} from './layers.ts';
export * from './losses.ts';
export * from './metrics.ts';
export { dropout, gaussianNoise, type NoiseOptions } from './noise.ts';
export {
  type AdamOptions,
  adagrad,
  adam,
  adamw,
  globalNorm,
  momentum,
  nesterov,
  type OptimizerOptions,
  rmsprop,
  sgd,
  type Update,
} from './optimizers.ts';
export { setSeed } from './random.ts';
export {
  type Cell,
  type CellOptions,
  type CellState,
  gru,
  gruCell,
  lstm,
  lstmCell,
  type Recurrent,
  recurrent,
  rnn,
  rnnCell,
  type UnrollOptions,
} from './recurrent.ts';
export * as schedules from './schedules.ts';
