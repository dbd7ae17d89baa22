// Hyper-parameter search: a space, a strategy and an objective.

export { type BayesianOptions, bayesian } from './bayesian.ts';
export { type EvolutionaryOptions, evolutionary } from './evolutionary.ts';
export { grid, random } from './plain.ts';
export { progressBar } from './progress.ts';
export {
  type Evaluator,
  type Objective,
  run,
  type SearchOptions,
  type SearchProgress,
  type SearchResult,
  type TrialContext,
  type TrialStore,
} from './search.ts';
export {
  choice,
  type Dimension,
  integer,
  linear,
  log,
  type Parameters,
  type ParametersOf,
  type ParameterValue,
  type Space,
} from './space.ts';
export type { Strategy, Trial } from './strategy.ts';
export { trialFile } from './trial-file.ts';
export { servesTrials, serveTrials, type WorkerOptions, workers } from './workers.ts';
