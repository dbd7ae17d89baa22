// Races, found while a kernel is interpreted: whatever order threads would run its tasks in, no task may touch an element
// that another one writes. Iterations of a parallel loop are tasks, and so are those of `tasks`; all other statements at
// the top of a kernel are one. A barrier ends what may run at the same time. On a GPU every invocation is a task as long as
// the kernel runs, and only what its workgroup shares has barriers.

import { InternalError } from './errors.ts';
import type { Buffer } from './kernel.ts';

interface Touched {
  /** The task that last wrote each element, and the one that last read it, or `several`. */
  readonly writer: Int32Array;
  readonly reader: Int32Array;
}

const several = -1;

export class RaceDetector {
  readonly #kernel: string;
  readonly #touched = new Map<Buffer, Touched>();
  /** Tasks are numbered from 1; those before `#first` ended at a barrier. The first one after it is what is not parallel. */
  #first = 1;
  #last = 1;
  #task = 1;

  constructor(kernel: string) {
    this.#kernel = kernel;
  }

  /** Returns the task's number, under which it may be resumed. */
  beginTask(): number {
    this.#last += 1;
    this.#task = this.#last;
    return this.#task;
  }

  resume(task: number): void {
    this.#task = task;
  }

  /** Of the memory that a workgroup shares. */
  ofWorkgroup(): RaceDetector {
    return new RaceDetector(this.#kernel);
  }

  endTasks(): void {
    this.#task = this.#first;
  }

  barrier(): void {
    this.#touched.clear();
    this.#last += 1;
    this.#first = this.#last;
    this.#task = this.#last;
  }

  read(buffer: Buffer, at: number): void {
    const { writer, reader } = this.#of(buffer);
    if (writer[at] !== 0 && writer[at] !== this.#task) this.#race(buffer, at);
    reader[at] = reader[at] === 0 || reader[at] === this.#task ? this.#task : several;
  }

  write(buffer: Buffer, at: number): void {
    const { writer, reader } = this.#of(buffer);
    const alone = (task: number): boolean => task === 0 || task === this.#task;
    if (!alone(writer[at]!) || !alone(reader[at]!)) this.#race(buffer, at);
    writer[at] = this.#task;
  }

  #of(buffer: Buffer): Touched {
    const known = this.#touched.get(buffer);
    if (known !== undefined) return known;
    const touched = { writer: new Int32Array(buffer.size), reader: new Int32Array(buffer.size) };
    this.#touched.set(buffer, touched);
    return touched;
  }

  #race(buffer: Buffer, at: number): never {
    throw new InternalError(`kernel ${this.#kernel}: two tasks touch ${buffer.name}[${at}], and one of them writes it`);
  }
}
