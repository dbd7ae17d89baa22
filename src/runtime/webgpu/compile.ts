// From a function to something that runs on a WebGPU device.

import { printWgsl, type WgslProgram } from '../../codegen/wgsl/program.ts';
import { UserError } from '../../ir/errors.ts';
import type { Func, Parameter } from '../../ir/graph.ts';
import { builder } from '../../ir/ops/index.ts';
import { bindStates, updatedStates } from '../../passes/bind-states.ts';
import { expectWgslTypes } from '../../passes/gpu/legalize.ts';
import { gpuMachine } from '../../passes/gpu/machine.ts';
import { narrowDoubles, narrowIntegers } from '../../passes/gpu/narrow.ts';
import { type GpuTarget, gpuTargets } from '../../passes/gpu/schedule.ts';
import { type CompileOptions, compileToProgram } from '../../passes/pipeline.ts';
import { noteUnused, printRecord, type RecordText, type TuningRecord } from '../../passes/tuning.ts';
import { allocate, type TypedArray } from '../arrays.ts';
import type { AnyExecutable, Arrays, CallOptions, Definition } from '../definition.ts';
import { type Weights, type WeightTensors, weightsOfTensors } from '../weights.ts';
import type { WebGpuDevice } from './device.ts';
import { LoadedProgram } from './loaded.ts';
import type { KernelTime } from './profile.ts';
import { WebGpuStateStore } from './state.ts';
import { tunedOn } from './tuned.ts';
import { WideInterface } from './wide.ts';

export interface WebGpuOptions {
  readonly device: WebGpuDevice;
  /** State to share with other compiled functions of this device. Default: a new store. */
  readonly state?: WebGpuStateStore;
  /**
   * True: states that the function does not update become constants with the values that they have now, into which the
   * compiler folds what it can. Later changes of those states are not seen; without a state given here, they are not kept
   * in one. Default false.
   */
  readonly freeze?: boolean;
  /**
   * Tensors with the values of the states that the function does not update, such as `io.readSafetensors(bytes).tensors`: as
   * with `freeze` they become constants.
   */
  readonly weights?: WeightTensors;
  /** 'f32': values of f64, which devices do not have, are computed in f32. Default: a function with such values is refused. */
  readonly doubles?: 'f32';
  /** Receives every stage in text form. */
  readonly print?: (stage: string, text: string) => void;
  /** False: one kernel per operation, for comparison. */
  readonly fusion?: boolean;
  /** What `tuneForWebGpu` or `tune` measured on this device, or its JSON, parsed. Entries that fit nothing are ignored, with a note to `print`. */
  readonly tuning?: TuningRecord;
}

/** A function on a device. */
export interface WebGpuExecutable<Inputs = Record<string, TypedArray>, Outputs = Record<string, TypedArray>>
  extends AnyExecutable<Inputs, Outputs> {
  /**
   * Runs the function; all its kernels are one command buffer, and calls take effect in the order in which they are made.
   * Refuses with UserError for a missing or unknown input, another array type or length, an index out of its range, or a
   * lost device, with LimitationError where the device is out of memory.
   */
  <Name extends keyof Outputs = keyof Outputs>(
    inputs: Arrays<Inputs>,
    options?: CallOptions<Outputs, Name>,
  ): Promise<Arrays<Pick<Outputs, Name>>>;
  readonly target: 'wgsl';
  readonly state: WebGpuStateStore;
  readonly program: WgslProgram;
  /**
   * Runs the function once on what its memory holds, kernel by kernel, and resolves to the time of each; states change as
   * in any call. Refuses with LimitationError where the device has no timestamps.
   */
  profile(): Promise<readonly KernelTime[]>;
  /** Frees the memory that belongs to this function; its states stay, until `state.destroy()`. */
  destroy(): void;
}

/**
 * Compiles a function for a WebGPU device. Throws LimitationError for dtypes that WGSL lacks and for values beyond the
 * device's limits, UserError for a state or a tuning record of another device and for weights that are missing or of
 * another type.
 */
export function compileForWebGpu<Inputs, Outputs>(
  definition: Definition<Inputs, Outputs>,
  { device, state, freeze = false, weights, doubles, print, fusion, tuning }: WebGpuOptions,
): Promise<WebGpuExecutable<Inputs, Outputs>> {
  const passes = { ...(fusion === undefined ? {} : { fusion }), ...(print === undefined ? {} : { print }) };
  const given = weights === undefined ? null : weightsOfTensors(weights);
  const record = tuning === undefined ? undefined : { text: printRecord(tuning), name: 'the tuning record' };
  const options = { device, state, freeze, doubles, tuning: record };
  const compiled: Promise<unknown> = compileToWgsl(definition, options, given, passes);
  return compiled as Promise<WebGpuExecutable<Inputs, Outputs>>;
}

