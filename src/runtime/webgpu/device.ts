// A WebGPU device as this runtime uses it: its limits, its pipelines by their text, memory, and what went wrong with it.
// The same code serves browsers and Node: it is given a `GPU` (navigator.gpu, or what node-gpu.ts finds).

/// <reference types="@webgpu/types" />

import type { WgslLimits, WgslModule } from '../../codegen/wgsl/program.ts';
import { InternalError, LimitationError, UserError } from '../../ir/errors.ts';
import type { GpuKind } from '../../passes/gpu/schedule.ts';
import { type Wait, waitOf } from './waiting.ts';

/**
 * Declarations of this package name these. TypeScript's own types of pages have them, or @webgpu/types, which do not go
 * together; where a program has neither, they are what nobody knows anything of.
 */
declare global {
  interface GPU {}
  interface GPUBuffer {}
  interface GPUComputePassEncoder {}
  interface GPUComputePipeline {}
  interface GPUDevice {}
}

/** The values of WebGPU's flags, which only browsers have as globals. */
const usage = {
  mapRead: 0x1,
  copySource: 0x4,
  copyTarget: 0x8,
  uniform: 0x40,
  storage: 0x80,
  indirect: 0x100,
} as const;
const computeStage = 0x4;

/** What of a device's limits programs depend on. */
const limitsOf = (limits: WgslLimits): WgslLimits => ({
  maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
  maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
  maxBufferSize: limits.maxBufferSize,
  maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
  maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
  maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
});

export interface DeviceOptions {
  /** Which of several adapters. Default: the faster one. */
  readonly powerPreference?: 'low-power' | 'high-performance';
  /** `none`: the device offers no more than WebGPU promises everywhere. Default: all of the adapter's features that help. */
  readonly features?: 'all' | 'none';
  /** Kernels for cards, or for adapters that compute on the processor's cores. Default: for what the adapter is. */
  readonly kernels?: GpuKind;
}

/** An adapter as it describes itself; browsers leave the description empty. */
export interface AdapterName {
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
}

/** What decides how kernels are made, beside the limits. */
export interface GpuFeatures {
  readonly kernels: GpuKind;
  /** Invocations that run together combine values. */
  readonly subgroups: boolean;
}

/** A device and everything that compiled functions share on it. */
export class WebGpuDevice {
  readonly device: GPUDevice;
  readonly adapter: AdapterName;
  /** Vendor, architecture and description of the adapter, for messages and reports. */
  readonly description: string;
  readonly limits: WgslLimits;
  readonly features: GpuFeatures;
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();
  #lost: UserError | null = null;
  #turn: Promise<void> = Promise.resolve();
  #turns = 0;

  readonly #wait: Wait;

