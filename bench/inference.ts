// Inference at batch 1 against onnxruntime-node: the same network and weights on both sides, outputs compared before
// anything is timed, then both in turn, on one thread and on all.

import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Compiled } from './compile-figures.ts';
import { inferenceReport, type ModelFigures, type SideFigures, type ThreadFigures } from './inference-report.ts';
import type { SideAnswer, SideOrder, SideRequest } from './inference-side.ts';
import { measureEach } from './kept.ts';
import { median, progress } from './measure.ts';
import { models, onnxModel } from './models/index.ts';
import { encodeOnnx } from './onnx-file.ts';
import { benchPackage } from './packages.ts';
import { floorSeconds, measureRoofline, type Roofline } from './roofline.ts';

/** Turns that each side has, and how long one is: enough runs for a median, short enough that both meet the same weather. */
const turns = 9;
const turnMilliseconds = 100;
const mostRunsPerTurn = 500;
/** Long enough for the threads of a finished turn to go to sleep. */
const pauseMilliseconds = 30;
/** Largest difference of outputs over the largest output that is accepted. */
const tolerance = 1e-3;

const machine = `Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}`;

/** Measures the models that are named, or all; figures of the others stay as they were measured last. */
export async function inference(wanted: readonly string[]): Promise<string> {
  benchPackage('onnxruntime-node');
  return inferenceReport(await measureEach('inference', wanted, measureModel));
}

async function measureModel(name: string): Promise<ModelFigures> {
  const model = models[name]!;
  const folder = mkdtempSync(join(tmpdir(), 'ashlar-inference-'));
  try {
    progress(`${model.title}: writing the ONNX file`);
    const { graph, flops } = onnxModel(model, name);
    const onnx = join(folder, `${name}.onnx`);
    writeFileSync(onnx, encodeOnnx(graph));
    const order = { model: name, onnx, inputShape: graph.inputs[0]!.shape };
    progress(`${model.title}: compiling`);
    const { figures: compiled, works } = compileInOwnProcess(name, folder);
    const measured: ThreadFigures[] = [];
    let difference = 0;
    for (const threads of new Set([1, availableParallelism()])) {
      progress(`${model.title}: ${threads} thread${threads === 1 ? '' : 's'}`);
      const load = loadavg()[0]!;
      const before = measureRoofline(compiled.constantBytes, threads);
      const pair = await comparePair({ ...order, threads }, folder);
      const roofline = better(before, measureRoofline(compiled.constantBytes, threads));
      difference = Math.max(difference, pair.difference);
      const { ours, theirs, ratio } = pair;
      const floor = works.reduce((sum, work) => sum + floorSeconds(work, roofline), 0);
      const gflops = flops / ours.milliseconds / 1e6;
      measured.push({
        threads,
        ours,
        theirs,
        ratio,
        gflops,
        peak: roofline.peak,
        bandwidth: roofline.constantBandwidth,
        ofPeak: gflops / roofline.peak,
        ofRoofline: (floor * 1000) / ours.milliseconds,
        load,
      });
    }
    return { title: model.title, flops, difference, compiled, measured, machine };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The faster of two measurements of one machine: a neighbour can only slow it down. */
function better(a: Roofline, b: Roofline): Roofline {
  return {
    peak: Math.max(a.peak, b.peak),
    constantBandwidth: Math.max(a.constantBandwidth, b.constantBandwidth),
    freshBandwidth: (bytes) => Math.max(a.freshBandwidth(bytes), b.freshBandwidth(bytes)),
  };
}

function compileInOwnProcess(name: string, cache: string): Compiled {
  const program = fileURLToPath(new URL('./compile-figures.ts', import.meta.url));
  const printed = execFileSync(process.execPath, [...process.execArgv, program, name], {
    encoding: 'utf8',
    env: { ...process.env, ASHLAR_CACHE: cache },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return JSON.parse(printed) as Compiled;
}

async function comparePair(order: Omit<SideOrder, 'side'>, cache: string) {
  const ours = await Side.start({ ...order, side: 'ashlar' }, cache);
  const theirs = await Side.start({ ...order, side: 'onnxruntime' }, cache);
  try {
    const difference = largestDifference(order.model, ours.ready.output, theirs.ready.output);
    const sides = [ours, theirs];
    const times: (readonly number[])[][] = [[], []];
    for (let turn = -1; turn < turns; turn++) {
      for (const [i, side] of sides.entries()) {
        await pause(pauseMilliseconds);
        const milliseconds = await side.time();
        if (turn >= 0) times[i]!.push(milliseconds);
      }
    }
    const ratio = median(times[0]!.map((ours, turn) => median(times[1]![turn]!) / median(ours)));
    const figures = sides.map(
      (side, i): SideFigures => ({
        milliseconds: median(times[i]!.flat()),
        fastest: Math.min(...times[i]!.flat()),
        loadSeconds: side.ready.loadSeconds,
      }),
    );
    return { difference, ratio, ours: figures[0]!, theirs: figures[1]! };
  } finally {
    ours.end();
    theirs.end();
  }
}

/** A process that runs one side. */
class Side {
  readonly #process: ChildProcess;
  readonly ready: Extract<SideAnswer, { kind: 'ready' }>;
  #runs = 1;
  private constructor(child: ChildProcess, ready: Extract<SideAnswer, { kind: 'ready' }>) {
    this.#process = child;
    this.ready = ready;
  }

  static async start(order: SideOrder, cache: string): Promise<Side> {
    const child = fork(fileURLToPath(new URL('./inference-side.ts', import.meta.url)), [JSON.stringify(order)], {
      serialization: 'advanced',
      env: { ...process.env, ASHLAR_CACHE: cache },
    });
    return new Side(child, await answerOf(child, 'ready'));
  }

  /** The milliseconds of as many runs as fill a turn. */
  async time(): Promise<readonly number[]> {
    const answer = answerOf(this.#process, 'timed');
    this.#process.send({ runs: this.#runs } satisfies SideRequest);
    const { milliseconds } = await answer;
    const fitting = Math.round(turnMilliseconds / median(milliseconds));
    this.#runs = Math.max(1, Math.min(mostRunsPerTurn, fitting));
    return milliseconds;
  }
  end(): void {
    this.#process.kill();
  }
}

function answerOf<K extends SideAnswer['kind']>(
  child: ChildProcess,
  kind: K,
): Promise<Extract<SideAnswer, { kind: K }>> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null, signal: string | null): void =>
      reject(new Error(`the process measured ended with ${signal ?? `code ${code}`} before it was ${kind}`));
    child.once('exit', ended);
    child.once('message', (message: SideAnswer) => {
      child.off('exit', ended);
      resolve(message as Extract<SideAnswer, { kind: K }>);
    });
  });
}

/** Over the largest output. Throws where outputs are not finite or differ by more than the tolerance. */
function largestDifference(model: string, ours: Float32Array, theirs: Float32Array): number {
  if (ours.length !== theirs.length)
    throw new Error(`${model}: Ashlar gives ${ours.length} outputs, onnxruntime ${theirs.length}`);
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < theirs.length; i++) {
    if (!Number.isFinite(ours[i]) || !Number.isFinite(theirs[i]))
      throw new Error(`${model}: output ${i} is ${ours[i]}, onnxruntime's is ${theirs[i]}`);
    difference = Math.max(difference, Math.abs(ours[i]! - theirs[i]!));
    largest = Math.max(largest, Math.abs(theirs[i]!));
  }
  if (!(difference <= tolerance * largest))
    throw new Error(`${model}: outputs differ from onnxruntime's by ${difference}, the largest is ${largest}`);
  return difference / largest;
}
