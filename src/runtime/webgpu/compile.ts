// From a function to something that runs on a WebGPU device: compile, make pipelines, place memory, prepare, run.

import { type Boundary, type Dispatch, printWgsl, type WgslProgram } from '../../codegen/wgsl/program.ts';
import { UserError } from '../../ir/errors.ts';
import type { Func } from '../../ir/graph.ts';
import { builder } from '../../ir/ops/index.ts';
import { bindStates } from '../../passes/bind-states.ts';
import { expectWgslTypes } from '../../passes/gpu/legalize.ts';
import { gpuMachine } from '../../passes/gpu/machine.ts';
import { narrowIntegers } from '../../passes/gpu/narrow.ts';
import { defaultGpu } from '../../passes/gpu/schedule.ts';
import { compileToProgram } from '../../passes/pipeline.ts';
import type { TypedArray } from '../arrays.ts';
import { expectArray, expectKnown, expectRange } from '../call-checks.ts';
import type { WebGpuDevice } from './device.ts';
import { type KernelTime, timedSteps } from './profile.ts';
import { type Declaration, WebGpuStateStore } from './state.ts';
import { constantArray, fromDevice, toDevice } from './transfer.ts';
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
  /** Receives every stage in text form. */
  readonly print?: (stage: string, text: string) => void;
  /** False: one kernel per operation, for comparison. */
  readonly fusion?: boolean;
}

type Arrays<Types> = { readonly [Name in keyof Types]: Types[Name] };

/** A function on a device. */
export interface WebGpuExecutable<Inputs = Record<string, TypedArray>, Outputs = Record<string, TypedArray>> {
  /**
   * Runs the function; all its kernels are one command buffer. Resolves to the outputs asked for (default: all) as new
   * arrays. Throws UserError for a missing or unknown input, another array type or length, an index out of its range, or a
   * lost device, LimitationError where the device is out of memory.
   */
  (
    inputs: Arrays<Inputs>,
    options?: { readonly outputs?: readonly (keyof Outputs & string)[] },
  ): Promise<Arrays<Outputs>>;
  readonly state: WebGpuStateStore;
  readonly program: WgslProgram;
  /**
   * Runs the function once on what its memory holds, kernel by kernel, and resolves to the time of each; states change as
   * in any call. Throws LimitationError where the device has no timestamps.
   */
  profile(): Promise<readonly KernelTime[]>;
  /** Frees the memory that belongs to this function; its states stay. */
  destroy(): void;
}

/**
 * Compiles a function for a WebGPU device. Throws LimitationError for dtypes that WGSL lacks and for values beyond the
 * device's limits.
 */
export async function compileForWebGpu<Inputs, Outputs>(
  definition: {
    readonly func: Func;
    readonly variables: readonly Declaration[];
    readonly signature?: { readonly inputs: Inputs; readonly outputs: Outputs };
  },
  options: WebGpuOptions,
): Promise<WebGpuExecutable<Inputs, Outputs>> {
  const { device, print, fusion } = options;
  const bound = await frozen(definition, options.state, options.freeze === true);
  const func = narrowIntegers(bound);
  expectWgslTypes(func);
  const state = options.state ?? new WebGpuStateStore(device);
  const used = new Set(func.parameters.filter(({ role }) => role === 'state').map(({ name }) => name));
  await state.declare(definition.variables.filter(({ name }) => used.has(name)));
  const program = compileToProgram(func, {
    machine: gpuMachine(defaultGpu),
    ...(fusion === undefined ? {} : { fusion }),
    ...(print === undefined ? {} : { print }),
  });
  const printed = printWgsl(program, (name) => state.place(name), device.limits);
  print?.('wgsl', printed.modules.map(({ code }) => code).join('\n'));
  const loaded = await LoadedProgram.load(printed, device, state);
  const wide = new WideInterface(bound);
  const run = async (inputs: Record<string, TypedArray>, call?: { readonly outputs?: readonly string[] }) =>
    wide.widened(await loaded.run(wide.narrowed(inputs), call?.outputs));
  const light = { ...printed, constants: printed.constants.map((constant) => ({ ...constant, data: null })) };
  return Object.assign(run, {
    state,
    program: light,
    profile: () => loaded.profile(),
    destroy: () => loaded.destroy(),
  }) as unknown as WebGpuExecutable<Inputs, Outputs>;
}

