// A printed program on a device: pipelines made, memory placed and prepared, ready to be run.

import type { Place } from '../../codegen/wgsl/bindings.ts';
import type { Boundary, Dispatch, WgslProgram } from '../../codegen/wgsl/program.ts';
import { gateBlock } from '../../codegen/wgsl/steps.ts';
import { LimitationError, UserError } from '../../ir/errors.ts';
import { bindingAlignment } from '../../passes/gpu/schedule.ts';
import type { TypedArray } from '../arrays.ts';
import { expectOutputs } from '../call.ts';
import { expectArray, expectKnown, expectRange } from '../call-checks.ts';
import type { CallOptions } from '../definition.ts';
import type { WebGpuDevice } from './device.ts';
import {
  encodeDispatch,
  type Ready,
  type ReadyStep,
  type Running,
  readsOnTheWay,
  readySteps,
  running,
} from './encode.ts';
import { hasTimestamps, type KernelTime, timedPass, timedSteps } from './profile.ts';
import type { WebGpuStateStore } from './state.ts';
import { constantArray, fromDevice, toDevice } from './transfer.ts';

type Named = Readonly<Record<string, TypedArray>>;

/** An output that is wanted, and the caller's array for it. */
interface Result {
  readonly output: Boundary;
  readonly into: TypedArray | undefined;
}

