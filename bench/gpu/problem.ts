// One expression on the card, ours against PyTorch's: the same operands, results compared, then both in turn. Operands and
// result are states, so that a run reads and writes the card's memory alone.

import { type AnyTensor, compileForWebGpu, func, openDevice, variable, type WebGpuDevice } from 'ashlar';
import { median } from '../measure.ts';
import { seededUniform } from '../models/net.ts';
import { largestDifference } from '../webgpu-report.ts';
import { nodeGpu } from './packed-gpu.ts';
import { readArray, scratchFile, writeArray } from './part.ts';
import type { TorchSide } from './torch.ts';

export interface Problem {
  readonly title: string;
  /** Its name in torch_side.py. */
  readonly expression: string;
  readonly operands: readonly (readonly number[])[];
  readonly compute: (...operands: AnyTensor[]) => AnyTensor;
}

/** Milliseconds of a run: the median by the card's clock, and among many runs by the host's. */
export interface RunTimes {
  readonly device: number | null;
  readonly wall: number | null;
}

export interface ProblemFigures {
  readonly title: string;
  readonly ours: RunTimes;
  /** Null where PyTorch or CUDA is not there. */
  readonly torch: RunTimes | null;
  /** PyTorch's time over ours by the card's clock: the median over neighbouring turns. */
  readonly ratio: number | null;
  /** From PyTorch's result, over its largest element; null where there is no PyTorch. */
  readonly difference: number | null;
  readonly kernels: number;
}

const turns = 9;
const turnMilliseconds = 60;
/** Kernels timed by the card's clock in a turn: each is waited for. */
const mostTimed = 10;

/** Throws where the result is not PyTorch's, as a share of its largest element. */
export async function comparePair(
  problem: Problem,
  torch: TorchSide | null,
  tolerance: number,
): Promise<ProblemFigures> {
  const ours = await Ours.make(problem);
  try {
    const cuda = torch?.machine.cuda === true;
    const difference = torch === null ? null : await differenceOf(problem, ours, torch);
    if (difference !== null && !(difference <= tolerance))
      throw new Error(`${problem.title}: the result differs from PyTorch's by ${difference} of its largest element`);
    const times = { ours: [] as RunTimes[], torch: [] as RunTimes[] };
    let runs = { ours: 2, torch: 2 };
    for (let turn = -1; turn < turns; turn++) {
      const mine = await ours.time(runs.ours);
      const theirs = cuda ? await timeTorch(torch!, runs.torch) : { device: null, wall: null };
      runs = { ours: fitting(mine), torch: fitting(theirs) };
      if (turn < 0) continue;
      times.ours.push(mine);
      times.torch.push(theirs);
    }
    await torch?.unload();
    return {
      title: problem.title,
      ours: medians(times.ours),
      torch: cuda ? medians(times.torch) : null,
      ratio: cuda ? ratioOf(times.ours, times.torch) : null,
      difference,
      kernels: ours.kernels,
    };
  } finally {
    ours.destroy();
  }
}

const fitting = ({ wall }: RunTimes): number => Math.max(1, Math.min(500, Math.round(turnMilliseconds / (wall ?? 1))));

async function timeTorch(torch: TorchSide, runs: number): Promise<RunTimes> {
  const { device, wall } = await torch.time(runs);
  return { device: median(device), wall };
}

function medians(times: readonly RunTimes[]): RunTimes {
  const of = (key: keyof RunTimes): number | null => {
    const known = times.flatMap((time) => time[key] ?? []);
    return known.length === 0 ? null : median(known);
  };
  return { device: of('device'), wall: of('wall') };
}

/** By the card's clock, or by the host's where the device has no timestamps. */
function ratioOf(ours: readonly RunTimes[], torch: readonly RunTimes[]): number {
  return median(
    ours.map(({ device, wall }, turn) =>
      device === null ? torch[turn]!.wall! / wall! : torch[turn]!.device! / device,
    ),
  );
}

async function differenceOf({ expression, operands }: Problem, ours: Ours, torch: TorchSide): Promise<number> {
  const files = operands.map((shape, i) => {
    const path = scratchFile(`operand${i}.f32`);
    writeArray(path, operandValues(shape, i));
    return path;
  });
  const result = scratchFile('result.f32');
  await torch.load({ expression, files, shapes: operands, result });
  return largestDifference(readArray(result), await ours.result());
}

const elements = (shape: readonly number[]): number => shape.reduce((all, dim) => all * dim, 1);
const operandValues = (shape: readonly number[], index: number): Float32Array =>
  seededUniform(41 + index, elements(shape), 1);

/** The card as Dawn names it. */
export async function adapterName(): Promise<string> {
  const adapter = await (await nodeGpu()).requestAdapter({ powerPreference: 'high-performance' });
  if (adapter === null) throw new Error('Dawn finds no adapter on this machine: is there a Vulkan driver?');
  const { vendor, architecture, device, description } = adapter.info;
  return [vendor, architecture, device, description].filter((part) => part !== '').join(' ');
}

type Update = Awaited<ReturnType<typeof compileForWebGpu<object, object>>>;

/** The expression as an update of a state. */
class Ours {
  readonly #run: Update;
  readonly #gpu: WebGpuDevice;
  private constructor(run: Update, gpu: WebGpuDevice) {
    this.#run = run;
    this.#gpu = gpu;
  }

  /** On a device of its own, whose end frees all memory. */
  static async make({ operands, compute }: Problem): Promise<Ours> {
    const gpu = await openDevice(await nodeGpu(), { kernels: 'card' });
    const given = operands.map((shape, i) =>
      variable(`operand${i}`, shape, { initial: () => operandValues(shape, i) }),
    );
    const value = compute(...(given as AnyTensor[]));
    const result = variable('result', value.shape);
    const definition = func({ name: 'problem', inputs: [], outputs: {}, updates: [[result, value]] });
    const run = (await compileForWebGpu(definition, { device: gpu })) as Update;
    await run({});
    return new Ours(run, gpu);
  }

  get kernels(): number {
    return this.#run.program.steps.length;
  }
  result(): Promise<Float32Array> {
    return this.#run.state.get('result') as Promise<Float32Array>;
  }

  async time(runs: number): Promise<RunTimes> {
    const { queue, features } = this.#gpu.device;
    await queue.onSubmittedWorkDone();
    const start = performance.now();
    const calls = Array.from({ length: runs }, () => this.#run({}));
    await Promise.all(calls);
    await queue.onSubmittedWorkDone();
    const wall = (performance.now() - start) / runs;
    if (!features.has('timestamp-query')) return { device: null, wall };
    const device: number[] = [];
    for (let i = 0; i < Math.min(runs, mostTimed); i++) {
      const kernels = await this.#run.profile();
      device.push(kernels.reduce((sum, { nanoseconds }) => sum + nanoseconds / 1e6, 0));
    }
    return { device: median(device), wall };
  }
  destroy(): void {
    this.#gpu.destroy();
  }
}
