// The language's public names.

export { avgPool, type ConvOptions, conv, maxPool, type Padding, type PoolOptions, sumPool } from './convolution.ts';
export { checkpoint, customJvp, customVjp, type JvpGiven, type TensorFunction, type VjpGiven } from './custom.ts';
export { grad, hvp, jvp, valueAndGrad, vjp } from './derivatives.ts';
export { format } from './format.ts';
export { type FunctionDefinition, type FunctionOptions, func, interpret, type Updates, variablesOf } from './func.ts';
export {
  concat,
  cumsum,
  cumulative,
  elementwise,
  expandDims,
  gather,
  logSoftmax,
  logSumExp,
  narrow,
  norm,
  oneHot,
  pad,
  reverse,
  scatterAdd,
  slice,
  softmax,
  sort,
  split,
  squeeze,
  stack,
  stopGradient,
  takeAlong,
  topk,
  where,
} from './functions.ts';
export { type CondOptions, cond, type ScanOptions, scan, type WhileOptions, whileLoop } from './loops.ts';
export * as random from './random.ts';
export { captureSources } from './source.ts';
export { type AnyTensor, type Operand, Tensor } from './tensor.ts';
export {
  type AnyVariable,
  arange,
  constant,
  full,
  type Initializer,
  type Input,
  input,
  iota,
  ones,
  Variable,
  type VariableOptions,
  variable,
  zeros,
} from './variable.ts';
export { type Tensors, type VmapOptions, vmap } from './vmap.ts';