  constructor(device: GPUDevice, adapter: AdapterName, features: GpuFeatures, wait: Wait) {
    this.device = device;
    this.#wait = wait;
    this.features = features;
    this.adapter = adapter;
    const { vendor, architecture, description } = adapter;
    this.description = [vendor, architecture, description].filter((part) => part !== '').join(' ');
    this.limits = limitsOf(device.limits);
    void device.lost.then(({ reason, message }) => {
      const what = reason === 'destroyed' ? 'was destroyed' : `was lost: ${message || 'no reason is given'}`;
      this.#lost = new UserError(
        `the GPU device ${what}. Open a new device and compile again; state on the old one is gone`,
      );
    });
  }

  /** Whether the device is lost or destroyed, as far as is known. */
  get isLost(): boolean {
    return this.#lost !== null;
  }

  /** Throws UserError once the device is lost or destroyed. */
  expectAlive(): void {
    if (this.#lost !== null) throw this.#lost;
  }

  /** Frees the device and all memory on it. */
  destroy(): void {
    this.device.destroy();
  }

  /** True while a call is under way that reads from the device before all of it is sent. */
  get isTaken(): boolean {
    return this.#turns > 0;
  }

  /** Does something when all that was to be done in turn before is over. */
  async inTurn<T>(action: () => Promise<T>): Promise<T> {
    this.#turns++;
    const before = this.#turn;
    const result = before.then(action);
    this.#turn = result.then(
      () => {},
      () => {},
    );
    try {
      return await result;
    } finally {
      this.#turns--;
    }
  }

  /** Memory for kernels, in bytes (a multiple of four), zero-filled. Throws LimitationError where the device has none. */
  async allocate(what: string, bytes: number, use: 'storage' | 'gates' | 'numbers' = 'storage'): Promise<GPUBuffer> {
    this.expectBuffer(what, bytes);
    const special = { storage: 0, gates: usage.indirect, numbers: usage.uniform }[use];
    const flags = usage.storage | usage.copySource | usage.copyTarget | special;
    return this.guarded(`${what} of ${bytes} bytes`, () =>
      this.device.createBuffer({ label: what, size: Math.max(4, bytes), usage: flags }),
    );
  }

  /** Throws LimitationError for more bytes than a buffer can have. */
  expectBuffer(what: string, bytes: number): void {
    const { maxBufferSize } = this.limits;
    if (bytes > maxBufferSize)
      throw new LimitationError(
        `${what}: ${bytes} bytes needed, a buffer of this device holds ${maxBufferSize} (limit maxBufferSize)`,
      );
  }

  /** Memory that results are copied to and read from; to be made within `guarded`. */
  readbackBuffer(bytes: number): GPUBuffer {
    return this.device.createBuffer({ label: 'readback', size: bytes, usage: usage.mapRead | usage.copyTarget });
  }

  /** What a readback buffer holds when all that was sent before is done. */
  async mapped(readback: GPUBuffer, what: string): Promise<ArrayBuffer> {
    try {
      await this.#wait(readback.mapAsync(1));
    } catch (error) {
      readback.destroy();
      await this.#expectAliveSoon();
      throw new UserError(`${what} could not be read: ${(error as Error).message}`);
    }
    return readback.getMappedRange();
  }

  /** Resolves when all that was sent is done. Throws UserError where the device is lost before. */
  async finished(): Promise<void> {
    await this.#wait(this.device.queue.onSubmittedWorkDone());
    this.expectAlive();
  }

  /** As expectAlive, after the device had a moment to say that it is lost: calls may fail before its promise is settled. */
  async #expectAliveSoon(): Promise<void> {
    await Promise.race([this.device.lost, new Promise((resolve) => setTimeout(resolve, 0))]);
    this.expectAlive();
  }

  /**
   * Runs calls to the device. What it refuses becomes an exception: LimitationError where memory is short, UserError where
   * the device is lost, InternalError for all else, since programs are valid.
   */
  async guarded<T>(what: string, action: () => T): Promise<T> {
    this.expectAlive();
    const { device } = this;
    device.pushErrorScope('validation');
    device.pushErrorScope('out-of-memory');
    let result: T;
    let answers: Promise<(GPUError | null)[]>;
    try {
      result = action();
    } finally {
      answers = Promise.all([device.popErrorScope(), device.popErrorScope()]);
    }
    const [memory, validation] = await this.#wait(answers);
    this.expectAlive();
    if (memory) throw new LimitationError(`${what}: the device is out of memory (${memory.message.split('\n')[0]})`);
    if (validation) throw new InternalError(`${what}: ${validation.message}`);
    return result;
  }

  /** The pipeline of a module, made once for each text. */
  pipeline(module: WgslModule): Promise<GPUComputePipeline> {
    const known = this.#pipelines.get(module.code) ?? this.#makePipeline(module);
    this.#pipelines.set(module.code, known);
    return known;
  }

  async #makePipeline({ name, code, bindings, numbers }: WgslModule): Promise<GPUComputePipeline> {
    this.expectAlive();
    const { device } = this;
    const entries = bindings.map(
      ({ access }, binding): GPUBindGroupLayoutEntry => ({
        binding,
        visibility: computeStage,
        buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' },
      }),
    );
    for (let i = 0; i < numbers; i++) {
      const buffer: GPUBufferBindingLayout = { type: 'uniform', hasDynamicOffset: true };
      entries.push({ binding: bindings.length + i, visibility: computeStage, buffer });
    }
    const [shader, layout] = await this.guarded(`kernel ${name}`, () => [
      device.createShaderModule({ label: name, code }),
      device.createPipelineLayout({ bindGroupLayouts: [device.createBindGroupLayout({ entries })] }),
    ]);
    try {
      const compute = { module: shader, entryPoint: 'main' };
      return await this.#wait(device.createComputePipelineAsync({ label: name, layout, compute }));
    } catch (error) {
      this.expectAlive();
      throw new InternalError(`kernel ${name}: ${(error as Error).message}`);
    }
  }
}

const optionalFeatures = ['timestamp-query', 'subgroups'] as const;

/** Opens a device with the adapter's own limits. Throws UserError where there is no adapter. */
export async function openDevice(
  gpu: GPU,
  { powerPreference = 'high-performance', features = 'all', kernels }: DeviceOptions = {},
): Promise<WebGpuDevice> {
  const adapter = await gpu.requestAdapter({ powerPreference });
  if (adapter === null)
    throw new UserError(
      'WebGPU finds no adapter here: the browser or the driver offers none. Compile for target js or c instead',
    );
  const wanted = optionalFeatures.filter((name) => adapter.features.has(name));
  const device = await adapter.requestDevice({
    requiredLimits: { ...limitsOf(adapter.limits) },
    requiredFeatures: wanted.filter((name) => name === 'timestamp-query' || features === 'all'),
  });
  // A shader has to know which subgroup it is in, which came to the language after the feature.
  const subgroups = device.features.has('subgroups') && gpu.wgslLanguageFeatures.has('subgroup_id');
  const { vendor, architecture, description, isFallbackAdapter } = adapter.info;
  const kind = kernels ?? (isFallbackAdapter ? 'software' : 'card');
  return new WebGpuDevice(device, { vendor, architecture, description }, { subgroups, kernels: kind }, waitOf(gpu));
}