/** The function with its weights, and if asked the states that it only reads, as constants: what the store holds, or their first values. */
async function frozen(
  { func, variables }: { readonly func: Func; readonly variables: readonly Declaration[] },
  state: WebGpuStateStore | undefined,
  freezesStates: boolean,
): Promise<Func> {
  const bound = func.parameters.filter(({ role }) => role === 'weight' || (role === 'state' && freezesStates));
  const names = new Set(bound.map(({ name }) => name));
  const values = new Map<string, ArrayLike<number>>();
  for (const variable of variables) {
    const { name } = variable;
    if (!names.has(name)) continue;
    const elements = state?.has(name) === true ? await state.get(name) : variable.initial();
    values.set(name, elements as ArrayLike<number>);
  }
  const kept = func.parameters.flatMap(({ role, name }) => (role === 'state' && !freezesStates ? [name] : []));
  return bindStates(func, builder, (name) => values.get(name)!, Number.POSITIVE_INFINITY, new Set(kept));
}

/** A dispatch with everything that encoding it needs. */
interface Ready {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: readonly [number, number];
}

/** A program on its device: pipelines, memory, and the prepared block filled. */
class LoadedProgram {
  readonly #program: WgslProgram;
  readonly #gpu: WebGpuDevice;
  readonly #blocks: ReadonlyMap<string, GPUBuffer>;
  readonly #steps: readonly Ready[];
  readonly #inputNames: ReadonlySet<string>;
  readonly #outputNames: ReadonlySet<string>;
  /** Readback buffers by their size, which no call uses at the moment. */
  readonly #idle = new Map<number, GPUBuffer[]>();
  #destroyed = false;

  private constructor(
    program: WgslProgram,
    gpu: WebGpuDevice,
    blocks: ReadonlyMap<string, GPUBuffer>,
    steps: readonly Ready[],
  ) {
    this.#program = program;
    this.#gpu = gpu;
    this.#blocks = blocks;
    this.#steps = steps;
    this.#inputNames = new Set(program.inputs.map(({ name }) => name));
    this.#outputNames = new Set(program.outputs.map(({ name }) => name));
  }

  static async load(program: WgslProgram, gpu: WebGpuDevice, state: WebGpuStateStore): Promise<LoadedProgram> {
    const pipelines = await Promise.all(program.modules.map((module) => gpu.pipeline(module)));
    const blocks = new Map<string, GPUBuffer>();
    for (const [name, bytes] of Object.entries(program.blocks)) blocks.set(name, await gpu.allocate(name, bytes));
    const bufferOf = (block: string): GPUBuffer => (blocks.get(block) ?? state.block(block))!;
    const ready = (dispatch: Dispatch): Ready => {
      const pipeline = pipelines[dispatch.module]!;
      const entries = dispatch.bindings.map(({ block, offset, bytes }, binding) => ({
        binding,
        resource: { buffer: bufferOf(block), offset, size: bytes },
      }));
      const bindGroup = gpu.device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
      return { pipeline, bindGroup, workgroups: dispatch.workgroups };
    };
    const loaded = await gpu.guarded(program.name, () => {
      for (const constant of program.constants) {
        const bytes = toDevice(constant, constantArray(constant.type, constant.data!));
        if (bytes.length > 0) gpu.device.queue.writeBuffer(bufferOf(constant.block), constant.offset, bytes);
      }
      return { preparation: program.preparation.map(ready), steps: program.steps.map(ready) };
    });
    const result = new LoadedProgram(program, gpu, blocks, loaded.steps);
    if (loaded.preparation.length > 0)
      await gpu.guarded(program.name, () => {
        const encoder = gpu.device.createCommandEncoder();
        encode(encoder, loaded.preparation);
        gpu.device.queue.submit([encoder.finish()]);
      });
    return result;
  }

