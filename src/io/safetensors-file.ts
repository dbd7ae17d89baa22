// A safetensors file that stays on disk: its header is read when it is opened, tensors one by one into memory that the
// caller gives. A model larger than half of the memory can be loaded so.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { UserError } from '../ir/errors.ts';
import { badFile } from './array.ts';
import { headerLength, readHeader, type TensorPlace } from './safetensors.ts';

/** read(2) takes at most 2 GiB at once. */
const mostBytesAtOnce = 2 ** 30;

export class SafetensorsFile {
  readonly path: string;
  readonly #descriptor: number;
  readonly #places: ReadonlyMap<string, TensorPlace>;
  readonly #start: number;

  /** Throws UserError where the file cannot be read or is none of this format. */
  constructor(path: string) {
    this.path = path;
    this.#descriptor = this.#attempt(() => openSync(path, 'r'));
    try {
      const { size } = fstatSync(this.#descriptor);
      if (size < 8) badFile(path, `cut short: 8 bytes expected for the header length, the file has ${size}`);
      this.#start = 8 + headerLength(this.#bytes(8, 0), path);
      if (size < this.#start)
        badFile(path, `cut short: ${this.#start} bytes expected for the header, the file has ${size}`);
      this.#places = readHeader(this.#bytes(this.#start - 8, 8), size - this.#start, path).places;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Undefined where the file has no tensor of this name. */
  place(name: string): TensorPlace | undefined {
    return this.#places.get(name);
  }

  /** Fills memory of the tensor's size with its elements. */
  read(name: string, memory: ArrayBufferView): void {
    const { begin, end } = this.#places.get(name)!;
    const bytes = new Uint8Array(memory.buffer, memory.byteOffset, end - begin);
    this.#fill(bytes, this.#start + begin);
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #bytes(count: number, from: number): Uint8Array {
    const bytes = new Uint8Array(count);
    this.#fill(bytes, from);
    return bytes;
  }

  #fill(bytes: Uint8Array, from: number): void {
    for (let at = 0; at < bytes.length; ) {
      const wanted = Math.min(bytes.length - at, mostBytesAtOnce);
      const count = this.#attempt(() => readSync(this.#descriptor, bytes, at, wanted, from + at));
      if (count === 0) badFile(this.path, `cut short while it was read, at byte ${from + at}`);
      at += count;
    }
  }

  #attempt<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw new UserError(`${this.path} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
