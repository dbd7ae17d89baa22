// Named persistent state on a device. Compiled functions share a store, so that a training step and an evaluation see the
// same weights; they stay on the device until somebody asks for them.

import type { Place } from '../../codegen/wgsl/bindings.ts';
import { deviceBytes } from '../../codegen/wgsl/program.ts';
import { UserError } from '../../ir/errors.ts';
import type { ArrayOf, DType, TensorType } from '../../ir/types.ts';
import { bindingAlignment } from '../../passes/gpu/schedule.ts';
import { arrayFrom, type TypedArray } from '../arrays.ts';
import { expectSameState, expectState, expectStateElements } from '../call-checks.ts';
import type { AnyStateStore } from '../state.ts';
import type { WebGpuDevice } from './device.ts';
import { fromDevice, toDevice } from './transfer.ts';

interface Entry {
  readonly type: TensorType;
  readonly place: Place;
}

/** A state to be: its first values are asked for if it is new. */
export interface Declaration {
  readonly name: string;
  readonly type: TensorType;
  initial(): ArrayLike<number>;
}

export class WebGpuStateStore implements AnyStateStore {
  /** The device that the states lie on. */
  readonly device: WebGpuDevice;
  readonly #entries = new Map<string, Entry>();
  readonly #blocks = new Map<string, GPUBuffer>();
  #destroyed = false;

  constructor(device: WebGpuDevice) {
    this.device = device;
  }

  /** The names in order of first declaration. */
  names(): string[] {
    return [...this.#entries.keys()];
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  type(name: string): TensorType {
    return this.#entry(name).type;
  }

  /** Where a state lies. */
  place(name: string): Place {
    return this.#entry(name).place;
  }

  /** The memory of a block of states. */
  block(name: string): GPUBuffer | undefined {
    return this.#blocks.get(name);
  }

  /** A copy of the state, row-major, by its variable or by name. Throws UserError for an unknown name. */
  get<D extends DType>(variable: { readonly name: string; readonly dtype: D }): Promise<ArrayOf[D]>;
  get(name: string): Promise<TypedArray>;
  async get(key: string | { readonly name: string }): Promise<TypedArray> {
    const name = typeof key === 'string' ? key : key.name;
    const { type, place } = this.#entry(name);
    const { device } = this.device;
    const what = `state ${JSON.stringify(name)}`;
    this.device.expectBuffer(what, place.bytes);
    let readback: GPUBuffer | undefined;
    if (this.device.isTaken) await this.device.inTurn(async () => {});
    // Sent at once: what is read is the state after the calls made before.
    await this.device.guarded(what, () => {
      readback = this.device.readbackBuffer(place.bytes);
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(this.#blocks.get(place.block)!, place.offset, readback, 0, place.bytes);
      device.queue.submit([encoder.finish()]);
    });
    const array = fromDevice(type, await this.device.mapped(readback!, what), 0);
    readback!.destroy();
    return array;
  }

  /** Overwrites a state. Throws UserError for an unknown name, another array type or length, or a lost device. */
  set(key: string | { readonly name: string }, value: TypedArray | readonly number[]): void {
    const name = typeof key === 'string' ? key : key.name;
    this.device.expectAlive();
    const elements = expectStateElements(name, this.#entry(name).type, value);
    if (!this.device.isTaken) this.#write(name, elements);
    else {
      const kept = elements.slice();
      void this.device.inTurn(async () => this.#write(name, kept));
    }
  }

  /** Frees the states' memory on the device. What reads or writes one later is refused, and so are functions that have some. */
  destroy(): void {
    this.#destroyed = true;
    for (const buffer of this.#blocks.values()) buffer.destroy();
  }

  /** Throws UserError once the store is destroyed. */
  expectUsable(): void {
    if (this.#destroyed)
      throw new UserError('these states were destroyed; compile the function again, with another store or none');
  }

  #entry(name: string): Entry {
    this.expectUsable();
    return expectState(this.#entries, name);
  }

  #write(name: string, array: TypedArray): void {
    const { type, place } = this.#entry(name);
    const bytes = toDevice({ type, packed: false }, array);
    if (bytes.length > 0) this.device.device.queue.writeBuffer(this.#blocks.get(place.block)!, place.offset, bytes);
  }

  /** Adds states that are new, in blocks of their own, or checks that those of the same names have the same types. */
  async declare(declarations: readonly Declaration[]): Promise<void> {
    this.expectUsable();
    const fresh: Declaration[] = [];
    for (const declaration of declarations) {
      const known = this.#entries.get(declaration.name);
      if (known === undefined) fresh.push(declaration);
      else expectSameState(declaration.name, known.type, declaration.type);
    }
    const { maxBufferSize } = this.device.limits;
    let open: Declaration[] = [];
    let bytes = 0;
    for (const declaration of fresh) {
      const size = Math.ceil(deviceBytes(declaration.type, false) / bindingAlignment) * bindingAlignment;
      if (open.length > 0 && bytes + size > maxBufferSize) {
        await this.#allocate(open, bytes);
        [open, bytes] = [[], 0];
      }
      open.push(declaration);
      bytes += size;
    }
    if (open.length > 0) await this.#allocate(open, bytes);
  }

  async #allocate(declarations: readonly Declaration[], bytes: number): Promise<void> {
    const block = `states_${this.#blocks.size}`;
    const buffer = await this.device.allocate('states', bytes);
    this.#blocks.set(block, buffer);
    let offset = 0;
    for (const declaration of declarations) {
      const { name, type } = declaration;
      const size = deviceBytes(type, false);
      this.#entries.set(name, { type, place: { block, offset, bytes: size } });
      this.#write(name, arrayFrom(type, declaration.initial()));
      offset += Math.ceil(size / bindingAlignment) * bindingAlignment;
    }
  }
}
