// Tuning on a WebGPU device: candidates run there, on memory that they share, and are timed by the device's clock where it has
// one. Nothing here needs Node.

import { printWgsl, type WgslProgram } from '../../codegen/wgsl/program.ts';
import { InternalError, LimitationError } from '../../ir/errors.ts';
import type { Fused, Group } from '../../passes/fuse.ts';
import type { GpuChoice } from '../../passes/gpu/candidates.ts';
import { gpuMachine } from '../../passes/gpu/machine.ts';
import type { GpuTarget } from '../../passes/gpu/schedule.ts';
import { fuseGraph } from '../../passes/pipeline.ts';
import { printRecord, type TuningRecord } from '../../passes/tuning.ts';
import type { TypedArray } from '../arrays.ts';
import type { Definition } from '../definition.ts';
import { boundForDevice, loadForDevice, targetOf } from '../webgpu/compile.ts';
import type { WebGpuDevice } from '../webgpu/device.ts';
import { LoadedProgram } from '../webgpu/loaded.ts';
import { WebGpuStateStore } from '../webgpu/state.ts';
import { measuredDevice } from '../webgpu/tuned.ts';
import type { Weights } from '../weights.ts';
import type { Contender } from './race.ts';
import { difference, filled, trialProgram } from './trial.ts';
import type { Ground, Refused, Trial, Workbench } from './workbench.ts';

export interface WgslWorkbenchOptions {
  readonly device: WebGpuDevice;
  /** With `freeze`, where the states' values are. */
  readonly state: WebGpuStateStore | undefined;
  readonly freeze: boolean;
  readonly doubles?: 'f32' | undefined;
  /** Where constants come from, opened anew each time; null for the states' own values. */
  readonly weights: () => Weights | null;
}

/** Estimated multiply-adds: some hundredths of a microsecond of a card, some ten of a processor. */
const fewestMultiplyAdds = 2 ** 16;

/** Throws LimitationError where the function has no form on devices. */
export async function wgslWorkbench(
  definition: Definition,
  options: WgslWorkbenchOptions,
): Promise<Workbench<GpuChoice>> {
  const { device, freeze, doubles } = options;
  const target = targetOf(device);
  const opened = <T>(use: (weights: Weights | null) => Promise<T>): Promise<T> => {
    const weights = options.weights();
    return use(weights).finally(() => weights?.close());
  };
  const { func } = await opened((weights) => boundForDevice(definition, options, weights));
  const fused = fuseGraph(func, gpuMachine(target));
  return {
    fused,
    machine: (choose) => gpuMachine(target, choose),
    leastCost: fewestMultiplyAdds,
    // Estimates of different forms were never compared on a card.
    mostCost: 16,
    ground: (group) => new DeviceGround(fused, group, device, target),
    record: (entries) => ({ target: 'wgsl', device: measuredDevice(device), entries }),
    whole: async (tuning) => {
      const state = new WebGpuStateStore(device);
      const { loaded, printed } = await opened((weights) =>
        loadForDevice(definition, { device, state, freeze, doubles, tuning: textOf(tuning) }, weights, {}),
      );
      await loaded.run(argumentsOf(printed), { outputs: [] });
      const close = (): void => {
        loaded.destroy();
        state.destroy();
      };
      return { ...new Repeated(loaded).contender(), close };
    },
    close: () => {},
  };
}

const argumentsOf = ({ inputs }: WgslProgram): Record<string, TypedArray> =>
  Object.fromEntries(inputs.map(({ name, type }) => [name, filled(type)]));

const textOf = (tuning: TuningRecord | null) =>
  tuning === null ? undefined : { text: printRecord(tuning), name: 'the tuning record' };

/** A measurement takes so long at least: twenty times what browsers round timestamps to, and as much of what waiting takes. */
const leastSeconds = { clock: 0.002, waiting: 0.02 };
/** Dispatches of one pass at most. */
const mostDispatches = 4096;
/** Calls of the next measurement at most, by those of the one before. */
const mostGrowth = 16;

/** A program that is called as often in a pass as can be measured. */
class Repeated {
  readonly #loaded: LoadedProgram;
  readonly #most: number;
  readonly #least: number;
  #calls = 1;

  constructor(loaded: LoadedProgram) {
    this.#loaded = loaded;
    this.#most = Math.max(1, Math.floor(mostDispatches / Math.max(1, loaded.dispatches)));
    this.#least = loaded.hasClock ? leastSeconds.clock : leastSeconds.waiting;
  }

  contender(): Contender {
    return { measure: () => this.#measure() };
  }

  async #measure(): Promise<number> {
    for (;;) {
      const seconds = await this.#loaded.seconds(this.#calls);
      if (seconds >= this.#least || this.#calls >= this.#most) return seconds / this.#calls;
      const growth = Math.min(mostGrowth, (1.25 * this.#least) / Math.max(seconds, Number.EPSILON));
      this.#calls = Math.min(this.#most, Math.ceil(this.#calls * growth));
    }
  }
}

class DeviceGround implements Ground<GpuChoice> {
  readonly #fused: Fused;
  readonly #group: Group;
  readonly #device: WebGpuDevice;
  readonly #target: GpuTarget;
  readonly #state: WebGpuStateStore;
  readonly #codes = new Set<string>();
  /** Inputs, outputs and constants, which all candidates read and write. */
  readonly #shared = new Map<string, GPUBuffer>();
  readonly #loaded: LoadedProgram[] = [];
  readonly refused: Refused<GpuChoice>[] = [];
  #expected: readonly TypedArray[] | null = null;

  constructor(fused: Fused, group: Group, device: WebGpuDevice, target: GpuTarget) {
    this.#fused = fused;
    this.#group = group;
    this.#device = device;
    this.#target = target;
    this.#state = new WebGpuStateStore(device);
  }

  async trial(choice: GpuChoice): Promise<Trial<GpuChoice> | null> {
    try {
      return await this.#trial(choice);
    } catch (error) {
      // What a device or its driver refuses is no candidate there; a lost device is a UserError and ends all.
      if (!(error instanceof LimitationError || error instanceof InternalError)) throw error;
      this.refused.push({ choice, reason: error.message });
      return null;
    }
  }

  async #trial(choice: GpuChoice): Promise<Trial<GpuChoice> | null> {
    const machine = gpuMachine(this.#target, () => choice);
    const { program } = trialProgram(this.#fused, this.#group, machine, 'input');
    const printed = printWgsl(program, (name) => this.#state.place(name), this.#device.limits);
    const code = [...printed.modules.map((module) => module.code), JSON.stringify(printed.steps)].join('\n');
    if (this.#codes.has(code)) return null;
    this.#codes.add(code);
    const loaded = await LoadedProgram.load(printed, this.#device, this.#state, this.#shared);
    this.#loaded.push(loaded);
    const results = await loaded.run(argumentsOf(printed));
    const found = printed.outputs.map(({ name }) => results[name]!);
    this.#expected ??= found;
    const reason = difference(this.#expected, found);
    if (reason === null) return { choice, ...new Repeated(loaded).contender() };
    this.refused.push({ choice, reason });
    return null;
  }

  close(): void {
    for (const loaded of this.#loaded) loaded.destroy();
    for (const buffer of this.#shared.values()) buffer.destroy();
    this.#state.destroy();
  }
}
