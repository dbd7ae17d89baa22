// What needs Node: the native compiler and runtime, files, the terminal.

export { type CompileTargetOptions, compile, type Executable } from './runtime/compile.ts';
export { StateStore } from './runtime/state.ts';
export { csvLog } from './train/csv-log.ts';
export { formatMetrics, progressBar } from './train/progress-bar.ts';
