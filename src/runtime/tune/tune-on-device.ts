// Tuning where a device is at hand, in a page as in Node.

import type { GpuChoice } from '../../passes/gpu/candidates.ts';
import type { WgslTuningRecord } from '../../passes/tuning.ts';
import type { Definition } from '../definition.ts';
import type { WebGpuDevice } from '../webgpu/device.ts';
import type { WebGpuStateStore } from '../webgpu/state.ts';
import { type WeightTensors, weightsOfTensors } from '../weights.ts';
import type { Interruption } from './race.ts';
import { type TunedProblem, type TuneResult, tuneOn } from './tuner.ts';
import { wgslWorkbench } from './wgsl-workbench.ts';

export interface WebGpuTuneOptions {
  readonly device: WebGpuDevice;
  /** With `freeze`, where the states' values are. */
  readonly state?: WebGpuStateStore;
  readonly freeze?: boolean;
  readonly weights?: WeightTensors;
  readonly doubles?: 'f32';
  /** Seconds after which no further problem is begun. Default 300. */
  readonly seconds?: number;
  /** An AbortSignal, which ends tuning with its reason. */
  readonly signal?: Interruption;
  /** Hears of each problem that was measured, and has the record as it is then. */
  readonly onProblem?: (problem: TunedProblem, record: WgslTuningRecord) => void;
}

export const defaultSeconds = 300;

/**
 * Measures candidates for every product, convolution, reduction, group by rows and attention of a function on a device and
 * resolves to the record of what won, which is plain data: `compileForWebGpu(…, { tuning })` takes it on that device. Refuses
 * with LimitationError for a function that has no form on devices, UserError where the device is lost.
 */
export async function tuneForWebGpu(
  definition: Definition,
  { device, state, freeze = false, weights, doubles, seconds = defaultSeconds, signal, onProblem }: WebGpuTuneOptions,
): Promise<TuneResult<GpuChoice, WgslTuningRecord>> {
  const open = () => (weights === undefined ? null : weightsOfTensors(weights));
  const bench = await wgslWorkbench(definition, { device, state, freeze, doubles, weights: open });
  const heard = onProblem as ((problem: TunedProblem, record: unknown) => void) | undefined;
  const result = await tuneOn(bench, { seconds, signal, ...(heard === undefined ? {} : { onProblem: heard }) });
  return result as TuneResult<GpuChoice, WgslTuningRecord>;
}
