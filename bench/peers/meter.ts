// What a framework does with a WebGPU device, whoever wrote it: every dispatch, the bytes that its bind groups show to it,
// and the buffers that are alive. Devices of the given GPU are watched from the moment they are made.

import type { Reading } from '../webgpu-report.ts';

type Counts = { -readonly [Key in keyof Reading]: Reading[Key] };

type Method<T, K extends keyof T> = T[K] extends (...args: infer A) => infer R
  ? (self: T, args: A, result: R) => void
  : never;

/**
 * Replaces a method of the object's prototype, once, by one that tells `seen` of every call, and does nothing else while
 * `isSkipped` says so.
 */
function observe<T extends object, K extends keyof T>(
  object: T,
  method: K,
  seen: Method<T, K>,
  isSkipped: () => boolean = () => false,
): void {
  const prototype = Object.getPrototypeOf(object) as Record<PropertyKey, unknown>;
  const original = prototype[method] as ((...args: unknown[]) => unknown) & { observed?: true };
  if (original === undefined || original.observed === true) return;
  const replaced = function (this: T, ...args: unknown[]) {
    const result = isSkipped() ? undefined : original.apply(this, args);
    (seen as (self: T, args: unknown[], result: unknown) => void)(this, args, result);
    return result;
  };
  prototype[method] = Object.assign(replaced, { observed: true });
}

export class Meter {
  /** False: dispatches are counted but not given to the device, so that a large network can be counted on a slow one. */
  executes = true;
  readonly #counts: Counts = {
    dispatches: 0,
    submissions: 0,
    boundBytes: 0,
    copiedBytes: 0,
    liveBytes: 0,
    peakBytes: 0,
  };
  readonly #sizes = new WeakMap<object, number>();
  readonly #groupBytes = new WeakMap<object, number>();
  /** Bind groups set on a pass now, by their number. */
  readonly #bound = new WeakMap<object, Map<number, number>>();

  /** Watches a device and all that it makes. */
  watch(device: GPUDevice): void {
    const counts = this.#counts;
    observe(device, 'createBuffer', (_self, [{ size }], buffer) => {
      this.#sizes.set(buffer, size);
      counts.liveBytes += size;
      counts.peakBytes = Math.max(counts.peakBytes, counts.liveBytes);
      observe(buffer as GPUBuffer, 'destroy', (self) => {
        counts.liveBytes -= this.#sizes.get(self) ?? 0;
        this.#sizes.set(self, 0);
      });
    });
    observe(device, 'createBindGroup', (_self, [{ entries }], group) => {
      this.#groupBytes.set(
        group,
        [...(entries as GPUBindGroupEntry[])].reduce((sum, entry) => sum + this.#bytesOf(entry.resource), 0),
      );
    });
    observe(device, 'createCommandEncoder', (_self, _args, encoder) =>
      this.#watchEncoder(encoder as GPUCommandEncoder),
    );
    observe(device.queue, 'submit', () => {
      counts.submissions++;
    });
    observe(device.queue, 'writeBuffer', (_self, [, , data, from = 0, size]) => {
      const each = (data as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1;
      counts.copiedBytes += size === undefined ? (data as ArrayBuffer).byteLength - from * each : size * each;
    });
  }

  #watchEncoder(encoder: GPUCommandEncoder): void {
    const counts = this.#counts;
    // (source, sourceOffset, destination, destinationOffset, size), or the short form without offsets.
    observe(encoder, 'copyBufferToBuffer', (_self, args: readonly unknown[]) => {
      const size = args.length >= 5 ? args[4] : typeof args[1] === 'number' ? undefined : args[2];
      counts.copiedBytes += (size as number | undefined) ?? this.#sizes.get(args[0] as object) ?? 0;
    });
    observe(encoder, 'beginComputePass', (_self, _args, pass) => this.#watchPass(pass as GPUComputePassEncoder));
  }

  #watchPass(pass: GPUComputePassEncoder): void {
    const counts = this.#counts;
    observe(pass, 'setBindGroup', (self, [slot, group]) => {
      const bound = this.#bound.get(self) ?? new Map<number, number>();
      bound.set(slot, group === null ? 0 : (this.#groupBytes.get(group) ?? 0));
      this.#bound.set(self, bound);
    });
    const dispatched = (self: object): void => {
      counts.dispatches++;
      for (const bytes of (this.#bound.get(self) ?? new Map<number, number>()).values()) counts.boundBytes += bytes;
    };
    const isSkipped = (): boolean => !this.executes;
    observe(pass, 'dispatchWorkgroups', dispatched, isSkipped);
    observe(pass, 'dispatchWorkgroupsIndirect', dispatched, isSkipped);
  }

  #bytesOf(resource: GPUBindingResource): number {
    const isBinding = typeof resource === 'object' && 'buffer' in resource;
    const buffer = isBinding ? resource.buffer : (resource as object);
    const whole = this.#sizes.get(buffer);
    if (whole === undefined) return 0;
    return isBinding ? (resource.size ?? whole - (resource.offset ?? 0)) : whole;
  }

  /** Starts counting anew; buffers that are alive stay counted. */
  reset(): void {
    const { liveBytes } = this.#counts;
    Object.assign(this.#counts, { dispatches: 0, submissions: 0, boundBytes: 0, copiedBytes: 0, peakBytes: liveBytes });
  }

  read(): Reading {
    return { ...this.#counts };
  }
}