/** A program on its device: pipelines, memory, and the prepared block filled. */
export class LoadedProgram {
  readonly #program: WgslProgram;
  readonly #gpu: WebGpuDevice;
  readonly #state: WebGpuStateStore;
  readonly #blocks: ReadonlyMap<string, GPUBuffer>;
  /** Blocks that other programs use too. */
  readonly #shared: ReadonlySet<GPUBuffer>;
  readonly #steps: readonly ReadyStep[];
  readonly #readsOnTheWay: boolean;
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
    shared: ReadonlySet<GPUBuffer>,
    steps: readonly ReadyStep[],
  ) {
    this.#program = program;
    this.#gpu = gpu;
    this.#state = state;
    this.#blocks = blocks;
    this.#shared = shared;
    this.#steps = steps;
    this.#readsOnTheWay = readsOnTheWay(steps);
    this.#inputNames = new Set(program.inputs.map(({ name }) => name));
    this.#outputNames = new Set(program.outputs.map(({ name }) => name));
  }

  /**
   * `shared`: blocks that lie on the device already, with the same constants in them; those of the program's own are added, so
   * that programs over the same values can be compared without the memory of each. Who gives it destroys them.
   */
  static async load(
    program: WgslProgram,
    gpu: WebGpuDevice,
    state: WebGpuStateStore,
    shared?: Map<string, GPUBuffer>,
  ): Promise<LoadedProgram> {
    const pipelines = await Promise.all(program.modules.map((module) => gpu.pipeline(module)));
    const blocks = new Map<string, GPUBuffer>();
    const filled = new Set<string>();
    for (const [name, bytes] of Object.entries(program.blocks)) {
      const key = `${name} of ${bytes}`;
      const found = shared?.get(key);
      if (found !== undefined) filled.add(name);
      const block = found ?? (await gpu.allocate(name, bytes, name === gateBlock ? 'gates' : 'storage'));
      blocks.set(name, block);
      if (ofValues(name)) shared?.set(key, block);
    }
    if (program.numbers > 0) blocks.set(numberBlock, await numbersOn(gpu, program.numbers));
    const bufferOf = (block: string): GPUBuffer => (blocks.get(block) ?? state.block(block))!;
    const ready = (dispatch: Dispatch): Ready => {
      const pipeline = pipelines[dispatch.module]!;
      const numbers = dispatch.numbers.map(() => ({ block: numberBlock, offset: 0, bytes: 16 }));
      const entries = [...dispatch.bindings, ...numbers].map(({ block, offset, bytes }, binding) => ({
        binding,
        resource: { buffer: bufferOf(block), offset, size: bytes },
      }));
      const bindGroup = gpu.device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
      return { kind: 'ready', dispatch, pipeline, bindGroup };
    };
    const loaded = await gpu.guarded(program.name, () => {
      for (const constant of program.constants) {
        if (filled.has(constant.block)) continue;
        const bytes = toDevice(constant, constantArray(constant.type, constant.data!));
        if (bytes.length > 0) gpu.device.queue.writeBuffer(bufferOf(constant.block), constant.offset, bytes);
      }
      return { preparation: program.preparation.map(ready), steps: readySteps(program.steps, ready) };
    });
    const result = new LoadedProgram(program, gpu, state, blocks, new Set(shared?.values()), loaded.steps);
    if (loaded.preparation.length > 0)
      await gpu.guarded(program.name, () => {
        const encoder = gpu.device.createCommandEncoder();
        result.#encode(encoder, running(loaded.preparation), false);
        gpu.device.queue.submit([encoder.finish()]);
      });
    return result;
  }

  /** Everything is sent before this returns, so that calls take effect in the order in which they are made. */
  async run(inputs: Named, options: CallOptions<Named, string> = {}): Promise<Named> {
    this.#expectUsable();
    const { inputs: expected, checks, outputs } = this.#program;
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
    if (!this.#readsOnTheWay && !this.#gpu.isTaken) return this.#sent(given, results, bytes);
    // Others have to wait for a call that reads on its way; their callers may change arrays in the meantime.
    const kept = given.map((array) => array.slice());
    return this.#gpu.inTurn(() => {
      this.#expectUsable();
      return this.#sent(kept, results, bytes);
    });
  }

  /** In one submission, or where it has to be known whether a loop goes on, in pieces. */
  async #sent(given: readonly TypedArray[] | null, results: readonly Result[], bytes: number): Promise<Named> {
    const commands = running(this.#steps);
    let inputs: readonly TypedArray[] | null = given;
    for (let goesOn = false; ; inputs = null) {
      const open: Piece = { word: null, readback: null };
      const submitted = this.#gpu.guarded(this.#program.name, () => {
        this.#submit(inputs, open, (encoder) => this.#encode(encoder, commands, goesOn), { results, bytes });
      });
      // Reading is asked for at once, so that both answers arrive together; what the device refused says more.
      const { word, readback } = open;
      const answer = word === null ? this.#read(results, readback, bytes) : this.#isSet(readback!);
      const [sent, read] = await Promise.allSettled([submitted, answer]);
      if (sent.status === 'rejected') throw sent.reason;
      if (read.status === 'rejected') throw read.reason;
      if (typeof read.value !== 'boolean') return read.value;
      goesOn = read.value;
    }
  }

  #expectUsable(): void {
    if (this.#destroyed) throw new UserError('this function was destroyed; compile it again');
    if (this.#program.states.length > 0) this.#state.expectUsable();
    this.#gpu.expectAlive();
  }

  /** Inputs, kernels and the copies of results, or of the word that is to be read first, in one submission. */
  #submit(
    given: readonly TypedArray[] | null,
    piece: Piece,
    encode: (encoder: GPUCommandEncoder) => Place | null,
    { results, bytes }: { readonly results: readonly Result[]; readonly bytes: number },
  ): void {
    const { device } = this.#gpu;
    this.#program.inputs.forEach((input, i) => {
      const elements = given === null ? new Uint8Array() : toDevice(input, given[i]!);
      if (elements.length > 0) device.queue.writeBuffer(this.#blocks.get(input.block)!, input.offset, elements);
    });
    const encoder = device.createCommandEncoder();
    piece.word = encode(encoder);
    const wanted = piece.word === null ? results.map(({ output }) => output) : [piece.word];
    const size = piece.word === null ? bytes : piece.word.bytes;
    if (size > 0) piece.readback = this.#idle.get(size)?.pop() ?? this.#gpu.readbackBuffer(size);
    let at = 0;
    for (const place of wanted) {
      encoder.copyBufferToBuffer(this.#blocks.get(place.block)!, place.offset, piece.readback!, at, place.bytes);
      at += place.bytes;
    }
    device.queue.submit([encoder.finish()]);
  }

  /** Encodes dispatches to the end, or up to where a word has to be read, which is returned. */
  #encode(encoder: GPUCommandEncoder, commands: ReturnType<typeof running>, goesOn: boolean): Place | null {
    const pass = encoder.beginComputePass();
    const gates = this.#blocks.get(gateBlock);
    let word: Place | null = null;
    for (let next = commands.next(goesOn); !next.done; next = commands.next(false)) {
      if ('block' in next.value) {
        word = next.value;
        break;
      }
      encodeDispatch(pass, next.value, gates);
    }
    pass.end();
    return word;
  }

  /** Whether the word in a readback buffer is not zero. */
  async #isSet(readback: GPUBuffer): Promise<boolean> {
    const [word] = new Uint32Array(await this.#gpu.mapped(readback, 'the end of a loop'));
    const set = word !== 0;
    this.#release(readback, 4);
    return set;
  }

  #release(readback: GPUBuffer, bytes: number): void {
    readback.unmap();
    this.#idle.set(bytes, [...(this.#idle.get(bytes) ?? []), readback]);
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
    this.#release(readback, bytes);
    return Object.fromEntries(named);
  }

  async profile(): Promise<KernelTime[]> {
    this.#expectUsable();
    if (this.#readsOnTheWay)
      throw new LimitationError(
        `${this.#program.name} has a loop whose end depends on values: its kernels cannot be timed`,
      );
    const all = this.#all();
    const gates = this.#blocks.get(gateBlock);
    const dispatches = all.map(({ ready }) => ready.dispatch);
    const turn = (): Promise<KernelTime[]> =>
      timedSteps(this.#gpu, dispatches, (pass, step) => encodeDispatch(pass, all[step]!, gates));
    return this.#gpu.isTaken ? this.#gpu.inTurn(turn) : turn();
  }

  /** Dispatches of a call; none can be said where a value decides how many, which is read on the way. */
  get dispatches(): number {
    return this.#readsOnTheWay ? Number.POSITIVE_INFINITY : this.#all().length;
  }

  /** What runs in a call that reads nothing on its way. */
  #all(): Running[] {
    const all: Running[] = [];
    const commands = running(this.#steps);
    for (let next = commands.next(false); !next.done; next = commands.next(false))
      if ('ready' in next.value) all.push(next.value);
    return all;
  }

  /** True where the device's clock measures calls, else the process's. */
  get hasClock(): boolean {
    return !this.#readsOnTheWay && hasTimestamps(this.#gpu);
  }

  /** Seconds of so many calls on what memory holds, one after another; in one pass unless values are read on the way. */
  async seconds(calls: number): Promise<number> {
    this.#expectUsable();
    if (this.#readsOnTheWay) {
      const start = performance.now();
      for (let call = 0; call < calls; call++)
        await this.#gpu.inTurn(() => this.#sent(null, [], 0).then(() => this.#gpu.finished()));
      return (performance.now() - start) / 1000;
    }
    const gates = this.#blocks.get(gateBlock);
    const all = this.#all();
    return timedPass(this.#gpu, (pass) => {
      for (let call = 0; call < calls; call++) for (const dispatch of all) encodeDispatch(pass, dispatch, gates);
    });
  }

  destroy(): void {
    this.#destroyed = true;
    for (const buffer of this.#blocks.values()) if (!this.#shared.has(buffer)) buffer.destroy();
    for (const buffers of this.#idle.values()) for (const buffer of buffers) buffer.destroy();
  }
}

/** A submission: what is read after it, and from where. */
interface Piece {
  word: Place | null;
  readback: GPUBuffer | null;
}

const numberBlock = 'numbers';

/** Blocks of values that are the same whatever kernels there are. */
const ofValues = (block: string): boolean => /^(input|output|constant)(_\d+)?$/.test(block);

/** The numbers 0, 1, 2, .. where dynamic offsets may begin. */
async function numbersOn(gpu: WebGpuDevice, count: number): Promise<GPUBuffer> {
  const words = new Int32Array((count * bindingAlignment) / 4);
  for (let i = 0; i < count; i++) words[(i * bindingAlignment) / 4] = i;
  const buffer = await gpu.allocate(numberBlock, words.byteLength, 'numbers');
  gpu.device.queue.writeBuffer(buffer, 0, words);
  return buffer;
}