export interface WgslTargetOptions {
  readonly device: WebGpuDevice;
  readonly state: WebGpuStateStore | undefined;
  readonly freeze: boolean;
  readonly doubles?: 'f32' | undefined;
  readonly tuning?: RecordText | undefined;
}

export async function compileToWgsl(
  definition: Definition,
  options: WgslTargetOptions,
  weights: Weights | null,
  passes: CompileOptions,
): Promise<WebGpuExecutable> {
  const { loaded, printed, wide, state } = await loadForDevice(definition, options, weights, passes);
  const source = printed.modules.map(({ code }) => code).join('\n');
  passes.print?.('wgsl', source);
  const light = { ...printed, constants: printed.constants.map((constant) => ({ ...constant, data: null })) };
  const border = new WideInterface(wide);
  const run: LoadedProgram['run'] = async (inputs, options = {}) =>
    border.widened(await loaded.run(border.narrowed(inputs), border.narrowedOptions(options)), options);
  return Object.assign(run, {
    target: 'wgsl',
    state,
    source,
    program: light,
    profile: () => loaded.profile(),
    destroy: () => loaded.destroy(),
  }) as unknown as WebGpuExecutable;
}

/** A function's program on its device, and the function before its values were made narrow. */
export interface OnDevice {
  readonly loaded: LoadedProgram;
  readonly printed: WgslProgram;
  readonly wide: Func;
  readonly state: WebGpuStateStore;
}

export async function loadForDevice(
  definition: Definition,
  options: WgslTargetOptions,
  weights: Weights | null,
  passes: CompileOptions,
): Promise<OnDevice> {
  const { device, state: given, tuning } = options;
  if (given !== undefined && given.device !== device)
    throw new UserError(
      `the state given lies on another device (${given.device.description}) than this function's (${device.description}); compile both for one device`,
    );
  const tuned = tuning === undefined ? null : tunedOn(device, tuning);
  const { wide, func } = await boundForDevice(definition, options, weights);
  device.expectAlive();
  const state = given ?? new WebGpuStateStore(device);
  const used = new Set(func.parameters.filter(({ role }) => role === 'state').map(({ name }) => name));
  await state.declare(definition.variables.filter(({ name }) => used.has(name)));
  const machine = gpuMachine(targetOf(device), tuned?.choose);
  const program = compileToProgram(func, { ...passes, machine });
  if (tuned !== null) noteUnused(tuned, tuning!.name, passes.print);
  const printed = printWgsl(program, (name) => state.place(name), device.limits);
  return { loaded: await LoadedProgram.load(printed, device, state), printed, wide, state };
}

/** What kernels of a device are made for. */
export const targetOf = ({ features, limits }: WebGpuDevice): GpuTarget => ({
  ...gpuTargets[features.kernels],
  subgroups: features.subgroups,
  loopBytes: limits.maxComputeWorkgroupStorageSize,
});

/** The function with what is constant in it, before and after its values are made narrow. */
export async function boundForDevice(
  definition: Definition,
  { state, freeze, doubles }: Pick<WgslTargetOptions, 'state' | 'freeze' | 'doubles'>,
  weights: Weights | null,
): Promise<{ readonly wide: Func; readonly func: Func }> {
  const wide = bound(definition.func, weights ?? (await weightsOfStore(definition, state, freeze)));
  const func = narrowIntegers(doubles === 'f32' ? narrowDoubles(wide) : wide);
  expectWgslTypes(func);
  return { wide, func };
}

/** The function with its weights, and if asked the states that it only reads, as constants. */
function bound(func: Func, weights: Weights): Func {
  const types = new Map(func.parameters.map(({ name, value }) => [name, value.type]));
  const elements = (name: string): ArrayLike<number> => {
    const type = types.get(name)!;
    return weights.elements(name, type, () => allocate(type)) as ArrayLike<number>;
  };
  const kept = func.parameters.flatMap(({ role, name }) => (role === 'state' && !weights.freezes ? [name] : []));
  return bindStates(func, builder, elements, Number.POSITIVE_INFINITY, new Set(kept));
}

/** States as a store holds them now, others and weights by their first values. */
async function weightsOfStore(
  { func, variables }: Definition,
  state: WebGpuStateStore | undefined,
  freezes: boolean,
): Promise<Weights> {
  const updated = new Set(updatedStates(func));
  const isBound = ({ role, name }: Parameter): boolean =>
    role === 'weight' || (role === 'state' && freezes && !updated.has(name));
  const names = new Set(func.parameters.filter(isBound).map(({ name }) => name));
  const known = new Map<string, ArrayLike<number>>();
  for (const variable of variables) {
    const { name } = variable;
    if (!names.has(name)) continue;
    known.set(name, (state?.has(name) === true ? await state.get(name) : variable.initial()) as ArrayLike<number>);
  }
  return { freezes, elements: (name) => known.get(name)!, close: () => {} };
}