  async run(inputs: Record<string, TypedArray>, asked?: readonly string[]): Promise<Record<string, TypedArray>> {
    if (this.#destroyed) throw new UserError('this function was destroyed; compile it again');
    this.#gpu.expectAlive();
    const { inputs: expected, checks, outputs, name } = this.#program;
    expectKnown('input', Object.keys(inputs), this.#inputNames);
    if (asked !== undefined) expectKnown('output', asked, this.#outputNames);
    const given = expected.map((input) => expectArray('input', input, inputs[input.name]));
    for (const check of checks) expectRange(inputs[check.input]!, check);
    const wanted = outputs.filter((output) => asked?.includes(output.name) ?? true);
    const bytes = wanted.reduce((sum, output) => sum + output.bytes, 0);
    const readback = bytes === 0 ? null : (this.#idle.get(bytes)?.pop() ?? (await this.#gpu.allocateReadback(bytes)));
    const submitted = this.#gpu.guarded(name, () => this.#submit(given, wanted, readback));
    // Reading is asked for at once, so that both answers arrive together.
    const results = readback === null ? {} : this.#read(wanted, readback, bytes);
    const [, read] = await Promise.all([submitted, results]);
    return read;
  }

  /** Inputs, kernels and the copies of results, in one submission. */
  #submit(given: readonly TypedArray[], wanted: readonly Boundary[], readback: GPUBuffer | null): void {
    const { device } = this.#gpu;
    this.#program.inputs.forEach((input, i) => {
      const bytes = toDevice(input, given[i]!);
      if (bytes.length > 0) device.queue.writeBuffer(this.#blocks.get(input.block)!, input.offset, bytes);
    });
    const encoder = device.createCommandEncoder();
    encode(encoder, this.#steps);
    let offset = 0;
    for (const output of wanted) {
      encoder.copyBufferToBuffer(this.#blocks.get(output.block)!, output.offset, readback!, offset, output.bytes);
      offset += output.bytes;
    }
    device.queue.submit([encoder.finish()]);
  }

  async #read(wanted: readonly Boundary[], readback: GPUBuffer, bytes: number): Promise<Record<string, TypedArray>> {
    try {
      await readback.mapAsync(1);
    } catch (error) {
      // The device's own promise is settled by the time that this one is refused.
      await Promise.resolve();
      this.#gpu.expectAlive();
      throw new UserError(`results could not be read: ${(error as Error).message}`);
    }
    const memory = readback.getMappedRange();
    let offset = 0;
    const results = wanted.map(({ name, type, bytes: size }) => {
      const array = fromDevice(type, memory, offset);
      offset += size;
      return [name, array] as const;
    });
    readback.unmap();
    this.#idle.set(bytes, [...(this.#idle.get(bytes) ?? []), readback]);
    return Object.fromEntries(results);
  }

  profile(): Promise<KernelTime[]> {
    const { modules, steps } = this.#program;
    return timedSteps(
      this.#gpu,
      steps.map(({ module }) => modules[module]!.name),
      (pass, step) => encodeStep(pass, this.#steps[step]!),
    );
  }

  destroy(): void {
    this.#destroyed = true;
    for (const buffer of this.#blocks.values()) buffer.destroy();
    for (const buffers of this.#idle.values()) for (const buffer of buffers) buffer.destroy();
  }
}

function encode(encoder: GPUCommandEncoder, steps: readonly Ready[]): void {
  const pass = encoder.beginComputePass();
  for (const step of steps) encodeStep(pass, step);
  pass.end();
}

function encodeStep(pass: GPUComputePassEncoder, { pipeline, bindGroup, workgroups }: Ready): void {
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(...workgroups);
}
