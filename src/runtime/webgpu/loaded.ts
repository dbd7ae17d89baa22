// A printed program on a device: pipelines made, memory placed and prepared, ready to be run.

import type { Boundary, Dispatch, WgslProgram } from '../../codegen/wgsl/program.ts';
import { UserError } from '../../ir/errors.ts';
import type { TypedArray } from '../arrays.ts';
import { expectOutputs } from '../call.ts';
import { expectArray, expectKnown, expectRange } from '../call-checks.ts';
import type { CallOptions } from '../definition.ts';
import type { WebGpuDevice } from './device.ts';
import { type KernelTime, timedSteps } from './profile.ts';
import type { WebGpuStateStore } from './state.ts';
import { constantArray, fromDevice, toDevice } from './transfer.ts';

type Named = Readonly<Record<string, TypedArray>>;

/** An output that is wanted, and the caller's array for it. */
interface Result {
  readonly output: Boundary;
  readonly into: TypedArray | undefined;
}

/** A dispatch with everything that encoding it needs. */
interface Ready {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: readonly [number, number];
}

/** A program on its device: pipelines, memory, and the prepared block filled. */
export class LoadedProgram {
  readonly #program: WgslProgram;
  readonly #gpu: WebGpuDevice;
  readonly #state: WebGpuStateStore;
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
    state: WebGpuStateStore,
    blocks: ReadonlyMap<string, GPUBuffer>,
    steps: readonly Ready[],
  ) {
    this.#program = program;
    this.#gpu = gpu;
    this.#state = state;
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
    const result = new LoadedProgram(program, gpu, state, blocks, loaded.steps);
    if (loaded.preparation.length > 0)
      await gpu.guarded(program.name, () => {
        const encoder = gpu.device.createCommandEncoder();
        encode(encoder, loaded.preparation);
        gpu.device.queue.submit([encoder.finish()]);
      });
    return result;
  }

  /** Everything is sent before this returns, so that calls take effect in the order in which they are made. */
  async run(inputs: Named, options: CallOptions<Named, string> = {}): Promise<Named> {
    this.#expectUsable();
    const { inputs: expected, checks, outputs, name } = this.#program;
    expectKnown('input', Object.keys(inputs), this.#inputNames);
    const { wanted, into } = expectOutputs(options, this.#outputNames);
    const given = expected.map((input) => expectArray('input', input, inputs[input.name]));
    for (const check of checks) expectRange(inputs[check.input]!, check);
    const results = outputs
      .filter((output) => wanted.has(output.name))
      .map((output): Result => {
        const array = into[output.name];
        return { output, into: array === undefined ? undefined : expectArray('output', output, array) };
      });
    const bytes = results.reduce((sum, { output }) => sum + output.bytes, 0);
    this.#gpu.expectBuffer('results', bytes);
    let readback: GPUBuffer | null = null;
    const submitted = this.#gpu.guarded(name, () => {
      if (bytes > 0) readback = this.#idle.get(bytes)?.pop() ?? this.#gpu.readbackBuffer(bytes);
      this.#submit(given, results, readback);
    });
    // Reading is asked for at once, so that both answers arrive together; what the device refused says more.
    const [sent, read] = await Promise.allSettled([submitted, this.#read(results, readback, bytes)]);
    if (sent.status === 'rejected') throw sent.reason;
    if (read.status === 'rejected') throw read.reason;
    return read.value;
  }

  #expectUsable(): void {
    if (this.#destroyed) throw new UserError('this function was destroyed; compile it again');
    if (this.#program.states.length > 0) this.#state.expectUsable();
    this.#gpu.expectAlive();
  }

  /** Inputs, kernels and the copies of results, in one submission. */
  #submit(given: readonly TypedArray[], results: readonly Result[], readback: GPUBuffer | null): void {
    const { device } = this.#gpu;
    this.#program.inputs.forEach((input, i) => {
      const bytes = toDevice(input, given[i]!);
      if (bytes.length > 0) device.queue.writeBuffer(this.#blocks.get(input.block)!, input.offset, bytes);
    });
    const encoder = device.createCommandEncoder();
    encode(encoder, this.#steps);
    let offset = 0;
    for (const { output } of results) {
      encoder.copyBufferToBuffer(this.#blocks.get(output.block)!, output.offset, readback!, offset, output.bytes);
      offset += output.bytes;
    }
    device.queue.submit([encoder.finish()]);
  }

  async #read(results: readonly Result[], readback: GPUBuffer | null, bytes: number): Promise<Named> {
    if (readback === null) return {};
    const memory = await this.#gpu.mapped(readback, 'results');
    let offset = 0;
    const named = results.map(({ output, into }) => {
      const array = fromDevice(output.type, memory, offset, into);
      offset += output.bytes;
      return [output.name, array] as const;
    });
    readback.unmap();
    this.#idle.set(bytes, [...(this.#idle.get(bytes) ?? []), readback]);
    return Object.fromEntries(named);
  }

  async profile(): Promise<KernelTime[]> {
    this.#expectUsable();
    return timedSteps(this.#gpu, this.#program.steps, (pass, step) => encodeStep(pass, this.#steps[step]!));
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
