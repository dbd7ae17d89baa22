// What needs Node: the native compiler and runtime, files, the terminal.

export { csvLog } from './train/csv-log.ts';
export { formatMetrics, progressBar } from './train/progress-bar.ts';
